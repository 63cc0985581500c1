/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lines of .bpf/processes: one process, with what it holds in sums, on each line. */
#include "text/sink.h"

/* What a process holds, each object once. */
struct holding {
	const uint64_t *memlock; /* of each object of the snapshot */
	const struct bpfrefs_object *last;
	uint64_t objects[BPFREFS_KIND_NONE];
	uint64_t bytes;
};

/* The references of a process are sorted by their targets. */
static void add_held(struct holding *holding, const struct bpfrefs_ref *ref)
{
	uint64_t bytes = holding->memlock[object_inner(ref->object)->index];

	if (ref->object == holding->last)
		return;
	holding->last = ref->object;
	holding->objects[ref->target.kind]++;
	if (bytes == BPFREFS_UNKNOWN || holding->bytes == BPFREFS_UNKNOWN)
		holding->bytes = BPFREFS_UNKNOWN;
	else
		holding->bytes += bytes;
}

static void add_pair(GString *out, const char *key, uint64_t number)
{
	g_string_append_printf(out, " %s=", key);
	fmt_add_number(out, number);
}

static int add_line(GString *out, struct bpfrefs_ctx *ctx, const struct sink_objects *objects,
		    const struct bpfrefs_process *process)
{
	const struct bpfrefs_snapshot *snap = objects->snap;
	struct holding holding = { .memlock = objects->memlock };
	const struct bpfrefs_ref *ref;
	struct ref_range refs;
	uint64_t mnt_ns, net_ns;
	size_t first, end;
	int err = index_pid_holding(snap, process->pid, &refs);

	if (!err)
		err = index_descriptors(snap, process->pid, 0, &first);
	if (!err)
		err = index_descriptors(snap, process->pid + 1, 0, &end);
	if (err)
		return err;
	while ((ref = ref_range_next(&refs)))
		add_held(&holding, ref);
	bpfrefs_process_namespaces(ctx, process->pid, &mnt_ns, &net_ns);
	fmt_add_number(out, process->pid);
	g_string_append(out, " comm=");
	fmt_add_value(out, process->comm);
	g_string_append(out, " cgroup=");
	fmt_add_value(out, bpfrefs_process_cgroup(snap, process->pid));
	add_pair(out, "mnt_ns", mnt_ns);
	add_pair(out, "net_ns", net_ns);
	add_pair(out, "fds", end - first);
	add_pair(out, "maps", holding.objects[BPFREFS_KIND_MAP]);
	add_pair(out, "progs", holding.objects[BPFREFS_KIND_PROG]);
	add_pair(out, "links", holding.objects[BPFREFS_KIND_LINK]);
	add_pair(out, "btfs", holding.objects[BPFREFS_KIND_BTF]);
	add_pair(out, "memlock", holding.bytes);
	g_string_append_c(out, '\n');
	return 0;
}

int bpfrefs_snapshot_to_processes(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
				  const uint32_t *pids, size_t count, bpfrefs_write_fn write,
				  void *data)
{
	g_autofree uint64_t *memlock = NULL;
	int err = bpfrefs_snapshot_memlock(ctx, snap, &memlock);
	struct sink_objects objects = { snap, memlock };
	struct text_sink sink = sink_begin(write, data);
	size_t lines = pids ? count : snap->processes->len;

	for (size_t i = 0; !err && i < lines; i++) {
		const struct bpfrefs_process *process =
			pids ? bpfrefs_snapshot_find_pid(snap, pids[i]) : snapshot_process(snap, i);

		if (process && (pids || !bpfrefs_snapshot_hides_process(snap, process->pid)))
			err = add_line(sink.out, ctx, &objects, process);
		if (!err)
			err = sink_pass(&sink);
	}
	sink_gaps(sink.out, snap);
	if (!pids)
		sink_self(sink.out, snap);
	return sink_end(&sink, err);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open iterators. The descriptor holds the program (prepare_seq_file(): bpf_prog_inc()), not the
 * link. If the iterator's target is a map, it holds that map with a reference and a user
 * (bpf_map_inc_with_uref() in init_seq_private of the target).
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"
#include "procfs/procfs.h"

#define FIELDS(X) X(ITER_PID, "pid") X(ITER_COMM, "comm") X(ITER_FD, "fd") X(ITER_TARGET, "target")
HOLDER_FIELDS(FIELDS);

static void add(struct scan *scan, struct bpfrefs_key key, const struct walk_iter *iter,
		uint32_t count)
{
	const struct walk_state *state = walk_state_of(scan);
	struct bpfrefs_ref *ref =
		scan_add(scan, key, count, key.kind == BPFREFS_KIND_MAP ? count : 0);
	char target[sizeof(iter->target) + 1] = "";

	if (!ref)
		return;
	memcpy(target, iter->target, sizeof(iter->target));
	ref_set_pid(ref, state->pid);
	ref_set_num(ref, ITER_PID, state->pid);
	ref_set_static(ref, ITER_COMM, state->comm);
	ref_set_num(ref, ITER_FD, iter->fd);
	ref_set_str(scan, ref, ITER_TARGET, target);
}

static void decode(struct scan *scan, const void *record)
{
	const struct walk_iter *iter = record;
	const struct walk_state *state = walk_state_of(scan);
	uint32_t token, count;

	/*
	 * The scan's own iterators that run at the same time (bpf_loader_begin()) hold their programs
	 * only while the scan lasts.
	 */
	if (state->pid == scan->ctx->self && bpf_loader_own_program(state->walkers, iter->rec.id))
		return;
	count = scan_file(scan, iter->file, &token);
	add(scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, iter->rec.id }, iter, count);
	if (iter->map_id)
		add(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, iter->map_id }, iter, count);
}

/* ------------------------------------------------------------ procfs --- */

/* procfs shows that a descriptor is an iterator, but neither its program nor its target. */
static int proc(struct scan *scan)
{
	const struct proc_scan *proc = scan->source_data;
	struct proc_missed iters = { .count = proc->fds.iters->len };
	const struct proc_gap gaps[] = {
		{ &iters, "open iterators, whose programs procfs does not show" },
		{ &proc->fds.processes, "processes" },
	};

	for (guint i = 0; i < proc->fds.iters->len; i++) {
		uint32_t pid = g_array_index(proc->fds.iters, struct proc_file, i).pid;

		scan_process(scan, pid,
			     g_hash_table_lookup(proc->fds.comms, GUINT_TO_POINTER(pid)));
	}
	proc_gaps(scan, gaps, G_N_ELEMENTS(gaps));
	return 0;
}

const struct holder_class holder_iter = {
	.pub = { HOLDER_PUB("iter"), .flags = BPFREFS_CLASS_DESCRIPTOR },
	.id = CLASS_ITER,
	.no_hook = true,
	.removes = removal_by_process,
	.process_says = "has an open iterator",
	.walk = dispatch_tasks,
	.decoders = { DECODER(walk_iter, decode) },
	.proc = proc,
	.proc_gap = "procfs does not show which program an iterator runs",
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors. The reference belongs to the open file description (struct file:
 * bpf_map_new_fd(), bpf_prog_new_fd(), bpf_link_new_fd(), __btf_new_fd()), which several
 * descriptors of several processes may share. The first descriptor that is found has ref=1; the
 * others have ref=0 and the same file.
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"
#include "procfs/procfs.h"

#define FIELDS(X)          \
	X(FD_FILE, "file") \
	X(FD_PID, "pid")   \
	X(FD_TID, "tid")   \
	X(FD_COMM, "comm") \
	X(FD_FD, "fd")
HOLDER_FIELDS(FIELDS);

static bool keep_is_kept(const struct scan *scan, const struct walk_file *file)
{
	const struct walk_state *state = scan->source_data;

	return state->pid == scan->ctx->self && !state->tid &&
	       g_hash_table_contains(scan->ctx->kept, GINT_TO_POINTER((int)file->fd));
}

static void decode(struct scan *scan, const void *record)
{
	const struct walk_file *file = record;
	const struct walk_state *state = walk_state_of(scan);
	struct bpfrefs_key key = { (enum bpfrefs_kind)file->kind, file->rec.id };
	struct bpfrefs_ref *ref;
	uint32_t token, count;

	count = scan_file(scan, file->file, &token);
	if (keep_is_kept(scan, file)) {
		keep_add(scan, key, BPFREFS_KEEP_FD, NULL, count);
		return;
	}
	ref = scan_add(scan, key, count, key.kind == BPFREFS_KIND_MAP ? count : 0);
	if (!ref)
		return;
	ref_set_pid(ref, state->pid);
	ref_set_num(ref, FD_FILE, token);
	ref_set_num(ref, FD_PID, state->pid);
	if (state->tid)
		ref_set_num(ref, FD_TID, state->tid);
	ref_set_static(ref, FD_COMM, state->comm);
	ref_set_num(ref, FD_FD, file->fd);
}

/* ------------------------------------------------------------ procfs --- */

static bool proc_is_kept(const struct bpfrefs_ctx *ctx, const struct proc_file *file)
{
	const struct bpfrefs_key *kept;

	if (file->pid != ctx->self)
		return false;
	kept = g_hash_table_lookup(ctx->kept, GINT_TO_POINTER(file->fd));
	return kept && bpfrefs_key_compare(*kept, file->key) == 0;
}

static void add_file(struct scan *scan, const struct proc_fds *fds, const struct proc_file *file)
{
	const char *comm = g_hash_table_lookup(fds->comms, GUINT_TO_POINTER(file->pid));
	struct bpfrefs_ref *ref;
	uint32_t token, count;

	count = scan_file(scan, file->file, &token) ? 1 : 0;
	/*
	 * The class keep shows these, so another descriptor of the same file must not count again.
	 */
	if (proc_is_kept(scan->ctx, file))
		return;
	ref = scan_add(scan, file->key, count, file->key.kind == BPFREFS_KIND_MAP ? count : 0);
	if (!ref)
		return;
	ref_set_pid(ref, file->pid);
	ref_set_num(ref, FD_FILE, token);
	ref_set_num(ref, FD_PID, file->pid);
	if (file->tid)
		ref_set_num(ref, FD_TID, file->tid);
	ref_set_str(scan, ref, FD_COMM, comm);
	ref_set_num(ref, FD_FD, file->fd);
	scan_process(scan, file->pid, comm);
}

static int proc(struct scan *scan)
{
	const struct proc_scan *proc = scan->source_data;
	const struct proc_gap gaps[] = {
		{ &proc->fds.processes, "processes" },
		{ &proc->fds.descriptors, "descriptors whose open files could not be compared" },
	};

	/* The kept descriptors come first, so that their files count as seen. */
	for (int own = 1; own >= 0; own--) {
		for (guint i = 0; i < proc->fds.files->len; i++) {
			const struct proc_file *file =
				&g_array_index(proc->fds.files, struct proc_file, i);

			if (!file->gone && proc_is_kept(scan->ctx, file) == (own == 1))
				add_file(scan, &proc->fds, file);
		}
	}
	proc_gaps(scan, gaps, G_N_ELEMENTS(gaps));
	return 0;
}

const struct holder_class holder_fd = {
	.pub = { HOLDER_PUB("fd"), .flags = BPFREFS_CLASS_DESCRIPTOR },
	.id = CLASS_FD,
	.no_hook = true,
	.removes = removal_by_process,
	.process_says = "has a descriptor",
	.walk = dispatch_tasks,
	.decoders = { DECODER(walk_file, decode) },
	.proc = proc,
};

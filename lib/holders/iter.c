/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open iterators. The descriptor holds the program (prepare_seq_file(): bpf_prog_inc()), not the
 * link. If the iterator's target is a map, it holds that map with a reference and a user
 * (bpf_map_inc_with_uref() in init_seq_private of the target).
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"

enum { ITER_PID, ITER_COMM, ITER_FD, ITER_TARGET };

static const char *const keys[] = { "pid", "comm", "fd", "target", NULL };
static const char *const walks[] = { "walk_tasks", NULL };

static void add(struct scan *scan, struct bpfrefs_key key, const struct walk_iter *iter,
		uint32_t count)
{
	const struct walk_state *state = walk_state_of(scan);
	struct bpfrefs_ref *ref = scan_add(scan, key, count, key.kind == BPFREFS_MAP ? count : 0);
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

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_iter *iter = walk_record(rec, walk_iter);
	const struct walk_state *state = walk_state_of(scan);
	uint32_t token, count;

	if (!iter)
		return false;
	/*
	 * The scan's own iterators that run at the same time (bpf_loader_begin()) hold their programs
	 * only while the scan lasts.
	 */
	if (state->pid == scan->ctx->self && bpf_loader_own_program(state->walkers, rec->id))
		return true;
	count = scan_file(scan, iter->file, &token);
	add(scan, (struct bpfrefs_key){ BPFREFS_PROG, rec->id }, iter, count);
	if (iter->map_id)
		add(scan, (struct bpfrefs_key){ BPFREFS_MAP, iter->map_id }, iter, count);
	return true;
}

const struct holder_class holder_iter = {
	.pub = { "iter", keys, .flags = BPFREFS_CLASS_DESCRIPTOR },
	.id = CLASS_ITER,
	.process_says = "has an open iterator",
	.walks = walks,
	.takes = WALK_BIT(WALK_ITER),
	.decode = decode,
	.proc = proc_scan_iter,
	.proc_gap = "procfs does not show which program an iterator runs",
};

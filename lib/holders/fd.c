/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors. The reference belongs to the open file description (struct file:
 * bpf_map_new_fd(), bpf_prog_new_fd(), bpf_link_new_fd(), __btf_new_fd()), which several
 * descriptors of several processes may share. The first descriptor that is found has ref=1; the
 * others have ref=0 and the same file.
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"

enum { FD_FILE, FD_PID, FD_TID, FD_COMM, FD_FD };

static const char *const keys[] = { "file", "pid", "tid", "comm", "fd", NULL };
static const char *const walks[] = { "walk_tasks", NULL };

static bool keep_is_kept(const struct scan *scan, const struct walk_file *file)
{
	const struct walk_state *state = scan->source_data;

	return state->pid == scan->ctx->self && !state->tid &&
	       g_hash_table_contains(scan->ctx->kept, GINT_TO_POINTER((int)file->fd));
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_file *file = walk_record(rec, walk_file);
	const struct walk_state *state = walk_state_of(scan);
	struct bpfrefs_key key;
	struct bpfrefs_ref *ref;
	uint32_t token, count;

	if (!file)
		return false;
	key = (struct bpfrefs_key){ (enum bpfrefs_kind)file->kind, rec->id };
	count = scan_file(scan, file->file, &token);
	if (keep_is_kept(scan, file)) {
		keep_add(scan, key, BPFREFS_KEEP_FD, NULL, count);
		return true;
	}
	ref = scan_add(scan, key, count, key.kind == BPFREFS_MAP ? count : 0);
	if (!ref)
		return true;
	ref_set_pid(ref, state->pid);
	ref_set_num(ref, FD_FILE, token);
	ref_set_num(ref, FD_PID, state->pid);
	if (state->tid)
		ref_set_num(ref, FD_TID, state->tid);
	ref_set_static(ref, FD_COMM, state->comm);
	ref_set_num(ref, FD_FD, file->fd);
	return true;
}

const struct holder_class holder_fd = {
	.pub = { "fd", keys, .flags = BPFREFS_CLASS_DESCRIPTOR },
	.id = CLASS_FD,
	.process_says = "has a descriptor",
	.walks = walks,
	.takes = WALK_BIT(WALK_FILE),
	.decode = decode,
	.proc = proc_scan_fd,
};

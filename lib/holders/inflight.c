/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that were sent over a unix socket (SCM_RIGHTS) and have not been received yet.
 * The message holds the open file (unix_attach_fds(), scm_fp_copy()). It is in the queue of
 * the receiving socket, which a descriptor of the process that can receive it leads to. That
 * socket may be in a message itself, be registered with io_uring, or be a connection that its
 * listener has not accepted.
 */
#include "holders/holders.h"
#include "kernel/nested_files.h"

enum { INFLIGHT_FD = NESTED_FILE_MORE, INFLIGHT_VIA, INFLIGHT_DEPTH };

static const char *const keys[] = { "file", "pid", "comm", "fd", "via", "depth", NULL };
static const char *const walks[] = { "walk_tasks", NULL };

static void fill(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_held *held,
		 const struct nested_file *nested)
{
	(void)scan;
	(void)held;
	nested_file_set_fd(ref, INFLIGHT_FD, nested);
	ref_set_via(ref, INFLIGHT_VIA,
		    nested->kind == WALK_HELD_CONNECTION ? WALK_VIA_ACCEPT : WALK_VIA_QUEUE);
	ref_set_num(ref, INFLIGHT_DEPTH, nested->depth);
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_held *held = walk_record(rec, walk_held);
	const struct walk_gap *gap = walk_record(rec, walk_gap);

	if (gap && gap->kind == WALK_GAP_MESSAGES) {
		scan_gap(scan, 1, "socket queues too long to be followed", 0);
		return true;
	}
	/* WALK_HOW_FD: a descriptor of a socket or ring, which is queued to be read. */
	if (!held || (held->how != WALK_HOW_MESSAGE && held->how != WALK_HOW_FD))
		return false;
	nested_file_take(scan, held, fill);
	return true;
}

static int walk(struct scan *scan)
{
	return kernel_ids_has(scan, WALK_OTHER_SOCKET) ? nested_files_walk(scan, NULL) : 0;
}

const struct holder_class holder_inflight = {
	.pub = { "inflight", keys },
	.id = CLASS_INFLIGHT,
	.walks = walks,
	.walk = walk,
	.takes = WALK_BIT(WALK_HELD) | WALK_BIT(WALK_GAP),
	.decode = decode,
	.proc_gap = "procfs does not show which descriptors are in flight",
};

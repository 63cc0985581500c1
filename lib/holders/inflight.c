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

#define FIELDS(X)              \
	NESTED_FILE_FIELDS(X)  \
	X(INFLIGHT_FD, "fd")   \
	X(INFLIGHT_VIA, "via") \
	X(INFLIGHT_DEPTH, "depth")
HOLDER_FIELDS(FIELDS);

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

static void decode(struct scan *scan, const void *record)
{
	const struct walk_held *held = record;

	/* WALK_HOW_FD: a descriptor of a socket or ring, which is queued to be read. */
	if (held->how == WALK_HOW_MESSAGE || held->how == WALK_HOW_FD)
		nested_file_take(scan, held, fill);
}

static int walk(struct scan *scan)
{
	int err = kernel_ids_has(scan, WALK_OTHER_SOCKET) ? nested_files_walk(scan) : 0;

	return err ? err : dispatch_tasks(scan);
}

const struct holder_class holder_inflight = {
	.pub = { HOLDER_PUB("inflight") },
	.id = CLASS_INFLIGHT,
	.no_hook = true,
	.removes = removal_by_process,
	.walk = walk,
	.decoders = { DECODER(walk_held, decode) },
	.gaps = { { WALK_GAP_MESSAGES, "socket queues too long to be followed" } },
	.proc_gap = "procfs does not show which descriptors are in flight",
};

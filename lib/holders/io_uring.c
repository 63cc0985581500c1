/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io_uring. A file that is registered with a ring is held once, however many slots have it
 * (io_sqe_files_register()); a request that waits holds its file (io_file_get_normal()). A ring is
 * found by a descriptor of a process, by a mapping, or by a thread that has registered it.
 */
#include "holders/holders.h"
#include "kernel/nested_files.h"

#define FIELDS(X)             \
	NESTED_FILE_FIELDS(X) \
	X(RING_FD, "fd")      \
	X(RING_SLOT, "slot")  \
	X(RING_REQUEST, "request")
HOLDER_FIELDS(FIELDS);

/* The names of enum io_uring_op. Newer kernels append operations. */
static const char *const operations[] = {
	/* clang-format off */
	"nop", "readv", "writev", "fsync", "read_fixed", "write_fixed", "poll_add", "poll_remove",
	"sync_file_range", "sendmsg", "recvmsg", "timeout", "timeout_remove", "accept",
	"async_cancel", "link_timeout", "connect", "fallocate", "openat", "close", "files_update",
	"statx", "read", "write", "fadvise", "madvise", "send", "recv", "openat2", "epoll_ctl",
	"splice", "provide_buffers", "remove_buffers", "tee", "shutdown", "renameat", "unlinkat",
	"mkdirat", "symlinkat", "linkat", "msg_ring", "fsetxattr", "setxattr", "fgetxattr",
	"getxattr", "socket", "uring_cmd", "send_zc", "sendmsg_zc", "read_multishot", "waitid",
	"futex_wait", "futex_wake", "futex_waitv", "fixed_fd_install", "ftruncate", "bind",
	"listen", "recv_zc", "epoll_wait", "readv_fixed", "writev_fixed", "pipe",
	/* clang-format on */
};

static void set_operation(struct scan *scan, struct bpfrefs_ref *ref, uint64_t operation)
{
	char number[24];

	if (operation < G_N_ELEMENTS(operations)) {
		ref_set_static(ref, RING_REQUEST, operations[operation]);
		return;
	}
	g_snprintf(number, sizeof(number), "%" G_GUINT64_FORMAT, (guint64)operation);
	ref_set_str(scan, ref, RING_REQUEST, number);
}

static void fill(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_held *held,
		 const struct nested_file *nested)
{
	nested_file_set_fd(ref, RING_FD, nested);
	if (held->how == WALK_HOW_SLOT)
		ref_set_num(ref, RING_SLOT, held->at);
	else
		set_operation(scan, ref, held->at);
}

static void decode(struct scan *scan, const void *record)
{
	const struct walk_held *held = record;

	if (held->how == WALK_HOW_SLOT || held->how == WALK_HOW_REQUEST ||
	    held->how == WALK_HOW_RING_FD)
		nested_file_take(scan, held, fill);
}

static int walk(struct scan *scan)
{
	int err = 0;

	if (kernel_ids_has(scan, WALK_OTHER_RING)) {
		err = dispatch_non_fd(scan, &holder_io_uring);
		err = err ? err : nested_files_walk(scan);
	}
	err = err ? err : dispatch_tasks(scan);
	return err ? err : dispatch_non_fd(scan, &holder_mmap);
}

const struct holder_class holder_io_uring = {
	.pub = { HOLDER_PUB("io_uring") },
	.id = CLASS_IO_URING,
	.no_hook = true,
	.removes = removal_by_process,
	.non_fd = "walk_ring_fds",
	.walk = walk,
	.decoders = { DECODER(walk_held, decode) },
	.gaps = { { WALK_GAP_RING, "lists of requests too long to be followed" } },
	.proc_gap = "procfs does not show which files are registered with a ring",
};

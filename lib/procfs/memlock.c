/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory that is charged for an object, from fdinfo (bpf_map_show_fdinfo(), bpf_prog_show_fdinfo()). */
#include <stdio.h>

#include "procfs/fdinfo.h"
#include "procfs/procfs.h"
#include "uapi/syscalls.h"

uint64_t proc_memlock_fd(int proc_fd, int fd)
{
	char path[32], text[4096];
	uint64_t bytes;

	snprintf(path, sizeof(path), "self/fdinfo/%d", fd);
	if (proc_text_read_at(proc_fd, path, text, sizeof(text)) < 0 ||
	    !fdinfo_num(text, "memlock", &bytes))
		return BPFREFS_UNKNOWN;
	return bytes;
}

uint64_t proc_memlock(struct bpfrefs_ctx *ctx, struct bpfrefs_key key)
{
	bpfrefs_autofd fd = syscall_open_id(key.kind, key.id);

	return fd < 0 ? BPFREFS_UNKNOWN : proc_memlock_fd(ctx->proc_fd, fd);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of bpf(2). syscalls.c is the only file that calls bpf(2) itself; only
 * lib/kernel/bpf_loader.c and lib/kernel/min_core_btf.c use libbpf. Descriptors are close-on-exec
 * and owned by the caller. All functions return 0 (or a descriptor), or -errno.
 */
#ifndef BPFREFS_SYSCALLS_H
#define BPFREFS_SYSCALLS_H

#include "snapshot/private.h"

int syscall_next_id(enum bpfrefs_kind kind, uint32_t start, uint32_t *id);
int syscall_open_id(enum bpfrefs_kind kind, uint32_t id);
/* Pins @fd as @name in @dir_fd, with BPF_F_PATH_FD, or through /proc/self/fd before Linux 6.5. */
int syscall_pin_at(int fd, int dir_fd, const char *name);
/*
 * Opens the object that is pinned as @name in @dir_fd, for reading its facts. -EROFS for a link on
 * a read-only bpffs.
 */
int syscall_get_at(int dir_fd, const char *name);
/*
 * The same in two steps: opens the pin itself with O_PATH (-ELOOP for a symlink, -EXDEV for a
 * mount), and opens the object by such a descriptor.
 */
int syscall_open_pin(int dir_fd, const char *name);
int syscall_get_path_fd(int path_fd);
/* Identifies the object of a descriptor by its fdinfo. */
int syscall_identify(int fd, struct bpfrefs_key *key);
/*
 * BPF_OBJ_GET_INFO_BY_FD; @len is the size of @info, and is set to the size that the kernel filled.
 */
int syscall_info(int fd, void *info, uint32_t *len);
/* Reads the facts about the object of a descriptor, of any kind. @info is owned by the caller. */
int uapi_info_read(int fd, enum bpfrefs_kind kind, struct bpfrefs_info **info);
/* BPF_MAP_GET_NEXT_KEY (@key NULL: returns the first key) and BPF_MAP_LOOKUP_ELEM. */
int syscall_map_next_key(int fd, const void *key, void *next);
int syscall_map_lookup(int fd, const void *key, void *value);

#endif

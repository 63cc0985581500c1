/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bpf(2): bpf.c is the only file that calls it (libbpf is known to walkers.c and walkers-btf.c).
 * Descriptors are close-on-exec. All functions return 0 (or a descriptor), or -errno.
 */
#ifndef BPFREFS_BPF_H
#define BPFREFS_BPF_H

#include "snapshot/private.h"

int bpf_next_id(enum bpfrefs_kind kind, uint32_t start, uint32_t *id);
int bpf_open_id(enum bpfrefs_kind kind, uint32_t id);
/* Pins @fd as @name in @dir_fd: by BPF_F_PATH_FD, or through /proc/self/fd where the kernel has not. */
int bpf_pin_at(int fd, int dir_fd, const char *name);
/* Opens the pin @name in @dir_fd, to look at what it is. A link's on a read-only bpffs: -EROFS. */
int bpf_get_at(int dir_fd, const char *name);
/* The same in two steps: an O_PATH descriptor of the name itself, on the mount it is looked up in
 * (-EXDEV, -ELOOP), and the object of such a descriptor. */
int bpf_open_pin(int dir_fd, const char *name);
int bpf_get_path_fd(int path_fd);
/* What kind and id the object behind a descriptor has (its fdinfo's own key, matched whole). */
int bpf_identify(int fd, struct bpfrefs_key *key);
/* BPF_OBJ_GET_INFO_BY_FD as it is; @len in and out. */
int bpf_info_raw(int fd, void *info, uint32_t *len);
/* Facts of an object behind a descriptor, all kinds. */
int bpf_info_read(int fd, enum bpfrefs_kind kind, struct bpfrefs_info **info);
/* BPF_MAP_GET_NEXT_KEY (key NULL: the first) and BPF_MAP_LOOKUP_ELEM. */
int bpf_map_next_key(int fd, const void *key, void *next);
int bpf_map_lookup(int fd, const void *key, void *value);

#endif

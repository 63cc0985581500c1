/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small kernel text files, and what a descriptor's fdinfo says of the BPF object behind it. */
#ifndef BPFREFS_FDINFO_H
#define BPFREFS_FDINFO_H

#include "snapshot/private.h"

/* Reads all of a small file, NUL-terminated: its length, or -errno; -E2BIG where it does not fit. */
ssize_t text_read_at(int dir_fd, const char *path, char *buf, size_t size);

/* The decimal value of the line "KEY:<blanks>VALUE", KEY matched whole; false if there is none. */
bool fdinfo_num(const char *text, const char *key, uint64_t *value);

/* The object whose descriptor has this fdinfo: 0, or -EINVAL if it is none of BPF's. */
int fdinfo_key(const char *text, struct bpfrefs_key *key);

#endif

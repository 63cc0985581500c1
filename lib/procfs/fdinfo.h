/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads small text files of the kernel, and the fdinfo of descriptors of BPF objects. */
#ifndef BPFREFS_FDINFO_H
#define BPFREFS_FDINFO_H

#include "snapshot/private.h"

/*
 * Reads a whole small file and terminates it with NUL. Returns its length or -errno, -E2BIG
 * if it does not fit.
 */
ssize_t proc_text_read_at(int dir_fd, const char *path, char *buf, size_t size);

/*
 * Reads the decimal value of the line "KEY:<blanks>VALUE". KEY must match completely. Returns false
 * if there is no such line.
 */
bool fdinfo_num(const char *text, const char *key, uint64_t *value);

/* The object of the descriptor with this fdinfo. Returns 0, or -EINVAL if it is no BPF object. */
int fdinfo_key(const char *text, struct bpfrefs_key *key);

#endif

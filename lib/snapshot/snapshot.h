/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions for a snapshot that is not frozen yet; for scan.c, snapshot.c and context.c. */
#ifndef BPFREFS_SNAPSHOT_H
#define BPFREFS_SNAPSHOT_H

#include "snapshot/index.h"

/* A directory of a bpffs instance, as the key of a hash table. */
struct dir_key {
	uint32_t major, minor;
	uint64_t ino;
};

struct bpfrefs_snapshot *snapshot_new(void);
/*
 * Sorts the arrays and computes the sums. Nothing may be added afterwards. @proc_fd: the procfs in
 * which the names of processes are read that only keep owners alive (owner.h). -ENOMEM: the
 * snapshot is not usable.
 */
int snapshot_freeze(struct bpfrefs_snapshot *snap, int proc_fd);

#endif

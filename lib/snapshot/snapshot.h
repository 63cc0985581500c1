/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A snapshot's life before it is frozen; for scan.c, snapshot.c and ctx.c. */
#ifndef BPFREFS_SNAPSHOT_H
#define BPFREFS_SNAPSHOT_H

#include "snapshot/private.h"

/* A directory of a bpffs instance, as a hash key. */
struct dir_key {
	uint32_t major, minor;
	uint64_t ino;
};

struct bpfrefs_snapshot *snapshot_new(void);
/* Sorts, indexes, sums up. Nothing is added afterwards. -ENOMEM: it is of no use.
 * @proc_fd: procfs, for the names of processes that only keep owners (owner.h). */
int snapshot_freeze(struct bpfrefs_snapshot *snap, int proc_fd);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of a frozen snapshot, by number, and its references by what they are of (snapshot.c, index.c). */
#ifndef BPFREFS_INDEX_H
#define BPFREFS_INDEX_H

#include "snapshot/private.h"

/* Number @index of what there is of each, NULL past the last. The states of objects are known then. */
const struct bpfrefs_object *snapshot_object(const struct bpfrefs_snapshot *snap, size_t index);
const struct bpfrefs_ref *snapshot_ref_at(const struct bpfrefs_snapshot *snap, size_t index);
const struct bpfrefs_process *snapshot_process(const struct bpfrefs_snapshot *snap, size_t index);
const struct bpfrefs_class_status *snapshot_class(const struct bpfrefs_snapshot *snap,
						  size_t index);
const struct bpfrefs_bpffs *snapshot_bpffs(const struct bpfrefs_snapshot *snap, size_t index);
/* Returns the index of a process in snap->processes, or UINT32_MAX. */
uint32_t snapshot_process_index(const struct bpfrefs_snapshot *snap, uint32_t pid);

/*
 * Returns "pid 12 (cilium) in /kubepods/a", owned; without a cgroup if that is the root or unknown (process.c).
 */
char *process_text(const struct bpfrefs_snapshot *snap, uint32_t pid);

/* References that follow each other. */
struct ref_range {
	const GPtrArray *refs;
	size_t at, end;
};

static inline const struct bpfrefs_ref *ref_range_next(struct ref_range *range)
{
	return range->at < range->end ? range->refs->pdata[range->at++] : NULL;
}

/* The references to an object; those that an object or a process holds. */
struct ref_range index_holders(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key);
/* -ENOMEM: the range is empty. */
int index_holding(const struct bpfrefs_snapshot *snap, struct bpfrefs_key holder,
		  struct ref_range *range);
int index_pid_holding(const struct bpfrefs_snapshot *snap, uint32_t pid, struct ref_range *range);
/* Sets @first to the index in snap->descriptors of the first from @fd of the process @pid on. */
int index_descriptors(const struct bpfrefs_snapshot *snap, uint32_t pid, uint32_t fd,
		      size_t *first);

#endif

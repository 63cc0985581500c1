/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The properties of program arrays seen so far, by id: those that never change. */
#ifndef BPFREFS_PROC_ARRAY_H
#define BPFREFS_PROC_ARRAY_H

#include "procfs/procfs.h"
#include "uapi/info.h"

struct proc_array {
	struct map_facts facts;
	uint64_t memlock;
};

const struct proc_array *proc_array_find(const struct proc_data *data, uint32_t id);
/* Records whether a map is a program array. */
void proc_array_meet(struct proc_data *data, const struct map_facts *facts, uint64_t memlock);
bool proc_array_is_unclassified(const struct proc_data *data, uint32_t id);
/*
 * Waits before unclassified maps are opened. One of them may be a program array whose last user has
 * just been removed. The work that this started to clear it must be finished before the close of
 * our descriptor starts it again.
 */
void proc_array_wait(void);
/* Removes the arrays that are not in this scan, since their ids may be used again. */
void proc_arrays_sweep(struct scan *scan);

#endif

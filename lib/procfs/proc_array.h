/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Program arrays that have been met, by id: what never changes of them. */
#ifndef BPFREFS_PROC_ARRAY_H
#define BPFREFS_PROC_ARRAY_H

#include "uapi/info.h"
#include "procfs/procfs.h"

struct proc_array {
	struct map_facts facts;
	uint64_t memlock;
};

const struct proc_array *proc_array_find(const struct proc_data *data, uint32_t id);
/* Remembers what a map was found to be, a program array or not. */
void proc_array_meet(struct proc_data *data, const struct map_facts *facts, uint64_t memlock);
bool proc_array_is_stranger(const struct proc_data *data, uint32_t id);
/*
 * Before opening strangers: one of them may be a program array whose last user went just now, and
 * the clearing that this started must be over before our descriptor's close starts another.
 */
void proc_array_wait(void);
/* Forgets those that are not in this scan: their ids may come again. */
void proc_arrays_sweep(struct scan *scan);

#endif

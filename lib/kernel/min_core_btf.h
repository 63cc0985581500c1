/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's types, cut down to those that our programs read. */
#ifndef BPFREFS_WALKERS_BTF_H
#define BPFREFS_WALKERS_BTF_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/records.h"

struct btf;

/*
 * Writes to @fd a BTF with the kernel's types that have the names of those in @ours, and what they
 * consist of. @casts gets the kernel's own ids of enum walk_cast's types, 0 where it has none.
 *
 * libbpf searches all types of the kernel (126,000) for each structure of ours: 1 ms each, and two
 * thirds of our start. In what is written here it finds the same ones at once.
 */
int walkers_btf_write(const struct btf *ours, int fd, uint32_t casts[WALK_CASTS]);

/* Has any BTF of a module an id above *newest? Sets that to the newest of all BTFs. */
bool walkers_btf_new_module(uint32_t *newest);

#endif

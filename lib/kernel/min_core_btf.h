/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes the BTF of the kernel, reduced to the types that our programs use. */
#ifndef BPFREFS_MIN_CORE_BTF_H
#define BPFREFS_MIN_CORE_BTF_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/records.h"

struct btf;

/*
 * Writes to @fd a BTF with the types of the kernel that have the same names as the types in @ours,
 * and with the types that these consist of. @casts is set to the kernel's own ids of the types of
 * enum walk_cast, 0 for a type that the kernel lacks.
 *
 * libbpf searches all types of the kernel (126,000) for each structure that a program uses. That
 * takes 1 ms each, and two thirds of the time that the load takes. In the reduced BTF it finds the
 * same types at once.
 */
int min_core_btf_write(const struct btf *ours, int fd, uint32_t casts[WALK_CASTS]);

/*
 * Returns true if the BTF of a module has an id above *@newest, and sets *@newest to the
 * highest id of all BTFs.
 */
bool min_core_btf_new_module(uint32_t *newest);

#endif

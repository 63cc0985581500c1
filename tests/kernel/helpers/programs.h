/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <bpf/btf.h>
#include <glib.h>

/*
 * Compares each field that the programs in @elf read, of the types @ours, with the field of that name
 * in @kernel. A test fails for each that differs.
 */
void programs_check_fields(const void *elf, size_t size, const struct btf *ours,
			   const struct btf *kernel);

#endif

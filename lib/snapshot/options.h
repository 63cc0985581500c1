/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Public structures that the caller fills, and that begin with their size. */
#ifndef BPFREFS_OPTIONS_H
#define BPFREFS_OPTIONS_H

#include <string.h>

#include "snapshot/private.h"

/* More than any version will have. A larger size was not set, and memory may end before it. */
#define OPTIONS_MAX 4096

/*
 * Copies such a structure, @from, to @to, which has @known bytes. A program that was built with
 * another version of the library has another size: members that it lacks are left as they are, and
 * those that this version does not know must be zero. Those that it knows are copied even if one is not.
 */
static inline int options_copy(void *to, size_t known, const void *from, size_t size)
{
	if (size < sizeof(size) || size > OPTIONS_MAX)
		return -EINVAL;
	memcpy(to, from, MIN(known, size));
	for (size_t i = known; i < size; i++)
		if (((const char *)from)[i])
			return -E2BIG;
	return 0;
}

#endif

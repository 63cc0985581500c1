/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocations whose size depends on the size of the system. GLib aborts the process if it cannot
 * allocate memory, so what grows with the number of objects or references is allocated here, where
 * it can fail.
 */
#ifndef BPFREFS_MEMORY_H
#define BPFREFS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Allocates @count times @size zeroed bytes, to be freed with g_free(). NULL: that is too much. */
void *memory_try(size_t count, size_t size);

/*
 * Whether @size bytes could be allocated now. For GLib's containers, whose allocations cannot fail.
 * The memory may be in use a moment later, so the caller checks for a lot more than it needs.
 */
bool memory_available(size_t size);

/*
 * Whether a GArray or GPtrArray of @now bytes can grow by @more bytes. They grow to powers of two.
 */
bool memory_can_grow(size_t now, size_t more);

#endif

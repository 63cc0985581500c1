/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory whose size follows from the system's. GLib ends the process where there is none, so what
 * grows with the number of objects or references is asked for here, and may be refused.
 */
#ifndef BPFREFS_MEMORY_H
#define BPFREFS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* @count times @size zeroed bytes for g_free(), or NULL where there are none, or not that many. */
void *memory_try(size_t count, size_t size);

/*
 * Could one have so much now? For what cannot be refused in its midst: GLib's containers. It may be
 * gone a moment later; who asks for a great deal more than needed has done what can be done.
 */
bool memory_is_there(size_t size);

/* Can an array of GLib's with @now bytes in it take @more? It grows to powers of two. */
bool memory_can_grow(size_t now, size_t more);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table from 64-bit numbers (keys of objects, identities of files) to pointers, never NULL. */
#ifndef BPFREFS_IDMAP_H
#define BPFREFS_IDMAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct idmap_entry {
	uint64_t key;
	void *value; /* NULL: the slot is free */
};

/* All zero: empty. */
struct idmap {
	struct idmap_entry *entries;
	size_t slots; /* a power of two, or 0 */
	size_t count;
};

void *idmap_get(const struct idmap *map, uint64_t key); /* NULL: not there */
/* False where there is no memory for one more: then it is as before. */
bool idmap_set(struct idmap *map, uint64_t key, void *value);
/*
 * Get and set in one search: where @key is (its value is not NULL then), or idmap_fill() may put it.
 * NULL: there is no memory for one more. Valid until the next change.
 */
struct idmap_entry *idmap_place(struct idmap *map, uint64_t key);
void idmap_fill(struct idmap *map, struct idmap_entry *place, uint64_t key, void *value);
/* Has the processor fetch where @key is: it will be asked about soon. */
void idmap_soon(const struct idmap *map, uint64_t key);
/* An empty one, with room for so many; false where there is none. */
bool idmap_reserve(struct idmap *map, size_t count);
void idmap_clear(struct idmap *map); /* frees what it has taken; it is empty then */

#endif

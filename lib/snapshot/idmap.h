/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash table from 64-bit numbers (keys of objects, identities of files) to pointers other than
 * NULL.
 */
#ifndef BPFREFS_IDMAP_H
#define BPFREFS_IDMAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct idmap_entry {
	uint64_t key;
	void *value; /* NULL: the slot is free */
};

/* All zero is an empty table. */
struct idmap {
	struct idmap_entry *entries;
	size_t slots; /* a power of two, or 0 */
	size_t count;
};

void *idmap_get(const struct idmap *map, uint64_t key); /* NULL: not found */
/* False if there is no memory for one more entry; the table is then unchanged. */
bool idmap_set(struct idmap *map, uint64_t key, void *value);
/*
 * Get and set with one search: returns the entry of @key if there is one (its value is not NULL
 * then), otherwise the free entry that idmap_fill() can use for it. NULL: there is no memory for
 * one more entry. The entry is valid until the table is changed.
 */
struct idmap_entry *idmap_place(struct idmap *map, uint64_t key);
void idmap_fill(struct idmap *map, struct idmap_entry *place, uint64_t key, void *value);
/* Prefetches the cache line of @key, which will be searched for soon. */
void idmap_prefetch(const struct idmap *map, uint64_t key);
/* Makes room for @count entries in an empty table; false if there is no memory for them. */
bool idmap_reserve(struct idmap *map, size_t count);
void idmap_clear(struct idmap *map); /* frees its memory; the table is empty then */

#endif

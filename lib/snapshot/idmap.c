/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/idmap.h"

#include "snapshot/memory.h"

/*
 * A hash table with open addressing and linear probing, at most five eighths full. A scan of a
 * large system searches it some hundred thousand times. GHashTable, which hashes and compares
 * through function pointers and needs an allocation for each 64-bit key, takes five times as long.
 */

#define LEAST_SLOTS 64

/* Whether searches are short if @count of @slots are used. */
static bool fits(size_t slots, size_t count)
{
	return count <= slots / 8 * 5;
}

/*
 * Eight consecutive keys share two cache lines, since ids are dense and are mostly searched for in
 * order. The groups of eight are distributed by Fibonacci hashing.
 */
static size_t slot_of(const struct idmap *map, uint64_t key)
{
	size_t group = (size_t)(((key >> 3) * 0x9e3779b97f4a7c15u) >> 32);

	return (group << 3 | (key & 7)) & (map->slots - 1);
}

static struct idmap_entry *find(const struct idmap *map, uint64_t key)
{
	size_t slot = slot_of(map, key);

	while (map->entries[slot].value && map->entries[slot].key != key)
		slot = (slot + 1) & (map->slots - 1);
	return &map->entries[slot];
}

void idmap_clear(struct idmap *map)
{
	g_clear_pointer(&map->entries, g_free);
	map->slots = map->count = 0;
}

void *idmap_get(const struct idmap *map, uint64_t key)
{
	return map->slots ? find(map, key)->value : NULL;
}

void idmap_prefetch(const struct idmap *map, uint64_t key)
{
	if (map->slots)
		__builtin_prefetch(&map->entries[slot_of(map, key)], 1);
}

static bool grow(struct idmap *map, size_t slots)
{
	struct idmap old = *map;
	struct idmap_entry *entries = memory_try(slots, sizeof(*entries));

	if (!entries)
		return false;
	map->slots = slots;
	map->entries = entries;
	for (size_t i = 0; i < old.slots; i++)
		if (old.entries[i].value)
			*find(map, old.entries[i].key) = old.entries[i];
	g_free(old.entries);
	return true;
}

bool idmap_reserve(struct idmap *map, size_t count)
{
	size_t slots = LEAST_SLOTS;

	while (!fits(slots, count))
		slots *= 2;
	return grow(map, slots);
}

struct idmap_entry *idmap_place(struct idmap *map, uint64_t key)
{
	if (!fits(map->slots, map->count + 1) &&
	    !grow(map, MAX((size_t)LEAST_SLOTS, map->slots * 2)))
		return NULL;
	return find(map, key);
}

void idmap_fill(struct idmap *map, struct idmap_entry *place, uint64_t key, void *value)
{
	map->count += !place->value;
	*place = (struct idmap_entry){ key, value };
}

bool idmap_set(struct idmap *map, uint64_t key, void *value)
{
	struct idmap_entry *place = idmap_place(map, key);

	if (place)
		idmap_fill(map, place, key, value);
	return place != NULL;
}

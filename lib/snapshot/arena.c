/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a snapshot: blocks that are freed together with it. A snapshot of a large system
 * has tens of thousands of small records, and one malloc(3) for each would double its size.
 */
#include "snapshot/private.h"

#include <string.h>

/* Blocks grow with the snapshot. The first one is large enough for a snapshot of one object. */
#define FIRST_BLOCK ((size_t)8 * 1024)
#define ARENA_BLOCK ((size_t)64 * 1024)
#define LARGE_BLOCK ((size_t)512 * 1024)

/*
 * GLib's containers grow with the snapshot too, and abort the process if they cannot. So a new
 * block must leave at least this much memory available.
 */
#define HEADROOM ((size_t)1024 * 1024)

struct arena {
	GPtrArray *blocks;
	struct idmap strings; /* hash -> the last interned string with it: names and paths repeat */
	char *next;
	size_t left;
	uint64_t used, limit; /* in bytes; limit 0: no limit */
	bool failed;
};

/* An interned string, linked to the one before it that has the same hash. */
struct interned {
	struct interned *before;
	char str[];
};

struct arena *arena_new(void)
{
	struct arena *arena = g_new0(struct arena, 1);

	arena->blocks = g_ptr_array_new_with_free_func(g_free);
	return arena;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	idmap_clear(&arena->strings);
	g_ptr_array_unref(arena->blocks);
	g_free(arena);
}

void arena_limit(struct arena *arena, uint64_t limit)
{
	arena->limit = limit;
}

bool arena_charge(struct arena *arena, size_t size)
{
	arena->used += size;
	if (arena->limit && arena->used > arena->limit)
		arena->failed = true;
	return !arena->failed;
}

bool arena_failed(const struct arena *arena)
{
	return arena->failed;
}

void arena_fail(struct arena *arena)
{
	arena->failed = true;
}

size_t arena_used(const struct arena *arena)
{
	return arena->used;
}

static size_t next_size(const struct arena *arena)
{
	return arena->blocks->len ? CLAMP(arena->used / 8, ARENA_BLOCK, LARGE_BLOCK) : FIRST_BLOCK;
}

static void *add_block(struct arena *arena, size_t size)
{
	bool small = !arena->blocks->len && size <= FIRST_BLOCK;
	void *block = NULL;

	if (arena_charge(arena, size) && (small || memory_available(arena->used / 2 + HEADROOM)))
		block = memory_try(1, size);
	if (block)
		g_ptr_array_add(arena->blocks, block);
	else
		arena->failed = true;
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	void *result;

	if (arena->failed)
		return NULL;
	size = (size + 7) & ~(size_t)7;
	/*
	 * a large one gets a block of its own, so that the rest of the current block is not wasted
	 */
	if (size > FIRST_BLOCK / 2)
		return add_block(arena, size);
	if (size > arena->left) {
		arena->left = next_size(arena);
		arena->next = add_block(arena, arena->left);
		arena->left = arena->next ? arena->left : 0;
		if (!arena->next)
			return NULL;
	}
	result = arena->next;
	arena->next += size;
	arena->left -= size;
	return result;
}

const char *arena_str(struct arena *arena, const char *str)
{
	struct interned *first, *copy;
	size_t size;
	uint64_t hash;

	if (!str)
		return NULL;
	hash = g_str_hash(str);
	first = idmap_get(&arena->strings, hash);
	for (copy = first; copy; copy = copy->before)
		if (strcmp(copy->str, str) == 0)
			return copy->str;
	size = strlen(str) + 1;
	copy = arena_alloc(arena, sizeof(*copy) + size);
	if (!copy)
		return "";
	copy->before = first;
	memcpy(copy->str, str, size);
	if (!idmap_set(&arena->strings, hash, copy))
		arena->failed = true;
	return copy->str;
}

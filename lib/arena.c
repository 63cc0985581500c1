/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of a snapshot: blocks that are only ever added to, and freed together. A snapshot of a
 * large system is some ten thousand small records; one malloc each would double its size.
 */
#include "private.h"

#include <string.h>

#define ARENA_BLOCK ((size_t)64 * 1024)

struct arena {
	GPtrArray *blocks;
	GHashTable *strings; /* interned copies: comms and paths repeat */
	char *next;
	size_t left;
};

struct arena *arena_new(void)
{
	struct arena *arena = g_new0(struct arena, 1);

	arena->blocks = g_ptr_array_new_with_free_func(g_free);
	arena->strings = g_hash_table_new(g_str_hash, g_str_equal);
	return arena;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	g_hash_table_unref(arena->strings);
	g_ptr_array_unref(arena->blocks);
	g_free(arena);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	void *result;

	size = (size + 7) & ~(size_t)7;
	if (size > ARENA_BLOCK / 4) { /* a block of its own leaves the current one in use */
		result = g_malloc0(size);
		g_ptr_array_add(arena->blocks, result);
		return result;
	}
	if (size > arena->left) {
		arena->next = g_malloc0(ARENA_BLOCK);
		arena->left = ARENA_BLOCK;
		g_ptr_array_add(arena->blocks, arena->next);
	}
	result = arena->next;
	arena->next += size;
	arena->left -= size;
	return result;
}

const char *arena_str(struct arena *arena, const char *str)
{
	size_t size;
	char *copy;

	if (!str)
		return NULL;
	copy = g_hash_table_lookup(arena->strings, str);
	if (copy)
		return copy;
	size = strlen(str) + 1;
	copy = arena_alloc(arena, size);
	memcpy(copy, str, size);
	g_hash_table_add(arena->strings, copy);
	return copy;
}

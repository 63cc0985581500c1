// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hash table of 64-bit numbers: every number that was added is found, however they are
 * distributed.
 */
#include "snapshot/idmap.h"

#include "fixture.h"
#include "snapshot/private.h"

TEST(empty)
{
	struct idmap map = { 0 };

	g_assert_null(idmap_get(&map, 0));
	g_assert_null(idmap_get(&map, 7));
	idmap_clear(&map);
}

/* Adds numbers from @first on at a distance of @step: each is found, and none in between. */
static void check_numbers(uint64_t first, uint64_t step)
{
	struct idmap map = { 0 };

	for (guint i = 0; i < 10000; i++)
		idmap_set(&map, first + i * step, GUINT_TO_POINTER(i + 1));
	g_assert_cmpuint(map.count, ==, 10000);
	g_assert_cmpuint(map.slots * 5, >=, 8 * map.count);
	for (guint i = 0; i < 10000; i++) {
		g_assert_cmpuint(GPOINTER_TO_UINT(idmap_get(&map, first + i * step)), ==, i + 1);
		g_assert_null(idmap_get(&map, first + i * step + 1));
	}
	g_assert_null(idmap_get(&map, first - step));
	idmap_clear(&map);
	g_assert_null(idmap_get(&map, first));
}

TEST(ids_keys_and_addresses)
{
	check_numbers(2, 2);
	check_numbers((uint64_t)BPFREFS_KIND_BTF << 32 | 100, 3);
	check_numbers(0xffff888000000000u, 0x100);
	check_numbers(0, (uint64_t)1 << 48);
}

TEST(a_second_value_replaces)
{
	struct idmap map = { 0 };

	idmap_set(&map, 5, GUINT_TO_POINTER(1));
	idmap_set(&map, 5, GUINT_TO_POINTER(2));
	g_assert_cmpuint(map.count, ==, 1);
	g_assert_cmpuint(GPOINTER_TO_UINT(idmap_get(&map, 5)), ==, 2);
	idmap_clear(&map);
}

/* Reserving memory changes nothing else. */
TEST(room_beforehand)
{
	struct idmap map = { 0 };
	size_t slots;

	idmap_reserve(&map, 1000);
	slots = map.slots;
	g_assert_cmpuint(slots, >=, 1600);
	for (guint i = 1; i <= 1000; i++)
		idmap_set(&map, i, GUINT_TO_POINTER(i));
	g_assert_cmpuint(map.slots, ==, slots);
	for (guint i = 1; i <= 1000; i++)
		g_assert_cmpuint(GPOINTER_TO_UINT(idmap_get(&map, i)), ==, i);
	g_assert_null(idmap_get(&map, 1001));
	idmap_clear(&map);
}

/* Impossible sizes are refused, and small ones are not checked. */
TEST(too_much)
{
	unsigned char *some = memory_try(3, 1000);

	g_assert_nonnull(some);
	for (guint i = 0; i < 3000; i++)
		g_assert_cmpint(some[i], ==, 0);
	g_free(some);
	g_assert_null(memory_try(SIZE_MAX / 2, 3));
	g_assert_null(memory_try(1, SIZE_MAX - 8));
	g_assert_false(memory_available(SIZE_MAX / 4));
	g_assert_true(memory_available(0));
	g_assert_true(memory_available(1 << 20));
	g_assert_true(memory_can_grow(0, 1000));
	g_assert_true(memory_can_grow(1 << 20, 8));
	g_assert_false(memory_can_grow(SIZE_MAX / 4 - 8, 100));
}

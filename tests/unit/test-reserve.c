/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that is left when there is no other: what it gives, takes back, and says of itself. */
#include <stdint.h>
#include <string.h>

#include "reserve.h"

#include <glib.h>

#define MIB ((size_t)1 << 20)

static void without_one_nothing_is_short(void)
{
	int local;

	g_assert_false(reserve_is_low());
	g_assert_true(reserve_is_whole());
	g_assert_null(reserve_alloc(1, 1));
	g_assert_false(reserve_free(&local));
	g_assert_cmpuint(reserve_size(&local), ==, 0);
	g_assert_cmpint(reserve_open(), ==, 0);
}

/* Blocks of random sizes and alignments, given back in any order: none overlaps another. */
static void blocks_do_not_overlap(void)
{
	struct {
		unsigned char *memory;
		size_t size;
	} blocks[200] = { { NULL, 0 } };

	for (int i = 0; i < 20000; i++) {
		unsigned int at = (unsigned int)g_random_int_range(0, G_N_ELEMENTS(blocks));
		size_t alignment = (size_t)1 << g_random_int_range(0, 13);

		if (blocks[at].memory) {
			for (size_t j = 0; j < blocks[at].size; j++)
				g_assert_cmpint(blocks[at].memory[j], ==, (unsigned char)at);
			g_assert_cmpuint(reserve_size(blocks[at].memory), >=, blocks[at].size);
			g_assert_true(reserve_free(blocks[at].memory));
			blocks[at].memory = NULL;
			continue;
		}
		blocks[at].size = (size_t)g_random_int_range(0, 8192);
		blocks[at].memory = reserve_alloc(blocks[at].size, alignment);
		g_assert_nonnull(blocks[at].memory);
		g_assert_cmpuint((guintptr)blocks[at].memory % alignment, ==, 0);
		memset(blocks[at].memory, (int)at, blocks[at].size);
	}
	for (guint i = 0; i < G_N_ELEMENTS(blocks); i++)
		if (blocks[i].memory)
			g_assert_true(reserve_free(blocks[i].memory));
}

/* What was given back can be given again in one piece. */
static void pieces_are_joined(void)
{
	void *pieces[50], *whole;

	for (int round = 0; round < 3; round++) {
		guint count = 0;

		while (count < G_N_ELEMENTS(pieces) &&
		       (pieces[count] = reserve_alloc(100 * 1000, 16)))
			count++;
		g_assert_cmpuint(count, <, G_N_ELEMENTS(pieces));
		g_assert_true(reserve_is_low());
		while (count > 0)
			g_assert_true(reserve_free(pieces[--count]));
		g_assert_false(reserve_is_low());
		whole = reserve_alloc(3 * MIB + MIB / 2, 16);
		g_assert_nonnull(whole);
		g_assert_true(reserve_free(whole));
	}
	g_assert_null(reserve_alloc(SIZE_MAX, 16));
	g_assert_null(reserve_alloc(16 * MIB, 16));
}

/* A new one takes the place of one that others still have something of, as often as there is room. */
static void another_takes_its_place(void)
{
	void *held[20];
	guint count = 0;

	while (count < G_N_ELEMENTS(held) && reserve_is_whole()) {
		held[count] = reserve_alloc(2 * MIB, 16);
		g_assert_nonnull(held[count]);
		memset(held[count++], 1, 2 * MIB);
	}
	g_assert_cmpuint(count, >, 4);
	g_assert_cmpuint(count, <, G_N_ELEMENTS(held));
	g_assert_true(reserve_is_low());
	while (count > 0)
		g_assert_true(reserve_free(held[--count]));
	g_assert_true(reserve_is_whole());
	g_assert_false(reserve_is_low());
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/reserve/none", without_one_nothing_is_short);
	g_test_add_func("/reserve/blocks", blocks_do_not_overlap);
	g_test_add_func("/reserve/pieces", pieces_are_joined);
	g_test_add_func("/reserve/another", another_takes_its_place);
	return g_test_run();
}

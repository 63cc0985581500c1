/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decoding beside the walk: everything is decoded, once, in order, before the end returns. */
#include "ahead.h"

#define BUFFERS 200
#define EACH	50

static void note(const struct walk_rec *rec, void *data)
{
	g_array_append_val((GArray *)data, rec->id);
}

/* Slower than who gives: he must wait, and nothing is lost. */
static void note_slowly(const struct walk_rec *rec, void *data)
{
	if (rec->id % 1000 == 0)
		g_usleep(1000);
	note(rec, data);
}

static void give_all(walk_fn fn)
{
	g_autoptr(GArray) seen = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	struct ahead *ahead = ahead_begin(fn, seen);
	struct walk_rec records[EACH];
	uint32_t id = 0;

	g_assert_nonnull(ahead);
	for (int i = 0; i < BUFFERS; i++) {
		for (int j = 0; j < EACH; j++)
			records[j] = (struct walk_rec){ WALK_FILE, sizeof(records[j]), id++ };
		ahead_give(ahead, records, sizeof(records));
		memset(records, 0xff, sizeof(records)); /* it has a copy */
	}
	ahead_end(ahead);
	g_assert_cmpuint(seen->len, ==, id);
	for (uint32_t i = 0; i < id; i++)
		g_assert_cmpuint(g_array_index(seen, uint32_t, i), ==, i);
}

static void in_order(void)
{
	give_all(note);
}

static void slower_than_given(void)
{
	give_all(note_slowly);
}

static void nothing_given(void)
{
	g_autoptr(GArray) seen = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	ahead_end(ahead_begin(note, seen));
	ahead_end(NULL);
	g_assert_cmpuint(seen->len, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ahead/in-order", in_order);
	g_test_add_func("/ahead/slow", slower_than_given);
	g_test_add_func("/ahead/nothing", nothing_given);
	return g_test_run();
}

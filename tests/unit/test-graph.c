/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which automatic keeps are released, and what removing a pin would do, on hand-made snapshots. */
#include <stdlib.h>

#include "fixture.h"

/* ------------------------------------------------------ rings and keeps --- */

/*
 * Array 1 has prog 11 in a slot, and prog 11 uses array 1, so that an automatic keep of array 1
 * would hold both for ever. There are also two arrays that hold each other through their programs,
 * and an array that a pinned program uses.
 */
static void build_rings(struct scan *scan)
{
	for (uint32_t id = 1; id <= 4; id++) {
		array(scan, id);
		keep(scan, id, "auto");
		program(scan, 10 + id);
	}
	program(scan, 15);
	slot(scan, 1, 0, 11);
	uses(scan, 11, 1);
	slot(scan, 2, 0, 12);
	uses(scan, 12, 3);
	slot(scan, 3, 0, 13);
	uses(scan, 13, 2);
	pin(scan, prog(15), 100);
	uses(scan, 15, 4);
	slot(scan, 4, 7, 14);
	uses(scan, 14, 4);
}

static void garbage_is(const struct bpfrefs_snapshot *snap, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_object *object;
	selection_auto *garbage = NULL;
	char buf[BPFREFS_KEY_MAX];

	g_assert_cmpint(bpfrefs_select_garbage(snap, NULL, &garbage), ==, 0);
	while ((object = bpfrefs_next_object(garbage)))
		g_string_append_printf(text, "%s ", bpfrefs_key_format(object->key, buf));
	g_assert_cmpstr(text->str, ==, expected);
}

TEST_GRAPH(rings)
{
	build_rings(scan);
	snap = freeze(scan);
	garbage_is(snap, "map/1 map/2 map/3 ");
	state_is(snap, map(1), BPFREFS_STATE_UNROOTED,
		 "no root leads to it: bpfrefs keeps it (auto)");
	state_is(snap, prog(12), BPFREFS_STATE_UNROOTED,
		 "no root leads to it: map/2 has it in slot 0");
	state_is(snap, map(4), BPFREFS_STATE_HELD, "prog/15 uses it");
	state_is(snap, prog(14), BPFREFS_STATE_HELD, "map/4 has it in slot 7");
}

/* The same cycles, but prog 11 has an unexplained reference, and a process has prog 13. */
TEST_GRAPH(rings_with_roots)
{
	build_rings(scan);
	scan_object(scan, prog(11))->refcnt++;
	fd(scan, prog(13), 77);
	snap = freeze(scan);
	garbage_is(snap, "");
	state_is(snap, prog(11), BPFREFS_STATE_UNKNOWN, "unexplained references: 1");
	state_is(snap, map(1), BPFREFS_STATE_UNKNOWN,
		 "prog/11 uses it, and what holds that is not known");
	/*
	 * An array with an automatic keep is not at risk: its user state stays as long as a program
	 * leads to it.
	 */
	state_is(snap, map(2), BPFREFS_STATE_HELD, "prog/13 uses it");
	state_is(snap, map(3), BPFREFS_STATE_HELD, "prog/12 uses it");
}

TEST_GRAPH(gap)
{
	struct bpfrefs_selection *garbage;

	build_rings(scan);
	set_class(scan, "fd");
	scan_gap(scan, 3, "processes", EACCES);
	snap = freeze(scan);
	g_assert_cmpint(bpfrefs_select_garbage(snap, NULL, &garbage), ==, -EAGAIN);
	g_assert_null(garbage);
	state_is(snap, map(1), BPFREFS_STATE_UNKNOWN,
		 "nothing leads to it, but class fd is partial");
	state_is(snap, map(4), BPFREFS_STATE_HELD, "prog/15 uses it");
}

/*
 * A keep of mode pin is a root. An automatic keep stays if the counters of its object are changing,
 * or if the object has unexplained references.
 */
TEST_GRAPH(keeps)
{
	for (uint32_t id = 1; id <= 5; id++) {
		array(scan, id);
		keep(scan, id, id == 1 ? "pin" : "auto");
	}
	program(scan, 12);
	slot(scan, 1, 0, 12);
	uses(scan, 12, 2);
	scan_object(scan, map(3))->changing = true;
	scan_object(scan, map(4))->usercnt++;
	scan_object(scan, map(4))->refcnt++;
	snap = freeze(scan);
	garbage_is(snap, "map/5 ");
	state_is(snap, map(1), BPFREFS_STATE_HELD, "bpfrefs keeps it (pin)");
	state_is(snap, map(2), BPFREFS_STATE_HELD, "prog/12 uses it");
	state_is(snap, map(3), BPFREFS_STATE_UNKNOWN, "its counters were changing");
	state_is(snap, map(4), BPFREFS_STATE_UNKNOWN, "unexplained references: 1");
	state_is(snap, map(5), BPFREFS_STATE_UNROOTED,
		 "no root leads to it: bpfrefs keeps it (auto)");
}

TEST_GRAPH(empty)
{

	snap = freeze(scan);
	garbage_is(snap, "");
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(1), MAJOR, MINOR, 1), ==, 0);
}

/* ---------------------------------------------------------------- unpin --- */

/*
 * The maps have one pin each, which is removed. Map 1: the pin is the only root. 2: a hash that a
 * held program uses, which has no user state to lose. 3: an array that a held program uses, which
 * would be cleared. 4: a process holds it too. 5: the pinned inode has two names. 6: it has another
 * pin. 7: it has an unexplained reference. 8: it and its program hold each other, and the pin is
 * the only root. 9: it has an automatic keep too. The pins of 21 to 24 are keeps of arrays in use.
 * 21: the automatic keep is the only one. 22: another bpfrefs has an automatic keep of it too. 23:
 * the keep of mode pin is the only one. 24: it has another pin too.
 */
static void build_unpin(struct scan *scan)
{
	for (uint32_t id = 1; id <= 9; id++) {
		if (id == 2)
			object(scan, map(id), "hash", false);
		else
			array(scan, id);
		pin(scan, map(id), 100 + id);
	}
	program(scan, 11);
	program(scan, 12);
	pin(scan, prog(11), 200);
	uses(scan, 11, 2);
	uses(scan, 11, 3);
	fd(scan, map(4), 77);
	hard_link(scan, map(5), 105);
	pin(scan, map(6), 300);
	scan_object(scan, map(7))->refcnt++;
	scan_object(scan, map(7))->usercnt++;
	slot(scan, 8, 0, 12);
	uses(scan, 12, 8);
	keep(scan, 9, "auto");
	for (uint32_t id = 21; id <= 24; id++) {
		array(scan, id);
		uses(scan, 11, id);
		keep_at(scan, id, id <= 22 ? "auto" : "pin", 100 + id);
	}
	keep_at(scan, 22, "auto", 400);
	pin(scan, map(24), 500);
}

TEST(unpin)
{
	static const int expected[] = { 0, -EBUSY, 0, -EBUSY, 0, 0, 0, 0, -EBUSY, -EBUSY };
	struct bpfrefs_snapshot *snap = snapshot_of(build_unpin);

	for (uint32_t id = 1; id < G_N_ELEMENTS(expected); id++) {
		g_test_message("map/%u", id);
		g_assert_cmpint(bpfrefs_unpin_check(snap, map(id), MAJOR, MINOR, 100 + id), ==,
				expected[id]);
	}
	/* A pin with the same inode number in another bpffs is another pin. */
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(1), MAJOR, MINOR + 1, 101), ==, 0);
	g_assert_cmpint(bpfrefs_unpin_check(snap, prog(11), MAJOR, MINOR, 200), ==, -EBUSY);
	bpfrefs_snapshot_unref(snap);
}

TEST(unpin_keep)
{
	static const int expected[] = { -EBUSY, 0, -EBUSY, 0 };
	struct bpfrefs_snapshot *snap = snapshot_of(build_unpin);

	for (uint32_t i = 0; i < G_N_ELEMENTS(expected); i++)
		g_assert_cmpint(bpfrefs_unpin_check(snap, map(21 + i), MAJOR, MINOR, 121 + i), ==,
				expected[i]);
	bpfrefs_snapshot_unref(snap);
}

/* A pin that was not found is one of the unexplained references, and array 1 has only this one. */
static void build_unseen(struct scan *scan)
{
	for (uint32_t id = 1; id <= 3; id++) {
		array(scan, id)->refcnt = id == 2 ? 2 : 1;
		scan_object(scan, map(id))->usercnt = id == 2 ? 2 : 1;
	}
	fd(scan, map(3), 77);
}

TEST_GRAPH(unpin_unseen)
{
	build_unseen(scan);
	snap = freeze(scan);
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(1), MAJOR, MINOR, 101), ==, -EBUSY);
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(2), MAJOR, MINOR, 102), ==, 0);
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(3), MAJOR, MINOR, 103), ==, 0);
}

/*
 * Without counters, only the holders that were found count: an array that something else may hold
 * must not be unpinned.
 */
static void build_unpin_unknown(struct scan *scan)
{
	build_unpin(scan);
	for (uint32_t id = 1; id <= 9; id++) {
		scan_object(scan, map(id))->refcnt = BPFREFS_UNKNOWN;
		scan_object(scan, map(id))->usercnt = BPFREFS_UNKNOWN;
	}
	set_class(scan, "pin");
	scan_unavailable(scan, "no walk", 0);
}

TEST(unpin_unknown)
{
	static const int expected[] = { 0, -EBUSY, 0, -EBUSY, 0, 0, 0, -EBUSY, -EBUSY, -EBUSY };
	struct bpfrefs_snapshot *snap = snapshot_of(build_unpin_unknown);

	for (uint32_t id = 1; id < G_N_ELEMENTS(expected); id++) {
		g_test_message("map/%u", id);
		g_assert_cmpint(bpfrefs_unpin_check(snap, map(id), MAJOR, MINOR, 100 + id), ==,
				expected[id]);
	}
	bpfrefs_snapshot_unref(snap);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The roots that lead to an object, and what a process retains, on hand-made snapshots. */
#include "fixture.h"

/* --------------------------------------------------------------- roots --- */

/*
 * Array 1 is used by program 11, which link 21 attaches, by program 12, which is in a slot of array
 * 2, and by program 13, which is in a slot of array 1 itself. The nearest root comes first, and
 * each root once.
 */
TEST_GRAPH(chains)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .pid = 79 };
	selection_auto *roots = NULL, *none = NULL;
	const struct bpfrefs_root *root;

	for (uint32_t id = 1; id <= 3; id++)
		array(scan, id);
	for (uint32_t id = 11; id <= 14; id++)
		program(scan, id);
	object(scan, link_(21), "xdp", false);
	fd(scan, link_(21), 77);
	hold(scan, "link", prog(11), link_(21), "prog", 0);
	uses(scan, 11, 1);
	pin(scan, map(2), 100);
	slot(scan, 2, 0, 12);
	slot(scan, 2, 1, 12);
	uses(scan, 12, 1);
	slot(scan, 1, 0, 13);
	uses(scan, 13, 1);
	uses(scan, 13, 2);
	fd(scan, map(1), 78);
	shared_fd(scan, map(1), 79);
	/* Array 3 and program 14 hold each other. An automatic keep is not a root. */
	slot(scan, 3, 0, 14);
	uses(scan, 14, 3);
	keep(scan, 3, "auto");
	snap = freeze(scan);
	roots_are(
		snap, map(1),
		"fd(78):map/1 fd(79):map/1 pin:map/2,prog/12,map/1 fd(77):link/21,prog/11,map/1 ");
	/*
	 * The user state of array 1 holds prog/13. A program that uses the array does not lead to
	 * that.
	 */
	roots_are(snap, prog(13), "fd(78):map/1,prog/13 fd(79):map/1,prog/13 ");
	roots_are(snap, map(2), "pin:map/2 fd(78):map/1,prog/13,map/2 fd(79):map/1,prog/13,map/2 ");
	roots_are(snap, link_(21), "fd(77):link/21 ");
	roots_are(snap, map(3), "");
	roots_are(snap, prog(14), "");
	g_assert_cmpint(bpfrefs_select_roots(snap, map(99), NULL, &none), ==, -ENOENT);
	g_assert_null(none);
	g_assert_cmpint(bpfrefs_select_roots(snap, map(1), &filter, &roots), ==, 0);
	root = bpfrefs_next_root(roots);
	g_assert_cmpuint(bpfrefs_ref_pid(root->ref), ==, 79);
	g_assert_null(bpfrefs_next_root(roots));
	filter.holder = prog(11);
	g_assert_cmpint(bpfrefs_select_roots(snap, map(1), &filter, &none), ==, -EINVAL);
}

/* With an automatic keep, what leads to the array leads to its slots too. */
TEST_GRAPH(kept_chain)
{
	array(scan, 1);
	program(scan, 11);
	program(scan, 12);
	pin(scan, prog(11), 100);
	uses(scan, 11, 1);
	keep(scan, 1, "auto");
	slot(scan, 1, 0, 12);
	snap = freeze(scan);
	roots_are(snap, prog(12), "pin:prog/11,map/1,prog/12 ");
}

/* A ladder in which the number of chains doubles with each of its 40 rungs. */
static void build_ladder(struct scan *scan)
{
	for (uint32_t id = 1; id <= 40; id++) {
		array(scan, id);
		program(scan, 100 + id);
		program(scan, 200 + id);
		slot(scan, id, 0, 100 + id);
		slot(scan, id, 1, 200 + id);
		keep(scan, id, "auto");
		if (id == 1)
			continue;
		uses(scan, 100 + id - 1, id);
		uses(scan, 200 + id - 1, id);
	}
	pin(scan, map(1), 100);
}

TEST_GRAPH(ladder)
{
	const struct bpfrefs_root *root;
	selection_auto *roots = NULL;

	build_ladder(scan);
	snap = freeze(scan);
	g_assert_cmpint(bpfrefs_select_roots(snap, prog(140), NULL, &roots), ==, 0);
	root = bpfrefs_next_root(roots);
	g_assert_nonnull(root);
	g_assert_cmpuint(root->count, ==, 80);
}

/* ------------------------------------------------------------- retains --- */

/*
 * Process 77 has array 1, which has in its slots program 11, and program 12, which is pinned and
 * uses array 1; array 2, whose open file process 78 has too; array 3, which has an unexplained user
 * reference; hash 4, which program 12 uses; and link 21, which attaches program 13.
 */
static void build_process(struct scan *scan)
{
	for (uint32_t id = 1; id <= 3; id++) {
		array(scan, id);
		fd(scan, map(id), 77);
	}
	object(scan, map(4), "hash", false);
	fd(scan, map(4), 77);
	for (uint32_t id = 11; id <= 13; id++)
		program(scan, id);
	pin(scan, prog(12), 100);
	slot(scan, 1, 0, 11);
	slot(scan, 1, 1, 12);
	uses(scan, 12, 1);
	uses(scan, 12, 4);
	shared_fd(scan, map(2), 78);
	scan_object(scan, map(3))->refcnt++;
	scan_object(scan, map(3))->usercnt++;
	object(scan, link_(21), "xdp", false);
	fd(scan, link_(21), 77);
	hold(scan, "link", prog(13), link_(21), "prog", 0);
}

TEST_GRAPH(process)
{
	build_process(scan);
	snap = freeze(scan);
	retained_is(snap, 77, "map/1:cleared prog/11:freed prog/13:freed link/21:freed ");
	retained_is(snap, 78, "");
	retained_is(snap, 5, "");
	retained_by_all(snap, (uint32_t[]){ 77, 78 }, 2,
			"map/1:cleared map/2:freed prog/11:freed prog/13:freed link/21:freed ");
}

/* What only an automatic keep would hold is freed too, since bpfrefs then releases the keep. */
TEST_GRAPH(kept)
{
	array(scan, 1);
	program(scan, 11);
	fd(scan, map(1), 77);
	keep(scan, 1, "auto");
	slot(scan, 1, 0, 11);
	uses(scan, 11, 1);
	array(scan, 2);
	fd(scan, map(2), 77);
	keep(scan, 2, "pin");
	snap = freeze(scan);
	retained_is(snap, 77, "map/1:freed prog/11:freed ");
}

/*
 * A pin in a bpffs that only another mount namespace has is removed when the last process there
 * exits. It is unknown whether this process, which does not exist, is the last one, so the pin
 * stays.
 */
TEST_GRAPH(far_pin)
{
	array(scan, 1);
	set(scan, pin(scan, map(1), 100), "pid", NULL, 4194303);
	fd(scan, map(1), 4194303);
	snap = freeze(scan);
	retained_is(snap, 4194303, "");
}

/* An unknown counter does not count as a holder: only the holders that were found do. */
TEST_GRAPH(unread)
{
	array(scan, 1);
	fd(scan, map(1), 77);
	scan_object(scan, map(1))->refcnt = BPFREFS_UNKNOWN;
	scan_object(scan, map(1))->usercnt = BPFREFS_UNKNOWN;
	snap = freeze(scan);
	retained_is(snap, 77, "map/1:freed ");
}

TEST_GRAPH(memlock)
{
	struct fake fake = { .build = build_process };
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);

	build_process(scan);
	snap = freeze(scan);
	g_assert_cmpuint(bpfrefs_memlock(ctx, snap, map(99)), ==, BPFREFS_UNKNOWN);
	g_assert_cmpuint(bpfrefs_memlock(ctx, snap, map(1)), ==, BPFREFS_UNKNOWN);
	((struct bpfrefs_object *)bpfrefs_snapshot_find(snap, map(1)))->memlock = 344;
	g_assert_cmpuint(bpfrefs_memlock(ctx, snap, map(1)), ==, 344);
	bpfrefs_ctx_close(ctx);
}

/* -------------------------------------------------------------- unused --- */

static void build_unused(struct scan *scan)
{
	array(scan, 1);
	array(scan, 2);
	fd(scan, map(2), 77);
	pin(scan, map(1), 100);
	program(scan, 3);
	pin(scan, prog(3), 101);
	array(scan, 4);
	uses(scan, 3, 4);
	array(scan, 5);
	keep(scan, 5, "pin");
	array(scan, 6);
}

static char *unused(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
		    const struct bpfrefs_filter *filter)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_unused *one;
	selection_auto *all = NULL;
	char key[BPFREFS_KEY_MAX];

	g_assert_cmpint(bpfrefs_select_unused(ctx, snap, filter, &all), ==, 0);
	while ((one = bpfrefs_next_unused(all))) {
		/* The states are known, though no query computed states before. */
		g_assert_nonnull(one->object->because);
		g_string_append_printf(text, "%s:%s ", bpfrefs_key_format(one->object->key, key),
				       bpfrefs_unused_name(one->reason));
	}
	return g_strdup(text->str);
}

TEST(unused_with_reasons)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .class_ = "pin" };
	struct fake fake = { .build = build_unused };
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);
	struct bpfrefs_snapshot *taken = NULL;
	g_autofree char *all = NULL, *pinned = NULL;

	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &taken), ==, 0);
	all = unused(ctx, taken, NULL);
	g_assert_cmpstr(all, ==, "map/1:pinned map/4:held map/5:kept map/6:alone prog/3:pinned ");
	pinned = unused(ctx, taken, &filter);
	g_assert_cmpstr(pinned, ==, "map/1:pinned prog/3:pinned ");
	bpfrefs_snapshot_unref(taken);
	bpfrefs_ctx_close(ctx);
}

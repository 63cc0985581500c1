/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cached snapshot: its age, and that readers share a scan. */
#include "fixture.h"

struct reader {
	struct view *view;
	struct bpfrefs_key key; /* for read_one() */
	GThread *thread;
	struct bpfrefs_snapshot *snap;
	int err;
	gint *started;
};

static gpointer read_once(gpointer data)
{
	struct reader *reader = data;

	g_atomic_int_inc(reader->started);
	reader->err = view_get(reader->view, &reader->snap);
	return NULL;
}

static gpointer read_one(gpointer data)
{
	struct reader *reader = data;

	g_atomic_int_inc(reader->started);
	reader->err = view_one(reader->view, reader->key, &reader->snap);
	return NULL;
}

static void wait_for(const gint *value, gint wanted)
{
	while (g_atomic_int_get(value) < wanted)
		g_usleep(100);
}

static int get(struct view *view, int (*how)(struct view *, struct bpfrefs_snapshot **))
{
	struct bpfrefs_snapshot *snap = NULL;
	int err = how(view, &snap);

	bpfrefs_snapshot_unref(snap);
	return err;
}

/* With max_age 0 each reader gets a scan that begins after its request. */
TEST_FAKE(fresh)
{
	struct bpfrefs_snapshot *last;

	g_assert_cmpuint(view_scans(fake->fs.view, &last), ==, 0);
	g_assert_null(last);
	for (int i = 1; i < 5; i++) {
		int before = fake->scans;

		g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
		g_assert_cmpint(fake->scans, >, before);
		g_assert_cmpuint(view_scans(fake->fs.view, &last), ==, i);
		g_assert_nonnull(last);
		bpfrefs_snapshot_unref(last);
	}
}

/* A scan that exceeds the limit of memory fails, and the last snapshot stays. */
TEST_FAKE(limit)
{
	struct bpfrefs_snapshot *before, *after;

	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	view_scans(fake->fs.view, &before);
	g_assert_cmpuint(bpfrefs_snapshot_stats(before)->memory, >, 1000);
	fake->fs.ctx->memory = 1000;
	g_assert_cmpint(get(fake->fs.view, view_get), ==, -ENOMEM);
	g_assert_cmpint(get(fake->fs.view, view_recent), ==, 0);
	view_scans(fake->fs.view, &after);
	g_assert_true(before == after);
	g_assert_cmpstr(bpfrefs_snapshot_find(after, fake_map)->name, ==, "conns");
	bpfrefs_snapshot_unref(before);
	bpfrefs_snapshot_unref(after);
	fake->fs.ctx->memory = 0;
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
}

TEST_FAKE(recent)
{
	int scans;

	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	scans = fake->scans;
	g_assert_cmpint(get(fake->fs.view, view_recent), ==, 0);
	g_assert_cmpint(get(fake->fs.view, view_recent), ==, 0);
	g_assert_cmpint(fake->scans, ==, scans);
	view_invalidate(fake->fs.view);
	g_assert_cmpint(get(fake->fs.view, view_recent), ==, 0);
	g_assert_cmpint(fake->scans, >, scans);
}

TEST_FAKE(max_age)
{
	int scans;

	view_free(fake->fs.view);
	fake->fs.view = view_new(fake->fs.ctx, 3600 * 1000);
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	scans = fake->scans;
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	g_assert_cmpint(fake->scans, ==, scans);
	g_assert_cmpint(get(fake->fs.view, view_fresh), ==, 0);
	g_assert_cmpint(fake->scans, >, scans);
	scans = fake->scans;
	view_invalidate(fake->fs.view);
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	g_assert_cmpint(fake->scans, >, scans);
	view_free(fake->fs.view);
	fake->fs.view = view_new(fake->fs.ctx, 1);
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	scans = fake->scans;
	g_usleep(2000);
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	g_assert_cmpint(fake->scans, >, scans);
}

TEST_FAKE(error)
{
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	fake->collect_error = -EPERM;
	g_assert_cmpint(get(fake->fs.view, view_get), ==, -EPERM);
	/* Lookups still use the last snapshot. */
	g_assert_cmpint(get(fake->fs.view, view_recent), ==, 0);
	fake->collect_error = 0;
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
}

/*
 * Eight readers begin while a scan is delayed. None may get that scan, which began before they
 * did; all share the next one.
 */
TEST_FAKE(single_flight)
{
	struct reader readers[9] = { 0 };
	struct bpfrefs_snapshot *last;
	gint started = 0;

	g_mutex_lock(&fake->gate);
	for (int i = 0; i < 9; i++) {
		readers[i].view = fake->fs.view;
		readers[i].started = &started;
		readers[i].thread = g_thread_new("reader", read_once, &readers[i]);
		if (i == 0)
			wait_for(&fake->scans, 1);
	}
	wait_for(&started, 9);
	/* They all wait now. Otherwise the number of scans would be larger. */
	g_usleep(20000);
	g_mutex_unlock(&fake->gate);
	for (int i = 0; i < 9; i++) {
		g_thread_join(readers[i].thread);
		g_assert_cmpint(readers[i].err, ==, 0);
	}
	g_assert_cmpuint(view_scans(fake->fs.view, &last), ==, 2);
	bpfrefs_snapshot_unref(last);
	for (int i = 1; i < 9; i++) {
		g_assert_true(readers[i].snap != readers[0].snap);
		g_assert_true(readers[i].snap == readers[1].snap);
	}
	for (int i = 0; i < 9; i++)
		bpfrefs_snapshot_unref(readers[i].snap);
}

/*
 * Readers of the objects @keys begin while a walk for one map is delayed. Each gets a walk or a
 * scan that began after its request.
 */
static void share_walks(struct fake *fake, const struct bpfrefs_key *keys, guint count)
{
	struct reader readers[8] = { 0 };
	gint started = 0;

	g_mutex_lock(&fake->gate);
	for (guint i = 0; i < count; i++) {
		readers[i] = (struct reader){ .view = fake->fs.view,
					      .key = keys[i],
					      .started = &started };
		readers[i].thread = g_thread_new("reader", read_one, &readers[i]);
		if (i == 0)
			wait_for(&fake->walks, 1);
	}
	wait_for(&started, (gint)count);
	g_usleep(20000); /* see test_single_flight() */
	g_mutex_unlock(&fake->gate);
	for (guint i = 0; i < count; i++) {
		g_thread_join(readers[i].thread);
		g_assert_cmpint(readers[i].err, ==, 0);
		g_assert_true(bpfrefs_snapshot_has(readers[i].snap, keys[i]));
		g_assert_true(i == 0 || readers[i].snap != readers[0].snap);
	}
	/* not before: another reader's snapshot could get the address of the first one */
	for (guint i = 0; i < count; i++)
		bpfrefs_snapshot_unref(readers[i].snap);
}

TEST_FAKE(one)
{
	const struct bpfrefs_key one[] = { fake_map, fake_map, fake_map, fake_map };
	const struct bpfrefs_key two[] = { fake_map, fake_plain, fake_map, fake_plain };
	const struct bpfrefs_key many[] = { fake_map,	fake_map,  fake_plain,
					    fake_entry, fake_tail, fake_plain };
	const struct bpfrefs_key other[] = { fake_map, fake_map, fake_link };

	fake->alone = true;
	share_walks(fake, one, G_N_ELEMENTS(one));
	g_assert_cmpint(fake->walks, ==, 2);
	fake->walks = 0;
	share_walks(fake, two, G_N_ELEMENTS(two));
	g_assert_cmpint(fake->walks, ==, 3);
	g_assert_cmpint(fake->scans, ==, 0);
	g_assert_cmpuint(view_scans(fake->fs.view, NULL), ==, 5);
	/* Four objects: one scan of everything (in which several attempts are one). */
	fake->walks = 0;
	share_walks(fake, many, G_N_ELEMENTS(many));
	g_assert_cmpint(fake->walks, ==, 1);
	g_assert_cmpuint(view_scans(fake->fs.view, NULL), ==, 7);
	/* A link needs a scan of everything, which may or may not begin before the map's walk. */
	fake->walks = 0;
	share_walks(fake, other, G_N_ELEMENTS(other));
	g_assert_cmpint(fake->walks, <=, 2);
	g_assert_cmpuint(view_scans(fake->fs.view, NULL), ==, 7 + (guint64)fake->walks + 1);
}

/* If the counters are changing, everything is scanned, and an error of that scan is returned. */
TEST_FAKE(one_inexact)
{
	struct bpfrefs_snapshot *snap;

	fake->alone = fake->changing = true;
	g_assert_cmpint(view_one(fake->fs.view, fake_map, &snap), ==, 0);
	bpfrefs_snapshot_unref(snap);
	g_assert_cmpint(fake->walks, ==, 1);
	g_assert_cmpint(fake->scans, >, 0);
	fake->collect_error = -EPERM;
	g_assert_cmpint(view_one(fake->fs.view, fake_map, &snap), ==, -EPERM);
}

/* A command is written while a scan runs: that scan is not cached. */
TEST_FAKE(invalidate_running)
{
	struct reader reader = { 0 };
	gint started = 0;
	int scans;

	reader.view = fake->fs.view;
	reader.started = &started;
	g_mutex_lock(&fake->gate);
	reader.thread = g_thread_new("reader", read_once, &reader);
	wait_for(&fake->scans, 1);
	view_invalidate(fake->fs.view);
	g_mutex_unlock(&fake->gate);
	g_thread_join(reader.thread);
	bpfrefs_snapshot_unref(reader.snap);
	scans = fake->scans;
	g_assert_cmpint(get(fake->fs.view, view_recent), ==, 0);
	g_assert_cmpint(fake->scans, >, scans);
}

static gpointer read_often(gpointer data)
{
	struct reader *reader = data;

	for (int i = 0; i < 200 && !reader->err; i++) {
		if (i % 7 == 0)
			view_invalidate(reader->view);
		reader->err = get(reader->view, i % 2 ? view_recent : view_get);
	}
	return NULL;
}

TEST_FAKE(storm)
{
	struct reader readers[8] = { 0 };

	for (int i = 0; i < 8; i++) {
		readers[i].view = fake->fs.view;
		readers[i].thread = g_thread_new("reader", read_often, &readers[i]);
	}
	for (int i = 0; i < 8; i++) {
		g_thread_join(readers[i].thread);
		g_assert_cmpint(readers[i].err, ==, 0);
	}
}

/* Returns whether the view holds a snapshot. */
static bool has_last(struct view *view)
{
	struct bpfrefs_snapshot *last;

	view_scans(view, &last);
	bpfrefs_snapshot_unref(last);
	return last != NULL;
}

/*
 * Without requests, a snapshot that may not be shown again is released, and one that may be shown
 * stays.
 */
TEST_FAKE(rest)
{
	struct view_last before, after;
	struct view *lasting;

	g_assert_false(view_last(fake->fs.view, &before));
	g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
	g_assert_true(has_last(fake->fs.view));
	g_assert_true(view_last(fake->fs.view, &before));
	g_assert_true(view_drop_stale(fake->fs.view));
	g_assert_false(has_last(fake->fs.view));
	g_assert_true(view_last(fake->fs.view, &after)); /* its numbers stay */
	g_assert_cmpuint(after.wall_ns, ==, before.wall_ns);
	g_assert_cmpuint(after.objects, ==, before.objects);
	g_assert_cmpint(get(fake->fs.view, view_recent), ==, 0);
	lasting = view_new(fake->fs.ctx, 100000);
	g_assert_cmpint(get(lasting, view_get), ==, 0);
	g_assert_true(view_drop_stale(lasting));
	g_assert_true(has_last(lasting));
	view_free(lasting);
}

/* The trimmer does the same a moment after each scan. */
TEST_FAKE(trim)
{
	g_assert_cmpint(view_trim_start(fake->fs.view), ==, 0);
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(get(fake->fs.view, view_get), ==, 0);
		while (has_last(fake->fs.view))
			g_usleep(1000);
	}
	view_touch(fake->fs.view);
	view_trim_stop(fake->fs.view);
	view_trim_stop(fake->fs.view);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Freshness and single flight. */
#include "fake.h"
#include "tree/trim.h"

struct reader {
	struct view *view;
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

/* With max_age 0 each reader in turn gets a scan of its own. */
static void test_fresh(void)
{
	struct fs fs;
	struct fake fake;
	struct bpfrefs_snapshot *last;

	fake_init(&fs, &fake);
	g_assert_cmpuint(view_scans(fs.view, &last), ==, 0);
	g_assert_null(last);
	for (int i = 1; i < 5; i++) {
		int before = fake.scans;

		g_assert_cmpint(get(fs.view, view_get), ==, 0);
		g_assert_cmpint(fake.scans, >, before);
		g_assert_cmpuint(view_scans(fs.view, &last), ==, i);
		g_assert_nonnull(last);
		bpfrefs_snapshot_unref(last);
	}
	fake_clear(&fs, &fake);
}

/* A scan that would take more than it may fails, and leaves the last one as it was. */
static void test_limit(void)
{
	struct bpfrefs_snapshot *before, *after;
	struct fs fs;
	struct fake fake;

	fake_init(&fs, &fake);
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	view_scans(fs.view, &before);
	g_assert_cmpuint(bpfrefs_snapshot_stats(before).memory, >, 1000);
	fs.ctx->memory = 1000;
	g_assert_cmpint(get(fs.view, view_get), ==, -ENOMEM);
	g_assert_cmpint(get(fs.view, view_recent), ==, 0);
	view_scans(fs.view, &after);
	g_assert_true(before == after);
	g_assert_cmpstr(bpfrefs_snapshot_find(after, fake_map)->name, ==, "conns");
	bpfrefs_snapshot_unref(before);
	bpfrefs_snapshot_unref(after);
	fs.ctx->memory = 0;
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	fake_clear(&fs, &fake);
}

static void test_recent(void)
{
	struct fs fs;
	struct fake fake;
	int scans;

	fake_init(&fs, &fake);
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	scans = fake.scans;
	g_assert_cmpint(get(fs.view, view_recent), ==, 0);
	g_assert_cmpint(get(fs.view, view_recent), ==, 0);
	g_assert_cmpint(fake.scans, ==, scans);
	view_invalidate(fs.view);
	g_assert_cmpint(get(fs.view, view_recent), ==, 0);
	g_assert_cmpint(fake.scans, >, scans);
	fake_clear(&fs, &fake);
}

static void test_max_age(void)
{
	struct fs fs;
	struct fake fake;
	int scans;

	fake_init(&fs, &fake);
	view_free(fs.view);
	fs.view = view_new(fs.ctx, 3600 * 1000);
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	scans = fake.scans;
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	g_assert_cmpint(fake.scans, ==, scans);
	g_assert_cmpint(get(fs.view, view_fresh), ==, 0);
	g_assert_cmpint(fake.scans, >, scans);
	scans = fake.scans;
	view_invalidate(fs.view);
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	g_assert_cmpint(fake.scans, >, scans);
	view_free(fs.view);
	fs.view = view_new(fs.ctx, 1);
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	scans = fake.scans;
	g_usleep(2000);
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	g_assert_cmpint(fake.scans, >, scans);
	fake_clear(&fs, &fake);
}

static void test_error(void)
{
	struct fs fs;
	struct fake fake;

	fake_init(&fs, &fake);
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	fake.collect_error = -EPERM;
	g_assert_cmpint(get(fs.view, view_get), ==, -EPERM);
	/* What was true a moment ago still serves lookups. */
	g_assert_cmpint(get(fs.view, view_recent), ==, 0);
	fake.collect_error = 0;
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	fake_clear(&fs, &fake);
}

/*
 * A scan runs and is held up; eight readers come. None may be given it, for it began before them;
 * all share the next one.
 */
static void test_single_flight(void)
{
	struct fs fs;
	struct fake fake;
	struct reader readers[9] = { 0 };
	struct bpfrefs_snapshot *last;
	gint started = 0;

	fake_init(&fs, &fake);
	g_mutex_lock(&fake.gate);
	for (int i = 0; i < 9; i++) {
		readers[i].view = fs.view;
		readers[i].started = &started;
		readers[i].thread = g_thread_new("reader", read_once, &readers[i]);
		if (i == 0)
			wait_for(&fake.scans, 1);
	}
	wait_for(&started, 9);
	/* They wait by now, or would need a scan more each: which the count would show. */
	g_usleep(20000);
	g_mutex_unlock(&fake.gate);
	for (int i = 0; i < 9; i++) {
		g_thread_join(readers[i].thread);
		g_assert_cmpint(readers[i].err, ==, 0);
	}
	g_assert_cmpuint(view_scans(fs.view, &last), ==, 2);
	bpfrefs_snapshot_unref(last);
	for (int i = 1; i < 9; i++) {
		g_assert_true(readers[i].snap != readers[0].snap);
		g_assert_true(readers[i].snap == readers[1].snap);
	}
	for (int i = 0; i < 9; i++)
		bpfrefs_snapshot_unref(readers[i].snap);
	fake_clear(&fs, &fake);
}

/* A control comes while a scan runs: that scan is nobody's cache afterwards. */
static void test_invalidate_running(void)
{
	struct fs fs;
	struct fake fake;
	struct reader reader = { 0 };
	gint started = 0;
	int scans;

	fake_init(&fs, &fake);
	reader.view = fs.view;
	reader.started = &started;
	g_mutex_lock(&fake.gate);
	reader.thread = g_thread_new("reader", read_once, &reader);
	wait_for(&fake.scans, 1);
	view_invalidate(fs.view);
	g_mutex_unlock(&fake.gate);
	g_thread_join(reader.thread);
	bpfrefs_snapshot_unref(reader.snap);
	scans = fake.scans;
	g_assert_cmpint(get(fs.view, view_recent), ==, 0);
	g_assert_cmpint(fake.scans, >, scans);
	fake_clear(&fs, &fake);
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

static void test_storm(void)
{
	struct fs fs;
	struct fake fake;
	struct reader readers[8] = { 0 };

	fake_init(&fs, &fake);
	for (int i = 0; i < 8; i++) {
		readers[i].view = fs.view;
		readers[i].thread = g_thread_new("reader", read_often, &readers[i]);
	}
	for (int i = 0; i < 8; i++) {
		g_thread_join(readers[i].thread);
		g_assert_cmpint(readers[i].err, ==, 0);
	}
	fake_clear(&fs, &fake);
}

/* Is there a snapshot that the view keeps? */
static bool has_last(struct view *view)
{
	struct bpfrefs_snapshot *last;

	view_scans(view, &last);
	bpfrefs_snapshot_unref(last);
	return last != NULL;
}

/* Nobody asks: a snapshot that may not be shown again goes, one that may stays. */
static void test_rest(void)
{
	struct view_last before, after;
	struct view *lasting;
	struct fake fake;
	struct fs fs;

	fake_init(&fs, &fake);
	g_assert_false(view_last(fs.view, &before));
	g_assert_cmpint(get(fs.view, view_get), ==, 0);
	g_assert_true(has_last(fs.view));
	g_assert_true(view_last(fs.view, &before));
	g_assert_true(view_drop_stale(fs.view));
	g_assert_false(has_last(fs.view));
	g_assert_true(view_last(fs.view, &after)); /* what it found is still told */
	g_assert_cmpuint(after.stats.wall_ns, ==, before.stats.wall_ns);
	g_assert_cmpuint(after.objects, ==, before.objects);
	g_assert_cmpint(get(fs.view, view_recent), ==, 0);
	lasting = view_new(fs.ctx, 100000);
	g_assert_cmpint(get(lasting, view_get), ==, 0);
	g_assert_true(view_drop_stale(lasting));
	g_assert_true(has_last(lasting));
	view_free(lasting);
	fake_clear(&fs, &fake);
}

/* The same by itself, a moment after the last scan; and again after the next one. */
static void test_trim(void)
{
	struct trim *trim;
	struct fake fake;
	struct fs fs;

	fake_init(&fs, &fake);
	g_assert_cmpint(trim_start(fs.view, &trim), ==, 0);
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(get(fs.view, view_get), ==, 0);
		while (has_last(fs.view))
			g_usleep(1000);
	}
	trim_touch(trim);
	trim_stop(trim);
	trim_touch(NULL);
	trim_stop(NULL);
	fake_clear(&fs, &fake);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/view/limit", test_limit);
	g_test_add_func("/view/fresh", test_fresh);
	g_test_add_func("/view/recent", test_recent);
	g_test_add_func("/view/max-age", test_max_age);
	g_test_add_func("/view/error", test_error);
	g_test_add_func("/view/single-flight", test_single_flight);
	g_test_add_func("/view/invalidate-running", test_invalidate_running);
	g_test_add_func("/view/storm", test_storm);
	g_test_add_func("/view/rest", test_rest);
	g_test_add_func("/view/trim", test_trim);
	return g_test_run();
}

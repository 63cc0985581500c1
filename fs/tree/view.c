/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The current snapshot. Scans are numbered in the order in which they begin. A caller that needs
 * a new snapshot waits for the first scan that begins after the call. If a scan runs already,
 * that is the next one, and all callers that wait share it.
 */
#include "fs.h"

/* The greatest age of a snapshot for view_recent(). */
#define RECENT_US G_USEC_PER_SEC

struct view {
	struct bpfrefs_ctx *ctx;
	gint64 max_age;		   /* microseconds */
	void (*touch)(void *data); /* called after each scan; NULL: nothing is */
	void *touch_data;

	GMutex lock;   /* protects the members below; not held during a scan */
	GCond changed; /* a scan has ended */
	bool scanning;
	unsigned int wanting; /* callers that wait for a snapshot */
	uint64_t begun;	      /* the number of the last scan that began */
	uint64_t done;	      /* the number of the last scan that ended */
	uint64_t ones;	      /* the number of scans of a single object */
	uint64_t obsolete;    /* scans up to this number began before the last control */
	int error;	      /* the result of the scan with the number "done" */
	/* the snapshot of the last scan that succeeded, one reference; may be NULL */
	struct bpfrefs_snapshot *last;
	struct view_last found; /* what that scan found, kept when the snapshot is dropped */
	uint64_t last_number;
	gint64 last_begun; /* g_get_monotonic_time() */
};

struct view *view_new(struct bpfrefs_ctx *ctx, unsigned int max_age_ms)
{
	struct view *view = g_new0(struct view, 1);

	view->ctx = ctx;
	view->max_age = (gint64)max_age_ms * 1000;
	g_mutex_init(&view->lock);
	g_cond_init(&view->changed);
	return view;
}

void view_free(struct view *view)
{
	if (!view)
		return;
	bpfrefs_snapshot_unref(view->last);
	g_cond_clear(&view->changed);
	g_mutex_clear(&view->lock);
	g_free(view);
}

/* Called with the lock held. Drops it during the scan, and returns with it held. */
static void scan_locked(struct view *view)
{
	struct bpfrefs_snapshot *snap = NULL, *old;
	gint64 begun = g_get_monotonic_time();
	uint64_t number = ++view->begun;
	int err;

	view->scanning = true;
	g_mutex_unlock(&view->lock);
	err = bpfrefs_snapshot_take(view->ctx, &snap);
	g_mutex_lock(&view->lock);
	view->scanning = false;
	view->done = number;
	view->error = err;
	g_cond_broadcast(&view->changed);
	if (err)
		return;
	old = view->last;
	view->last = snap;
	view->found = (struct view_last){
		.stats = bpfrefs_snapshot_stats(snap),
		.objects = bpfrefs_snapshot_object_count(snap),
		.references = bpfrefs_snapshot_ref_count(snap),
	};
	view->last_number = number;
	view->last_begun = begun;
	bpfrefs_snapshot_unref(old);
	if (view->touch)
		view->touch(view->touch_data);
}

static bool is_young(const struct view *view, gint64 age)
{
	return age > 0 && view->last && view->last_number > view->obsolete &&
	       g_get_monotonic_time() - view->last_begun <= age;
}

static int get_within(struct view *view, gint64 age, struct bpfrefs_snapshot **snap)
{
	uint64_t wanted;
	int err = 0;

	g_mutex_lock(&view->lock);
	wanted = view->begun + 1;
	if (!is_young(view, age)) {
		view->wanting++;
		while (view->done < wanted) {
			if (view->scanning)
				g_cond_wait(&view->changed, &view->lock);
			else
				scan_locked(view);
		}
		view->wanting--;
		/* The scan may have succeeded, and a later one may have failed since. */
		err = view->last_number >= wanted ? 0 : view->error;
	}
	if (!err)
		*snap = bpfrefs_snapshot_ref(view->last);
	g_mutex_unlock(&view->lock);
	return err;
}

int view_get(struct view *view, struct bpfrefs_snapshot **snap)
{
	return get_within(view, view->max_age, snap);
}

int view_one(struct view *view, struct bpfrefs_key key, struct bpfrefs_snapshot **snap)
{
	int err;

	g_mutex_lock(&view->lock);
	if (view->max_age || view->scanning) {
		g_mutex_unlock(&view->lock);
		return -EAGAIN;
	}
	/* Callers that come meanwhile wait, and share a scan of everything afterwards. */
	view->scanning = true;
	g_mutex_unlock(&view->lock);
	err = bpfrefs_snapshot_take_one(view->ctx, key, snap);
	g_mutex_lock(&view->lock);
	view->scanning = false;
	view->ones += !err;
	g_cond_broadcast(&view->changed);
	g_mutex_unlock(&view->lock);
	return err;
}

int view_fresh(struct view *view, struct bpfrefs_snapshot **snap)
{
	return get_within(view, 0, snap);
}

int view_recent(struct view *view, struct bpfrefs_snapshot **snap)
{
	return get_within(view, MAX(view->max_age, RECENT_US), snap);
}

void view_invalidate(struct view *view)
{
	g_mutex_lock(&view->lock);
	view->obsolete = view->begun;
	g_mutex_unlock(&view->lock);
}

void view_set_touch(struct view *view, void (*touch)(void *data), void *data)
{
	/* Scans touch the old one with the lock held, so that it can be freed after this call. */
	g_mutex_lock(&view->lock);
	view->touch = touch;
	view->touch_data = data;
	g_mutex_unlock(&view->lock);
}

bool view_drop_stale(struct view *view)
{
	struct bpfrefs_snapshot *old = NULL;
	bool busy;

	g_mutex_lock(&view->lock);
	busy = view->wanting || view->scanning;
	if (!busy && !is_young(view, view->max_age))
		old = g_steal_pointer(&view->last);
	g_mutex_unlock(&view->lock);
	bpfrefs_snapshot_unref(old);
	return !busy;
}

bool view_last(struct view *view, struct view_last *last)
{
	bool any;

	g_mutex_lock(&view->lock);
	any = view->last_number != 0;
	*last = view->found;
	g_mutex_unlock(&view->lock);
	return any;
}

uint64_t view_scans(struct view *view, struct bpfrefs_snapshot **last)
{
	uint64_t scans;

	g_mutex_lock(&view->lock);
	scans = view->done + view->ones;
	if (last)
		*last = view->last ? bpfrefs_snapshot_ref(view->last) : NULL;
	g_mutex_unlock(&view->lock);
	return scans;
}

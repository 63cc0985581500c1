/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The current snapshot. Scans are numbered in the order in which they begin. A caller that needs
 * a new snapshot waits for the first scan that begins after the call. If a scan runs already,
 * that is the next one, and all callers that wait share it.
 *
 * The allocator keeps the memory of a request for the next one, because page faults for new memory
 * take a fifth of the time of a large text. When no request has come for a moment, a thread
 * returns the memory to the kernel, with the last snapshot if that is too old to be used again.
 */
#include <errno.h>
#include <malloc.h>

#include "fs.h"

/* The greatest age of a snapshot for view_recent(). */
#define RECENT_US G_USEC_PER_SEC
/*
 * How many walks take as long as a full scan, as long as none was measured; and the number of
 * objects for which there is a full scan in any case.
 */
#define WALKS_PER_SCAN 4
#define WALKS_MAX      16
/* Longer than the time between the reads of a caller who reads one file after another. */
#define MOMENT_US (G_USEC_PER_SEC / 4)
/* Longer texts, and the buffers of libfuse, are returned to the kernel when they are freed. */
#define LARGE_TEXT (1 << 20)

/* A caller that waits for the references to one object. */
struct one {
	struct one *next;
	struct bpfrefs_key key;
	enum { ONE_WAITS, ONE_RUNS, ONE_DONE } state;
	bool needs_full; /* a walk for this object alone does not explain its counters */
	struct bpfrefs_snapshot *snap; /* the result, owned */
	int err;
};

struct view {
	struct bpfrefs_ctx *ctx;
	gint64 max_age; /* microseconds */

	GMutex lock;   /* protects the members below; not held during a scan */
	GCond changed; /* a scan has ended */
	bool scanning;
	unsigned int wanting; /* callers that wait for a snapshot of everything */
	struct one *ones;     /* callers that wait for one object, borrowed from their stacks */
	uint64_t begun;	      /* the number of the last scan that began */
	uint64_t done;	      /* the number of the last scan that ended */
	uint64_t walks;	      /* the number of scans of a single object */
	gint64 scan_time;     /* microseconds that the last full scan took; 0: there was none */
	gint64 walk_time;     /* the same of the last scan of a single object */
	uint64_t obsolete;    /* scans up to this number began before the last control */
	int error;	      /* the result of the scan with the number "done" */
	/* the snapshot of the last scan that succeeded, one reference; may be NULL */
	struct bpfrefs_snapshot *last;
	struct view_last found; /* what that scan found, kept when the snapshot is dropped */
	uint64_t last_number;
	gint64 last_begun; /* g_get_monotonic_time() */

	GThread *trimmer; /* NULL: memory is kept */
	GCond touch;	  /* touched after the memory was returned, or stopping */
	gint64 touched;	  /* when the last request that took memory ended */
	bool trimmed;	  /* the memory has been returned */
	bool stopping;
};

struct view *view_new(struct bpfrefs_ctx *ctx, unsigned int max_age_ms)
{
	struct view *view = g_new0(struct view, 1);

	view->ctx = ctx;
	view->max_age = (gint64)max_age_ms * 1000;
	g_mutex_init(&view->lock);
	g_cond_init(&view->changed);
	g_cond_init(&view->touch);
	return view;
}

void view_free(struct view *view)
{
	if (!view)
		return;
	bpfrefs_snapshot_unref(view->last);
	g_cond_clear(&view->touch);
	g_cond_clear(&view->changed);
	g_mutex_clear(&view->lock);
	g_free(view);
}

/* --------------------------------------------------------------- scans --- */

/* Called with the lock held, when something that takes memory has happened. */
static void touch_locked(struct view *view)
{
	view->touched = g_get_monotonic_time();
	if (view->trimmed) {
		view->trimmed = false;
		g_cond_signal(&view->touch);
	}
}

/* Called with the lock held. A scan begins that serves the callers for @key; NULL: for any object. */
static void ones_begin(struct view *view, const struct bpfrefs_key *key)
{
	for (struct one *one = view->ones; one; one = one->next)
		if (!key || bpfrefs_key_compare(one->key, *key) == 0)
			one->state = ONE_RUNS;
}

/* Called with the lock held. That scan has ended, with the snapshot @snap unless @err is set. */
static void ones_end(struct view *view, struct bpfrefs_snapshot *snap, int err)
{
	for (struct one *one = view->ones; one; one = one->next) {
		if (one->state != ONE_RUNS)
			continue;
		if (err == -EAGAIN && !one->needs_full) {
			one->needs_full = true;
			one->state = ONE_WAITS;
			continue;
		}
		one->state = ONE_DONE;
		one->err = err;
		one->snap = err ? NULL : bpfrefs_snapshot_ref(snap);
	}
	touch_locked(view);
	g_cond_broadcast(&view->changed);
}

/* Called with the lock held. Drops it during the scan, and returns with it held. */
static void scan_locked(struct view *view)
{
	const struct bpfrefs_snapshot_stats *stats;
	struct bpfrefs_snapshot *snap = NULL, *old;
	gint64 begun = g_get_monotonic_time();
	uint64_t number = ++view->begun;
	int err;

	view->scanning = true;
	ones_begin(view, NULL);
	g_mutex_unlock(&view->lock);
	err = bpfrefs_snapshot_take(view->ctx, &snap);
	g_mutex_lock(&view->lock);
	view->scan_time = g_get_monotonic_time() - begun;
	view->scanning = false;
	view->done = number;
	view->error = err;
	ones_end(view, snap, err);
	if (err)
		return;
	stats = bpfrefs_snapshot_stats(snap);
	old = view->last;
	view->last = snap;
	view->found = (struct view_last){
		.wall_ns = stats->wall_ns,
		.took_ns = stats->took_ns,
		.memory = stats->memory,
		.attempts = stats->attempts,
		.objects = bpfrefs_snapshot_object_count(snap),
		.references = bpfrefs_snapshot_ref_count(snap),
	};
	view->last_number = number;
	view->last_begun = begun;
	bpfrefs_snapshot_unref(old);
}

/* Like scan_locked(), for the references to one object. */
static void walk_locked(struct view *view, struct bpfrefs_key key)
{
	struct bpfrefs_snapshot *snap = NULL;
	gint64 begun = g_get_monotonic_time();
	int err;

	view->scanning = true;
	ones_begin(view, &key);
	g_mutex_unlock(&view->lock);
	err = bpfrefs_snapshot_take_one(view->ctx, key, &snap);
	g_mutex_lock(&view->lock);
	if (!err)
		view->walk_time = g_get_monotonic_time() - begun;
	view->scanning = false;
	view->walks += !err;
	ones_end(view, snap, err);
	bpfrefs_snapshot_unref(snap);
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
	if (is_young(view, age)) {
		touch_locked(view);
	} else {
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

/*
 * Called with the lock held. Returns whether a full scan serves the callers that wait sooner: if
 * others wait for one anyway, or the callers wait for many objects.
 */
static bool full_is_sooner(const struct view *view)
{
	struct bpfrefs_key keys[WALKS_MAX];
	unsigned int count = 0, i;

	for (const struct one *one = view->ones; one && count < WALKS_MAX; one = one->next) {
		for (i = 0; i < count && bpfrefs_key_compare(keys[i], one->key) != 0;)
			i++;
		if (i == count && one->state == ONE_WAITS)
			keys[count++] = one->key;
	}
	if (view->wanting || count == WALKS_MAX)
		return true;
	if (count < 2)
		return false;
	return view->scan_time ? view->walk_time * count >= view->scan_time
			       : count >= WALKS_PER_SCAN;
}

/* Called with the lock held. */
static void ones_remove(struct view *view, const struct one *one)
{
	struct one **link = &view->ones;

	while (*link != one)
		link = &(*link)->next;
	*link = one->next;
}

int view_one(struct view *view, struct bpfrefs_key key, struct bpfrefs_snapshot **snap)
{
	struct one one = { .key = key };

	if (view->max_age)
		return -EAGAIN;
	g_mutex_lock(&view->lock);
	one.next = view->ones;
	view->ones = &one;
	while (one.state != ONE_DONE) {
		if (view->scanning)
			g_cond_wait(&view->changed, &view->lock);
		else if (one.needs_full || full_is_sooner(view))
			scan_locked(view);
		else
			walk_locked(view, key);
	}
	ones_remove(view, &one);
	g_mutex_unlock(&view->lock);
	*snap = one.snap;
	return one.err;
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
	scans = view->done + view->walks;
	if (last)
		*last = view->last ? bpfrefs_snapshot_ref(view->last) : NULL;
	g_mutex_unlock(&view->lock);
	return scans;
}

/* -------------------------------------------------------------- memory --- */

/*
 * Makes the allocator keep freed memory. Called after the BPF programs are loaded: that needs
 * much memory which is never needed again, and which realloc(3) moves cheaply (mremap(2)) as long
 * as it is not part of the heap.
 */
static void keep_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, LARGE_TEXT);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 1 << 20);
#endif
}

void view_return_memory(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

/* Called with the lock held. Drops it while memory is returned. */
static void trim_when_idle(struct view *view)
{
	bool returned;

	view->trimmed = true;
	g_mutex_unlock(&view->lock);
	returned = view_drop_stale(view);
	if (returned)
		view_return_memory();
	g_mutex_lock(&view->lock);
	if (!returned && view->trimmed) {
		view->trimmed = false;
		view->touched = g_get_monotonic_time();
	}
}

static gpointer trim(gpointer data)
{
	struct view *view = data;

	g_mutex_lock(&view->lock);
	while (!view->stopping) {
		gint64 until = view->touched + MOMENT_US;

		if (view->trimmed)
			g_cond_wait(&view->touch, &view->lock);
		else if (g_get_monotonic_time() < until)
			g_cond_wait_until(&view->touch, &view->lock, until);
		else
			trim_when_idle(view);
	}
	g_mutex_unlock(&view->lock);
	return NULL;
}

int view_trim_start(struct view *view)
{
	keep_memory();
	view->touched = g_get_monotonic_time();
	view->trimmer = g_thread_try_new("trim", trim, view, NULL);
	return view->trimmer ? 0 : -EAGAIN;
}

void view_trim_stop(struct view *view)
{
	if (!view->trimmer)
		return;
	g_mutex_lock(&view->lock);
	view->stopping = true;
	g_cond_signal(&view->touch);
	g_mutex_unlock(&view->lock);
	g_thread_join(g_steal_pointer(&view->trimmer));
	view->stopping = false;
}

void view_touch(struct view *view)
{
	g_mutex_lock(&view->lock);
	touch_locked(view);
	g_mutex_unlock(&view->lock);
}

int view_shortage(const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_class_status *status;
	selection_auto *classes = NULL;
	int err = bpfrefs_select_classes(snap, NULL, &classes);

	while (!err && (status = bpfrefs_next_class(classes)))
		if (status->error == ENOMEM || status->error == EMFILE || status->error == ENFILE)
			err = -status->error;
	return err;
}

int view_missing(const struct bpfrefs_snapshot *snap)
{
	int err = view_shortage(snap);

	return err ? err : -ENOENT;
}

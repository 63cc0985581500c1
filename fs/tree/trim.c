/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory between requests. What one answer needed the next one will need again, and to have it from
 * the kernel anew, page by page, costs a large answer a fifth of its time: so the allocator keeps it.
 * When nothing was requested for a moment it goes back to the kernel, with the last snapshot if that
 * is too old to be shown, and this thread sleeps until the next request.
 */
#include "tree/trim.h"

#include <malloc.h>

/* Long for a caller who reads one file after another, short for one who waits. */
#define MOMENT_US (G_USEC_PER_SEC / 4)

struct trim {
	struct view *view;
	GThread *thread;
	GMutex lock;	/* protects what follows */
	GCond changed;	/* touched after all was given back, or stopping */
	gint64 touched; /* when something that took memory ended */
	bool trimmed;	/* all has been given back */
	bool stopping;
};

/*
 * How the allocator keeps memory until then. Not from the start: what the load of the walkers needs is
 * large, is moved as it grows, which is cheap while it lies alone, and is never needed again.
 */
static void keep_memory(void)
{
#ifdef __GLIBC__
	/* One heap, that one thread's answer is made from what another's has left. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 1 << 20);
#endif
}

void trim_now(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

/* False: a request is being served. */
static bool give_back(struct trim *trim)
{
	if (!view_drop_stale(trim->view))
		return false;
	trim_now();
	return true;
}

/* Called with the lock held, which is given up while something is done. */
static void trim_when_idle(struct trim *trim)
{
	bool given;

	trim->trimmed = true;
	g_mutex_unlock(&trim->lock);
	given = give_back(trim);
	g_mutex_lock(&trim->lock);
	if (!given && trim->trimmed) {
		trim->trimmed = false;
		trim->touched = g_get_monotonic_time();
	}
}

static void watch(struct trim *trim)
{
	while (!trim->stopping) {
		gint64 until = trim->touched + MOMENT_US;

		if (trim->trimmed)
			g_cond_wait(&trim->changed, &trim->lock);
		else if (g_get_monotonic_time() < until)
			g_cond_wait_until(&trim->changed, &trim->lock, until);
		else
			trim_when_idle(trim);
	}
}

static gpointer run(gpointer data)
{
	struct trim *trim = data;

	g_mutex_lock(&trim->lock);
	watch(trim);
	g_mutex_unlock(&trim->lock);
	return NULL;
}

int trim_start(struct view *view, struct trim **out)
{
	struct trim *trim = g_new0(struct trim, 1);

	keep_memory();
	trim->view = view;
	trim->touched = g_get_monotonic_time();
	g_mutex_init(&trim->lock);
	g_cond_init(&trim->changed);
	trim->thread = g_thread_try_new("trim", run, trim, NULL);
	*out = trim;
	if (trim->thread) {
		view_set_trim(view, trim);
		return 0;
	}
	trim_stop(trim);
	*out = NULL;
	return -EAGAIN;
}

void trim_stop(struct trim *trim)
{
	if (!trim)
		return;
	view_set_trim(trim->view, NULL);
	g_mutex_lock(&trim->lock);
	trim->stopping = true;
	g_cond_signal(&trim->changed);
	g_mutex_unlock(&trim->lock);
	if (trim->thread)
		g_thread_join(trim->thread);
	g_cond_clear(&trim->changed);
	g_mutex_clear(&trim->lock);
	g_free(trim);
}

void trim_touch(struct trim *trim)
{
	if (!trim)
		return;
	g_mutex_lock(&trim->lock);
	trim->touched = g_get_monotonic_time();
	if (trim->trimmed) {
		trim->trimmed = false;
		g_cond_signal(&trim->changed);
	}
	g_mutex_unlock(&trim->lock);
}

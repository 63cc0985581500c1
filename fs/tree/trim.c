/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory between requests. The allocator keeps the memory of a request for the next one, because
 * page faults for new memory take a fifth of the time of a large text. When no request has come
 * for a moment, this thread returns the memory to the kernel, with the last snapshot if that is
 * too old to be used again. Then it sleeps until the next request.
 */
#include "tree/trim.h"

#include <malloc.h>

/* Longer than the time between the reads of a caller who reads one file after another. */
#define MOMENT_US (G_USEC_PER_SEC / 4)

struct trim {
	struct view *view;
	GThread *thread;
	GMutex lock;	/* protects the members below */
	GCond changed;	/* touched after the memory was returned, or stopping */
	gint64 touched; /* when the last scan or file that took memory ended */
	bool trimmed;	/* the memory has been returned */
	bool stopping;
};

/*
 * Makes the allocator keep freed memory. Called after the BPF programs are loaded: that needs
 * much memory which is never needed again, and which realloc(3) moves cheaply (mremap(2)) as long
 * as it is not part of the heap.
 */
static void keep_memory(void)
{
#ifdef __GLIBC__
	/* With one arena, one thread reuses the memory that another has freed. */
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

/* Returns false if a request is being served. */
static bool return_memory(struct trim *trim)
{
	if (!view_drop_stale(trim->view))
		return false;
	trim_now();
	return true;
}

/* Called with the lock held. Drops it while memory is returned. */
static void trim_when_idle(struct trim *trim)
{
	bool returned;

	trim->trimmed = true;
	g_mutex_unlock(&trim->lock);
	returned = return_memory(trim);
	g_mutex_lock(&trim->lock);
	if (!returned && trim->trimmed) {
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

static void touch(void *trim)
{
	trim_touch(trim);
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
		view_set_touch(view, touch, trim);
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
	view_set_touch(trim->view, NULL, NULL);
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

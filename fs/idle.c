/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory while nobody asks. What one answer needed the next one will need again, and to have it from
 * the kernel anew, page by page, costs a large answer a fifth of its time: so the allocator keeps it.
 * When nobody has asked for a moment it goes back, with the last snapshot if that is too old to be
 * shown, and this thread sleeps until somebody asks.
 */
#include "idle.h"

#include <malloc.h>

/* Nobody has asked for so long: long for who reads one file after another, short for who waits. */
#define MOMENT_US (G_USEC_PER_SEC / 4)

struct idle {
	struct view *view;
	GThread *thread;
	GMutex lock;	/* protects what follows */
	GCond changed;	/* asked after a rest, or stopping */
	gint64 touched; /* when something ended that took memory */
	bool resting;	/* all has been given back */
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

void idle_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

/* False: somebody is being answered. */
static bool give_back(struct idle *idle)
{
	if (!view_rest(idle->view))
		return false;
	idle_trim();
	return true;
}

/* Called with the lock held, which is given up while something is done. */
static void rest(struct idle *idle)
{
	bool given;

	idle->resting = true;
	g_mutex_unlock(&idle->lock);
	given = give_back(idle);
	g_mutex_lock(&idle->lock);
	if (!given && idle->resting) {
		idle->resting = false;
		idle->touched = g_get_monotonic_time();
	}
}

static void watch(struct idle *idle)
{
	while (!idle->stopping) {
		gint64 until = idle->touched + MOMENT_US;

		if (idle->resting)
			g_cond_wait(&idle->changed, &idle->lock);
		else if (g_get_monotonic_time() < until)
			g_cond_wait_until(&idle->changed, &idle->lock, until);
		else
			rest(idle);
	}
}

static gpointer run(gpointer data)
{
	struct idle *idle = data;

	g_mutex_lock(&idle->lock);
	watch(idle);
	g_mutex_unlock(&idle->lock);
	return NULL;
}

int idle_start(struct view *view, struct idle **out)
{
	struct idle *idle = g_new0(struct idle, 1);

	keep_memory();
	idle->view = view;
	idle->touched = g_get_monotonic_time();
	g_mutex_init(&idle->lock);
	g_cond_init(&idle->changed);
	idle->thread = g_thread_try_new("idle", run, idle, NULL);
	*out = idle;
	if (idle->thread) {
		view_set_idle(view, idle);
		return 0;
	}
	idle_stop(idle);
	*out = NULL;
	return -EAGAIN;
}

void idle_stop(struct idle *idle)
{
	if (!idle)
		return;
	view_set_idle(idle->view, NULL);
	g_mutex_lock(&idle->lock);
	idle->stopping = true;
	g_cond_signal(&idle->changed);
	g_mutex_unlock(&idle->lock);
	if (idle->thread)
		g_thread_join(idle->thread);
	g_cond_clear(&idle->changed);
	g_mutex_clear(&idle->lock);
	g_free(idle);
}

void idle_touch(struct idle *idle)
{
	if (!idle)
		return;
	g_mutex_lock(&idle->lock);
	idle->touched = g_get_monotonic_time();
	if (idle->resting) {
		idle->resting = false;
		g_cond_signal(&idle->changed);
	}
	g_mutex_unlock(&idle->lock);
}

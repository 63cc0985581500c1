/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ahead.h"

#include <string.h>

/* Buffers that wait to be decoded, at most: whoever walks faster waits too. */
#define WAITING_MAX 4

struct ahead {
	walk_fn fn;
	void *data;
	GThread *thread;
	GMutex lock;	/* protects what follows */
	GCond changed;
	GQueue waiting; /* owned GBytes */
	bool ended;	/* nothing more will be given */
};

/* The next buffer, owned, or NULL at the end. */
static GBytes *take(struct ahead *ahead)
{
	GBytes *records;

	g_mutex_lock(&ahead->lock);
	while (!ahead->waiting.length && !ahead->ended)
		g_cond_wait(&ahead->changed, &ahead->lock);
	records = g_queue_pop_head(&ahead->waiting);
	g_cond_signal(&ahead->changed);
	g_mutex_unlock(&ahead->lock);
	return records;
}

static gpointer run(gpointer data)
{
	struct ahead *ahead = data;
	GBytes *records;

	while ((records = take(ahead))) {
		gsize len;
		const void *first = g_bytes_get_data(records, &len);

		walk_each(first, (uint32_t)len, ahead->fn, ahead->data);
		g_bytes_unref(records);
	}
	return NULL;
}

struct ahead *ahead_begin(walk_fn fn, void *data)
{
	struct ahead *ahead = g_new0(struct ahead, 1);

	ahead->fn = fn;
	ahead->data = data;
	g_mutex_init(&ahead->lock);
	g_cond_init(&ahead->changed);
	g_queue_init(&ahead->waiting);
	ahead->thread = g_thread_try_new("decode", run, ahead, NULL);
	if (ahead->thread)
		return ahead;
	g_cond_clear(&ahead->changed);
	g_mutex_clear(&ahead->lock);
	g_free(ahead);
	return NULL;
}

void ahead_give(struct ahead *ahead, const void *records, uint32_t len)
{
	g_mutex_lock(&ahead->lock);
	while (ahead->waiting.length >= WAITING_MAX)
		g_cond_wait(&ahead->changed, &ahead->lock);
	g_queue_push_tail(&ahead->waiting, g_bytes_new(records, len));
	g_cond_signal(&ahead->changed);
	g_mutex_unlock(&ahead->lock);
}

void ahead_end(struct ahead *ahead)
{
	if (!ahead)
		return;
	g_mutex_lock(&ahead->lock);
	ahead->ended = true;
	g_cond_signal(&ahead->changed);
	g_mutex_unlock(&ahead->lock);
	g_thread_join(ahead->thread);
	g_cond_clear(&ahead->changed);
	g_mutex_clear(&ahead->lock);
	g_free(ahead);
}

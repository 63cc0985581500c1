/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/prefetch.h"

#include <string.h>

#include "kernel/worker.h"
#include "snapshot/memory.h"

/* The number of buffers that may wait to be decoded: beyond that the reading thread waits. */
#define WAITING_MAX 8

struct buffer {
	struct buffer *next;
	uint32_t len;
	_Alignas(8) char records[];
};

struct prefetch {
	prefetch_fn read;
	void *data;
	struct worker worker;
	GMutex lock; /* protects what follows */
	GCond changed;
	struct buffer *first, *last;
	unsigned int waiting;
	bool ended; /* nothing more will be read */
	int err;    /* the result of the reading */
};

/* Appends what was read last to the queue, and marks the end of the queue if nothing follows. */
static void queue_push(struct prefetch *prefetch, struct buffer *buffer, int more)
{
	g_mutex_lock(&prefetch->lock);
	while (prefetch->waiting >= WAITING_MAX)
		g_cond_wait(&prefetch->changed, &prefetch->lock);
	if (buffer) {
		*(prefetch->last ? &prefetch->last->next : &prefetch->first) = buffer;
		prefetch->last = buffer;
		prefetch->waiting++;
	}
	if (more <= 0) {
		prefetch->ended = true;
		prefetch->err = more;
	}
	g_cond_signal(&prefetch->changed);
	g_mutex_unlock(&prefetch->lock);
}

/* The next buffer, owned by the caller, or NULL at the end. */
static struct buffer *queue_pop(struct prefetch *prefetch)
{
	struct buffer *buffer;

	g_mutex_lock(&prefetch->lock);
	while (!prefetch->first && !prefetch->ended)
		g_cond_wait(&prefetch->changed, &prefetch->lock);
	buffer = prefetch->first;
	if (buffer) {
		prefetch->first = buffer->next;
		prefetch->last = prefetch->first ? prefetch->last : NULL;
		prefetch->waiting--;
	}
	g_cond_signal(&prefetch->changed);
	g_mutex_unlock(&prefetch->lock);
	return buffer;
}

static struct buffer *copy(const void *records, uint32_t len)
{
	struct buffer *buffer = memory_try(1, sizeof(*buffer) + len);

	if (!buffer)
		return NULL;
	buffer->len = len;
	memcpy(buffer->records, records, len);
	return buffer;
}

static void *run(void *data)
{
	struct prefetch *prefetch = data;
	const void *records;
	uint32_t len;
	int more;

	do {
		struct buffer *buffer = NULL;

		len = 0;
		more = prefetch->read(prefetch->data, &records, &len);
		if (len) {
			buffer = copy(records, len);
			more = buffer ? more : -ENOMEM;
		}
		queue_push(prefetch, buffer, more);
	} while (more > 0);
	return NULL;
}

struct prefetch *prefetch_begin(prefetch_fn read, void *data)
{
	struct prefetch *prefetch = memory_try(1, sizeof(*prefetch));

	if (!prefetch)
		return NULL;
	prefetch->read = read;
	prefetch->data = data;
	g_mutex_init(&prefetch->lock);
	g_cond_init(&prefetch->changed);
	if (worker_begin(&prefetch->worker, run, prefetch))
		return prefetch;
	g_cond_clear(&prefetch->changed);
	g_mutex_clear(&prefetch->lock);
	g_free(prefetch);
	return NULL;
}

/* The number of records that @soon is called for before @fn is called for them. */
#define BATCH_RECORDS 8

/* The offset at which the next BATCH_RECORDS records from @at end. */
static uint32_t batch_end(const struct buffer *buffer, uint32_t at)
{
	for (unsigned int i = 0; i < BATCH_RECORDS && at < buffer->len; i++) {
		const struct walk_rec *rec = (const void *)(buffer->records + at);

		if (buffer->len - at < sizeof(*rec) || rec->size < sizeof(*rec) ||
		    rec->size > buffer->len - at)
			return buffer->len; /* an invalid record: walk_each() ends there */
		at += rec->size;
	}
	return at;
}

static void decode_buffer(const struct buffer *buffer, walk_fn soon, walk_fn fn, void *data)
{
	uint32_t at = 0, end;

	for (; at < buffer->len; at = end) {
		end = soon ? batch_end(buffer, at) : buffer->len;
		if (soon)
			walk_each(buffer->records + at, end - at, soon, data);
		walk_each(buffer->records + at, end - at, fn, data);
	}
}

int prefetch_end(struct prefetch *prefetch, walk_fn soon, walk_fn fn, void *data)
{
	struct buffer *buffer;
	int err;

	while ((buffer = queue_pop(prefetch))) {
		decode_buffer(buffer, soon, fn, data);
		g_free(buffer);
	}
	worker_end(&prefetch->worker);
	err = prefetch->err;
	g_cond_clear(&prefetch->changed);
	g_mutex_clear(&prefetch->lock);
	g_free(prefetch);
	return err;
}

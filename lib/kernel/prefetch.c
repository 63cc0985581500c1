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

struct ahead {
	ahead_fn read;
	void *data;
	struct beside beside;
	GMutex lock; /* protects what follows */
	GCond changed;
	struct buffer *first, *last;
	unsigned int waiting;
	bool ended; /* nothing more will be read */
	int err;    /* the result of the reading */
};

/* Appends what was read last to the queue, and marks the end of the queue if nothing follows. */
static void queue_push(struct ahead *ahead, struct buffer *buffer, int more)
{
	g_mutex_lock(&ahead->lock);
	while (ahead->waiting >= WAITING_MAX)
		g_cond_wait(&ahead->changed, &ahead->lock);
	if (buffer) {
		*(ahead->last ? &ahead->last->next : &ahead->first) = buffer;
		ahead->last = buffer;
		ahead->waiting++;
	}
	if (more <= 0) {
		ahead->ended = true;
		ahead->err = more;
	}
	g_cond_signal(&ahead->changed);
	g_mutex_unlock(&ahead->lock);
}

/* The next buffer, owned by the caller, or NULL at the end. */
static struct buffer *queue_pop(struct ahead *ahead)
{
	struct buffer *buffer;

	g_mutex_lock(&ahead->lock);
	while (!ahead->first && !ahead->ended)
		g_cond_wait(&ahead->changed, &ahead->lock);
	buffer = ahead->first;
	if (buffer) {
		ahead->first = buffer->next;
		ahead->last = ahead->first ? ahead->last : NULL;
		ahead->waiting--;
	}
	g_cond_signal(&ahead->changed);
	g_mutex_unlock(&ahead->lock);
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
	struct ahead *ahead = data;
	const void *records;
	uint32_t len;
	int more;

	do {
		struct buffer *buffer = NULL;

		len = 0;
		more = ahead->read(ahead->data, &records, &len);
		if (len) {
			buffer = copy(records, len);
			more = buffer ? more : -ENOMEM;
		}
		queue_push(ahead, buffer, more);
	} while (more > 0);
	return NULL;
}

struct ahead *ahead_begin(ahead_fn read, void *data)
{
	struct ahead *ahead = memory_try(1, sizeof(*ahead));

	if (!ahead)
		return NULL;
	ahead->read = read;
	ahead->data = data;
	g_mutex_init(&ahead->lock);
	g_cond_init(&ahead->changed);
	if (beside_begin(&ahead->beside, run, ahead))
		return ahead;
	g_cond_clear(&ahead->changed);
	g_mutex_clear(&ahead->lock);
	g_free(ahead);
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

int ahead_end(struct ahead *ahead, walk_fn soon, walk_fn fn, void *data)
{
	struct buffer *buffer;
	int err;

	while ((buffer = queue_pop(ahead))) {
		decode_buffer(buffer, soon, fn, data);
		g_free(buffer);
	}
	beside_end(&ahead->beside);
	err = ahead->err;
	g_cond_clear(&ahead->changed);
	g_mutex_clear(&ahead->lock);
	g_free(ahead);
	return err;
}

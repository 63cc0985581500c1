/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/pipeline.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The number of buffers that may wait to be decoded: beyond that the reading thread waits. */
#define BUFFERS 8

struct buffer {
	char *records; /* of WALK_OUT_SIZE bytes, allocated at its first use */
	uint32_t len;
};

struct pipeline {
	pipeline_fn read;
	void *data;
	pthread_t thread;
	bool parallel; /* there is a thread */
	GMutex lock;   /* protects what follows */
	GCond changed;
	struct buffer buffers[BUFFERS]; /* used in turn */
	unsigned int filled, decoded;	/* how many, since the beginning */
	bool ended;			/* nothing more will be read */
	int err;			/* the result of the reading */
};

/* ------------------------------------------------------------ an iterator --- */

/* After so many consecutive reads without a record the iterator is given up. */
#define EMPTY_READS_MAX 4096

void pipeline_reader_begin(struct pipeline_reader *reader, struct walk_control *control,
			   const char *out, int fd)
{
	control->len = 0;
	control->resume_key = 0;
	control->last_nsproxy = 0;
	control->last_root = 0;
	control->self_pid = (uint32_t)getpid();
	control->self_fd = (uint32_t)fd;
	*reader = (struct pipeline_reader){ control, out, fd, 0 };
}

/* Reads the iterator once. Returns 0 at its end, 1 if there is more to read, or -errno. */
static int read_once(int fd)
{
	char nothing[64]; /* our programs write to their own buffer only */
	ssize_t n = read(fd, nothing, sizeof(nothing));

	if (n == 0)
		return 0;
	/*
	 * EAGAIN: the buffer is full (walk_later()), or bpf_seq_read() has visited
	 * MAX_ITER_OBJECTS objects.
	 */
	return n > 0 || errno == EAGAIN || errno == EINTR ? 1 : -errno;
}

int pipeline_reader_next(void *data, const void **records, uint32_t *len)
{
	struct pipeline_reader *reader = data;
	int more = read_once(reader->fd);

	*records = reader->out;
	*len = MIN(reader->control->len, (uint32_t)WALK_OUT_SIZE);
	reader->control->len = 0;
	reader->empty = *len ? 0 : reader->empty + 1;
	return more > 0 && reader->empty >= EMPTY_READS_MAX ? -ELOOP : more;
}

/* ------------------------------------------------------------- the thread --- */

/* Copies what was read last, as soon as a buffer is free. */
static int fill_buffer(struct pipeline *pipeline, const void *records, uint32_t len)
{
	struct buffer *buffer = &pipeline->buffers[pipeline->filled % BUFFERS];

	g_mutex_lock(&pipeline->lock);
	while (pipeline->filled - pipeline->decoded == BUFFERS)
		g_cond_wait(&pipeline->changed, &pipeline->lock);
	g_mutex_unlock(&pipeline->lock);
	if (!buffer->records)
		buffer->records = g_try_malloc(WALK_OUT_SIZE);
	if (!buffer->records)
		return -ENOMEM;
	memcpy(buffer->records, records, len);
	buffer->len = len;
	g_mutex_lock(&pipeline->lock);
	pipeline->filled++;
	g_cond_signal(&pipeline->changed);
	g_mutex_unlock(&pipeline->lock);
	return 0;
}

static void *run(void *data)
{
	struct pipeline *pipeline = data;
	const void *records;
	uint32_t len;
	int more, err;

	do {
		len = 0;
		more = pipeline->read(pipeline->data, &records, &len);
		err = len ? fill_buffer(pipeline, records, len) : 0;
	} while (!err && more > 0);
	g_mutex_lock(&pipeline->lock);
	pipeline->ended = true;
	pipeline->err = err ? err : more;
	g_cond_signal(&pipeline->changed);
	g_mutex_unlock(&pipeline->lock);
	return NULL;
}

/*
 * The scheduler mostly puts a new thread on the processor of its parent. Each then waits some
 * milliseconds for the other, as long as the whole work takes.
 */
static void avoid_this_cpu(pthread_attr_t *attributes)
{
	int here = sched_getcpu();
	cpu_set_t processors;

	if (here < 0 || here >= CPU_SETSIZE ||
	    sched_getaffinity(0, sizeof(processors), &processors) != 0)
		return;
	CPU_CLR((size_t)here, &processors);
	if (CPU_COUNT(&processors) > 0)
		pthread_attr_setaffinity_np(attributes, sizeof(processors), &processors);
}

struct pipeline *pipeline_begin(pipeline_fn read, void *data, bool parallel)
{
	struct pipeline *pipeline = g_new0(struct pipeline, 1);
	pthread_attr_t attributes;
	sigset_t signals;

	pipeline->read = read;
	pipeline->data = data;
	g_mutex_init(&pipeline->lock);
	g_cond_init(&pipeline->changed);
	if (!parallel || pthread_attr_init(&attributes) != 0)
		return pipeline;
	avoid_this_cpu(&attributes);
	sigfillset(&signals); /* the application's handlers run in its own threads */
	pthread_attr_setsigmask_np(&attributes, &signals);
	pipeline->parallel = pthread_create(&pipeline->thread, &attributes, run, pipeline) == 0;
	pthread_attr_destroy(&attributes);
	return pipeline;
}

/* --------------------------------------------------------------- decoding --- */

/* The number of records that @soon is called for before @fn is called for them. */
#define BATCH_RECORDS 8

/* The offset at which the next BATCH_RECORDS records from @at end. */
static uint32_t batch_end(const char *records, uint32_t len, uint32_t at)
{
	for (unsigned int i = 0; i < BATCH_RECORDS && at < len; i++) {
		const struct walk_rec *rec = (const void *)(records + at);

		if (len - at < sizeof(*rec) || rec->size < sizeof(*rec) || rec->size > len - at)
			return len; /* an invalid record: walk_each() ends there */
		at += rec->size;
	}
	return at;
}

static void decode(const char *records, uint32_t len, walk_fn soon, walk_fn fn, void *data)
{
	uint32_t at = 0, end;

	for (; at < len; at = end) {
		end = soon ? batch_end(records, len, at) : len;
		if (soon)
			walk_each(records + at, end - at, soon, data);
		walk_each(records + at, end - at, fn, data);
	}
}

/* The next buffer, or NULL at the end. */
static const struct buffer *next_buffer(struct pipeline *pipeline)
{
	bool filled;

	g_mutex_lock(&pipeline->lock);
	while (pipeline->filled == pipeline->decoded && !pipeline->ended)
		g_cond_wait(&pipeline->changed, &pipeline->lock);
	filled = pipeline->filled != pipeline->decoded;
	g_mutex_unlock(&pipeline->lock);
	return filled ? &pipeline->buffers[pipeline->decoded % BUFFERS] : NULL;
}

static void decode_all(struct pipeline *pipeline, walk_fn soon, walk_fn fn, void *data)
{
	const struct buffer *buffer;

	while ((buffer = next_buffer(pipeline))) {
		decode(buffer->records, buffer->len, soon, fn, data);
		g_mutex_lock(&pipeline->lock);
		pipeline->decoded++;
		g_cond_signal(&pipeline->changed);
		g_mutex_unlock(&pipeline->lock);
	}
	pthread_join(pipeline->thread, NULL);
}

static void read_all(struct pipeline *pipeline, walk_fn soon, walk_fn fn, void *data)
{
	const void *records;
	uint32_t len;

	do {
		len = 0;
		pipeline->err = pipeline->read(pipeline->data, &records, &len);
		if (len)
			decode(records, len, soon, fn, data);
	} while (pipeline->err > 0);
}

int pipeline_end(struct pipeline *pipeline, walk_fn soon, walk_fn fn, void *data)
{
	int err;

	if (pipeline->parallel)
		decode_all(pipeline, soon, fn, data);
	else
		read_all(pipeline, soon, fn, data);
	err = pipeline->err;
	for (unsigned int i = 0; i < BUFFERS; i++)
		g_free(pipeline->buffers[i].records);
	g_cond_clear(&pipeline->changed);
	g_mutex_clear(&pipeline->lock);
	g_free(pipeline);
	return err;
}

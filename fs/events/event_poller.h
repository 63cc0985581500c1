/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The internals of .bpf/events. Only events.c and event_poller.c include this. */
#ifndef EVENT_POLLER_H
#define EVENT_POLLER_H

#include "events/event_log.h"
#include "events/events.h"

/*
 * The time between two samples. With the time that it takes to start one, that is at most a
 * second.
 */
#define SAMPLE_US 900000
/* The most memory of texts that are being read, as a multiple of the log's. */
#define TEXT_LOGS 4

struct events {
	struct bpfrefs_ctx *ctx;
	struct view *view;
	const struct events_calls *calls;

	/* held while a snapshot is compared with the last state; taken before lock */
	GMutex sampling;
	uint64_t sampled_ns; /* when the newest compared snapshot began; protected by sampling */

	/* protects the members below and all readers; not held during a scan or a reply */
	GMutex lock;
	GCond work;	 /* a reader waits, or the thread shall stop */
	GThread *thread; /* runs from the first reader on */
	struct event_log log;
	/* all readers, and those of users other than root; includes those that are being opened */
	guint users, others;
	GPtrArray *readers; /* borrowed */
	GArray *waiting;    /* struct waiting_read, in the order of arrival */
	gint64 due;	    /* the time of the next sample, g_get_monotonic_time() */
	bool stopping;
};

/* A handle of libfuse. It is kept while it is woken, even if another thread replaces it. */
struct poll {
	gatomicrefcount count;
	void *handle;
};

struct reader {
	struct events *events;
	bool others; /* opened by a user other than root; immutable, as is events */
	struct event_cursor cursor;
	struct event_text *pending; /* the text that the reader has not read to its end, or NULL */
	size_t at;		    /* how much of pending was read */
	int error;		    /* the error of a sample, to be returned by the next read */
	struct poll *poll;	    /* the last one, or NULL */
	bool polling;		    /* it has polled since the last sample, so a caller may wait */
};

/* A read that waits for its reply. */
struct waiting_read {
	struct reader *reader;
	void *request;
	size_t size;
};

/* The reply to a read. */
struct answer {
	void *request;
	struct event_text *text; /* owned; NULL if the read fails with err */
	size_t at, size;
	int err;
};

/*
 * Returns whether a read would have a reply: a text, or an error. This function and those below are
 * called with the lock held, unless their comments say otherwise.
 */
bool event_reader_is_ready(const struct reader *reader);
/* Called after a sample: takes new changes from the log. Returns whether the reader is ready. */
bool event_reader_catch_up(struct reader *reader);
/* Fills in the answer to a request for @size bytes. The reader must be ready. */
void event_reader_take(struct reader *reader, size_t size, struct answer *answer);

/* Called without the lock: sends the answer, and frees what it owns. */
void event_answer(const struct events *events, const struct answer *answer);
void event_poll_unref(const struct events *events, struct poll *poll);

/*
 * Called without the lock: compares a snapshot with the last state, and adds the change to the
 * log.
 */
int events_sample(struct events *events,
		  int (*get)(struct view *view, struct bpfrefs_snapshot **snap));
bool events_are_awaited(const struct events *events);
/*
 * Called without the lock. events_run() is the thread, and events_end() replies to the requests
 * that still wait after its end.
 */
gpointer events_run(gpointer data);
void events_end(struct events *events);

#endif

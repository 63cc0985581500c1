/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The insides of .bpf/events, for events.c and event-poller.c alone. */
#ifndef EVENT_POLLER_H
#define EVENT_POLLER_H

#include "events/event_log.h"
#include "events/events.h"

/* From one sample to the next: at most a second, with what it takes to start one. */
#define SAMPLE_US 900000
/* What texts that are being read may take, as a multiple of the log. */
#define TEXT_LOGS 4

struct events {
	struct view *view;
	const struct events_calls *calls;

	GMutex sampling; /* held while a snapshot is compared with the last state; before lock */
	uint64_t sampled_ns; /* when the newest snapshot that was compared began; under sampling */

	GMutex lock; /* protects what follows, and all readers; never held over a scan or a reply */
	GCond work;  /* a reader waits, or we stop */
	GThread *thread; /* from the first reader on */
	struct event_log log;
	guint users,
		others; /* readers, those that are being opened included; of other users than root */
	GPtrArray *readers; /* borrowed */
	GArray *waiting;    /* struct waiting_read, in the order in which they came */
	gint64 due;	    /* the next sample, g_get_monotonic_time() */
	bool stopping;
};

/* libfuse's handle, kept while it is woken, whoever replaces it meanwhile. */
struct poll {
	gatomicrefcount count;
	void *handle;
};

struct reader {
	struct events *events;
	bool others; /* opened by another user than root; immutable, as is events */
	struct event_cursor cursor;
	struct event_text *pending; /* what it has not read to the end, or NULL */
	size_t at;		    /* how much of that was read */
	int error;		    /* of a sample for a reader that polls: the next read's */
	struct poll *poll;	    /* the last one, or NULL */
	bool polling;		    /* it has asked since the last sample: somebody may wait */
};

/* A read that has no reply yet. */
struct waiting_read {
	struct reader *reader;
	void *request;
	size_t size;
};

/* Its reply. */
struct answer {
	void *request;
	struct event_text *text; /* owned; NULL: fails with err */
	size_t at, size;
	int err;
};

/* Would a read have a reply: a text, or an error? The lock is held, as for all below unless they say
 * otherwise. */
bool reader_is_ready(const struct reader *reader);
/* The same, after a sample: takes from the log what the reader has not got. */
bool reader_catch_up(struct reader *reader);
/* Answers a request for @size bytes of a reader that is ready. */
void reader_take(struct reader *reader, size_t size, struct answer *answer);

/* Without the lock: sends it, and frees what it owns. */
void answer_give(const struct events *events, const struct answer *answer);
void poll_unref(const struct events *events, struct poll *poll);

/* Without the lock: compares a snapshot with the last state, and adds the change to the log. */
int events_sample(struct events *events,
		  int (*get)(struct view *view, struct bpfrefs_snapshot **snap));
bool events_are_awaited(const struct events *events);
/* Without the lock: the thread; and, when it has ended, a reply for those who wait still. */
gpointer events_run(gpointer data);
void events_end(struct events *events);

#endif

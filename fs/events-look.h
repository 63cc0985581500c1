/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The insides of .bpf/events, for events.c and events-look.c alone. */
#ifndef EVENTS_LOOK_H
#define EVENTS_LOOK_H

#include "events.h"
#include "state.h"

/* From one look to the next: at most a second, with what starting it may take. */
#define LOOK_US 900000
/* Of all states and changes; beyond it nobody gets another. */
#define BYTES_MAX ((gsize)64 << 20)

struct events {
	struct view *view;
	const struct events_calls *calls;
	gsize used; /* bytes of states and changes; atomic */

	GMutex lock; /* protects what follows, and all readers; never held over a scan or an answer */
	GCond work;	    /* somebody waits, or we stop */
	GThread *thread;    /* from the first reader on */
	GPtrArray *readers; /* borrowed */
	GArray *waiting;    /* struct waiting, in the order in which they came */
	guint others;	    /* of them, those that root has not opened */
	struct state *last; /* what was last seen by anyone, while there are readers */
	gint64 due;	    /* the next look, g_get_monotonic_time() */
	bool stopping;
};

/* libfuse's handle, kept while it is woken, whoever replaces it meanwhile. */
struct poll {
	gatomicrefcount count;
	void *handle;
};

struct reader {
	struct events *events;
	bool others;		/* opened by another user than root; immutable, as is events */
	struct state *seen;	/* with the change that is pending, if one is */
	struct change *pending; /* or NULL */
	size_t at;		/* how much of it was read */
	int error;		/* of a look for who polls: told by the next read */
	struct poll *poll;	/* the last one, or NULL */
	bool polling;		/* it has asked since the last look: somebody may wait */
};

/* A read that has not been answered. */
struct waiting {
	struct reader *reader;
	void *request;
	size_t size;
};

/* How it is. */
struct answer {
	void *request;
	struct change *change; /* owned; NULL: fails with err */
	size_t at, size;
	int err;
};

/* A pending change, or an error? The lock is held, as for all below unless they say otherwise. */
bool reader_is_ready(const struct reader *reader);
/* Answers a request for @size bytes of a reader that is ready. */
void reader_take(struct reader *reader, size_t size, struct answer *answer);
/* Looks in the caller's thread, for one that asks and does not wait. The lock is not held. */
int reader_look(struct reader *reader);

/* Without the lock: sends it, and frees what it owns. */
void answer_give(const struct events *events, const struct answer *answer);
void poll_unref(const struct events *events, struct poll *poll);

/*
 * Without the lock: the state of a snapshot, and of two that are equal the one that is there; owned.
 * NULL where there is no memory.
 */
struct state *events_state(struct events *events, const struct bpfrefs_snapshot *snap);
bool events_are_full(struct events *events, gsize bytes);
bool events_are_awaited(const struct events *events);
/* Without the lock: the thread; and, when it has ended, an answer for those who wait still. */
gpointer events_run(gpointer data);
void events_end(struct events *events);

#endif

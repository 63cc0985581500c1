/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of changes that all readers of .bpf/events share. It is of bounded length, as that of
 * /dev/kmsg: each reader has a cursor, and one whose next change is no longer in the log has lost some.
 * The caller protects it.
 */
#ifndef EVENT_LOG_H
#define EVENT_LOG_H

#include "events/event_diff.h"

struct event_log {
	gsize room;	 /* bytes that changes may take; the newest stays whatever it takes */
	gsize bytes;	 /* bytes that they take */
	GQueue changes;	 /* struct event_change, owned, the oldest first */
	uint64_t number; /* of the newest change; 0: there was none */
	uint64_t lines;	 /* that all changes until then have shown */
	struct event_state *last;  /* what they led to; NULL: there is none */
	struct event_text *newest; /* the text made last: others may ask for the same */
	gsize text_bytes;	   /* of all texts that are in use; atomic */
};

/* Where a reader is. */
struct event_cursor {
	uint64_t next;	 /* the number of the first change that it has not got */
	uint64_t opened; /* the number of the last change before it had seen anything */
	uint64_t lines;	 /* of the log, that it has got or was not to get */
};

/* What readers at the same cursor get: immutable, counted. */
struct event_text {
	gatomicrefcount count;
	GString *text;
	uint64_t first, last; /* numbers of changes */
	bool is_shared;	      /* it is right for each reader at that cursor */
	gsize *bytes, size;
};

void event_log_init(struct event_log *log, gsize room);
/* Forgets the state and all changes; numbers go on. */
void event_log_clear(struct event_log *log);
/* Appends @change (owned), which led to @now (owned), and drops old ones to make room. */
void event_log_append(struct event_log *log, struct event_change *change, struct event_state *now);

/* At the end of the log: the present state counts as seen. */
struct event_cursor event_log_end(const struct event_log *log);
/*
 * Moves the cursor to the end: the text of what is between, owned, or NULL where that is nothing. If
 * some of that is not in the log any more the text says how much was lost.
 */
struct event_text *event_log_take(struct event_log *log, struct event_cursor *cursor);
/*
 * Moves the cursor to the end: a text that says how much was lost, owned; small, and so not counted.
 * @unread, what is left of the text that the reader was given last, is lost with it; @in_line: it has
 * read a part of a line.
 */
struct event_text *event_log_lose(struct event_log *log, struct event_cursor *cursor,
				  const char *unread, bool in_line);

struct event_text *event_text_ref(struct event_text *text);
void event_text_unref(struct event_text *text); /* NULL is allowed */

#endif

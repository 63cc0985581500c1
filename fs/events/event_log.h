/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of changes, which all readers of .bpf/events share. Its length is bounded, as that of
 * /dev/kmsg: each reader has a cursor, and has lost changes if its next one is no longer in the
 * log. The caller has to hold the lock of struct events.
 */
#ifndef EVENT_LOG_H
#define EVENT_LOG_H

#include "fs.h"

struct event_log {
	gsize room;	 /* the most bytes of all changes; the newest one stays in any case */
	gsize bytes;	 /* the bytes of all changes */
	GQueue changes;	 /* struct bpfrefs_change, owned, oldest first */
	uint64_t number; /* of the newest change; 0 if there was none */
	uint64_t lines;	 /* the number of lines of all changes so far */
	struct bpfrefs_baseline
		*last;		   /* the state after the newest change; NULL if there is none */
	struct event_text *newest; /* the text made last, which other readers may need too */
	gsize text_bytes;	   /* of all texts in use; atomic */
};

/* The position of a reader. */
struct event_cursor {
	uint64_t next;	 /* the number of the first change that the reader has not read */
	uint64_t opened; /* the number of the last change before the reader opened the file */
	uint64_t lines;	 /* log.lines at this position */
};

/* A text for readers at the same cursor: immutable, with a reference count. */
struct event_text {
	gatomicrefcount count;
	GString *text;
	uint64_t first, last; /* the numbers of its changes */
	bool is_shared;	      /* the text is the same for every reader at that cursor */
	gsize *bytes, size;
};

void event_log_init(struct event_log *log, gsize room);
/* Frees the state and all changes. Numbers continue. */
void event_log_clear(struct event_log *log);
/*
 * Appends @change, which led to @now. Takes ownership of both, and drops old changes to make
 * room.
 */
void event_log_append(struct event_log *log, struct bpfrefs_change *change,
		      struct bpfrefs_baseline *now);

/* Returns a cursor at the end of the log: the present state counts as read. */
struct event_cursor event_log_end(const struct event_log *log);
/*
 * Moves the cursor to the end. Returns the text of the changes up to there, owned, or NULL if
 * there are none. If some of them are no longer in the log, the text says how many were lost.
 */
struct event_text *event_log_take(struct event_log *log, struct event_cursor *cursor);
/*
 * Moves the cursor to the end. Returns a text that says how many changes were lost, owned. It is
 * small and does not count against the limit. @unread, the rest of the reader's last text, is
 * lost too. @in_line: the reader has read a part of a line.
 */
struct event_text *event_log_lose(struct event_log *log, struct event_cursor *cursor,
				  const char *unread, bool in_line);

struct event_text *event_text_ref(struct event_text *text);
void event_text_unref(struct event_text *text); /* @text may be NULL */

#endif

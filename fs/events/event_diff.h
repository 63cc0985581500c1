/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * States of the whole system, and what changed from one to the next. Only the files event_*.c
 * include this.
 */
#ifndef EVENT_DIFF_H
#define EVENT_DIFF_H

#include "fs.h"

/* One record. */
struct event_line {
	struct bpfrefs_key target;
	uint32_t class;			 /* the index of its class in output order */
	uint32_t at, length;		 /* its text, without the newline */
	uint32_t token_at, token_length; /* its token in the text; a length of 0 if it has none */
	uint64_t hidden; /* the number of the change that hid it; 0 if it is shown */
	/* of a hidden record: the gap of its class when it was last shown; a reference, or NULL */
	char *gap;
};

struct object_state {
	struct bpfrefs_key key;
	enum bpfrefs_state state;
};

/* All records of a snapshot and the states of its objects. */
struct event_state {
	GString *text;
	GArray *lines;	 /* struct event_line, sorted */
	GArray *objects; /* struct object_state, sorted by key */
	/*
	 * the text of the gap of each class, a reference, in output order; NULL if it is complete
	 */
	GPtrArray *gaps;
};

/* A record that was added or removed. */
struct line_change {
	struct event_line line; /* its text is in the change; hidden has the value before it */
	int sign;		/* 1: added, or shown again; -1: removed */
};

struct object_change {
	struct bpfrefs_key key;
	enum bpfrefs_state before, after;
	uint32_t at, length; /* its line, with the newline */
};

struct gap_change {
	const struct bpfrefs_class *class_;
	uint32_t class;
	char *before, *after; /* references, or NULL */
};

/* What changed from one state to the next. */
struct event_change {
	uint64_t number;    /* from 1 on */
	unsigned int count; /* the number of lines that it shows */
	GString *text;
	GArray *lines;	 /* struct line_change, sorted */
	GArray *objects; /* struct object_change, sorted by key */
	GArray *gaps;	 /* struct gap_change, in output order */
};

/* Returns -ENOMEM if its text would be longer than the limit of a text. */
int event_state_new(const struct bpfrefs_snapshot *snap, struct event_state **state);
void event_state_free(struct event_state *state); /* @state may be NULL */
bool event_state_has(const struct event_state *state, struct bpfrefs_key key);
/* Returns the first line of @state that is equal to @line, whose text is in @text, or NULL. */
const struct event_line *event_state_find(const struct event_state *state, const char *text,
					  const struct event_line *line);
/* Compares lines without their tokens, by object, class and text. @x and @y contain their texts. */
int event_line_compare(const char *x, const struct event_line *a, const char *y,
		       const struct event_line *b);

/*
 * Returns what changed from @then to @now, which is the state of @snap. Adds to @now, as hidden,
 * the records of @then whose removal is uncertain. Returns NULL if nothing differs, and @then
 * stays the last state.
 */
struct event_change *event_change_new(const struct event_state *then, struct event_state *now,
				      const struct bpfrefs_snapshot *snap, uint64_t number);
void event_change_free(struct event_change *change);
size_t event_change_bytes(const struct event_change *change); /* the memory that it takes */

/*
 * Appends the lines of bpfrefs(5) for the changes from @first on, the last of which led to the
 * state @last (event_show.c). Shows only what differs at the end. A reader who opened the file at
 * change @opened has not seen the records that were hidden then. Returns false if nothing was
 * hidden, so that the text is the same for all readers.
 */
bool event_changes_show(GString *out, const GList *first, const struct event_state *last,
			uint64_t opened);

#endif

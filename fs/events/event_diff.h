/* SPDX-License-Identifier: GPL-2.0-or-later */
/* States of the whole system and what changed from one to the next, for the files event-*.c alone. */
#ifndef EVENT_DIFF_H
#define EVENT_DIFF_H

#include "fs.h"

/* One record. */
struct event_line {
	struct bpfrefs_key target;
	uint32_t class;			 /* its place in output order */
	uint32_t at, length;		 /* its text, without the newline */
	uint32_t token_at, token_length; /* its token in that; 0: it has none */
	uint64_t hidden;		 /* the number of the change that hid it; 0: it is shown */
	char *gap; /* of a hidden one: its class's gap when it was last shown; counted, or NULL */
};

struct object_state {
	struct bpfrefs_key key;
	enum bpfrefs_state state;
};

/* All records of a snapshot and the states of its objects. */
struct event_state {
	GString *text;
	GArray *lines;	 /* struct event_line, in order */
	GArray *objects; /* struct object_state, in order of their keys */
	GPtrArray *gaps; /* one a class, in output order: in words, counted; NULL: it is complete */
};

/* A record that came or went. */
struct line_change {
	struct event_line line; /* its text is the change's; hidden as it was before */
	int sign;		/* 1: it came, or is shown again; -1: it went */
};

struct object_change {
	struct bpfrefs_key key;
	enum bpfrefs_state before, after;
	uint32_t at, length; /* its line, newline included */
};

struct gap_change {
	const struct bpfrefs_class *class_;
	uint32_t class;
	char *before, *after; /* counted, or NULL */
};

/* What changed from one state to the next. */
struct event_change {
	uint64_t number;    /* from 1 on */
	unsigned int count; /* of the lines that it shows */
	GString *text;
	GArray *lines;	 /* struct line_change, in order */
	GArray *objects; /* struct object_change, in order of their keys */
	GArray *gaps;	 /* struct gap_change, in output order */
};

/* -ENOMEM where its text would be longer than one may be. */
int event_state_new(const struct bpfrefs_snapshot *snap, struct event_state **state);
void event_state_free(struct event_state *state); /* NULL is allowed */
bool event_state_has(const struct event_state *state, struct bpfrefs_key key);
/* The first of its lines that is equal to @line, which is in @text; NULL: none is. */
const struct event_line *event_state_find(const struct event_state *state, const char *text,
					  const struct event_line *line);
/* Without their tokens, by object, class and text; @x and @y are the texts that they are in. */
int event_line_compare(const char *x, const struct event_line *a, const char *y,
		       const struct event_line *b);

/*
 * What changed from @then to @now, which is the state of @snap. It also adds to @now what @then had
 * and @now has no right to call gone. NULL: nothing differs, and @then still holds.
 */
struct event_change *event_change_new(const struct event_state *then, struct event_state *now,
				      const struct bpfrefs_snapshot *snap, uint64_t number);
void event_change_free(struct event_change *change);
size_t event_change_bytes(const struct event_change *change); /* that it takes in memory */

/*
 * Appends the lines of bpfrefs(5) for the changes from @first on (event-show.c), the last of which led
 * to the state @last: only what differs in the end, not what came and went. A reader who opened the
 * file at change @opened has not seen what was hidden then. False: nothing was hidden, so that the text
 * is the same for each reader.
 */
bool event_changes_show(GString *out, const GList *first, const struct event_state *last,
			uint64_t opened);

#endif

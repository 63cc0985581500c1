/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a snapshot showed, and what changed from one to the next. */
#ifndef BPFREFS_CHANGE_H
#define BPFREFS_CHANGE_H

#include "text/sink.h"

/* One record. */
struct change_line {
	struct bpfrefs_key target;
	const struct bpfrefs_class *class_;
	uint32_t class;			 /* the index of its class in output order */
	uint32_t at, length;		 /* its text, without the newline */
	uint32_t token_at, token_length; /* its token in the text; a length of 0 if it has none */
	uint64_t hidden; /* the number of the change that hid it; 0 if it is shown */
	/* of a hidden record: the gap of its class when it was last shown; a reference, or NULL */
	char *gap;
};

struct object_in_state {
	struct bpfrefs_key key;
	enum bpfrefs_state state;
};

/* All records of a snapshot and the states of its objects. */
struct bpfrefs_baseline {
	GString *text;
	GArray *lines;	 /* struct change_line, sorted */
	GArray *objects; /* struct object_in_state, sorted by key */
	/*
	 * the text of the gap of each class, a reference, in output order; NULL if it is complete
	 */
	GPtrArray *gaps;
};

/* A record that was added or removed. */
struct line_change {
	struct change_line line; /* its text is in the change; hidden has the value before it */
	int sign;		 /* 1: added, or shown again; -1: removed */
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
struct bpfrefs_change {
	uint64_t number;    /* from 1 on */
	unsigned int count; /* the number of lines that it shows */
	GString *text;
	GArray *lines;	 /* struct line_change, sorted */
	GArray *objects; /* struct object_change, sorted by key */
	GArray *gaps;	 /* struct gap_change, in output order */
	GArray *classes; /* those of the snapshot; a reference */
};

/* What these functions do is in bpfrefs.h. */
bool change_baseline_has(const struct bpfrefs_baseline *baseline, struct bpfrefs_key key);
/* Returns the first line of @baseline that is equal to @line, whose text is in @text, or NULL. */
const struct change_line *change_baseline_find(const struct bpfrefs_baseline *baseline,
					       const char *text, const struct change_line *line);
/* Compares lines without their tokens, by object, class and text. @x and @y contain their texts. */
int change_line_compare(const char *x, const struct change_line *a, const char *y,
			const struct change_line *b);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a reader of .bpf/events has seen, and what tells one state from another. */
#ifndef STATE_H
#define STATE_H

#include "fs.h"

/*
 * All records of a snapshot and the states of its objects: immutable, shared by its count. The bytes
 * that states and changes take are added to *used (atomically), which outlives them.
 */
struct state;
/* NULL where there is no memory. */
struct state *state_new(const struct bpfrefs_snapshot *snap, gsize *used);
struct state *state_ref(struct state *state);
void state_unref(struct state *state); /* NULL is allowed */
/* Is it of this very snapshot? Then there is no need to make another. */
bool state_is_of(const struct state *state, const struct bpfrefs_snapshot *snap);
/* Would a reader of the one be told nothing of the other? */
bool state_equal(const struct state *a, const struct state *b);

/* What those who saw one state are told of a later one; shared likewise. */
struct change;
/* @snap is the one that @now is of. NULL where there is no memory. */
struct change *change_new(struct state *then, struct state *now,
			  const struct bpfrefs_snapshot *snap);
struct change *change_ref(struct change *change);
void change_unref(struct change *change); /* NULL is allowed */
/* Whole lines, or "" where there is no difference; borrowed. */
const GString *change_text(const struct change *change);
/* What they have seen once they have read it; borrowed. */
struct state *change_seen(const struct change *change);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Declarations shared by states.c and risk.c. */
#ifndef BPFREFS_STATES_H
#define BPFREFS_STATES_H

#include "graph/graph.h"

/* How certainly held nodes are reached: from a root that stays, or only from processes. */
enum { BY_STAYING = 1, BY_PROCESS = 2 };

struct states {
	struct bpfrefs_snapshot *snap;
	struct graph *graph;
	struct mark *certain; /* reached from the roots that were found */
	/*
	 * Reached from possible roots that were not found: unexplained, unknown or changing
	 * counters.
	 */
	struct mark *doubt;
	const struct bpfrefs_class_status *gap;
	/* a set of processes (GBytes of uint32_t) -> the maps whose user state it holds */
	GHashTable *groups;
	/* the node of an owner -> the words that say how long it lasts; both owned */
	GHashTable *owned;
};

void states_set(struct states *st, uint32_t index, enum bpfrefs_state state, const char *why);
/* Returns "pid 12 (a), pid 13 (b) and 3 more", owned. */
char *states_processes(const struct states *st, const uint32_t *pids, size_t count);
/* Whether the edge is from a program that is certainly held. */
/* What an edge says of its target: "pinned at /sys/fs/bpf/a". The caller owns the text. */
char *states_edge_text(const struct states *st, const struct edge *edge);
/* Why there is no sentence. */
extern const char states_no_memory[];
bool states_is_user(const struct states *st, const struct edge *edge);

/*
 * Checks whether processes alone may hold the user state of a map that is held; if so, it is
 * recorded for risk_compute().
 */
void risk_add(struct states *st, uint32_t index);
/*
 * Finds what only this process holds, and for itself: bpfrefs_object.self. Without memory it is set
 * for no object.
 */
void self_find(struct bpfrefs_snapshot *snap, const struct graph *graph);
/* Sets the state of the recorded maps that are at risk. */
int risk_compute(struct states *st); /* -ENOMEM: not all states are set */

#endif

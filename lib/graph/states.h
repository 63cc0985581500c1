/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What states.c and the at-risk question (risk.c) share. */
#ifndef BPFREFS_STATES_H
#define BPFREFS_STATES_H

#include "graph/graph.h"

/* How a node is reached for certain: by what stays, or only by processes. */
enum { BY_STAYING = 1, BY_PROCESS = 2 };

struct states {
	struct bpfrefs_snapshot *snap;
	struct graph *graph;
	struct mark *certain; /* from what was found */
	struct mark *doubt;   /* from what was not: counts unexplained, unread or moving */
	const struct bpfrefs_class_status *gap;
	GHashTable *groups; /* a set of processes (GBytes of uint32_t) -> maps that it holds */
	GHashTable *owned;  /* node of an owner -> what it goes with, in words; both owned */
};

void states_set(struct states *st, uint32_t index, enum bpfrefs_state state, const char *why);
/* "pid 12 (cilium)", owned. */
char *states_process(const struct states *st, uint32_t pid);
/* "pid 12 (a), pid 13 (b) and 3 more", owned. */
char *states_processes(const struct states *st, const uint32_t *pids, size_t count);
/* Is this an edge from a program that is reached for certain? */
bool states_is_user(const struct states *st, const struct edge *edge);

/* A map that is held, and has a user state: might processes alone hold that? Then it is noted. */
void risk_suspect(struct states *st, uint32_t index);
/* Judges those that were noted: sets the state of those at risk. */
int risk_judge(struct states *st); /* -ENOMEM: not all was judged */

#endif

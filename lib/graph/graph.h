/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The graph of references over a frozen snapshot, and marks that spread along it.
 *
 * Every object is two nodes, 2 * index and 2 * index + 1: the object, and of a map its user state.
 * The user state holds the object; an automatic keep lets the object hold its user state. After them
 * come the owners that processes keep (owner.h), a node each. One edge a reference: from the node that
 * holds it, or from outside, to the node that it holds; and one for each hold of an owner.
 */
#ifndef BPFREFS_GRAPH_H
#define BPFREFS_GRAPH_H

#include "snapshot/owner.h"

enum edge_kind {
	EDGE_HELD,    /* by a node */
	EDGE_ROOT,    /* by what is no object and no process */
	EDGE_PROCESS, /* by a process */
	EDGE_AUTO,    /* by an automatic keep: no root */
	EDGE_LOST,    /* by an object that is not in the snapshot: nobody can say what holds that */
	EDGE_REMOVED, /* not any more: bpfrefs_unpin_check() */
};

struct edge {
	const struct bpfrefs_ref *ref; /* NULL: to an owner */
	enum edge_kind kind;
	uint32_t pid;  /* EDGE_PROCESS: which */
	uint32_t from; /* a node; EDGE_HELD only */
	uint32_t to;
};

struct graph {
	const struct bpfrefs_snapshot *snap;
	uint32_t objects, owners, nodes, edges;
	struct edge *edge;   /* in the order of snap->refs, so by target; then of snap->holds */
	uint32_t *in_first;  /* by graph_place(): the first edge to it; one more at the end */
	uint32_t *out_first; /* by node: its first in @out; one more at the end */
	uint32_t *out;	     /* EDGE_HELD edges by the node that they are from */
	uint32_t *outside;   /* the edges that are not EDGE_HELD */
	uint32_t outsides;
	bool *kept_auto; /* by object */
};

static inline uint32_t node_object(uint32_t index)
{
	return 2 * index;
}

static inline uint32_t node_user(uint32_t index)
{
	return 2 * index + 1;
}

static inline bool node_is_owner(const struct graph *graph, uint32_t node)
{
	return node >= 2 * graph->objects;
}

/* The number of an object, or behind them of an owner. */
static inline uint32_t graph_place(const struct graph *graph, uint32_t node)
{
	return node_is_owner(graph, node) ? node - graph->objects : node / 2;
}

/* Whether the other part of an object leads to this one, or this is an owner, which has none. */
static inline bool node_has_other(const struct graph *graph, uint32_t node)
{
	if (node_is_owner(graph, node))
		return false;
	return node == node_object(node / 2) || graph->kept_auto[node / 2];
}

/* NULL where there is no memory. */
struct graph *graph_new(const struct bpfrefs_snapshot *snap);
void graph_free(struct graph *graph);

/* The index of an object, or UINT32_MAX. */
uint32_t graph_index(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key);
const struct bpfrefs_object *graph_object(const struct graph *graph, uint32_t index);
const struct owner *graph_owner(const struct graph *graph, uint32_t node);
/* Does it last only as long as all that hold it? Such nodes are owners of few holds, each by an owner. */
bool graph_needs_all(const struct graph *graph, uint32_t node);
/* All processes that lead to a node, in order, each once; owned array of uint32_t. */
GArray *graph_processes(const struct graph *graph, uint32_t node);
/* The first class that could not be read completely, or NULL. */
const struct bpfrefs_class_status *graph_gap(const struct bpfrefs_snapshot *snap);
/* Does a count of the object leave open who else holds it (@user: its user state)? */
bool graph_doubtful(const struct bpfrefs_object *object, bool user);

/* What some roots lead to. */
struct mark {
	const struct graph *graph;
	uint8_t *reached;	/* by node: the level at which it was reached first, 0: not yet */
	const struct edge **by; /* by node: the edge that reached it; NULL: its other part did */
	uint32_t *
		missing; /* by owner: how many of its holds have not been reached, where it needs all */
	uint32_t *queue, head, tail;
};

/* NULL where there is no memory, or no graph. */
struct mark *mark_new(const struct graph *graph);
void mark_free(struct mark *mark);
/* Reaches a node from outside. */
void mark_node(struct mark *mark, uint32_t node, const struct edge *by, uint8_t level);
/* Reaches all that the nodes reached lead to, nearest first. */
void mark_spread(struct mark *mark);
/* Starts from every edge of a kind. */
void mark_kind(struct mark *mark, enum edge_kind kind, uint8_t level);
/* Starts from everything that is held by nobody knows what. */
void mark_doubts(struct mark *mark, uint8_t level);
/*
 * Starts from what is counted and not explained: it stays when others go, whoever it is. A count that
 * could not be read is no holder: what cannot be shown to stay is not let go.
 */
void mark_surplus(struct mark *mark);
/* The same of one object, but for @less of what is not explained. */
void mark_surplus_of(struct mark *mark, uint32_t index, uint64_t less);

static inline void graph_cleanup(struct graph **graph)
{
	graph_free(*graph);
}

static inline void mark_cleanup(struct mark **mark)
{
	mark_free(*mark);
}

/* Freed at the end of their scope. */
#define graph_auto __attribute__((cleanup(graph_cleanup))) struct graph
#define mark_auto  __attribute__((cleanup(mark_cleanup))) struct mark

#endif

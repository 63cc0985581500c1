/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The graph of the references in a frozen snapshot, and marks that spread along its edges.
 *
 * Every object has two nodes, 2 * index and 2 * index + 1: the object itself, and the user state of
 * a map. The user state holds the object. With an automatic keep, the object holds its user state
 * too. After these nodes come the owners (owner.h) that only processes or maps keep alive, with one
 * node each. There is one edge for each reference, to the node that it holds, from the node that
 * holds it or from outside the graph; and one for each hold of an owner.
 */
#ifndef BPFREFS_GRAPH_H
#define BPFREFS_GRAPH_H

#include "snapshot/owner.h"

enum edge_kind {
	EDGE_HELD,    /* the holder is a node */
	EDGE_ROOT,    /* the holder is neither an object nor a process */
	EDGE_PROCESS, /* the holder is a process */
	EDGE_AUTO,    /* the holder is an automatic keep, which is not a root */
	/* the holder is an object that is not in the snapshot, whose own holders are unknown */
	EDGE_LOST,
	EDGE_REMOVED, /* removed by bpfrefs_unpin_check() */
};

struct edge {
	const struct bpfrefs_ref *ref; /* NULL: the edge is a hold of an owner */
	enum edge_kind kind;
	uint32_t pid;  /* EDGE_PROCESS: the process */
	uint32_t from; /* EDGE_HELD: the node that holds it */
	uint32_t to;
};

struct graph {
	const struct bpfrefs_snapshot *snap;
	uint32_t objects, owners, nodes, edges;
	/* in the order of snap->refs, which is by target; then in that of snap->holds */
	struct edge *edge;
	/* for each graph_index_of_node(): the first edge to it; and one more at the end */
	uint32_t *in_first;
	uint32_t *out_first; /* for each node: its first edge in @out; and one more at the end */
	uint32_t *out;	     /* the EDGE_HELD edges, sorted by the node that they are from */
	uint32_t *outside;   /* the edges that are not EDGE_HELD */
	uint32_t outsides;
	bool *kept_auto; /* for each object */
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

/* The index of the object of a node. Owners have the indexes after the objects. */
static inline uint32_t graph_index_of_node(const struct graph *graph, uint32_t node)
{
	return node_is_owner(graph, node) ? node - graph->objects : node / 2;
}

/* Whether the other node of the same object leads to this one. An owner has only one node. */
static inline bool node_has_other(const struct graph *graph, uint32_t node)
{
	if (node_is_owner(graph, node))
		return false;
	return node == node_object(node / 2) || graph->kept_auto[node / 2];
}

/* Returns NULL if there is no memory. */
struct graph *graph_new(const struct bpfrefs_snapshot *snap);
void graph_free(struct graph *graph);

/* Returns the index of an object, or UINT32_MAX if it is not in the snapshot. */
uint32_t graph_index(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key);
const struct bpfrefs_object *graph_object(const struct graph *graph, uint32_t index);
const struct owner *graph_owner(const struct graph *graph, uint32_t node);
/*
 * Whether a node lasts only as long as all that holds it (owner_needs_all()). Such a node is an
 * owner with few holds, each by another owner.
 */
bool graph_needs_all(const struct graph *graph, uint32_t node);
/* Returns all processes that lead to a node, sorted, each once; an owned array of uint32_t. */
GArray *graph_processes(const struct graph *graph, uint32_t node);
/* Returns the first class that was not read completely, or NULL. */
const struct bpfrefs_class_status *graph_gap(const struct bpfrefs_snapshot *snap);
/*
 * Whether the object may have holders that were not found, since a counter is unexplained, unknown
 * or changing. @user: its user state.
 */
bool graph_is_uncertain(const struct bpfrefs_object *object, bool user);

/* The nodes that some roots lead to. */
struct mark {
	const struct graph *graph;
	/* for each node: the level at which it was reached first, 0: it was not reached */
	uint8_t *reached;
	/* for each node: the edge that reached it; NULL: the other node of its object did */
	const struct edge **by;
	uint32_t *missing; /* for each owner: how many of its holds must still be reached */
	uint32_t *queue, head, tail;
};

/* Returns NULL if there is no memory, or if @graph is NULL. */
struct mark *mark_new(const struct graph *graph);
void mark_free(struct mark *mark);
/* Reaches a node by an edge, or from outside the graph. */
void mark_node(struct mark *mark, uint32_t node, const struct edge *by, uint8_t level);
/* Reaches everything that the nodes reached so far lead to, nearest first. */
void mark_spread(struct mark *mark);
/* Reaches the nodes that edges of a kind lead to. */
void mark_kind(struct mark *mark, enum edge_kind kind, uint8_t level);
/* Reaches the nodes that may have holders that were not found. */
void mark_uncertain(struct mark *mark, uint8_t level);
/*
 * Reaches the nodes with unexplained references: they stay whichever process exits. An unknown
 * counter does not count as unexplained: bpfrefs must not claim that a node stays without a known
 * holder.
 */
void mark_unexplained(struct mark *mark);
/* The same for one object, if @less of its unexplained references are ignored. */
void mark_unexplained_of(struct mark *mark, uint32_t index, uint64_t less);

static inline void graph_cleanup(struct graph **graph)
{
	graph_free(*graph);
}

static inline void mark_cleanup(struct mark **mark)
{
	mark_free(*mark);
}

/* Variables that are freed at the end of their scope. */
#define graph_auto __attribute__((cleanup(graph_cleanup))) struct graph
#define mark_auto  __attribute__((cleanup(mark_cleanup))) struct mark

#endif

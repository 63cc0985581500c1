/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must be removed so that an object is freed: all roots that lead to it, through any chain. Where
 * a reference on the way can be removed itself, such as a slot of a map, that is removed instead of what
 * leads to its holder.
 */
#ifndef BPFREFS_REMOVALS_H
#define BPFREFS_REMOVALS_H

#include "graph/graph.h"

/* Whether a command can remove a reference that an object has, or that lasts as long as an owner. */
typedef bool (*removals_can_fn)(const struct bpfrefs_ref *ref, void *data);

struct removals {
	const struct graph *graph;
	GPtrArray *edges; /* const struct edge *, nearest to the object first */
	/*
	 * For each node: the next node on the way to the object; the node itself if it need not be
	 * released.
	 */
	uint32_t *next;
	uint32_t *queue, head, tail;
};

/* Finds them for the object with the index @index in the snapshot. -ENOMEM. */
int removals_find(struct removals *removals, uint32_t index, removals_can_fn can, void *data);
void removals_clear(struct removals *removals);
/* Whether an object must be freed on the way, the object of the query included. */
bool removals_has(const struct removals *removals, uint32_t index);
/* Appends the keys of the objects from an edge to the object of the query, an array of keys. */
void removals_chain(const struct removals *removals, const struct edge *edge, GArray *keys);

#endif

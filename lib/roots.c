/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which roots lead to an object, each by one shortest chain. Asked backwards and breadth first, so
 * that every node is looked at once: all chains together may be more than there are atoms.
 */
#include <stdlib.h>

#include "graph.h"

struct chain {
	const struct edge *root;
	uint32_t length; /* objects from the root to the one asked for, both counted */
	uint32_t order;	 /* of the root's reference */
};

struct search {
	const struct graph *graph;
	uint32_t *next;	  /* by node: the next on the way to the object; itself: none */
	uint32_t *length; /* by node: objects on that way */
	uint32_t *queue, head, tail;
};

/* The end of the way, which no node is. */
#define ARRIVED UINT32_MAX

static void reach_part(struct search *search, uint32_t node, uint32_t next, uint32_t length)
{
	if (search->next[node] != node)
		return;
	search->next[node] = next;
	search->length[node] = length;
	search->queue[search->tail++] = node;
}

/* A part of an object, and with it the other one where that leads to it: they are as near. */
static void reach(struct search *search, uint32_t node, uint32_t next, uint32_t length)
{
	uint32_t index = node / 2;

	reach_part(search, node, next, length);
	if (node == node_object(index) || search->graph->kept_auto[index])
		reach_part(search, node ^ 1, node, length);
}

static void search_from(struct search *search, uint32_t index)
{
	const struct graph *graph = search->graph;

	reach(search, node_object(index), ARRIVED, 1);
	while (search->head < search->tail) {
		uint32_t node = search->queue[search->head++], at = node / 2;

		for (uint32_t i = graph->in_first[at]; i < graph->in_first[at + 1]; i++) {
			const struct edge *edge = &graph->edge[i];

			if (edge->to == node && edge->kind == EDGE_HELD)
				reach(search, edge->from, node, search->length[node] + 1);
		}
	}
}

static GArray *chains_found(const struct search *search)
{
	const struct graph *graph = search->graph;
	GArray *chains = g_array_new(FALSE, FALSE, sizeof(struct chain));

	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];
		struct chain chain = { edge, search->length[edge->to], graph->outside[i] };

		if (edge->kind != EDGE_ROOT && edge->kind != EDGE_PROCESS)
			continue;
		if (search->next[edge->to] != edge->to)
			g_array_append_val(chains, chain);
	}
	return chains;
}

static int nearest_first(gconstpointer a, gconstpointer b)
{
	const struct chain *x = a, *y = b;

	if (x->length != y->length)
		return x->length < y->length ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static size_t chain_keys(const struct search *search, const struct chain *chain,
			 struct bpfrefs_key *keys)
{
	uint32_t node = chain->root->to, last = UINT32_MAX;
	size_t count = 0;

	for (; node != ARRIVED; node = search->next[node]) {
		if (node / 2 != last)
			keys[count++] = graph_object(search->graph, node / 2)->key;
		last = node / 2;
	}
	return count;
}

static int tell(const struct search *search, bpfrefs_root_fn fn, void *data)
{
	/* sorting them takes as much again */
	g_autoptr(GArray) chains =
		memory_is_there(3 * sizeof(struct chain) * (size_t)search->graph->outsides)
			? chains_found(search)
			: NULL;
	g_autofree struct bpfrefs_key *keys =
		memory_try(2 * (size_t)search->graph->objects, sizeof(*keys));
	int stop = 0;

	if (!chains || !keys)
		return -ENOMEM;
	g_array_sort(chains, nearest_first);
	for (guint i = 0; !stop && i < chains->len; i++) {
		const struct chain *chain = &g_array_index(chains, struct chain, i);
		size_t count = chain_keys(search, chain, keys);

		stop = fn(chain->root->ref, keys, count, data);
	}
	return stop;
}

int bpfrefs_snapshot_roots(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key,
			   bpfrefs_root_fn fn, void *data)
{
	uint32_t index = graph_index(snap, key);
	graph_auto *graph = NULL;
	size_t nodes = 2 * (size_t)snap->objects->len;
	g_autofree uint32_t *next = memory_try(nodes, sizeof(*next));
	g_autofree uint32_t *length = memory_try(nodes, sizeof(*length));
	g_autofree uint32_t *queue = memory_try(nodes, sizeof(*queue));
	struct search search = { NULL, next, length, queue, 0, 0 };

	if (index == UINT32_MAX)
		return -ENOENT;
	graph = graph_new(snap);
	if (!graph || !next || !length || !queue)
		return -ENOMEM;
	search.graph = graph;
	for (uint32_t i = 0; i < nodes; i++)
		next[i] = i;
	search_from(&search, index);
	return tell(&search, fn, data);
}

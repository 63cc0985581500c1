/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graph/removals.h"

/* The end of the way; no node has this number. */
#define ARRIVED UINT32_MAX

struct removal_search {
	struct removals *removals;
	removals_can_fn can;
	void *data;
};

static void reach_part(struct removals *removals, uint32_t node, uint32_t next)
{
	if (removals->next[node] != node)
		return;
	removals->next[node] = next;
	removals->queue[removals->tail++] = node;
}

/* Reaches a node, and the other node of the object if that leads to it. */
static void reach(struct removals *removals, uint32_t node, uint32_t next)
{
	reach_part(removals, node, next);
	if (node_has_other(removals->graph, node))
		reach_part(removals, node ^ 1, node);
}

/*
 * A root is removed, and so is a reference that can be; of any other one the holder must be released.
 */
static void take_edge(struct removal_search *search, const struct edge *edge)
{
	bool removed = edge->kind != EDGE_HELD;

	if (!removed && edge->ref)
		removed = search->can(edge->ref, search->data);
	if (removed)
		g_ptr_array_add(search->removals->edges, (gpointer)edge);
	else
		reach(search->removals, edge->from, edge->to);
}

/* What an object on the way holds ends with it, and need not be removed. */
static bool ends_with_holder(const struct removals *removals, const struct edge *edge)
{
	return edge->kind == EDGE_HELD && removals->next[edge->from] != edge->from;
}

static void drop_ended(struct removals *removals)
{
	guint kept = 0;

	for (guint i = 0; i < removals->edges->len; i++)
		if (!ends_with_holder(removals, removals->edges->pdata[i]))
			removals->edges->pdata[kept++] = removals->edges->pdata[i];
	g_ptr_array_set_size(removals->edges, (gint)kept);
}

int removals_find(struct removals *removals, uint32_t index, removals_can_fn can, void *data)
{
	const struct graph *graph = removals->graph;
	struct removal_search search = { removals, can, data };

	removals->edges = g_ptr_array_new();
	removals->next = memory_try(graph->nodes, sizeof(*removals->next));
	removals->queue = memory_try(graph->nodes, sizeof(*removals->queue));
	if (!removals->next || !removals->queue ||
	    !memory_available(2 * sizeof(gpointer) * (size_t)graph->edges))
		return -ENOMEM;
	for (uint32_t i = 0; i < graph->nodes; i++)
		removals->next[i] = i;
	reach(removals, node_object(index), ARRIVED);
	while (removals->head < removals->tail) {
		uint32_t node = removals->queue[removals->head++];
		uint32_t place = graph_index_of_node(graph, node);

		for (uint32_t i = graph->in_first[place]; i < graph->in_first[place + 1]; i++)
			if (graph->edge[i].to == node)
				take_edge(&search, &graph->edge[i]);
	}
	drop_ended(removals);
	return 0;
}

void removals_clear(struct removals *removals)
{
	if (removals->edges)
		g_ptr_array_unref(removals->edges);
	g_free(removals->next);
	g_free(removals->queue);
}

bool removals_has(const struct removals *removals, uint32_t index)
{
	return removals->next[node_object(index)] != node_object(index);
}

void removals_chain(const struct removals *removals, const struct edge *edge, GArray *keys)
{
	uint32_t node = edge->to, last = UINT32_MAX;

	for (; node != ARRIVED; node = removals->next[node]) {
		if (node_is_owner(removals->graph, node))
			continue;
		if (node / 2 != last)
			g_array_append_val(keys, graph_object(removals->graph, node / 2)->key);
		last = node / 2;
	}
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The effects of a removal: which automatic keeps no root leads to, and what removing one pin would
 * do.
 */
#include <stdlib.h>

#include "graph/graph.h"

int bpfrefs_graph_garbage(const struct bpfrefs_snapshot *snap, struct bpfrefs_key **keys,
			  size_t *count)
{
	graph_auto *graph = NULL;
	mark_auto *mark = NULL;
	struct bpfrefs_key *found;
	size_t n = 0;

	if (graph_gap(snap))
		return -EAGAIN;
	graph = graph_new(snap);
	mark = mark_new(graph);
	if (!mark)
		return -ENOMEM;
	mark_kind(mark, EDGE_ROOT, 1);
	mark_kind(mark, EDGE_PROCESS, 1);
	mark_uncertain(mark, 1);
	mark_spread(mark);
	found = malloc((graph->objects + 1) * sizeof(*found));
	if (!found)
		return -ENOMEM;
	for (uint32_t i = 0; i < graph->objects; i++)
		if (graph->kept_auto[i] && !mark->reached[node_object(i)])
			found[n++] = graph_object(graph, i)->key;
	*keys = found;
	*count = n;
	return 0;
}

struct pin {
	uint32_t major, minor;
	uint64_t ino;
};

/* Whether the reference is that of the pin, which may be a keep. */
static bool is_pin(const struct bpfrefs_ref *ref, const struct pin *pin)
{
	const struct pin_location *place = ref->place;

	return place && place->major == pin->major && place->minor == pin->minor &&
	       place->ino == pin->ino;
}

/* The number of names of a pinned inode: more than one if it has hard links. */
static unsigned int pin_names(const struct graph *graph, uint32_t object, const struct pin *pin)
{
	unsigned int names = 0;

	for (uint32_t i = graph->in_first[object]; i < graph->in_first[object + 1]; i++)
		names += is_pin(graph->edge[i].ref, pin);
	return names;
}

/* Whether an automatic keep other than the pin holds the object. */
static bool kept_without(const struct graph *graph, uint32_t object, const struct pin *pin)
{
	for (uint32_t i = graph->in_first[object]; i < graph->in_first[object + 1]; i++)
		if (graph->edge[i].kind == EDGE_AUTO && !is_pin(graph->edge[i].ref, pin))
			return true;
	return false;
}

/* Removes the edges of the pin, and with them what leads to it, such as its bpffs. */
static void remove_pin(struct graph *graph, uint32_t object, const struct pin *pin)
{
	for (uint32_t i = graph->in_first[object]; i < graph->in_first[object + 1]; i++)
		if (is_pin(graph->edge[i].ref, pin))
			graph->edge[i].kind = EDGE_REMOVED;
}

/*
 * @unseen: the snapshot does not have the pin, which is then one of the unexplained references of
 * @object.
 */
static void mark_without(struct mark *mark, uint32_t object, bool unseen)
{
	const struct graph *graph = mark->graph;

	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];

		if (edge->kind != EDGE_AUTO && edge->kind != EDGE_REMOVED)
			mark_node(mark, edge->to, edge, 1);
	}
	for (uint32_t i = 0; i < graph->objects; i++)
		mark_unexplained_of(mark, i, unseen && i == object);
	mark_spread(mark);
}

int bpfrefs_unpin_check(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key, uint32_t major,
			uint32_t minor, uint64_t pin_ino)
{
	struct pin pin = { major, minor, pin_ino };
	uint32_t index = graph_index(snap, key);
	const struct bpfrefs_object *object;
	graph_auto *graph = NULL;
	mark_auto *mark = NULL;
	unsigned int names;

	if (index == UINT32_MAX)
		return 0; /* the object does not exist any more */
	graph = graph_new(snap);
	mark = mark_new(graph);
	if (!mark)
		return -ENOMEM;
	names = pin_names(graph, index, &pin);
	if (names > 1)
		return 0;
	graph->kept_auto[index] = kept_without(graph, index, &pin);
	remove_pin(graph, index, &pin);
	mark_without(mark, index, names == 0);
	object = graph_object(graph, index);
	if (!mark->reached[node_object(index)])
		return -EBUSY;
	if (object->user_state && object->usercnt > 0 && !mark->reached[node_user(index)])
		return -EBUSY;
	return 0;
}

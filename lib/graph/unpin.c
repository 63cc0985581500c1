/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The effects of a removal: which automatic keeps no root leads to, and what removing one pin would
 * do.
 */
#include "graph/answer.h"

/* A gap may hide a root. */
static int begin(struct bpfrefs_selection *selection, const void *args)
{
	struct graph_answer *answer;

	(void)args;
	if (graph_gap(selection->snap))
		return -EAGAIN;
	answer = answer_new(selection);
	if (!answer->mark)
		return -ENOMEM;
	mark_kind(answer->mark, EDGE_ROOT, 1);
	mark_kind(answer->mark, EDGE_PROCESS, 1);
	mark_uncertain(answer->mark, 1);
	mark_spread(answer->mark);
	return 0;
}

static const void *next(struct bpfrefs_selection *selection)
{
	const struct graph_answer *answer = selection->state;

	while (selection->at < answer->graph->objects) {
		uint32_t i = (uint32_t)selection->at++;

		if (answer->graph->kept_auto[i] && !answer->mark->reached[node_object(i)])
			return snapshot_object(selection->snap, i);
	}
	return NULL;
}

static bool matches(const struct bpfrefs_selection *selection, const void *item)
{
	return select_held_object(selection, item);
}

int bpfrefs_select_garbage(const struct bpfrefs_snapshot *snap, const struct bpfrefs_filter *filter,
			   struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_OBJECT,
		.members = SELECT_BY_OBJECT | SELECT_BY_REF,
		.begin = begin,
		.next = next,
		.matches = matches,
		.clear = answer_free,
	};

	return select_new(&question, snap, snap->classes, filter, NULL, out);
}

/* ------------------------------------------------------------------ pins --- */

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

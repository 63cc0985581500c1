/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is freed or cleared when a set of processes exits: what roots lead to now and would not lead
 * to without these processes, nor through the namespaces, bpffs and devices that only they keep. An
 * unexplained reference counts as a holder that stays.
 */
#include "graph/answer.h"

const char *bpfrefs_effect_name(enum bpfrefs_effect effect)
{
	static const char *const names[EFFECT_COUNT] = {
		[BPFREFS_EFFECT_FREED] = "freed",
		[BPFREFS_EFFECT_CLEARED] = "cleared",
	};

	return effect < EFFECT_COUNT ? names[effect] : "?";
}

/* ------------------------------------------------- the effects of an exit --- */

/* @exited: the processes that are assumed to have exited. */
static void mark_roots(struct mark *mark, GHashTable *exited)
{
	const struct graph *graph = mark->graph;

	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];

		if (edge->kind == EDGE_AUTO)
			continue;
		if (!edge->pid || !g_hash_table_contains(exited, GUINT_TO_POINTER(edge->pid)))
			mark_node(mark, edge->to, edge, 1);
	}
	mark_unexplained(mark);
	mark_spread(mark);
}

struct processes {
	const uint32_t *pids;
	size_t count;
};

static int begin(struct bpfrefs_selection *selection, const void *args)
{
	const struct processes *processes = args;
	struct graph_answer *answer = answer_new(selection);
	g_autoptr(GHashTable) exited = g_hash_table_new(NULL, NULL);

	answer->before = mark_new(answer->graph);
	if (!answer->before || !answer->mark)
		return -ENOMEM;
	mark_roots(answer->before, exited);
	for (size_t i = 0; i < processes->count; i++)
		g_hash_table_add(exited, GUINT_TO_POINTER(processes->pids[i]));
	mark_roots(answer->mark, exited);
	return 0;
}

static const void *next(struct bpfrefs_selection *selection)
{
	struct graph_answer *answer = selection->state;
	const uint8_t *before = answer->before->reached, *after = answer->mark->reached;

	while (selection->at < answer->graph->objects) {
		uint32_t i = (uint32_t)selection->at++;
		const struct bpfrefs_object *object = snapshot_object(selection->snap, i);
		bool freed = before[node_object(i)] && !after[node_object(i)];

		if (!freed && !(object->user_state && before[node_user(i)] && !after[node_user(i)]))
			continue;
		answer->item.retained = (struct bpfrefs_retained){
			.size = sizeof(answer->item.retained),
			.object = object,
			.effect = freed ? BPFREFS_EFFECT_FREED : BPFREFS_EFFECT_CLEARED,
		};
		return &answer->item;
	}
	return NULL;
}

static bool matches(const struct bpfrefs_selection *selection, const void *item)
{
	return select_held_object(selection, ((const struct bpfrefs_retained *)item)->object);
}

int bpfrefs_select_retained(const struct bpfrefs_snapshot *snap, const uint32_t *pids, size_t count,
			    const struct bpfrefs_filter *filter, struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_RETAINED,
		.members = SELECT_BY_OBJECT | SELECT_BY_REF,
		.begin = begin,
		.next = next,
		.matches = matches,
		.clear = answer_free,
	};
	const struct processes processes = { pids, count };

	return select_new(&question, snap, snap->classes, filter, &processes, out);
}

const struct bpfrefs_retained *bpfrefs_next_retained(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_RETAINED);
}

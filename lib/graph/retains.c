/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is freed or cleared when a process exits: what roots lead to now and would not lead to
 * without that process, nor through the namespaces, bpffs and devices that only it keeps. An
 * unexplained reference counts as a holder that stays.
 */
#include "graph/graph.h"

const char *bpfrefs_effect_name(enum bpfrefs_effect effect)
{
	static const char *const names[EFFECT_COUNT] = {
		[BPFREFS_EFFECT_FREED] = "freed",
		[BPFREFS_EFFECT_CLEARED] = "cleared",
	};

	return effect < EFFECT_COUNT ? names[effect] : "?";
}

/* ------------------------------------------------- the effects of an exit --- */

/* @pid: the process that is assumed to have exited, 0: none. */
static void mark_roots(struct mark *mark, uint32_t pid)
{
	const struct graph *graph = mark->graph;

	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];

		if (edge->kind != EDGE_AUTO && !(pid && edge->pid == pid))
			mark_node(mark, edge->to, edge, 1);
	}
	mark_unexplained(mark);
	mark_spread(mark);
}

int bpfrefs_retains(const struct bpfrefs_snapshot *snap, uint32_t pid, bpfrefs_retain_fn fn,
		    void *data)
{
	graph_auto *graph = graph_new(snap);
	mark_auto *before = mark_new(graph);
	mark_auto *after = mark_new(graph);
	int stop = 0;

	if (!before || !after)
		return -ENOMEM;
	mark_roots(before, 0);
	mark_roots(after, pid);
	for (uint32_t i = 0; !stop && i < graph->objects; i++) {
		const struct bpfrefs_object *object = graph_object(graph, i);
		uint32_t user = node_user(i), whole = node_object(i);

		if (before->reached[whole] && !after->reached[whole])
			stop = fn(object, BPFREFS_EFFECT_FREED, data);
		else if (object->user_state && before->reached[user] && !after->reached[user])
			stop = fn(object, BPFREFS_EFFECT_CLEARED, data);
	}
	return stop;
}

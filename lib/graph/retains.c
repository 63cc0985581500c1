/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is freed or cleared when a set of processes exits: what roots lead to now and would not lead
 * to without these processes, nor through the namespaces, bpffs and devices that only they keep. An
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

int bpfrefs_retains_all(const struct bpfrefs_snapshot *snap, const uint32_t *pids, size_t count,
			bpfrefs_retain_fn fn, void *data)
{
	graph_auto *graph = graph_new(snap);
	mark_auto *before = mark_new(graph);
	mark_auto *after = mark_new(graph);
	g_autoptr(GHashTable) exited = g_hash_table_new(NULL, NULL);
	int stop = 0;

	if (!before || !after)
		return -ENOMEM;
	mark_roots(before, exited);
	for (size_t i = 0; i < count; i++)
		g_hash_table_add(exited, GUINT_TO_POINTER(pids[i]));
	mark_roots(after, exited);
	for (uint32_t i = 0; !stop && i < graph->objects; i++) {
		const struct bpfrefs_object *object = bpfrefs_snapshot_object(snap, i);
		uint32_t user = node_user(i), whole = node_object(i);

		if (before->reached[whole] && !after->reached[whole])
			stop = fn(object, BPFREFS_EFFECT_FREED, data);
		else if (object->user_state && before->reached[user] && !after->reached[user])
			stop = fn(object, BPFREFS_EFFECT_CLEARED, data);
	}
	return stop;
}

int bpfrefs_retains(const struct bpfrefs_snapshot *snap, uint32_t pid, bpfrefs_retain_fn fn,
		    void *data)
{
	return bpfrefs_retains_all(snap, &pid, 1, fn, data);
}

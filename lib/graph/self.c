/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What only this process holds, and for itself: its BPF programs, and their maps, links and BTF. All
 * that leads to these is a reference of this process. A keep is none of its own, since it keeps what
 * others use, and neither is a pin in a bpffs that only this process keeps mounted.
 */
#include "graph/states.h"

static bool is_own(const struct bpfrefs_snapshot *snap, const struct edge *edge)
{
	return edge->ref && edge->kind == EDGE_PROCESS && edge->pid == snap->self.pid;
}

/* Reaches what the references of this process lead to, or what anything else leads to. */
static void mark_holders(struct mark *mark, bool own)
{
	const struct graph *graph = mark->graph;

	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];

		if (is_own(graph->snap, edge) == own)
			mark_node(mark, edge->to, edge, 1);
	}
	if (!own)
		mark_unexplained(mark);
	mark_spread(mark);
}

/* Whether this process holds what it does not hold for itself alone. */
static bool holds_others(const struct bpfrefs_snapshot *snap)
{
	for (guint i = 0; i < snap->refs->len; i++) {
		const struct bpfrefs_ref *ref = snap->refs->pdata[i];

		if (ref->pid == snap->self.pid && !ref->object->self)
			return true;
	}
	for (guint i = 0; i < snap->holds->len; i++)
		if (g_array_index(snap->holds, struct owner_hold, i).pid == snap->self.pid)
			return true;
	return false;
}

void self_find(struct bpfrefs_snapshot *snap, const struct graph *graph)
{
	mark_auto *own = mark_new(graph);
	mark_auto *others = mark_new(graph);

	if (!own || !others)
		return;
	mark_holders(own, true);
	mark_holders(others, false);
	for (uint32_t i = 0; i < graph->objects; i++) {
		struct bpfrefs_object *object = snap->objects->pdata[i];

		object->self = own->reached[node_object(i)] && !others->reached[node_object(i)];
		snap->self.objects += object->self;
	}
	snap->self.others = holds_others(snap);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left over: objects that only pins, keeps or nothing leads to, and that run nowhere. What is
 * in use spreads from the references of processes, of attachments and of the kernel, from links that are
 * attached, which the kernel counts no reference for, and from maps with timers or events that run programs.
 */
#include <string.h>

#include "bpf/records.h"
#include "graph/graph.h"

/* Whether a reference shows that its target is in use, rather than that something keeps it. */
static bool is_use(const struct edge *edge)
{
	const struct bpfrefs_ref *ref = edge->ref;

	if (ref->holder.kind != BPFREFS_KIND_NONE)
		return edge->kind == EDGE_LOST; /* the holder is newer than the list of objects */
	return !(ref->class->pub.flags & (BPFREFS_CLASS_PIN | BPFREFS_CLASS_KEEP));
}

/* Whether sockets run the programs of the map that has this hold. */
static bool is_sockmap(const struct graph *graph, const struct edge *edge)
{
	return edge->kind == EDGE_HELD && graph_owner(graph, edge->to)->kind == OWNER_PSOCK &&
	       !node_is_owner(graph, edge->from);
}

/* Whether a map has the kernel run a program by itself: what is in it is used, whoever leads to the map. */
static bool is_run_by_map(const struct edge *edge)
{
	switch (edge->kind == EDGE_HELD && edge->ref->holder.kind == BPFREFS_KIND_MAP
			? edge->ref->via
			: 0) {
	case WALK_VIA_TIMER:
	case WALK_VIA_WQ:
	case WALK_VIA_TASK_WORK:
	case WALK_VIA_EVENT_ARRAY:
		return true;
	default:
		return false;
	}
}

static void mark_uses(struct mark *mark)
{
	const struct graph *graph = mark->graph;

	for (uint32_t i = 0; i < graph->edges; i++) {
		const struct edge *edge = &graph->edge[i];

		if (edge->ref && is_use(edge))
			mark_node(mark, edge->to, edge, 1);
		else if (edge->ref ? is_run_by_map(edge) : is_sockmap(graph, edge))
			mark_node(mark, edge->from, NULL, 1);
	}
	/* Something that was not found may use these. */
	mark_unexplained(mark);
	for (uint32_t i = 0; i < graph->objects; i++)
		if (graph_object(graph, i)->changing)
			mark_node(mark, node_object(i), NULL, 1);
	mark_spread(mark);
}

/* Whether a link is attached; also if that cannot be read, so that nothing is said of it. */
static bool is_attached(struct bpfrefs_ctx *ctx, struct bpfrefs_key link)
{
	const struct bpfrefs_field *field;
	struct bpfrefs_info *info;
	bool attached = true;

	if (ctx->source->info(ctx, link, &info) != 0)
		return true;
	for (size_t i = 0; attached && (field = bpfrefs_info_field(info, i)); i++)
		attached = strcmp(field->key, "attached") != 0;
	bpfrefs_info_free(info);
	return attached;
}

static void mark_attached_links(struct mark *mark, struct bpfrefs_ctx *ctx)
{
	const struct graph *graph = mark->graph;

	ctx_lock(ctx);
	for (uint32_t i = 0; i < graph->objects; i++) {
		struct bpfrefs_key key = graph_object(graph, i)->key;

		if (key.kind == BPFREFS_KIND_LINK && !mark->reached[node_object(i)] &&
		    is_attached(ctx, key))
			mark_node(mark, node_object(i), NULL, 1);
	}
	g_mutex_unlock(&ctx->lock);
	mark_spread(mark);
}

int bpfrefs_unused(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
		   bpfrefs_object_fn fn, void *data)
{
	graph_auto *graph = graph_new(snap);
	mark_auto *used = mark_new(graph);
	int stop = 0;

	if (!used)
		return -ENOMEM;
	/* A map that is in use is used with what is in it, such as the slots of a program array. */
	memset(graph->kept_auto, true, graph->objects * sizeof(*graph->kept_auto));
	mark_uses(used);
	mark_attached_links(used, ctx);
	for (uint32_t i = 0; !stop && i < graph->objects; i++)
		if (!used->reached[node_object(i)])
			stop = fn(bpfrefs_snapshot_object(snap, i), data);
	return stop;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left over: objects that only pins, keeps or nothing leads to, and that run nowhere. What is
 * in use spreads from the references of processes, of attachments and of the kernel, from links that are
 * attached, which the kernel counts no reference for, and from maps with timers or events that run programs.
 */
#include <string.h>

#include "bpf/records.h"
#include "graph/answer.h"

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

/* ------------------------------------------------------------ selection --- */

const char *bpfrefs_unused_name(enum bpfrefs_unused_reason reason)
{
	static const char *const names[] = {
		[BPFREFS_UNUSED_PINNED] = "pinned",
		[BPFREFS_UNUSED_KEPT] = "kept",
		[BPFREFS_UNUSED_HELD] = "held",
		[BPFREFS_UNUSED_ALONE] = "alone",
	};

	return reason < G_N_ELEMENTS(names) ? names[reason] : "?";
}

/* Pins come first, since they are what somebody can remove. */
static enum bpfrefs_unused_reason reason_of(const struct bpfrefs_snapshot *snap,
					    const struct bpfrefs_object *object)
{
	struct ref_range refs = index_holders(snap, object->key);
	enum bpfrefs_unused_reason reason = BPFREFS_UNUSED_ALONE;
	const struct bpfrefs_ref *ref;

	while ((ref = ref_range_next(&refs)))
		reason = MIN(reason,
			     ref->class->pub.flags & BPFREFS_CLASS_PIN	  ? BPFREFS_UNUSED_PINNED
			     : ref->class->pub.flags & BPFREFS_CLASS_KEEP ? BPFREFS_UNUSED_KEPT
									  : BPFREFS_UNUSED_HELD);
	return reason;
}

static int begin(struct bpfrefs_selection *selection, const void *ctx)
{
	struct graph_answer *answer = answer_new(selection);
	struct graph *graph = answer->graph;

	if (!answer->mark)
		return -ENOMEM;
	/* A map that is in use is used with what is in it, such as the slots of a program array. */
	memset(graph->kept_auto, true, graph->objects * sizeof(*graph->kept_auto));
	mark_uses(answer->mark);
	mark_attached_links(answer->mark, (void *)(uintptr_t)ctx);
	return 0;
}

static const void *next(struct bpfrefs_selection *selection)
{
	struct graph_answer *answer = selection->state;

	while (selection->at < answer->graph->objects) {
		uint32_t i = (uint32_t)selection->at++;
		const struct bpfrefs_object *object = snapshot_object(selection->snap, i);

		if (answer->mark->reached[node_object(i)])
			continue;
		answer->item.unused = (struct bpfrefs_unused){
			.size = sizeof(answer->item.unused),
			.object = object,
			.reason = reason_of(selection->snap, object),
		};
		return &answer->item;
	}
	return NULL;
}

static bool matches(const struct bpfrefs_selection *selection, const void *item)
{
	return select_held_object(selection, ((const struct bpfrefs_unused *)item)->object);
}

int bpfrefs_select_unused(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
			  const struct bpfrefs_filter *filter, struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_UNUSED,
		.members = SELECT_BY_OBJECT | SELECT_BY_REF,
		.begin = begin,
		.next = next,
		.matches = matches,
		.clear = answer_free,
	};

	return select_new(&question, snap, snap->classes, filter, ctx, out);
}

const struct bpfrefs_unused *bpfrefs_next_unused(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_UNUSED);
}

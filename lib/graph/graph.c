/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The graph: what keeps what alive (bpfrefs(5), "The graph"). */
#include "graph/graph.h"

#include <string.h>

uint32_t graph_index(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key)
{
	uint32_t low = 0, high = snap->objects->len;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct bpfrefs_object *object = snap->objects->pdata[middle];
		int order = bpfrefs_key_compare(object->key, key);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return UINT32_MAX;
}

const struct bpfrefs_object *graph_object(const struct graph *graph, uint32_t index)
{
	return graph->snap->objects->pdata[index];
}

const struct owner *graph_owner(const struct graph *graph, uint32_t node)
{
	return graph->snap->kept->pdata[node - 2 * graph->objects];
}

bool graph_needs_all(const struct graph *graph, uint32_t node)
{
	return node_is_owner(graph, node) && owner_needs_all(graph_owner(graph, node));
}

const struct bpfrefs_class_status *graph_gap(const struct bpfrefs_snapshot *snap)
{
	for (guint i = 0; i < snap->classes->len; i++) {
		const struct bpfrefs_class_status *status =
			&g_array_index(snap->classes, struct bpfrefs_class_status, i);

		if (status->coverage != BPFREFS_COVERAGE_COMPLETE)
			return status;
	}
	return NULL;
}

bool graph_is_uncertain(const struct bpfrefs_object *object, bool user)
{
	/*
	 * More references explained than counted is an error too: one of the two numbers is wrong.
	 */
	if (object->changing)
		return true;
	if (user)
		return object->usercnt == BPFREFS_UNKNOWN ||
		       object->usercnt != object->user_explained;
	return object->refcnt == BPFREFS_UNKNOWN || object->refcnt != object->explained;
}

/* -------------------------------------------------------------- edges --- */

/*
 * Whether it is a user reference. A second name of an open file or of a pinned inode counts as no
 * reference (0 and 0), and holds the same as the first one. A reference held by an object always
 * counts.
 */
static bool holds_user(const struct bpfrefs_ref *ref)
{
	if (ref->target.kind != BPFREFS_KIND_MAP || ref->class->object_only)
		return false;
	return ref->user > 0 || (ref->ref == 0 && ref->holder.kind == BPFREFS_KIND_NONE);
}

static enum edge_kind outside_kind(const struct bpfrefs_ref *ref)
{
	if (ref->automatic)
		return EDGE_AUTO;
	return ref->pid && !ref->class->root ? EDGE_PROCESS : EDGE_ROOT;
}

/*
 * The node of the owner that the reference lasts as long as. OWNER_NONE: it has none, or that one
 * stays.
 */
static uint32_t owner_of(const struct graph *graph, const struct bpfrefs_ref *ref)
{
	const struct owner *owner = ref->owner ? graph->snap->owners->pdata[ref->owner - 1] : NULL;

	return owner ? owner->node : OWNER_NONE;
}

static void edge_from_outside(struct graph *graph, struct edge *edge, enum edge_kind kind,
			      uint32_t pid)
{
	edge->kind = kind;
	edge->pid = kind == EDGE_PROCESS ? pid : 0;
	edge->from = UINT32_MAX;
	graph->outside[graph->outsides++] = (uint32_t)(edge - graph->edge);
}

static void edge_from_node(struct graph *graph, struct edge *edge, uint32_t from)
{
	edge->kind = EDGE_HELD;
	edge->from = from;
	graph->out_first[from + 1]++;
}

static void edge_init(struct graph *graph, struct edge *edge, const struct bpfrefs_ref *ref,
		      uint32_t target)
{
	uint32_t holder, owner = owner_of(graph, ref);

	edge->ref = ref;
	edge->to = holds_user(ref) ? node_user(target) : node_object(target);
	if (ref->holder.kind == BPFREFS_KIND_NONE) {
		if (owner != OWNER_NONE) {
			edge_from_node(graph, edge, 2 * graph->objects + owner);
			return;
		}
		edge_from_outside(graph, edge, outside_kind(ref), ref->pid);
		if (edge->kind == EDGE_AUTO)
			graph->kept_auto[target] = true;
		return;
	}
	holder = graph_index(graph->snap, ref->holder);
	if (holder == UINT32_MAX)
		edge_from_outside(graph, edge, EDGE_LOST, 0);
	else if (ref->holder.kind == BPFREFS_KIND_MAP && ref_via_of(ref->via)->user)
		edge_from_node(graph, edge, node_user(holder));
	else
		edge_from_node(graph, edge, node_object(holder));
}

/* @hold: a hold as owners_resolve() leaves it, with indexes in snap->kept. */
static void edge_init_hold(struct graph *graph, struct edge *edge, const struct owner_hold *hold)
{
	uint32_t map;

	edge->ref = NULL;
	edge->to = 2 * graph->objects + hold->owner;
	if (hold->by != OWNER_NONE) {
		edge_from_node(graph, edge, 2 * graph->objects + hold->by);
	} else if (hold->pid) {
		edge_from_outside(graph, edge, EDGE_PROCESS, hold->pid);
	} else {
		map = graph_index(graph->snap, (struct bpfrefs_key){ BPFREFS_KIND_MAP, hold->map });
		if (map == UINT32_MAX)
			edge_from_outside(graph, edge, EDGE_LOST, 0);
		else
			edge_from_node(graph, edge, node_object(map));
	}
}

/* Sorts the edges by the node that they are from (a counting sort). */
static bool order_by_from(struct graph *graph)
{
	uint32_t nodes = graph->nodes;
	g_autofree uint32_t *next = memory_try((size_t)nodes + 1, sizeof(*next));

	if (!next)
		return false;
	for (uint32_t i = 0; i < nodes; i++)
		graph->out_first[i + 1] += graph->out_first[i];
	memcpy(next, graph->out_first, (nodes + 1) * sizeof(*next));
	for (uint32_t i = 0; i < graph->edges; i++)
		if (graph->edge[i].kind == EDGE_HELD)
			graph->out[next[graph->edge[i].from]++] = i;
	return true;
}

static struct graph *graph_alloc(const struct bpfrefs_snapshot *snap)
{
	struct graph *graph = g_new0(struct graph, 1);

	graph->snap = snap;
	graph->objects = snap->objects->len;
	graph->owners = snap->kept->len;
	graph->nodes = 2 * graph->objects + graph->owners;
	graph->edges = snap->refs->len + snap->holds->len;
	graph->edge = memory_try(graph->edges, sizeof(*graph->edge));
	graph->in_first =
		memory_try((size_t)graph->objects + graph->owners + 1, sizeof(*graph->in_first));
	graph->out_first = memory_try((size_t)graph->nodes + 1, sizeof(*graph->out_first));
	graph->out = memory_try(graph->edges, sizeof(*graph->out));
	graph->outside = memory_try(graph->edges, sizeof(*graph->outside));
	graph->kept_auto = memory_try(graph->objects, sizeof(*graph->kept_auto));
	if (!graph->edge || !graph->in_first || !graph->out_first || !graph->out ||
	    !graph->outside || !graph->kept_auto)
		g_clear_pointer(&graph, graph_free);
	return graph;
}

/* Adds the edges of the references. Returns the index of the next edge. */
static uint32_t add_refs(struct graph *graph)
{
	const struct bpfrefs_snapshot *snap = graph->snap;
	uint32_t edge = 0;

	for (uint32_t i = 0; i < graph->objects; i++) {
		graph->in_first[i] = edge;
		for (; edge < snap->refs->len; edge++) {
			const struct bpfrefs_ref *ref = snap->refs->pdata[edge];

			if (bpfrefs_key_compare(ref->target, graph_object(graph, i)->key) != 0)
				break;
			edge_init(graph, &graph->edge[edge], ref, i);
		}
	}
	return edge;
}

static void add_holds(struct graph *graph, uint32_t edge)
{
	const GArray *holds = graph->snap->holds;
	guint next = 0;

	for (uint32_t i = 0; i < graph->owners; i++) {
		graph->in_first[graph->objects + i] = edge;
		for (; next < holds->len; next++, edge++) {
			const struct owner_hold *hold =
				&g_array_index(holds, struct owner_hold, next);

			if (hold->owner != i)
				break;
			edge_init_hold(graph, &graph->edge[edge], hold);
		}
	}
	graph->in_first[graph->objects + graph->owners] = edge;
}

struct graph *graph_new(const struct bpfrefs_snapshot *snap)
{
	struct graph *graph = graph_alloc(snap);

	if (!graph)
		return NULL;
	add_holds(graph, add_refs(graph));
	if (!order_by_from(graph))
		g_clear_pointer(&graph, graph_free);
	return graph;
}

void graph_free(struct graph *graph)
{
	if (!graph)
		return;
	g_free(graph->edge);
	g_free(graph->in_first);
	g_free(graph->out_first);
	g_free(graph->out);
	g_free(graph->outside);
	g_free(graph->kept_auto);
	g_free(graph);
}

/* -------------------------------------------------------------- marks --- */

/* The number of an owner's holds that must be reached before the owner is. */
static uint32_t holds_needed(const struct graph *graph, uint32_t owner)
{
	const uint32_t *first = &graph->in_first[graph->objects + owner];

	return graph_needs_all(graph, 2 * graph->objects + owner) ? first[1] - first[0] : 1;
}

struct mark *mark_new(const struct graph *graph)
{
	struct mark *mark;
	size_t nodes;

	if (!graph)
		return NULL;
	mark = g_new0(struct mark, 1);
	nodes = graph->nodes;
	mark->graph = graph;
	mark->reached = memory_try(nodes, sizeof(*mark->reached));
	mark->by = memory_try(nodes, sizeof(const struct edge *));
	mark->queue = memory_try(nodes, sizeof(*mark->queue));
	mark->missing = memory_try(graph->owners, sizeof(*mark->missing));
	if (!mark->reached || !mark->by || !mark->queue || !mark->missing) {
		g_clear_pointer(&mark, mark_free);
		return NULL;
	}
	for (uint32_t i = 0; i < graph->owners; i++)
		mark->missing[i] = holds_needed(graph, i);
	return mark;
}

void mark_free(struct mark *mark)
{
	if (!mark)
		return;
	g_free(mark->reached);
	g_free(mark->by);
	g_free(mark->missing);
	g_free(mark->queue);
	g_free(mark);
}

void mark_node(struct mark *mark, uint32_t node, const struct edge *by, uint8_t level)
{
	const struct graph *graph = mark->graph;

	if (mark->reached[node])
		return;
	/* Each edge is followed only once, so that each hold is counted only once. */
	if (node_is_owner(graph, node) && --mark->missing[node - 2 * graph->objects])
		return;
	mark->reached[node] = level;
	mark->by[node] = by;
	mark->queue[mark->tail++] = node;
}

void mark_spread(struct mark *mark)
{
	const struct graph *graph = mark->graph;

	while (mark->head < mark->tail) {
		uint32_t node = mark->queue[mark->head++];
		uint8_t level = mark->reached[node];

		for (uint32_t i = graph->out_first[node]; i < graph->out_first[node + 1]; i++) {
			const struct edge *edge = &graph->edge[graph->out[i]];

			if (edge->kind == EDGE_HELD)
				mark_node(mark, edge->to, edge, level);
		}
		if (node_is_owner(graph, node))
			continue;
		if (node == node_user(node / 2) || graph->kept_auto[node / 2])
			mark_node(mark, node ^ 1, NULL, level);
	}
}

void mark_kind(struct mark *mark, enum edge_kind kind, uint8_t level)
{
	const struct graph *graph = mark->graph;

	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];

		if (edge->kind == kind)
			mark_node(mark, edge->to, edge, level);
	}
}

void mark_uncertain(struct mark *mark, uint8_t level)
{
	const struct graph *graph = mark->graph;

	for (uint32_t i = 0; i < graph->objects; i++) {
		const struct bpfrefs_object *object = graph_object(graph, i);

		if (object->key.kind == BPFREFS_KIND_MAP && graph_is_uncertain(object, true))
			mark_node(mark, node_user(i), NULL, level);
		if (graph_is_uncertain(object, false))
			mark_node(mark, node_object(i), NULL, level);
	}
	mark_kind(mark, EDGE_LOST, level);
}

void mark_unexplained_of(struct mark *mark, uint32_t index, uint64_t less)
{
	const struct bpfrefs_object *object = graph_object(mark->graph, index);

	if (object->usercnt != BPFREFS_UNKNOWN && object->usercnt > object->user_explained + less)
		mark_node(mark, node_user(index), NULL, 1);
	if (object->refcnt != BPFREFS_UNKNOWN && object->refcnt > object->explained + less)
		mark_node(mark, node_object(index), NULL, 1);
}

void mark_unexplained(struct mark *mark)
{
	for (uint32_t i = 0; i < mark->graph->objects; i++)
		mark_unexplained_of(mark, i, 0);
}

/* ----------------------------------------------------------- processes --- */

static int by_number(gconstpointer a, gconstpointer b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void sort_unique(GArray *pids)
{
	guint kept = 0;

	g_array_sort(pids, by_number);
	for (guint i = 0; i < pids->len; i++) {
		uint32_t pid = g_array_index(pids, uint32_t, i);

		if (kept == 0 || g_array_index(pids, uint32_t, kept - 1) != pid)
			g_array_index(pids, uint32_t, kept++) = pid;
	}
	g_array_set_size(pids, kept);
}

GArray *graph_processes(const struct graph *graph, uint32_t node)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	g_autoptr(GArray) stack = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	GArray *pids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	g_array_append_val(stack, node);
	while (stack->len) {
		uint32_t at = g_array_index(stack, uint32_t, stack->len - 1), other = at ^ 1;
		uint32_t place = graph_index_of_node(graph, at);

		g_array_set_size(stack, stack->len - 1);
		if (!g_hash_table_add(seen, GUINT_TO_POINTER(at)))
			continue;
		for (uint32_t i = graph->in_first[place]; i < graph->in_first[place + 1]; i++) {
			const struct edge *edge = &graph->edge[i];

			if (edge->to == at && edge->kind == EDGE_PROCESS)
				g_array_append_val(pids, edge->pid);
			else if (edge->to == at && edge->kind == EDGE_HELD)
				g_array_append_val(stack, edge->from);
		}
		if (node_has_other(graph, at))
			g_array_append_val(stack, other);
	}
	sort_unique(pids);
	return pids;
}

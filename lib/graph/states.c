/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Computes the state of each object from what leads to it, and the sentence that explains it
 * (bpfrefs(5), "The graph").
 */
#include <linux/bpf.h>

#include "graph/states.h"

/*
 * The edge by which the object was reached first; of a map with a user state, an edge to that if
 * there is one.
 */
static const struct edge *nearest(const struct mark *mark, uint32_t index)
{
	const struct edge *user = mark->by[node_user(index)],
			  *object = mark->by[node_object(index)];
	bool needs_user = graph_object(mark->graph, index)->user_state;

	if (!user || !object)
		return user ? user : object;
	if (needs_user || mark->reached[node_user(index)] <= mark->reached[node_object(index)])
		return user;
	return object;
}

/* @object is a map. */
static const char *lost_state(const struct bpfrefs_object *object)
{
	switch (object->type_number) {
	case BPF_MAP_TYPE_PROG_ARRAY:
		return "its tail calls fail";
	case BPF_MAP_TYPE_SOCKMAP:
	case BPF_MAP_TYPE_SOCKHASH:
		return "its parser and verdict programs were released";
	default:
		return "its timers and work queues were cancelled";
	}
}

/* Whether the usercnt of a map is 0 although a program that uses the map is certainly held. */
static bool is_cleared(struct states *st, uint32_t index)
{
	const struct graph *graph = st->graph;
	const struct bpfrefs_object *object = graph_object(graph, index);

	if (object->usercnt != 0 || object->changing)
		return false;
	for (uint32_t i = graph->in_first[index]; i < graph->in_first[index + 1]; i++) {
		g_autofree char *why = NULL;
		char key[BPFREFS_KEY_MAX];

		if (!states_is_user(st, &graph->edge[i]))
			continue;
		bpfrefs_key_format(graph->edge[i].ref->holder, key);
		why = g_strdup_printf("usercnt is 0 and %s uses it: %s", key, lost_state(object));
		states_set(st, index, BPFREFS_STATE_CLEARED, why);
		return true;
	}
	return false;
}

/* ------------------------------------------------------- the other states --- */

static char *uncertain_text(const struct bpfrefs_object *object)
{
	int64_t rest = (int64_t)(object->refcnt - object->explained);
	int64_t user = (int64_t)(object->usercnt - object->user_explained);

	if (object->changing)
		return g_strdup("its counters were changing");
	if (object->refcnt == BPFREFS_UNKNOWN)
		return g_strdup("no holder was found, and its refcnt could not be read");
	if (rest < 0 || (object->usercnt != BPFREFS_UNKNOWN && user < 0))
		return g_strdup("more references were found than the kernel counts");
	if (rest > 0 && object->usercnt == 0 && object->key.kind == BPFREFS_KIND_MAP &&
	    object->type_number == BPF_MAP_TYPE_PROG_ARRAY)
		return g_strdup_printf("unexplained references: %" G_GINT64_FORMAT
				       "; the kernel may have leaked them",
				       rest);
	if (rest > 0)
		return g_strdup_printf("unexplained references: %" G_GINT64_FORMAT, rest);
	if (object->usercnt == BPFREFS_UNKNOWN)
		return g_strdup("its usercnt could not be read");
	return g_strdup_printf("unexplained user references: %" G_GINT64_FORMAT, user);
}

static void set_unknown(struct states *st, uint32_t index)
{
	const struct bpfrefs_object *object = graph_object(st->graph, index);
	const struct edge *edge = nearest(st->doubt, index);
	g_autofree char *text = NULL, *why = NULL;

	if (graph_is_uncertain(object, false) ||
	    (object->key.kind == BPFREFS_KIND_MAP && graph_is_uncertain(object, true))) {
		why = uncertain_text(object);
	} else if (edge) {
		text = states_edge_text(st, edge);
		why = g_strdup_printf("%s, and what holds that is not known", text);
	} else {
		why = g_strdup_printf("nothing leads to it, but class %s is %s",
				      st->gap ? st->gap->class_->name : "?",
				      bpfrefs_coverage_name(st->gap ? st->gap->coverage
								    : BPFREFS_COVERAGE_PARTIAL));
	}
	states_set(st, index, BPFREFS_STATE_UNKNOWN, why);
}

static void set_unrooted(struct states *st, uint32_t index)
{
	const struct graph *graph = st->graph;
	uint32_t first = graph->in_first[index];
	g_autofree char *text = NULL, *why = NULL;

	if (first == graph->in_first[index + 1]) {
		states_set(st, index, BPFREFS_STATE_UNROOTED, "nothing holds it");
		return;
	}
	text = states_edge_text(st, &graph->edge[first]);
	why = g_strdup_printf("no root leads to it: %s", text);
	states_set(st, index, BPFREFS_STATE_UNROOTED, why);
}

static void judge(struct states *st, uint32_t index)
{
	const struct bpfrefs_object *object = graph_object(st->graph, index);
	g_autofree char *why = NULL;

	if (!st->certain->reached[node_object(index)]) {
		if (st->doubt->reached[node_object(index)] || st->gap)
			set_unknown(st, index);
		else
			set_unrooted(st, index);
		return;
	}
	if (object->user_state && is_cleared(st, index))
		return;
	/* The state is "held" unless risk_compute() sets "at-risk" later. */
	why = states_edge_text(st, nearest(st->certain, index));
	states_set(st, index, BPFREFS_STATE_HELD, why);
	if (object->user_state)
		risk_add(st, index);
}

/* The number of bytes that computing the states takes for each object, in addition to the graph. */
#define JUDGING_BYTES 256

static int judge_all(struct bpfrefs_snapshot *snap, struct graph *graph)
{
	mark_auto *certain = mark_new(graph);
	mark_auto *doubt = mark_new(graph);
	struct states st = { snap, graph, certain, doubt, graph_gap(snap), NULL, NULL };
	int err;

	if (!certain || !doubt || !memory_available(snap->objects->len * (size_t)JUDGING_BYTES))
		return -ENOMEM;
	/*
	 * Roots that stay come first, so that the level of a node says whether it is held only by
	 * processes.
	 */
	mark_kind(certain, EDGE_ROOT, BY_STAYING);
	mark_spread(certain);
	mark_kind(certain, EDGE_PROCESS, BY_PROCESS);
	mark_spread(certain);
	mark_uncertain(doubt, BY_STAYING);
	mark_spread(doubt);
	st.groups =
		g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref,
				      (GDestroyNotify)g_array_unref);
	st.owned = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	for (uint32_t i = 0; i < graph->objects; i++)
		judge(&st, i);
	err = risk_compute(&st);
	g_hash_table_unref(st.groups);
	g_hash_table_unref(st.owned);
	return err;
}

void states_find(struct bpfrefs_snapshot *snap, bool only_self)
{
	graph_auto *graph = graph_new(snap);

	if (graph && !snap->self_found)
		self_find(snap, graph);
	if (only_self || judge_all(snap, graph) == 0)
		return;
	for (guint i = 0; i < snap->objects->len; i++) {
		struct bpfrefs_object *object = snap->objects->pdata[i];

		object->state = BPFREFS_STATE_UNKNOWN;
		object->because = states_no_memory;
	}
}

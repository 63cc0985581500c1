/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps at risk: only processes hold their user state, and if all of these exited, a root would
 * still lead to a program that uses the map. The graph is searched backwards, from the program to
 * what leads to it, since a root is usually near. Maps whose user state is held by the same
 * processes are searched for together, since they share the results.
 */
#include <stdlib.h>
#include <string.h>

#include "graph/states.h"

/* The processes that hold the user state of a map, sorted. */
struct set {
	const uint32_t *pids;
	size_t count;
};

/* ------------------------------------------------------ sets of processes --- */

static int by_number(gconstpointer a, gconstpointer b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool set_has(const struct set *set, uint32_t pid)
{
	return set->count && bsearch(&pid, set->pids, set->count, sizeof(pid), by_number);
}

static bool set_has_all(const struct set *set, const GArray *pids)
{
	for (guint i = 0; i < pids->len; i++)
		if (!set_has(set, g_array_index(pids, uint32_t, i)))
			return false;
	return true;
}

void risk_add(struct states *st, uint32_t index)
{
	g_autoptr(GBytes) set = NULL;
	GArray *pids, *group;

	/*
	 * With an automatic keep, whatever leads to a program that uses the map leads to its user
	 * state too. If the map may have holders that were not found, these may hold its user
	 * state.
	 */
	if (st->certain->reached[node_user(index)] != BY_PROCESS ||
	    st->doubt->reached[node_user(index)] || st->graph->kept_auto[index])
		return;
	pids = graph_processes(st->graph, node_user(index));
	set = g_bytes_new(pids->data, pids->len * sizeof(uint32_t));
	g_array_unref(pids);
	group = g_hash_table_lookup(st->groups, set);
	if (!group) {
		group = g_array_new(FALSE, FALSE, sizeof(uint32_t));
		g_hash_table_insert(st->groups, g_bytes_ref(set), group);
	}
	g_array_append_val(group, index);
}

/* ---------------------------------------------------------------- search --- */

/* Whether a root leads to a node after the processes of the set have exited. */
enum verdict { UNKNOWN, QUEUED, STAYS, ENDS };

struct risk_search {
	const struct states *st;
	struct set set;
	uint8_t *verdict; /* for each node */
	uint32_t *queue, head, tail;
	char *processes; /* the set in words, made when a sentence needs it; owned */
};

static void enqueue(struct risk_search *search, uint32_t node)
{
	if (search->verdict[node] != UNKNOWN)
		return;
	search->verdict[node] = QUEUED;
	search->queue[search->tail++] = node;
}

/*
 * For a node that needs all its holders: whether each of them is kept by a process outside the set.
 */
static bool all_stay(const struct risk_search *search, uint32_t node)
{
	const struct graph *graph = search->st->graph;
	uint32_t place = graph_index_of_node(graph, node);
	bool stay = true;

	for (uint32_t i = graph->in_first[place]; stay && i < graph->in_first[place + 1]; i++) {
		g_autoptr(GArray) pids = graph_processes(graph, graph->edge[i].from);

		stay = !set_has_all(&search->set, pids);
	}
	return stay;
}

/* Queues the nodes that lead to a node. Returns true if one of its holders stays. */
static bool enqueue_holders(struct risk_search *search, uint32_t node)
{
	const struct graph *graph = search->st->graph;
	uint32_t place = graph_index_of_node(graph, node);

	if (search->st->certain->reached[node] == BY_STAYING)
		return true;
	if (graph_needs_all(graph, node))
		return all_stay(search, node);
	for (uint32_t i = graph->in_first[place]; i < graph->in_first[place + 1]; i++) {
		const struct edge *edge = &graph->edge[i];

		if (edge->to != node)
			continue;
		if (edge->kind == EDGE_PROCESS && !set_has(&search->set, edge->pid))
			return true;
		if (edge->kind != EDGE_HELD)
			continue;
		if (search->verdict[edge->from] == STAYS)
			return true;
		enqueue(search, edge->from);
	}
	if (node_has_other(graph, node))
		enqueue(search, node ^ 1);
	return false;
}

static bool stays(struct risk_search *search, uint32_t node)
{
	bool found = false;

	if (search->verdict[node] != UNKNOWN)
		return search->verdict[node] == STAYS;
	search->head = search->tail = 0;
	enqueue(search, node);
	while (!found && search->head < search->tail)
		found = enqueue_holders(search, search->queue[search->head++]);
	/* A search that ended early has a verdict only for the node where it began. */
	for (uint32_t i = 0; i < search->tail; i++)
		search->verdict[search->queue[i]] = found ? UNKNOWN : ENDS;
	if (found)
		search->verdict[node] = STAYS;
	return found;
}

/* -------------------------------------------------------------- verdicts --- */

static void set_at_risk(struct states *st, struct risk_search *search, uint32_t index,
			struct bpfrefs_key program)
{
	const struct set *set = &search->set;
	g_autofree char *text = NULL;
	char key[BPFREFS_KEY_MAX];

	if (!search->processes)
		search->processes = states_processes(st, set->pids, set->count);
	text = g_strdup_printf("only %s %s its user state, and %s, which stays, uses it",
			       search->processes, set->count == 1 ? "holds" : "hold",
			       bpfrefs_key_format(program, key));
	states_set(st, index, BPFREFS_STATE_AT_RISK, text);
}

static void judge(struct states *st, struct risk_search *search, uint32_t index)
{
	const struct graph *graph = st->graph;

	for (uint32_t i = graph->in_first[index]; i < graph->in_first[index + 1]; i++) {
		const struct edge *edge = &graph->edge[i];

		if (states_is_user(st, edge) && stays(search, edge->from)) {
			set_at_risk(st, search, index, edge->ref->holder);
			return;
		}
	}
}

int risk_compute(struct states *st)
{
	size_t nodes = st->graph->nodes;
	g_autofree uint8_t *verdict = memory_try(nodes, sizeof(*verdict));
	g_autofree uint32_t *queue = memory_try(nodes, sizeof(*queue));
	GHashTableIter iter;
	gpointer set, maps;

	if (!verdict || !queue)
		return -ENOMEM;
	g_hash_table_iter_init(&iter, st->groups);
	while (g_hash_table_iter_next(&iter, &set, &maps)) {
		const GArray *group = maps;
		struct risk_search search = { st, { NULL, 0 }, verdict, queue, 0, 0, NULL };
		gsize size;

		search.set.pids = g_bytes_get_data(set, &size);
		search.set.count = size / sizeof(*search.set.pids);
		memset(verdict, UNKNOWN, nodes);
		for (guint i = 0; i < group->len; i++)
			judge(st, &search, g_array_index(group, uint32_t, i));
		g_free(search.processes);
	}
	return 0;
}

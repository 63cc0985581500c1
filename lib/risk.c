/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps at risk: only processes hold their user state, and without all of these a root would still
 * lead to a program that uses the map. Asked backwards, from the program to whatever leads to it,
 * since an answer is near as a rule; and for all maps that the same processes hold at once, since
 * what was found for one holds for the others.
 */
#include <stdlib.h>
#include <string.h>

#include "states.h"

/* Processes named in a sentence; where there are more, their number has to do. */
#define PIDS_NAMED 3

/* The processes that hold a map's user state, sorted. */
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

static GBytes *set_of(GArray *pids)
{
	guint kept = 0;

	g_array_sort(pids, by_number);
	for (guint i = 0; i < pids->len; i++) {
		uint32_t pid = g_array_index(pids, uint32_t, i);

		if (kept == 0 || g_array_index(pids, uint32_t, kept - 1) != pid)
			g_array_index(pids, uint32_t, kept++) = pid;
	}
	return g_bytes_new(pids->data, kept * sizeof(uint32_t));
}

static bool set_has(const struct set *set, uint32_t pid)
{
	return set->count && bsearch(&pid, set->pids, set->count, sizeof(pid), by_number);
}

/* All processes that lead to a node. */
static GBytes *processes_behind(const struct graph *graph, uint32_t node)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	g_autoptr(GArray) stack = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	g_array_append_val(stack, node);
	while (stack->len) {
		uint32_t at = g_array_index(stack, uint32_t, stack->len - 1), other = at ^ 1;
		uint32_t index = at / 2;

		g_array_set_size(stack, stack->len - 1);
		if (!g_hash_table_add(seen, GUINT_TO_POINTER(at)))
			continue;
		for (uint32_t i = graph->in_first[index]; i < graph->in_first[index + 1]; i++) {
			const struct edge *edge = &graph->edge[i];
			uint32_t pid = graph_pid(edge->ref);

			if (edge->to == at && edge->kind == EDGE_PROCESS)
				g_array_append_val(pids, pid);
			else if (edge->to == at && edge->kind == EDGE_HELD)
				g_array_append_val(stack, edge->from);
		}
		if (at == node_object(index) || graph->kept_auto[index])
			g_array_append_val(stack, other);
	}
	return set_of(pids);
}

void risk_suspect(struct states *st, uint32_t index)
{
	g_autoptr(GBytes) set = NULL;
	GArray *group;

	/* With an automatic keep, whatever leads to a program that uses the map leads to its user
	 * state too. What a doubt leads to may be held by more than processes. */
	if (st->certain->reached[node_user(index)] != BY_PROCESS ||
	    st->doubt->reached[node_user(index)] || st->graph->kept_auto[index])
		return;
	set = processes_behind(st->graph, node_user(index));
	group = g_hash_table_lookup(st->groups, set);
	if (!group) {
		group = g_array_new(FALSE, FALSE, sizeof(uint32_t));
		g_hash_table_insert(st->groups, g_bytes_ref(set), group);
	}
	g_array_append_val(group, index);
}

/* ---------------------------------------------------------------- search --- */

/* Does anything lead to a node when the set's processes are gone? */
enum verdict { UNKNOWN, SEEN, STAYS, GOES };

struct search {
	const struct states *st;
	struct set set;
	uint8_t *verdict; /* by node */
	uint32_t *queue, head, tail;
};

static void look_at(struct search *search, uint32_t node)
{
	if (search->verdict[node] != UNKNOWN)
		return;
	search->verdict[node] = SEEN;
	search->queue[search->tail++] = node;
}

/* Queues what leads to a node; true once that is something that stays. */
static bool look_behind(struct search *search, uint32_t node)
{
	const struct graph *graph = search->st->graph;
	uint32_t index = node / 2;

	if (search->st->certain->reached[node] == BY_STAYING)
		return true;
	for (uint32_t i = graph->in_first[index]; i < graph->in_first[index + 1]; i++) {
		const struct edge *edge = &graph->edge[i];

		if (edge->to != node)
			continue;
		if (edge->kind == EDGE_PROCESS && !set_has(&search->set, graph_pid(edge->ref)))
			return true;
		if (edge->kind != EDGE_HELD)
			continue;
		if (search->verdict[edge->from] == STAYS)
			return true;
		look_at(search, edge->from);
	}
	if (node == node_object(index) || graph->kept_auto[index])
		look_at(search, node ^ 1);
	return false;
}

static bool stays(struct search *search, uint32_t node)
{
	bool found = false;

	if (search->verdict[node] != UNKNOWN)
		return search->verdict[node] == STAYS;
	search->head = search->tail = 0;
	look_at(search, node);
	while (!found && search->head < search->tail)
		found = look_behind(search, search->queue[search->head++]);
	/* Where the search ended early, it has judged nothing but where it began. */
	for (uint32_t i = 0; i < search->tail; i++)
		search->verdict[search->queue[i]] = found ? UNKNOWN : GOES;
	if (found)
		search->verdict[node] = STAYS;
	return found;
}

/* -------------------------------------------------------------- verdicts --- */

static void set_at_risk(struct states *st, uint32_t index, const struct set *set,
			struct bpfrefs_key program)
{
	g_autoptr(GString) text = g_string_new("only ");
	char key[BPFREFS_KEY_MAX];

	if (set->count > PIDS_NAMED)
		g_string_append_printf(text, "%zu processes", set->count);
	for (size_t i = 0; set->count <= PIDS_NAMED && i < set->count; i++) {
		g_autofree char *process = states_process(st, set->pids[i]);

		if (i > 0)
			g_string_append(text, i + 1 < set->count ? ", " : " and ");
		g_string_append(text, process);
	}
	g_string_append_printf(text, " %s its user state, and %s, which stays, uses it",
			       set->count == 1 ? "holds" : "hold",
			       bpfrefs_key_format(program, key));
	states_set(st, index, BPFREFS_AT_RISK, text->str);
}

static void judge(struct states *st, struct search *search, uint32_t index)
{
	const struct graph *graph = st->graph;

	for (uint32_t i = graph->in_first[index]; i < graph->in_first[index + 1]; i++) {
		const struct edge *edge = &graph->edge[i];

		if (states_is_user(st, edge) && stays(search, edge->from)) {
			set_at_risk(st, index, &search->set, edge->ref->holder);
			return;
		}
	}
}

int risk_judge(struct states *st)
{
	size_t nodes = 2 * (size_t)st->graph->objects;
	g_autofree uint8_t *verdict = memory_try(nodes, sizeof(*verdict));
	g_autofree uint32_t *queue = memory_try(nodes, sizeof(*queue));
	GHashTableIter iter;
	gpointer set, maps;

	if (!verdict || !queue)
		return -ENOMEM;
	g_hash_table_iter_init(&iter, st->groups);
	while (g_hash_table_iter_next(&iter, &set, &maps)) {
		const GArray *group = maps;
		struct search search = { st, { NULL, 0 }, verdict, queue, 0, 0 };
		gsize size;

		search.set.pids = g_bytes_get_data(set, &size);
		search.set.count = size / sizeof(*search.set.pids);
		memset(verdict, UNKNOWN, nodes);
		for (guint i = 0; i < group->len; i++)
			judge(st, &search, g_array_index(group, uint32_t, i));
	}
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sentence of an object's state: what leads to it, in words (bpfrefs(5), "The graph"). */
#include "graph/states.h"
#include "snapshot/index.h"

#include <string.h>

const char states_no_memory[] = "there was not enough memory to compute the state";

void states_set(struct states *st, uint32_t index, enum bpfrefs_state state, const char *why)
{
	struct bpfrefs_object *object = st->snap->objects->pdata[index];

	object->state = state;
	object->because = arena_str(st->snap->arena, why);
	if (arena_failed(st->snap->arena))
		object->because = states_no_memory;
}

/* ---------------------------------------------------------- sentences --- */

/* The greatest number of processes that a sentence names; it says how many others there are. */
#define PIDS_NAMED 2

char *states_processes(const struct states *st, const uint32_t *pids, size_t count)
{
	g_autofree char *first = count > 0 ? process_text(st->snap, pids[0]) : NULL;
	g_autofree char *second = count > 1 ? process_text(st->snap, pids[1]) : NULL;

	if (count > PIDS_NAMED)
		return g_strdup_printf("%s, %s and %zu more", first, second, count - PIDS_NAMED);
	if (count == PIDS_NAMED)
		return g_strdup_printf("%s and %s", first, second);
	return first ? g_steal_pointer(&first) : g_strdup("no process");
}

static char *text_by_object(const struct bpfrefs_ref *ref)
{
	const struct ref_via *via = ref_via_of(ref->via);
	struct bpfrefs_value slot = { .type = BPFREFS_VALUE_ABSENT };
	char holder[BPFREFS_KEY_MAX];

	bpfrefs_key_format(ref->holder, holder);
	if (via->in_slot)
		slot = bpfrefs_ref_get(ref, "slot");
	if (slot.type == BPFREFS_VALUE_NUM)
		return g_strdup_printf("%s has it in slot %" G_GUINT64_FORMAT, holder, slot.num);
	if (via->says)
		return g_strdup_printf("%s %s", holder, via->says);
	return g_strdup_printf("%s holds it (%s)", holder, via->word);
}

/*
 * Adds how many references of the same class the process has to the object, and how many other
 * processes have any. An object may have a hundred thousand descriptors.
 */
static void add_other_processes(GString *text, const struct states *st, const struct edge *edge)
{
	const struct graph *graph = st->graph;
	g_autoptr(GHashTable) others = g_hash_table_new(NULL, NULL);
	uint32_t place = graph_index_of_node(graph, edge->to), same = 0;

	for (uint32_t i = graph->in_first[place]; i < graph->in_first[place + 1]; i++) {
		const struct edge *other = &graph->edge[i];

		if (other->kind != EDGE_PROCESS)
			continue;
		if (other->pid != edge->pid)
			g_hash_table_add(others, GUINT_TO_POINTER(other->pid));
		else if (other->ref->class == edge->ref->class)
			same++;
	}
	if (same > 1)
		g_string_append_printf(text, ", one of %" G_GUINT32_FORMAT, same);
	if (g_hash_table_size(others))
		g_string_append_printf(text, "; %u other process%s too", g_hash_table_size(others),
				       g_hash_table_size(others) == 1 ? " holds it" : "es hold it");
}

static char *text_by_process(const struct states *st, const struct edge *edge)
{
	const struct holder_class *class = edge->ref->class;
	g_autofree char *process = process_text(st->snap, edge->pid);
	GString *text = g_string_new(process);

	if (class->process_says)
		g_string_append_printf(text, " %s", class->process_says);
	else
		g_string_append_printf(text, " holds it (%s)", class->pub.name);
	add_other_processes(text, st, edge);
	return g_string_free(text, FALSE);
}

static char *text_by_place(const struct states *st, const struct bpfrefs_ref *ref, bool owned)
{
	const struct bpfrefs_class *class = &ref->class->pub;
	struct bpfrefs_value place = bpfrefs_ref_value(ref, class->place);

	if (ref->class->says)
		return ref->class->says(st->snap, ref, owned);
	if (place.type == BPFREFS_VALUE_STR)
		return g_strdup_printf("attached (%s %s)", class->name, place.str);
	return g_strdup_printf("attached (%s)", class->name);
}

/* Describes what lasts as long as a map: the first map, if a socket is in several. */
static char *text_by_map(const struct graph *graph, uint32_t owner)
{
	const struct edge *edge = &graph->edge[graph->in_first[graph_index_of_node(graph, owner)]];
	char key[BPFREFS_KEY_MAX];

	if (edge->from == UINT32_MAX)
		return g_strdup("a socket in a sockmap has it (psock)");
	bpfrefs_key_format(graph_object(graph, edge->from / 2)->key, key);
	return g_strdup_printf("a socket in %s has it (psock)", key);
}

static const char *const owner_places[OWNER_KINDS] = {
	[OWNER_MNT_NS] = "in a mount namespace",
	[OWNER_NET_NS] = "in a network namespace",
	[OWNER_BPFFS] = "in a bpffs",
	[OWNER_NETDEV] = "to a device",
	[OWNER_TUN] = "to a device",
	[OWNER_SOCKET] = "by a socket",
	[OWNER_XDP] = "to devices",
	[OWNER_PSOCK] = "by a socket",
};

static char *pids_text(const struct states *st, const GArray *pids)
{
	return states_processes(st, (const uint32_t *)(const void *)pids->data, pids->len);
}

static bool is_within(const GArray *part, const GArray *whole)
{
	guint at = 0;

	for (guint i = 0; i < part->len; i++) {
		uint32_t pid = g_array_index(part, uint32_t, i);

		while (at < whole->len && g_array_index(whole, uint32_t, at) < pid)
			at++;
		if (at == whole->len || g_array_index(whole, uint32_t, at) != pid)
			return false;
	}
	return true;
}

/*
 * Returns the sets of processes whose exit releases the owner, each on its own; a GPtrArray of
 * GArray. If a set contains another one, only the smaller one is kept.
 */
static GPtrArray *owner_sets(const struct graph *graph, uint32_t node)
{
	uint32_t place = graph_index_of_node(graph, node);
	GPtrArray *sets = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);

	if (!graph_needs_all(graph, node)) {
		g_ptr_array_add(sets, graph_processes(graph, node));
		return sets;
	}
	for (uint32_t i = graph->in_first[place]; i < graph->in_first[place + 1]; i++) {
		GArray *set = graph_processes(graph, graph->edge[i].from);
		bool needed = true;

		for (guint j = sets->len; j > 0; j--) {
			if (is_within(sets->pdata[j - 1], set))
				needed = false;
			else if (is_within(set, sets->pdata[j - 1]))
				g_ptr_array_remove_index(sets, j - 1);
		}
		if (needed)
			g_ptr_array_add(sets, set);
		else
			g_array_unref(set);
	}
	return sets;
}

/* Returns "in a network namespace that only pid 12 (a) holds"; computed once for each owner. */
static const char *owned_text(const struct states *st, uint32_t node)
{
	const char *place = owner_places[graph_owner(st->graph, node)->kind];
	const char *cached = g_hash_table_lookup(st->owned, GUINT_TO_POINTER(node));
	g_autoptr(GPtrArray) sets = NULL;
	GString *text;

	if (cached)
		return cached;
	sets = owner_sets(st->graph, node);
	text = g_string_new(place);
	for (guint i = 0; i < sets->len; i++) {
		const GArray *pids = sets->pdata[i];
		g_autofree char *processes = pids_text(st, pids);

		if (sets->len > 1)
			g_string_append_printf(text, "%s %s",
					       i ? ", or with" : " that is removed with",
					       processes);
		else
			g_string_append_printf(text, " that only %s %s", processes,
					       pids->len == 1 ? "holds" : "hold");
	}
	g_hash_table_insert(st->owned, GUINT_TO_POINTER(node), text->str);
	return g_string_free(text, FALSE);
}

static char *text_by_owner(const struct states *st, const struct edge *edge)
{
	g_autofree char *place = NULL;

	if (graph_owner(st->graph, edge->from)->kind == OWNER_PSOCK)
		return text_by_map(st->graph, edge->from);
	place = text_by_place(st, edge->ref, true);
	return g_strdup_printf("%s %s", place, owned_text(st, edge->from));
}

char *states_edge_text(const struct states *st, const struct edge *edge)
{
	if (edge->ref->holder.kind != BPFREFS_KIND_NONE)
		return text_by_object(edge->ref);
	if (edge->kind == EDGE_HELD)
		return text_by_owner(st, edge);
	return edge->kind == EDGE_PROCESS ? text_by_process(st, edge)
					  : text_by_place(st, edge->ref, false);
}

/* ------------------------------------------------- maps with a user state --- */

bool states_is_user(const struct states *st, const struct edge *edge)
{
	return edge->kind == EDGE_HELD && edge->ref->holder.kind == BPFREFS_KIND_PROG &&
	       st->certain->reached[edge->from];
}

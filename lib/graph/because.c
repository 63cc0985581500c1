/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sentence of an object's state: what leads to it, in words (bpfrefs(5), "The graph"). */
#include "graph/states.h"

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

char *states_process(const struct states *st, uint32_t pid)
{
	const struct bpfrefs_process *process = bpfrefs_snapshot_find_pid(st->snap, pid);

	if (!process || !process->comm)
		return g_strdup_printf("pid %u", pid);
	return g_strdup_printf("pid %u (%s)", pid, process->comm);
}

/* The greatest number of processes that a sentence names; it says how many others there are. */
#define PIDS_NAMED 2

char *states_processes(const struct states *st, const uint32_t *pids, size_t count)
{
	g_autofree char *first = count > 0 ? states_process(st, pids[0]) : NULL;
	g_autofree char *second = count > 1 ? states_process(st, pids[1]) : NULL;

	if (count > PIDS_NAMED)
		return g_strdup_printf("%s, %s and %zu more", first, second, count - PIDS_NAMED);
	if (count == PIDS_NAMED)
		return g_strdup_printf("%s and %s", first, second);
	return first ? g_steal_pointer(&first) : g_strdup("no process");
}

static bool is_callback(struct bpfrefs_value via)
{
	return via.type == BPFREFS_VALUE_STR &&
	       (strcmp(via.str, "timer") == 0 || strcmp(via.str, "wq") == 0 ||
		strcmp(via.str, "task_work") == 0);
}

static char *text_by_object(const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value via = bpfrefs_ref_get(ref, "via");
	struct bpfrefs_value slot = bpfrefs_ref_get(ref, "slot");
	char holder[BPFREFS_KEY_MAX];

	bpfrefs_key_format(ref->holder, holder);
	if (slot.type == BPFREFS_VALUE_NUM && !is_callback(via))
		return g_strdup_printf("%s has it in slot %" G_GUINT64_FORMAT, holder, slot.num);
	if (ref->holder.kind == BPFREFS_PROG && ref->target.kind == BPFREFS_MAP)
		return g_strdup_printf("%s uses it", holder);
	if (ref->holder.kind == BPFREFS_LINK && ref->target.kind == BPFREFS_PROG)
		return g_strdup_printf("%s attaches it", holder);
	if (via.type == BPFREFS_VALUE_STR)
		return g_strdup_printf("%s holds it (%s)", holder, via.str);
	return g_strdup_printf("%s holds it", holder);
}

static char *text_by_process(const struct states *st, const struct edge *edge)
{
	const char *class = edge->ref->class->pub.name;
	g_autofree char *process = states_process(st, edge->pid);

	if (strcmp(class, "fd") == 0)
		return g_strdup_printf("%s has a descriptor", process);
	if (strcmp(class, "iter") == 0)
		return g_strdup_printf("%s has an open iterator", process);
	if (strcmp(class, "mmap") == 0)
		return g_strdup_printf("%s has it mapped", process);
	return g_strdup_printf("%s holds it (%s)", process, class);
}

/*
 * Describes a reference of class socket without a process: the struct_ops map of the default
 * congestion control of a network namespace (tcp_set_default_congestion_control()), or what is held
 * by a closed socket that only a packet keeps alive (skb->sk).
 */
static char *text_by_socket(const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value netns = bpfrefs_ref_get(ref, "netns");
	g_autofree char *where =
		netns.type == BPFREFS_VALUE_NUM
			? g_strdup_printf("network namespace %" G_GUINT64_FORMAT, netns.num)
			: g_strdup("a network namespace");

	if (bpfrefs_ref_get(ref, "type").type == BPFREFS_VALUE_ABSENT)
		return g_strdup_printf("the default TCP congestion control of %s", where);
	return g_strdup_printf("a closed socket of %s holds it while its packets are queued",
			       where);
}

static char *text_by_pin(const struct states *st, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value path = bpfrefs_ref_get(ref, "path");
	struct bpfrefs_value state = bpfrefs_ref_get(ref, "state");
	struct bpfrefs_value pid = bpfrefs_ref_get(ref, "pid");
	g_autofree char *process = NULL;

	if (path.type == BPFREFS_VALUE_STR)
		return g_strdup_printf("pinned at %s", path.str);
	if (pid.type == BPFREFS_VALUE_NUM) {
		process = states_process(st, (uint32_t)pid.num);
		return g_strdup_printf("pinned where %s can reach it and bpfrefs cannot", process);
	}
	return g_strdup_printf("pinned, out of reach from here (%s)",
			       state.type == BPFREFS_VALUE_STR ? state.str : "?");
}

static char *text_by_place(const struct states *st, const struct bpfrefs_ref *ref)
{
	const char *class = ref->class->pub.name;
	struct bpfrefs_value mode = bpfrefs_ref_get(ref, "mode"), where;

	if (strcmp(class, "keep") == 0)
		return g_strdup_printf("bpfrefs keeps it (%s)",
				       mode.type == BPFREFS_VALUE_STR ? mode.str : "?");
	if (strcmp(class, "pin") == 0)
		return text_by_pin(st, ref);
	if (strcmp(class, "kernel") == 0)
		return g_strdup("the kernel holds it");
	if (strcmp(class, "map") == 0)
		return g_strdup("an AF_XDP socket is in it");
	if (strcmp(class, "struct_ops") == 0)
		return g_strdup("registered with the kernel (struct_ops)");
	if (strcmp(class, "socket") == 0)
		return text_by_socket(ref);
	/* The first field of a class says what the object is attached to. */
	where = bpfrefs_ref_value(ref, 0);
	if (where.type == BPFREFS_VALUE_STR)
		return g_strdup_printf("attached (%s %s)", class, where.str);
	return g_strdup_printf("attached (%s)", class);
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
	/* The path is left out, since the sentence names all processes that keep the owner. */
	if (strcmp(edge->ref->class->pub.name, "pin") == 0)
		place = g_strdup("pinned");
	else
		place = text_by_place(st, edge->ref);
	return g_strdup_printf("%s %s", place, owned_text(st, edge->from));
}

char *states_edge_text(const struct states *st, const struct edge *edge)
{
	if (edge->ref->holder.kind != BPFREFS_KIND_COUNT)
		return text_by_object(edge->ref);
	if (edge->kind == EDGE_HELD)
		return text_by_owner(st, edge);
	return edge->kind == EDGE_PROCESS ? text_by_process(st, edge)
					  : text_by_place(st, edge->ref);
}

/* ------------------------------------------------- maps with a user state --- */

bool states_is_user(const struct states *st, const struct edge *edge)
{
	return edge->kind == EDGE_HELD && edge->ref->holder.kind == BPFREFS_PROG &&
	       st->certain->reached[edge->from];
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Computes the state of each object from what leads to it, and the sentence that explains it
 * (bpfrefs(5), "The graph").
 */
#include "graph/states.h"

#include <string.h>

static const char no_memory[] = "there was not enough memory to compute the state";

void states_set(struct states *st, uint32_t index, enum bpfrefs_state state, const char *why)
{
	struct bpfrefs_object *object = st->snap->objects->pdata[index];

	object->state = state;
	object->because = arena_str(st->snap->arena, why);
	if (arena_failed(st->snap->arena))
		object->because = no_memory;
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
	const struct edge *edge = &graph->edge[graph->in_first[graph_place(graph, owner)]];
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
	uint32_t place = graph_place(graph, node);
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

static char *edge_text(const struct states *st, const struct edge *edge)
{
	if (edge->ref->holder.kind != BPFREFS_KIND_COUNT)
		return text_by_object(edge->ref);
	if (edge->kind == EDGE_HELD)
		return text_by_owner(st, edge);
	return edge->kind == EDGE_PROCESS ? text_by_process(st, edge)
					  : text_by_place(st, edge->ref);
}

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

/* ------------------------------------------------- maps with a user state --- */

bool states_is_user(const struct states *st, const struct edge *edge)
{
	return edge->kind == EDGE_HELD && edge->ref->holder.kind == BPFREFS_PROG &&
	       st->certain->reached[edge->from];
}

static const char *lost_state(const struct bpfrefs_object *object)
{
	if (g_strcmp0(object->type, "prog_array") == 0)
		return "its tail calls fail";
	if (g_strcmp0(object->type, "sockmap") == 0 || g_strcmp0(object->type, "sockhash") == 0)
		return "its parser and verdict programs were released";
	return "its timers and work queues were cancelled";
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
		states_set(st, index, BPFREFS_CLEARED, why);
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
	if (rest > 0 && object->usercnt == 0 && g_strcmp0(object->type, "prog_array") == 0)
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

	if (graph_doubtful(object, false) ||
	    (object->key.kind == BPFREFS_MAP && graph_doubtful(object, true))) {
		why = uncertain_text(object);
	} else if (edge) {
		text = edge_text(st, edge);
		why = g_strdup_printf("%s, and what holds that is not known", text);
	} else {
		why = g_strdup_printf(
			"nothing leads to it, but class %s is %s",
			st->gap ? st->gap->class_->name : "?",
			bpfrefs_coverage_name(st->gap ? st->gap->coverage : BPFREFS_PARTIAL));
	}
	states_set(st, index, BPFREFS_STATE_UNKNOWN, why);
}

static void set_unrooted(struct states *st, uint32_t index)
{
	const struct graph *graph = st->graph;
	uint32_t first = graph->in_first[index];
	g_autofree char *text = NULL, *why = NULL;

	if (first == graph->in_first[index + 1]) {
		states_set(st, index, BPFREFS_UNROOTED, "nothing holds it");
		return;
	}
	text = edge_text(st, &graph->edge[first]);
	why = g_strdup_printf("no root leads to it: %s", text);
	states_set(st, index, BPFREFS_UNROOTED, why);
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
	/* The state is "held" unless risk_judge() sets "at-risk" later. */
	why = edge_text(st, nearest(st->certain, index));
	states_set(st, index, BPFREFS_HELD, why);
	if (object->user_state)
		risk_suspect(st, index);
}

/* The number of bytes that computing the states takes for each object, in addition to the graph. */
#define JUDGING_BYTES 256

static int judge_all(struct bpfrefs_snapshot *snap)
{
	graph_auto *graph = graph_new(snap);
	mark_auto *certain = mark_new(graph);
	mark_auto *doubt = mark_new(graph);
	struct states st = { snap, graph, certain, doubt, graph_gap(snap), NULL, NULL };
	int err;

	if (!certain || !doubt || !memory_is_there(snap->objects->len * (size_t)JUDGING_BYTES))
		return -ENOMEM;
	/*
	 * Roots that stay come first, so that the level of a node says whether it is held only by
	 * processes.
	 */
	mark_kind(certain, EDGE_ROOT, BY_STAYING);
	mark_spread(certain);
	mark_kind(certain, EDGE_PROCESS, BY_PROCESS);
	mark_spread(certain);
	mark_doubts(doubt, BY_STAYING);
	mark_spread(doubt);
	st.groups =
		g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref,
				      (GDestroyNotify)g_array_unref);
	st.owned = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	for (uint32_t i = 0; i < graph->objects; i++)
		judge(&st, i);
	err = risk_judge(&st);
	g_hash_table_unref(st.groups);
	g_hash_table_unref(st.owned);
	return err;
}

void graph_states(struct bpfrefs_snapshot *snap)
{
	if (judge_all(snap) == 0)
		return;
	for (guint i = 0; i < snap->objects->len; i++) {
		struct bpfrefs_object *object = snap->objects->pdata[i];

		object->state = BPFREFS_STATE_UNKNOWN;
		object->because = no_memory;
	}
}

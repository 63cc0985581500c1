/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each object's state, by what leads to it, and one sentence on why (bpfrefs(5), "The graph"). */
#include <string.h>

#include "graph.h"

/* How a node is reached for certain: by what stays, or only by processes. */
enum { BY_STAYING = 1, BY_PROCESS = 2 };

/* Processes named in a sentence; where there are more, their number has to do. */
#define PIDS_NAMED 3

struct states {
	struct bpfrefs_snapshot *snap;
	struct graph *graph;
	struct mark *certain; /* from what was found */
	struct mark *doubt;   /* from what was not: counts unexplained, unread or moving */
	const struct bpfrefs_class_status *gap;
	GHashTable *groups; /* a set of processes (GBytes of uint32_t) -> objects that it holds */
};

static void set_state(struct states *st, uint32_t index, enum bpfrefs_state state, const char *why)
{
	struct bpfrefs_object *object = st->snap->objects->pdata[index];

	object->state = state;
	object->because = arena_str(st->snap->arena, why);
}

static const char *key_text(const struct states *st, uint32_t index, char buf[BPFREFS_KEY_MAX])
{
	return bpfrefs_key_format(graph_object(st->graph, index)->key, buf);
}

/* ---------------------------------------------------------- sentences --- */

static char *process_text(const struct states *st, uint32_t pid)
{
	const struct bpfrefs_process *process = bpfrefs_snapshot_find_pid(st->snap, pid);

	if (!process || !process->comm)
		return g_strdup_printf("pid %u", pid);
	return g_strdup_printf("pid %u (%s)", pid, process->comm);
}

static char *by_object(const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value via = bpfrefs_ref_get(ref, "via");
	struct bpfrefs_value slot = bpfrefs_ref_get(ref, "slot");
	char holder[BPFREFS_KEY_MAX];

	bpfrefs_key_format(ref->holder, holder);
	if (slot.type == BPFREFS_VALUE_NUM)
		return g_strdup_printf("%s has it in slot %" G_GUINT64_FORMAT, holder, slot.num);
	if (ref->holder.kind == BPFREFS_PROG && ref->target.kind == BPFREFS_MAP)
		return g_strdup_printf("%s uses it", holder);
	if (ref->holder.kind == BPFREFS_LINK && ref->target.kind == BPFREFS_PROG)
		return g_strdup_printf("%s attaches it", holder);
	if (via.type == BPFREFS_VALUE_STR)
		return g_strdup_printf("%s holds it (%s)", holder, via.str);
	return g_strdup_printf("%s holds it", holder);
}

static char *by_process(const struct states *st, const struct bpfrefs_ref *ref)
{
	const char *class = ref->class->pub.name;
	g_autofree char *process = process_text(st, ref->pid);

	if (strcmp(class, "fd") == 0)
		return g_strdup_printf("%s has a descriptor", process);
	if (strcmp(class, "iter") == 0)
		return g_strdup_printf("%s has an open iterator", process);
	if (strcmp(class, "mmap") == 0)
		return g_strdup_printf("%s has it mapped", process);
	if (strcmp(class, "pin") == 0)
		return g_strdup_printf("pinned where %s can reach it, and not we", process);
	return g_strdup_printf("%s holds it (%s)", process, class);
}

static char *by_place(const struct bpfrefs_ref *ref)
{
	const char *class = ref->class->pub.name;
	struct bpfrefs_value path = bpfrefs_ref_get(ref, "path");
	struct bpfrefs_value state = bpfrefs_ref_get(ref, "state");
	struct bpfrefs_value mode = bpfrefs_ref_get(ref, "mode");

	if (strcmp(class, "keep") == 0)
		return g_strdup_printf("bpfrefs keeps it (%s)",
				       mode.type == BPFREFS_VALUE_STR ? mode.str : "?");
	if (strcmp(class, "pin") == 0 && path.type == BPFREFS_VALUE_STR)
		return g_strdup_printf("pinned at %s", path.str);
	if (strcmp(class, "pin") == 0)
		return g_strdup_printf("pinned, out of reach from here (%s)",
				       state.type == BPFREFS_VALUE_STR ? state.str : "?");
	if (strcmp(class, "kernel") == 0)
		return g_strdup("the kernel holds it");
	return g_strdup_printf("attached (%s)", class);
}

static char *edge_text(const struct states *st, const struct edge *edge)
{
	if (edge->ref->holder.kind != BPFREFS_KIND_COUNT)
		return by_object(edge->ref);
	return edge->kind == EDGE_PROCESS ? by_process(st, edge->ref) : by_place(edge->ref);
}

/* The edge that the object's nearest root came by; of a map rather one to its user state. */
static const struct edge *nearest(const struct mark *mark, uint32_t index)
{
	const struct edge *user = mark->by[NODE_USER(index)],
			  *object = mark->by[NODE_OBJECT(index)];
	bool needs_user = graph_object(mark->graph, index)->user_state;

	if (!user || !object)
		return user ? user : object;
	if (needs_user || mark->reached[NODE_USER(index)] <= mark->reached[NODE_OBJECT(index)])
		return user;
	return object;
}

/* ------------------------------------------------- maps with a user state --- */

/* A program that uses the map and is reached at @level or better (less), or UINT32_MAX. */
static uint32_t user_program(const struct states *st, const struct mark *mark, uint32_t index,
			     uint8_t level)
{
	const struct graph *graph = st->graph;

	for (uint32_t i = graph->in_first[index]; i < graph->in_first[index + 1]; i++) {
		const struct edge *edge = &graph->edge[i];

		if (edge->kind == EDGE_HELD && edge->ref->holder.kind == BPFREFS_PROG &&
		    mark->reached[edge->from] && mark->reached[edge->from] <= level)
			return edge->from / 2;
	}
	return UINT32_MAX;
}

static const char *loss(const struct bpfrefs_object *object)
{
	if (g_strcmp0(object->type, "prog_array") == 0)
		return "its tail calls fail";
	if (g_strcmp0(object->type, "sockmap") == 0 || g_strcmp0(object->type, "sockhash") == 0)
		return "its parser and verdict programs are gone";
	return "its timers and work queues are gone";
}

static bool is_cleared(struct states *st, uint32_t index)
{
	const struct bpfrefs_object *object = graph_object(st->graph, index);
	uint32_t program = user_program(st, st->certain, index, BY_PROCESS);
	g_autofree char *why = NULL;
	char key[BPFREFS_KEY_MAX];

	if (object->usercnt != 0 || object->changing || program == UINT32_MAX)
		return false;
	why = g_strdup_printf("usercnt is 0 and %s uses it: %s", key_text(st, program, key),
			      loss(object));
	set_state(st, index, BPFREFS_CLEARED, why);
	return true;
}

static void set_at_risk(struct states *st, uint32_t index, GBytes *set, uint32_t program)
{
	gsize size;
	const uint32_t *pids = g_bytes_get_data(set, &size);
	size_t count = size / sizeof(*pids);
	g_autoptr(GString) text = g_string_new("only ");
	char key[BPFREFS_KEY_MAX];

	if (count > PIDS_NAMED)
		g_string_append_printf(text, "%zu processes", count);
	for (size_t i = 0; count <= PIDS_NAMED && i < count; i++) {
		g_autofree char *process = process_text(st, pids[i]);

		if (i > 0)
			g_string_append(text, i + 1 < count ? ", " : " and ");
		g_string_append(text, process);
	}
	g_string_append_printf(text, " %s its user state, and %s, which stays, uses it",
			       count == 1 ? "holds" : "hold", key_text(st, program, key));
	set_state(st, index, BPFREFS_AT_RISK, text->str);
}

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

			if (edge->to == at && edge->kind == EDGE_PROCESS)
				g_array_append_val(pids, edge->ref->pid);
			else if (edge->to == at && edge->kind == EDGE_HELD)
				g_array_append_val(stack, edge->from);
		}
		if (at == NODE_OBJECT(index) || graph->kept_auto[index])
			g_array_append_val(stack, other);
	}
	return set_of(pids);
}

/*
 * Only processes hold the user state. A program that uses the map may be held by the same ones (and
 * goes with them) or by others: that needs a mark of its own without them, so the maps with the
 * same set of processes wait for one together.
 */
static void suspect(struct states *st, uint32_t index)
{
	g_autoptr(GBytes) set = processes_behind(st->graph, NODE_USER(index));
	uint32_t program = user_program(st, st->certain, index, BY_STAYING);
	GArray *group;

	if (program != UINT32_MAX) {
		set_at_risk(st, index, set, program);
		return;
	}
	group = g_hash_table_lookup(st->groups, set);
	if (!group) {
		group = g_array_new(FALSE, FALSE, sizeof(uint32_t));
		g_hash_table_insert(st->groups, g_bytes_ref(set), group);
	}
	g_array_append_val(group, index);
}

static bool set_has(const uint32_t *pids, size_t count, uint32_t pid)
{
	return count && bsearch(&pid, pids, count, sizeof(pid), by_number);
}

static struct mark *mark_without_set(const struct states *st, GBytes *set)
{
	const struct graph *graph = st->graph;
	struct mark *mark = mark_new(graph);
	gsize size;
	const uint32_t *pids = g_bytes_get_data(set, &size);

	mark_kind(mark, EDGE_ROOT, BY_STAYING);
	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];

		if (edge->kind == EDGE_PROCESS &&
		    !set_has(pids, size / sizeof(*pids), edge->ref->pid))
			mark_node(mark, edge->to, edge, BY_PROCESS);
	}
	mark_spread(mark);
	return mark;
}

static void judge_group(struct states *st, GBytes *set, const GArray *group)
{
	mark_auto *mark = mark_without_set(st, set);

	for (guint i = 0; i < group->len; i++) {
		uint32_t index = g_array_index(group, uint32_t, i);
		uint32_t program = user_program(st, mark, index, BY_PROCESS);

		if (program != UINT32_MAX)
			set_at_risk(st, index, set, program);
	}
}

static bool may_be_at_risk(const struct states *st, uint32_t index)
{
	/* With an automatic keep, whatever leads to a program that uses the map leads to its user
	 * state too. What a doubt leads to may be held by more than processes. */
	return st->certain->reached[NODE_USER(index)] == BY_PROCESS &&
	       !st->doubt->reached[NODE_USER(index)] && !st->graph->kept_auto[index] &&
	       user_program(st, st->certain, index, BY_PROCESS) != UINT32_MAX;
}

/* ------------------------------------------------------- the other states --- */

static char *doubt_text(const struct bpfrefs_object *object)
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
		why = doubt_text(object);
	} else if (edge) {
		text = edge_text(st, edge);
		why = g_strdup_printf("%s, and what holds that is not known", text);
	} else {
		why = g_strdup_printf(
			"nothing leads to it, but class %s is %s",
			st->gap ? st->gap->class_->name : "?",
			bpfrefs_coverage_name(st->gap ? st->gap->coverage : BPFREFS_PARTIAL));
	}
	set_state(st, index, BPFREFS_STATE_UNKNOWN, why);
}

static void set_unrooted(struct states *st, uint32_t index)
{
	const struct graph *graph = st->graph;
	uint32_t first = graph->in_first[index];
	g_autofree char *text = NULL, *why = NULL;

	if (first == graph->in_first[index + 1]) {
		set_state(st, index, BPFREFS_UNROOTED, "nothing holds it");
		return;
	}
	text = edge_text(st, &graph->edge[first]);
	why = g_strdup_printf("no root leads to it: %s", text);
	set_state(st, index, BPFREFS_UNROOTED, why);
}

static void judge(struct states *st, uint32_t index)
{
	const struct bpfrefs_object *object = graph_object(st->graph, index);
	g_autofree char *why = NULL;

	if (!st->certain->reached[NODE_OBJECT(index)]) {
		if (st->doubt->reached[NODE_OBJECT(index)] || st->gap)
			set_unknown(st, index);
		else
			set_unrooted(st, index);
		return;
	}
	if (object->user_state && is_cleared(st, index))
		return;
	/* Held until a mark says more. */
	why = edge_text(st, nearest(st->certain, index));
	set_state(st, index, BPFREFS_HELD, why);
	if (object->user_state && may_be_at_risk(st, index))
		suspect(st, index);
}

void graph_states(struct bpfrefs_snapshot *snap)
{
	graph_auto *graph = graph_new(snap);
	mark_auto *certain = mark_new(graph);
	mark_auto *doubt = mark_new(graph);
	struct states st = { snap, graph, certain, doubt, graph_gap(snap), NULL };
	GHashTableIter iter;
	gpointer set, group;

	/* What stays spreads first, so that a node's level says whether it needs a process. */
	mark_kind(certain, EDGE_ROOT, BY_STAYING);
	mark_spread(certain);
	mark_kind(certain, EDGE_PROCESS, BY_PROCESS);
	mark_spread(certain);
	mark_doubts(doubt, BY_STAYING);
	mark_spread(doubt);
	st.groups =
		g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref,
				      (GDestroyNotify)g_array_unref);
	for (uint32_t i = 0; i < graph->objects; i++)
		judge(&st, i);
	g_hash_table_iter_init(&iter, st.groups);
	while (g_hash_table_iter_next(&iter, &set, &group))
		judge_group(&st, set, group);
	g_hash_table_unref(st.groups);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a picture shows: nodes and edges from the graph of a snapshot, and which of them. */
#include "text/picture.h"

/* ------------------------------------------------------ nodes and edges --- */

/* The words for how a process or an owner keeps an owner. */
static const char *const how_words[OWNER_HOWS] = {
	[OWNER_BY_TASK] = "in it",
	[OWNER_BY_FD] = "fd",
	[OWNER_BY_CWD] = "cwd",
	[OWNER_BY_ROOT_DIR] = "root directory",
	[OWNER_BY_MOUNT] = "mount",
	[OWNER_BY_MEMBER] = "in it",
	[OWNER_BY_KERNEL] = "kernel",
	[OWNER_BY_HERE] = "here",
	[OWNER_BY_UNKNOWN] = "unknown holder",
};

static const char *label_of(const struct graph *graph, uint32_t index)
{
	const struct bpfrefs_ref *ref = graph->edge[index].ref;
	const GArray *holds = graph->snap->holds;

	if (!ref)
		return how_words[g_array_index(holds, struct owner_hold,
					       index - graph->snap->refs->len)
					 .how];
	if (ref->holder.kind != BPFREFS_KIND_NONE)
		return ref_via_of(ref->via)->word;
	return ref->class->pub.name;
}

/* While the nodes are made. */
struct making {
	struct picture *picture;
	const struct graph *graph;
	struct idmap pids; /* pid -> its node, plus 1 */
};

static uint32_t process_node(struct making *making, uint32_t pid)
{
	struct picture *picture = making->picture;
	uintptr_t found = (uintptr_t)idmap_get(&making->pids, pid);

	if (found)
		return (uint32_t)(found - 1);
	picture->node[picture->nodes] =
		(struct picture_node){ .what = PICTURE_PROCESS, .pid = pid };
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): a number, which is never followed */
	idmap_set(&making->pids, pid, (void *)(uintptr_t)(picture->nodes + 1));
	return picture->nodes++;
}

static uint32_t root_node(struct picture *picture, const struct bpfrefs_ref *ref)
{
	picture->node[picture->nodes] = (struct picture_node){ .what = PICTURE_ROOT, .root = ref };
	return picture->nodes++;
}

static void add_edge(struct making *making, uint32_t index)
{
	struct picture *picture = making->picture;
	const struct graph *graph = making->graph;
	const struct edge *edge = &graph->edge[index];
	struct picture_edge added = {
		.to = graph_index_of_node(graph, edge->to),
		.ref = edge->ref,
		.label = label_of(graph, index),
	};

	if (edge->kind == EDGE_HELD)
		added.from = graph_index_of_node(graph, edge->from);
	else if (edge->kind == EDGE_PROCESS)
		added.from = process_node(making, edge->pid);
	else if (edge->ref)
		added.from = root_node(picture, edge->ref);
	else
		return;
	picture->edge[picture->edges++] = added;
}

/*
 * Sorts the edges by one of their ends (a counting sort). Afterwards those of node i are
 * sorted[first[i]] to sorted[first[i + 1]]. @first has room for all nodes and two.
 */
static void sort_edges(const struct picture *picture, bool by_target, uint32_t *first,
		       uint32_t *sorted)
{
	for (uint32_t i = 0; i < picture->edges; i++) {
		const struct picture_edge *edge = &picture->edge[i];

		first[(by_target ? edge->to : edge->from) + 2]++;
	}
	for (uint32_t i = 0; i < picture->nodes; i++)
		first[i + 2] += first[i + 1];
	for (uint32_t i = 0; i < picture->edges; i++) {
		const struct picture_edge *edge = &picture->edge[i];

		sorted[first[(by_target ? edge->to : edge->from) + 1]++] = i;
	}
}

static int index_edges(struct picture *picture)
{
	picture->in_first = memory_try((size_t)picture->nodes + 2, sizeof(*picture->in_first));
	picture->out_first = memory_try((size_t)picture->nodes + 2, sizeof(*picture->out_first));
	picture->in = memory_try(picture->edges, sizeof(*picture->in));
	picture->out = memory_try(picture->edges, sizeof(*picture->out));
	if (!picture->in_first || !picture->out_first || !picture->in || !picture->out)
		return -ENOMEM;
	sort_edges(picture, true, picture->in_first, picture->in);
	sort_edges(picture, false, picture->out_first, picture->out);
	return 0;
}

static int add_all(struct picture *picture, const struct graph *graph)
{
	struct making making = { .picture = picture, .graph = graph };
	size_t nodes = (size_t)graph->objects + graph->owners + graph->edges;

	picture->node = memory_try(nodes, sizeof(*picture->node));
	picture->edge = memory_try(graph->edges, sizeof(*picture->edge));
	if (!picture->node || !picture->edge)
		return -ENOMEM;
	for (uint32_t i = 0; i < graph->objects; i++)
		picture->node[picture->nodes++] = (struct picture_node){
			.what = PICTURE_OBJECT,
			.object = snapshot_object(picture->snap, i),
		};
	for (uint32_t i = 0; i < graph->owners; i++)
		picture->node[picture->nodes++] = (struct picture_node){
			.what = PICTURE_OWNER,
			.owner = graph->snap->kept->pdata[i],
		};
	for (uint32_t i = 0; i < graph->edges; i++)
		add_edge(&making, i);
	idmap_clear(&making.pids);
	return index_edges(picture);
}

int picture_init(struct picture *picture, const struct bpfrefs_snapshot *snap)
{
	graph_auto *graph = graph_new(snap);

	*picture = (struct picture){ .snap = snap };
	return graph ? add_all(picture, graph) : -ENOMEM;
}

void picture_clear(struct picture *picture)
{
	g_free(picture->node);
	g_free(picture->edge);
	g_free(picture->in_first);
	g_free(picture->in);
	g_free(picture->out_first);
	g_free(picture->out);
	g_free(picture->group);
}

/* ---------------------------------------------------------- what is shown --- */

void picture_show_all(struct picture *picture)
{
	for (uint32_t i = 0; i < picture->nodes; i++) {
		struct picture_node *node = &picture->node[i];

		if (node->what == PICTURE_OBJECT)
			node->shown = !bpfrefs_snapshot_hides(picture->snap, node->object);
		else if (node->what == PICTURE_PROCESS)
			node->shown = !bpfrefs_snapshot_hides_process(picture->snap, node->pid);
		else
			node->shown = true;
	}
}

/* Shows a node, and everything that leads to it or, with @forward, that it leads to. */
static int show_from(struct picture *picture, uint32_t node, bool forward)
{
	const uint32_t *first = forward ? picture->out_first : picture->in_first;
	const uint32_t *list = forward ? picture->out : picture->in;
	g_autofree uint32_t *stack = memory_try(picture->nodes, sizeof(*stack));
	uint32_t depth = 0;

	if (!stack)
		return -ENOMEM;
	picture->node[node].shown = true;
	stack[depth++] = node;
	while (depth) {
		uint32_t at = stack[--depth];

		for (uint32_t i = first[at]; i < first[at + 1]; i++) {
			const struct picture_edge *edge = &picture->edge[list[i]];
			uint32_t next = forward ? edge->to : edge->from;

			if (picture->node[next].shown)
				continue;
			picture->node[next].shown = true;
			stack[depth++] = next;
		}
	}
	return 0;
}

/* Counts, for what is shown, the references from what is not. */
static void count_others(struct picture *picture)
{
	for (uint32_t i = 0; i < picture->edges; i++) {
		const struct picture_edge *edge = &picture->edge[i];

		if (!picture->node[edge->from].shown)
			picture->node[edge->to].others++;
	}
}

int picture_show_object(struct picture *picture, struct bpfrefs_key key)
{
	uint32_t at = graph_index(picture->snap, key);
	int err = at == UINT32_MAX ? -ENOENT : show_from(picture, at, false);

	if (err)
		return err;
	picture->node[at].focus = true;
	for (uint32_t i = picture->out_first[at]; i < picture->out_first[at + 1]; i++)
		picture->node[picture->edge[picture->out[i]].to].shown = true;
	count_others(picture);
	return 0;
}

static bool is_among(uint32_t pid, const uint32_t *pids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

int picture_show_processes(struct picture *picture, const uint32_t *pids, size_t count)
{
	int err = -ENOENT;

	for (uint32_t i = 0; i < picture->nodes && (!err || err == -ENOENT); i++) {
		struct picture_node *node = &picture->node[i];

		if (node->what != PICTURE_PROCESS || !is_among(node->pid, pids, count))
			continue;
		node->focus = count == 1;
		err = show_from(picture, i, true);
	}
	if (!err)
		count_others(picture);
	return err;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the roots that lead to an object, each with one shortest chain. The graph is searched
 * backwards and breadth first, so that each node is visited only once: there may be exponentially
 * many chains.
 */
#include "graph/graph.h"
#include "snapshot/select.h"

struct chain {
	const struct edge *root;
	/* the number of objects from the root to the object of the query, both included */
	uint32_t length;
	/* the index of the root's edge, so that roots at the same distance keep that order */
	uint32_t order;
};

struct root_search {
	struct graph *graph;
	/*
	 * For each node: the next node on the way to the object; the node itself if there is none.
	 */
	uint32_t *next;
	const struct edge **way; /* for each owner: the edge to that next node */
	uint32_t *length;	 /* for each node: the number of objects on that way */
	uint32_t *queue, head, tail;
	GArray *chains; /* struct chain, nearest first */
	/* how many chains each root has that was not returned yet: count_ways() */
	GHashTable *ways;
	struct bpfrefs_key *keys; /* the chain of @root */
	struct bpfrefs_root root; /* the last one that was returned */
};

/* The end of the way; no node has this number. */
#define ARRIVED UINT32_MAX

static void reach_part(struct root_search *search, uint32_t node, uint32_t next, uint32_t length)
{
	if (search->next[node] != node)
		return;
	search->next[node] = next;
	search->length[node] = length;
	search->queue[search->tail++] = node;
}

/*
 * Reaches a node of an object, and the other node of the object if that leads to it, at the same
 * distance.
 */
static void reach(struct root_search *search, uint32_t node, uint32_t next, uint32_t length)
{
	uint32_t index = node / 2;

	reach_part(search, node, next, length);
	if (node == node_object(index) || search->graph->kept_auto[index])
		reach_part(search, node ^ 1, node, length);
}

/*
 * Reaches the nodes that lead to a node. An owner is not a step of its own: the nodes that lead to
 * it are reached instead. The recursion is three or four owners deep.
 */
static void reach_holders(struct root_search *search, uint32_t node, uint32_t length)
{
	const struct graph *graph = search->graph;
	uint32_t place = graph_index_of_node(graph, node);

	for (uint32_t i = graph->in_first[place]; i < graph->in_first[place + 1]; i++) {
		const struct edge *edge = &graph->edge[i];

		if (edge->to != node || edge->kind != EDGE_HELD)
			continue;
		if (!node_is_owner(graph, edge->from)) {
			reach(search, edge->from, node, length + 1);
		} else if (search->next[edge->from] == edge->from) {
			search->next[edge->from] = node;
			search->length[edge->from] = length;
			search->way[edge->from - 2 * graph->objects] = edge;
			reach_holders(search, edge->from, length);
		}
	}
}

static void search_from(struct root_search *search, uint32_t index)
{
	reach(search, node_object(index), ARRIVED, 1);
	while (search->head < search->tail) {
		uint32_t node = search->queue[search->head++];

		reach_holders(search, node, search->length[node]);
	}
}

static GArray *chains_found(const struct root_search *search)
{
	const struct graph *graph = search->graph;
	GArray *chains = g_array_new(FALSE, FALSE, sizeof(struct chain));

	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];
		struct chain chain = { edge, search->length[edge->to], graph->outside[i] };

		if (edge->kind != EDGE_ROOT && edge->kind != EDGE_PROCESS)
			continue;
		if (search->next[edge->to] != edge->to)
			g_array_append_val(chains, chain);
	}
	return chains;
}

static int nearest_first(gconstpointer a, gconstpointer b)
{
	const struct chain *x = a, *y = b;

	if (x->length != y->length)
		return x->length < y->length ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static size_t chain_keys(const struct root_search *search, const struct chain *chain,
			 struct bpfrefs_key *keys)
{
	uint32_t node = chain->root->to, last = UINT32_MAX;
	size_t count = 0;

	for (; node != ARRIVED; node = search->next[node]) {
		if (node_is_owner(search->graph, node))
			continue;
		if (node / 2 != last)
			keys[count++] = graph_object(search->graph, node / 2)->key;
		last = node / 2;
	}
	return count;
}

/*
 * The reference of the root; if it is a process that keeps an owner, the reference with that owner.
 */
static const struct bpfrefs_ref *ref_of(const struct root_search *search, const struct chain *chain)
{
	uint32_t node = chain->root->to, owners = 2 * search->graph->objects;

	if (chain->root->ref)
		return chain->root->ref;
	while (node_is_owner(search->graph, search->next[node]))
		node = search->next[node];
	return search->way[node - owners]->ref;
}

struct pair {
	const struct bpfrefs_ref *ref;
	uint64_t pid;
};

static guint pair_hash(gconstpointer data)
{
	const struct pair *pair = data;

	return g_direct_hash(pair->ref) * 31 + (guint)pair->pid;
}

static gboolean pair_equal(gconstpointer a, gconstpointer b)
{
	const struct pair *x = a, *y = b;

	return x->ref == y->ref && x->pid == y->pid;
}

/*
 * What is one root: a process, however many of its references lead to the object; or a process with a
 * reference that it keeps, whether through a bpffs or through the mount namespace that the bpffs is
 * mounted in. Any other root has one reference, and no process here.
 */
static struct pair root_identity(const struct root_search *search, const struct chain *chain)
{
	const struct edge *edge = chain->root;

	if (edge->kind == EDGE_PROCESS)
		return (struct pair){ edge->ref ? NULL : ref_of(search, chain), edge->pid };
	return (struct pair){ edge->ref, 0 };
}

/* How many chains each root has: owned struct pair -> number. NULL: there is no memory. */
static GHashTable *count_ways(const struct root_search *search)
{
	const GArray *chains = search->chains;
	GHashTable *ways;

	if (!memory_available(chains->len * 4 * sizeof(struct pair)))
		return NULL;
	ways = g_hash_table_new_full(pair_hash, pair_equal, g_free, NULL);
	for (guint i = 0; i < chains->len; i++) {
		struct pair key = root_identity(search, &g_array_index(chains, struct chain, i));
		guint count = GPOINTER_TO_UINT(g_hash_table_lookup(ways, &key));

		g_hash_table_insert(ways, g_memdup2(&key, sizeof(key)),
				    GUINT_TO_POINTER(count + 1));
	}
	return ways;
}

static struct bpfrefs_root root_of(const struct root_search *search, const struct chain *chain,
				   size_t ways)
{
	const struct graph *graph = search->graph;
	struct bpfrefs_root root = {
		.size = sizeof(root),
		.ref = ref_of(search, chain),
		.chain = search->keys,
		.count = chain_keys(search, chain, search->keys),
		.ways = ways,
	};
	const struct bpfrefs_process *process;

	if (chain->root->ref)
		return root;
	root.owner = owner_name(graph_owner(graph, chain->root->to)->kind);
	root.pid = chain->root->pid;
	process = bpfrefs_snapshot_find_pid(graph->snap, root.pid);
	root.comm = process ? process->comm : NULL;
	return root;
}

/* ------------------------------------------------------------ selection --- */

static void root_search_free(void *state)
{
	struct root_search *search = state;

	g_free(search->next);
	g_free(search->way);
	g_free(search->length);
	g_free(search->queue);
	g_free(search->keys);
	g_clear_pointer(&search->chains, g_array_unref);
	g_clear_pointer(&search->ways, g_hash_table_unref);
	graph_free(search->graph);
	g_free(search);
}

static int begin(struct bpfrefs_selection *selection, const void *key)
{
	uint32_t index = graph_index(selection->snap, *(const struct bpfrefs_key *)key);
	struct root_search *search;
	struct graph *graph;

	if (index == UINT32_MAX)
		return -ENOENT;
	search = selection->state = g_new0(struct root_search, 1);
	graph = search->graph = graph_new(selection->snap);
	if (!graph)
		return -ENOMEM;
	search->next = memory_try(graph->nodes, sizeof(*search->next));
	search->length = memory_try(graph->nodes, sizeof(*search->length));
	search->queue = memory_try(graph->nodes, sizeof(*search->queue));
	search->way = memory_try(graph->owners, sizeof(const struct edge *));
	search->keys = memory_try(2 * (size_t)graph->objects, sizeof(*search->keys));
	/* Sorting the chains needs as much memory again. */
	if (!search->next || !search->length || !search->queue || !search->way || !search->keys ||
	    !memory_available(3 * sizeof(struct chain) * (size_t)graph->outsides))
		return -ENOMEM;
	for (uint32_t i = 0; i < graph->nodes; i++)
		search->next[i] = i;
	search_from(search, index);
	search->chains = chains_found(search);
	g_array_sort(search->chains, nearest_first);
	search->ways = count_ways(search);
	return search->ways ? 0 : -ENOMEM;
}

static const void *next(struct bpfrefs_selection *selection)
{
	struct root_search *search = selection->state;

	while (selection->at < search->chains->len) {
		const struct chain *chain =
			&g_array_index(search->chains, struct chain, selection->at++);
		struct pair key = root_identity(search, chain);
		gpointer count = g_hash_table_lookup(search->ways, &key);

		/* Else the nearest one was returned before. */
		if (count) {
			g_hash_table_remove(search->ways, &key);
			search->root = root_of(search, chain, GPOINTER_TO_UINT(count));
			return &search->root;
		}
	}
	return NULL;
}

static bool matches(const struct bpfrefs_selection *selection, const void *item)
{
	const struct bpfrefs_root *root = item;

	return select_object(selection, root->ref->object) &&
	       select_class(selection, &root->ref->class->pub) &&
	       select_pid(selection, root->owner ? root->pid : root->ref->pid);
}

int bpfrefs_select_roots(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key,
			 const struct bpfrefs_filter *filter, struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_ROOT,
		.members = SELECT_BY_OBJECT | SELECT_BY_CLASS | SELECT_BY_PROCESS,
		.begin = begin,
		.next = next,
		.matches = matches,
		.clear = root_search_free,
	};

	return select_new(&question, snap, snap->classes, filter, &key, out);
}

const struct bpfrefs_root *bpfrefs_next_root(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_ROOT);
}

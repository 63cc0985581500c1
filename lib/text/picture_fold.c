/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which nodes of a picture are drawn as one. Every node has a color, a number that two nodes share
 * if they are alike. A round makes new colors from what a node is and from the colors of its
 * neighbors. If each node begins with a color of its own, only nodes with exactly the same neighbors
 * are folded. If all nodes of a type begin with one color, each round separates more of those that
 * differ (color refinement).
 */
#include "text/picture.h"

#include <string.h>

/*
 * A page: about 1600 by 2000 pixels at 96 dots per inch, found by looking at pictures. Nodes of one
 * rank are one above the other.
 */
#define GROUPS_MAX 36
#define RANK_MAX   16 /* objects */
#define ROOTS_MAX  28 /* what is not an object takes less room */
#define ARROWS_MAX 80

#define ROUNDS_MAX 12

struct coloring {
	struct picture *picture;
	enum picture_fold fold;
	uint64_t *base, *color, *next; /* for each node */
};

/* The finalizer of SplitMix64, to spread the bits of two numbers. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u + b + 0x632be59bd9b4e019u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t mix_text(uint64_t color, const char *text)
{
	for (; text && *text; text++)
		color = mix(color, (unsigned char)*text);
	return mix(color, text != NULL);
}

/* --------------------------------------------------------- what a node is --- */

static const char *process_name(const struct picture *picture, uint32_t pid)
{
	const struct bpfrefs_process *process = bpfrefs_snapshot_find_pid(picture->snap, pid);

	return process ? process->comm : NULL;
}

static const char *name_of(const struct picture *picture, const struct picture_node *node)
{
	switch (node->what) {
	case PICTURE_OBJECT:
		return node->object->name;
	case PICTURE_PROCESS:
		return process_name(picture, node->pid);
	default:
		return NULL;
	}
}

static uint64_t color_of_object(const struct coloring *coloring,
				const struct bpfrefs_object *object)
{
	uint64_t color = mix(object->key.kind, object->type_number);

	color = mix(mix_text(color, object->type), object->state);
	if (coloring->fold == FOLD_SAME_NAMES)
		color = mix_text(color, object->name);
	return color;
}

/* The color of a node by itself. */
static uint64_t color_of(const struct coloring *coloring, uint32_t index)
{
	const struct picture_node *node = &coloring->picture->node[index];
	uint64_t color = node->what + 1;

	if (node->own)
		return mix(color = 0, 0);
	if (node->focus || coloring->fold == FOLD_NOTHING)
		return mix(~0u, index);
	switch (node->what) {
	case PICTURE_OBJECT:
		return mix(color, color_of_object(coloring, node->object));
	case PICTURE_OWNER:
		return mix(color, node->owner->kind);
	case PICTURE_ROOT:
		return mix(color, node->root->class->id);
	default:
		break;
	}
	if (coloring->fold == FOLD_MOST)
		return mix(color, 0);
	return mix(color, mix_text(0, process_name(coloring->picture, node->pid)));
}

/* ---------------------------------------------------------------- rounds --- */

static int by_number(gconstpointer a, gconstpointer b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Adds what the neighbors of a node on one side are like. */
static void add_neighbors(const struct coloring *coloring, uint32_t node, bool in, GArray *around)
{
	const struct picture *picture = coloring->picture;
	const uint32_t *first = in ? picture->in_first : picture->out_first;
	const uint32_t *list = in ? picture->in : picture->out;

	for (uint32_t i = first[node]; i < first[node + 1]; i++) {
		const struct picture_edge *edge = &picture->edge[list[i]];
		uint32_t other = in ? edge->from : edge->to;
		uint64_t color;

		if (!picture->node[other].shown)
			continue;
		color = mix(mix(coloring->color[other], in), (uintptr_t)edge->label);
		g_array_append_val(around, color);
	}
}

/* How many neighbors of a kind there are does not matter. */
static uint64_t color_around(uint64_t color, GArray *around)
{
	uint64_t last = 0;

	g_array_sort(around, by_number);
	for (guint i = 0; i < around->len; i++) {
		uint64_t now = g_array_index(around, uint64_t, i);

		if (i == 0 || now != last)
			color = mix(color, now);
		last = now;
	}
	return color;
}

/* Returns the number of colors. */
static uint32_t count_colors(const struct coloring *coloring)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (uint32_t i = 0; i < coloring->picture->nodes; i++)
		if (coloring->picture->node[i].shown)
			g_hash_table_add(seen, &coloring->color[i]);
	return g_hash_table_size(seen);
}

static void round_of(struct coloring *coloring, GArray *around)
{
	for (uint32_t i = 0; i < coloring->picture->nodes; i++) {
		const struct picture_node *node = &coloring->picture->node[i];

		if (!node->shown)
			continue;
		g_array_set_size(around, 0);
		if (!node->own) {
			add_neighbors(coloring, i, true, around);
			add_neighbors(coloring, i, false, around);
		}
		coloring->next[i] = color_around(coloring->base[i], around);
	}
	memcpy(coloring->color, coloring->next,
	       coloring->picture->nodes * sizeof(*coloring->color));
}

static uint32_t color_all(struct coloring *coloring)
{
	static const unsigned int rounds[FOLDS] = {
		[FOLD_SAME_NEIGHBORS] = ROUNDS_MAX,
		[FOLD_SAME_NAMES] = ROUNDS_MAX,
		[FOLD_ALIKE] = ROUNDS_MAX,
		[FOLD_NEAR] = 1,
	};
	g_autoptr(GArray) around = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	uint32_t before, colors;

	for (uint32_t i = 0; i < coloring->picture->nodes; i++) {
		coloring->base[i] = color_of(coloring, i);
		coloring->color[i] = coloring->base[i];
		if (coloring->fold == FOLD_SAME_NEIGHBORS && !coloring->picture->node[i].own)
			coloring->color[i] = mix(~0u, i);
	}
	colors = count_colors(coloring);
	for (unsigned int i = 0; i < rounds[coloring->fold]; i++) {
		before = colors;
		round_of(coloring, around);
		colors = count_colors(coloring);
		if (colors == before)
			break;
	}
	return colors;
}

/* ---------------------------------------------------------------- groups --- */

static void join(struct picture *picture, struct picture_group *group, uint32_t node)
{
	const char *name = name_of(picture, &picture->node[node]);
	const char *first = name_of(picture, &picture->node[group->first]);

	group->last = node;
	group->count++;
	group->same_name = group->same_name && g_strcmp0(name, first) == 0;
}

static int group_all(const struct coloring *coloring, uint32_t colors)
{
	struct picture *picture = coloring->picture;
	g_autoptr(GHashTable) groups = g_hash_table_new(g_int64_hash, g_int64_equal);

	g_free(picture->group);
	picture->groups = 0;
	picture->fold = coloring->fold;
	picture->group = memory_try(colors, sizeof(*picture->group));
	if (!picture->group)
		return -ENOMEM;
	for (uint32_t i = 0; i < picture->nodes; i++) {
		struct picture_node *node = &picture->node[i];
		gpointer found;

		if (!node->shown)
			continue;
		if (!g_hash_table_lookup_extended(groups, &coloring->color[i], NULL, &found)) {
			found = GUINT_TO_POINTER(picture->groups);
			g_hash_table_insert(groups, &coloring->color[i], found);
			picture->group[picture->groups++] =
				(struct picture_group){ .first = i, .same_name = true };
		}
		node->group = GPOINTER_TO_UINT(found);
		join(picture, &picture->group[node->group], i);
	}
	return 0;
}

/* The rank of a node, roughly as dot(1) will find it. */
static unsigned int rank_of(const struct picture_node *node)
{
	return node->what == PICTURE_OBJECT ? 1 + node->object->key.kind : 0;
}

static uint32_t count_arrows(const struct picture *picture)
{
	g_autoptr(GHashTable) arrows =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	for (uint32_t i = 0; i < picture->edges && g_hash_table_size(arrows) <= ARROWS_MAX; i++) {
		const struct picture_node *from = &picture->node[picture->edge[i].from];
		const struct picture_node *to = &picture->node[picture->edge[i].to];
		uint64_t *arrow;

		if (!from->shown || !to->shown)
			continue;
		arrow = g_new(uint64_t, 1);
		*arrow = (uint64_t)from->group << 32 | to->group;
		g_hash_table_add(arrows, arrow);
	}
	return g_hash_table_size(arrows);
}

/* Whether the groups fit on a page. */
static bool fits(const struct picture *picture)
{
	uint32_t ranks[1 + KIND_COUNT] = { 0 };

	if (picture->groups > GROUPS_MAX)
		return false;
	for (uint32_t i = 0; i < picture->groups; i++) {
		unsigned int rank = rank_of(&picture->node[picture->group[i].first]);

		if (++ranks[rank] > (rank ? RANK_MAX : ROOTS_MAX))
			return false;
	}
	return count_arrows(picture) <= ARROWS_MAX;
}

/* A BTF holds nothing. One that only objects hold says nothing, if the picture is not about these. */
static bool is_needed(const struct picture *picture, uint32_t index)
{
	const struct picture_node *node = &picture->node[index];

	if (node->focus || node->what != PICTURE_OBJECT ||
	    node->object->key.kind != BPFREFS_KIND_BTF || node->object->state != BPFREFS_STATE_HELD)
		return true;
	for (uint32_t i = picture->in_first[index]; i < picture->in_first[index + 1]; i++) {
		const struct picture_node *from =
			&picture->node[picture->edge[picture->in[i]].from];

		if (from->shown && (from->focus || from->what != PICTURE_OBJECT))
			return true;
	}
	return false;
}

static void leave_out_btfs(struct picture *picture)
{
	for (uint32_t i = 0; i < picture->nodes; i++) {
		if (!picture->node[i].shown || is_needed(picture, i))
			continue;
		picture->node[i].shown = false;
		picture->btfs_left_out++;
	}
}

int picture_fold(struct picture *picture)
{
	size_t nodes = picture->nodes;
	g_autofree uint64_t *base = memory_try(nodes, sizeof(*base));
	g_autofree uint64_t *color = memory_try(nodes, sizeof(*color));
	g_autofree uint64_t *next = memory_try(nodes, sizeof(*next));
	struct coloring coloring = { picture, FOLD_NOTHING, base, color, next };
	int err = 0;

	/* A hash table of all nodes takes less. */
	if (!base || !color || !next || !memory_available(nodes * 64))
		return -ENOMEM;
	for (; !err && coloring.fold < FOLDS; coloring.fold++) {
		if (coloring.fold == FOLD_SAME_NEIGHBORS)
			leave_out_btfs(picture);
		err = group_all(&coloring, color_all(&coloring));
		if (!err && fits(picture))
			break;
	}
	return err;
}

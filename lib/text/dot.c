/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures for dot(1), from left to right: holders, then objects. What is alike is one node, and
 * the references between two nodes are one arrow, with their number.
 */
#include <inttypes.h>

#include "text/dot_node.h"
#include "text/sink.h"

/* -------------------------------------------------------------- arrows --- */

/* References of one kind between two groups. */
struct arrow {
	uint32_t from, to; /* groups */
	const char *label;
	uint32_t count;
	uint32_t edge; /* the first one */
};

static guint arrow_hash(gconstpointer data)
{
	const struct arrow *arrow = data;

	return (arrow->from * 31 + arrow->to) * 31 + g_direct_hash(arrow->label);
}

static gboolean arrow_equal(gconstpointer a, gconstpointer b)
{
	const struct arrow *x = a, *y = b;

	return x->from == y->from && x->to == y->to && x->label == y->label;
}

/* Between the same groups in the order of the references. */
static int arrow_order(gconstpointer a, gconstpointer b)
{
	const struct arrow *x = *(const struct arrow *const *)a;
	const struct arrow *y = *(const struct arrow *const *)b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x->edge < y->edge ? -1 : x->edge > y->edge;
}

/* The arrows of a picture, owned by @arrows. */
static void collect_arrows(const struct picture *picture, GHashTable *arrows)
{
	for (uint32_t i = 0; i < picture->edges; i++) {
		const struct picture_edge *edge = &picture->edge[i];
		const struct picture_node *from = &picture->node[edge->from];
		const struct picture_node *to = &picture->node[edge->to];
		struct arrow key = { from->group, to->group, edge->label, 0, i }, *found;

		if (!from->shown || !to->shown || (from->own && to->own))
			continue;
		found = g_hash_table_lookup(arrows, &key);
		if (!found) {
			found = g_memdup2(&key, sizeof(key));
			g_hash_table_add(arrows, found);
		}
		found->count++;
	}
}

/* "slot 3", "fd 7", "used_maps x4"; a root's own node says what it is. */
static void add_arrow_label(GString *out, const struct picture *picture, const struct arrow *arrow)
{
	const struct picture_edge *edge = &picture->edge[arrow->edge];
	bool root = picture->node[edge->from].what == PICTURE_ROOT;
	bool owned = edge->ref && picture->node[edge->from].what == PICTURE_OWNER;
	struct bpfrefs_value number = { .type = BPFREFS_VALUE_ABSENT };

	if (!root)
		g_string_append(out, edge->label);
	if (arrow->count > 1) {
		g_string_append_printf(out, "%s\xc3\x97%" PRIu32, root ? "" : " ", arrow->count);
		return;
	}
	if (owned)
		dot_node_place(out, edge->ref);
	else if (edge->ref && !root)
		number = bpfrefs_ref_get(
			edge->ref, edge->ref->holder.kind == BPFREFS_KIND_NONE ? "fd" : "slot");
	if (number.type == BPFREFS_VALUE_NUM)
		g_string_append_printf(out, " %" PRIu64, number.num);
}

static int write_arrows(struct text_sink *sink, const struct picture *picture)
{
	g_autoptr(GHashTable) arrows = g_hash_table_new_full(arrow_hash, arrow_equal, g_free, NULL);
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();
	GHashTableIter iter;
	gpointer found;
	int err = 0;

	collect_arrows(picture, arrows);
	g_hash_table_iter_init(&iter, arrows);
	while (g_hash_table_iter_next(&iter, &found, NULL))
		g_ptr_array_add(sorted, found);
	g_ptr_array_sort(sorted, arrow_order);
	for (guint i = 0; !err && i < sorted->len; i++) {
		const struct arrow *arrow = sorted->pdata[i],
				   *last = i ? sorted->pdata[i - 1] : NULL;
		bool more = last && last->from == arrow->from && last->to == arrow->to;

		if (more) {
			g_string_append(sink->out, "\\n");
		} else {
			g_string_append(sink->out, last ? "\"];\n\t\"" : "\t\"");
			dot_node_name(sink->out, picture, picture->group[arrow->from].first);
			g_string_append(sink->out, "\" -> \"");
			dot_node_name(sink->out, picture, picture->group[arrow->to].first);
			g_string_append(sink->out, "\" [label=\"");
		}
		add_arrow_label(sink->out, picture, arrow);
		err = sink_pass(sink);
	}
	if (sorted->len)
		g_string_append(sink->out, "\"];\n");
	return err;
}

/* ------------------------------------------------------------ pictures --- */

/* Says what was folded. */
static void add_caption(GString *out, const struct picture *picture)
{
	static const char *const words[FOLDS] = {
		[FOLD_SAME_NEIGHBORS] = "of the same type, held by and holding the same",
		[FOLD_SAME_NAMES] = "of the same type and name, with neighbors that are alike",
		[FOLD_ALIKE] = "of the same type, with neighbors that are alike",
		[FOLD_NEAR] = "of the same type, with neighbors of the same types",
		[FOLD_TYPES] = "of the same type",
		[FOLD_MOST] = "of the same type, and all processes",
	};
	uint32_t shown = 0;

	for (uint32_t i = 0; i < picture->nodes; i++)
		shown += picture->node[i].shown ? 1 : 0;
	if (picture->fold == FOLD_NOTHING)
		return;
	g_string_append_printf(out,
			       "\tlabel=\"Folded to fit a page: %" PRIu32
			       " nodes are drawn as %" PRIu32
			       ".\\lOne node is all %s; processes also of the same program.\\l",
			       shown, picture->groups, words[picture->fold]);
	if (picture->btfs_left_out)
		g_string_append_printf(
			out, "Left out: %" PRIu32 " BTFs that only programs and maps hold.\\l",
			picture->btfs_left_out);
	g_string_append(out, "\" labeljust=l fontname=\"sans-serif\" fontsize=10;\n");
}

static int write_picture(struct picture *picture, bool whole, bpfrefs_write_fn write, void *data)
{
	struct text_sink sink = sink_begin(write, data);
	int err = picture_fold(picture);

	g_string_append(sink.out,
			"digraph bpfrefs {\n"
			"\trankdir=LR;\n"
			"\tranksep=0.6;\n"
			"\tnodesep=0.15;\n"
			"\tnode [style=filled fontname=\"sans-serif\" fontsize=10 height=0.3 "
			"margin=\"0.08,0.07\"];\n"
			"\tedge [fontname=\"sans-serif\" fontsize=9 color=\"#666666\"];\n");
	if (!err)
		add_caption(sink.out, picture);
	for (uint32_t i = 0; !err && i < picture->groups; i++) {
		dot_node_add(sink.out, picture, i);
		err = sink_pass(&sink);
	}
	if (!err)
		err = write_arrows(&sink, picture);
	g_string_append(sink.out, "}\n");
	sink_gaps(sink.out, picture->snap);
	if (whole)
		sink_self(sink.out, picture->snap);
	return sink_end(&sink, err);
}

/* What this process holds for itself is one node. */
static void mark_own(struct picture *picture)
{
	for (uint32_t i = 0; i < picture->nodes; i++)
		if (picture->node[i].what == PICTURE_OBJECT)
			picture->node[i].own = picture->node[i].object->self;
}

int bpfrefs_snapshot_to_dot(const struct bpfrefs_snapshot *snap, bool fold_own,
			    bpfrefs_write_fn write, void *data)
{
	struct picture picture;
	int err = picture_init(&picture, snap);

	if (!err && fold_own)
		mark_own(&picture);
	if (!err) {
		picture_show_all(&picture);
		err = write_picture(&picture, true, write, data);
	}
	picture_clear(&picture);
	return err;
}

int bpfrefs_object_to_dot(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key,
			  bpfrefs_write_fn write, void *data)
{
	struct picture picture;
	int err = picture_init(&picture, snap);

	if (!err)
		err = picture_show_object(&picture, key);
	if (!err)
		err = write_picture(&picture, false, write, data);
	picture_clear(&picture);
	return err;
}

int bpfrefs_processes_to_dot(const struct bpfrefs_snapshot *snap, const uint32_t *pids,
			     size_t count, bpfrefs_write_fn write, void *data)
{
	struct picture picture;
	int err = picture_init(&picture, snap);

	if (!err)
		err = picture_show_processes(&picture, pids, count);
	if (!err)
		err = write_picture(&picture, false, write, data);
	picture_clear(&picture);
	return err;
}

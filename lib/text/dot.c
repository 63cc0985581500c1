/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The graph of references for dot(1), from left to right: holders, then objects. Roots are
 * processes, and one node for each pin, keep and attachment. References of one kind between the
 * same two nodes are one arrow. What only the calling process holds can be one node, since it would
 * obscure the rest.
 */
#include <inttypes.h>

#include "text/sink.h"

/* ----------------------------------------- the objects of this process --- */

static int add_own(const struct bpfrefs_object *object, enum bpfrefs_effect effect, void *own)
{
	if (effect == BPFREFS_EFFECT_FREED)
		g_hash_table_add(own, (gpointer)object);
	return 0;
}

static void add_own_node(GString *out, GHashTable *own)
{
	unsigned int count[KIND_COUNT] = { 0 };
	GHashTableIter iter;
	gpointer object;

	if (g_hash_table_size(own) == 0)
		return;
	g_hash_table_iter_init(&iter, own);
	while (g_hash_table_iter_next(&iter, &object, NULL))
		count[((const struct bpfrefs_object *)object)->key.kind]++;
	g_string_append(out, "\t\"own\" [label=\"bpfrefs's own\\n");
	for (int kind = 0; kind < KIND_COUNT; kind++)
		g_string_append_printf(out, "%s%u %s", kind ? ", " : "", count[kind],
				       bpfrefs_kind_name((enum bpfrefs_kind)kind));
	g_string_append(out, "\" shape=box3d fillcolor=\"#ffffff\"];\n");
}

/* -------------------------------------------------------------- labels --- */

/* Appends a text inside a quoted string of DOT. Escapes of the records stay. */
static void quote(GString *out, const char *text)
{
	g_autoptr(GString) shown = g_string_new(NULL);

	fmt_add_text(shown, text);
	for (const char *c = shown->str; *c; c++) {
		if (*c == '"' || *c == '\\')
			g_string_append_c(out, '\\');
		/* dot(1) decodes HTML entities in every string: "&#10;" would be a newline. */
		if (*c == '&')
			g_string_append(out, "&amp;");
		else
			g_string_append_c(out, *c);
	}
}

/* Each kind has its own shape and colour. */
static const char *style_of(enum bpfrefs_kind kind)
{
	static const char *const styles[KIND_COUNT] = {
		[BPFREFS_KIND_MAP] = "shape=cylinder fillcolor=\"#cfe2f3\"",
		[BPFREFS_KIND_PROG] = "shape=box fillcolor=\"#d9ead3\"",
		[BPFREFS_KIND_LINK] = "shape=cds fillcolor=\"#fff2cc\"",
		[BPFREFS_KIND_BTF] = "shape=note fillcolor=\"#eeeeee\"",
	};

	return kind < KIND_COUNT ? styles[kind] : "shape=plain";
}

/* States other than "held" are highlighted. */
static const char *mark_of(enum bpfrefs_state state)
{
	switch (state) {
	case BPFREFS_STATE_HELD:
		return "";
	case BPFREFS_STATE_AT_RISK:
	case BPFREFS_STATE_CLEARED:
		return " color=\"#cc0000\" fontcolor=\"#cc0000\" penwidth=3";
	default:
		return " color=\"#7f7f7f\" style=\"filled,dashed\"";
	}
}

static void add_object_node(GString *out, const struct bpfrefs_object *object)
{
	char key[BPFREFS_KEY_MAX];

	bpfrefs_key_format(object->key, key);
	g_string_append_printf(out, "\t\"%s\" [label=\"%s", key, key);
	if (object->name && *object->name) {
		g_string_append(out, "\\n");
		quote(out, object->name);
	}
	g_string_append(out, "\\n");
	quote(out, object->type);
	if (object->state != BPFREFS_STATE_HELD)
		g_string_append_printf(out, "\\n%s", bpfrefs_state_name(object->state));
	g_string_append_printf(out, "\" %s%s tooltip=\"", style_of(object->key.kind),
			       mark_of(object->state));
	quote(out, object->because);
	g_string_append(out, "\"];\n");
}

static void add_process_node(GString *out, const struct bpfrefs_process *process)
{
	g_string_append_printf(out, "\t\"pid/%" PRIu32 "\" [label=\"pid %" PRIu32 "\\n",
			       process->pid, process->pid);
	quote(out, process->comm);
	g_string_append(out, "\" shape=ellipse fillcolor=\"#f4cccc\"];\n");
}

/* Shows a root that is neither a process nor an object: its class, and where it is. */
static void add_root_node(GString *out, const struct bpfrefs_ref *ref, size_t index)
{
	const struct bpfrefs_class *class_ = bpfrefs_ref_class(ref);
	bool pin = class_->flags & (BPFREFS_CLASS_PIN | BPFREFS_CLASS_KEEP);
	struct bpfrefs_value where = bpfrefs_ref_value(ref, class_->place);

	g_string_append_printf(out, "\t\"root/%zu\" [label=\"%s", index, class_->name);
	if (where.type == BPFREFS_VALUE_STR) {
		g_string_append(out, "\\n");
		quote(out, where.str);
	} else if (where.type == BPFREFS_VALUE_NUM) {
		g_string_append_printf(out, "\\n%s %" PRIu64, class_->keys[class_->place],
				       where.num);
	}
	g_string_append_printf(out, "\" shape=%s fillcolor=\"%s\"];\n", pin ? "house" : "hexagon",
			       pin ? "#ead1dc" : "#fce5cd");
}

/* --------------------------------------------------------------- edges --- */

/* Arrows with the number of their references, in the order of the references. */
struct arrows {
	const struct bpfrefs_snapshot *snap;
	GHashTable *own;    /* objects that are combined in one node */
	GPtrArray *names;   /* owned by counts */
	GHashTable *counts; /* text up to the end of the label -> number */
};

static bool is_own(const struct arrows *arrows, struct bpfrefs_key key)
{
	return g_hash_table_contains(arrows->own, bpfrefs_snapshot_find(arrows->snap, key));
}

static void add_arrow(struct arrows *arrows, const char *from, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value via = bpfrefs_ref_get(ref, "via");
	g_autoptr(GString) text = g_string_new(NULL);
	char target[BPFREFS_KEY_MAX];
	gpointer count;

	if (is_own(arrows, bpfrefs_ref_target(ref)))
		strcpy(target, "own");
	else
		bpfrefs_key_format(bpfrefs_ref_target(ref), target);
	if (strcmp(from, target) == 0)
		return;
	g_string_append_printf(text, "\t\"%s\" -> \"%s\" [label=\"", from, target);
	if (via.type == BPFREFS_VALUE_STR)
		quote(text, via.str);
	else if (!g_str_has_prefix(from, "root/"))
		quote(text, bpfrefs_ref_class(ref)->name);
	count = g_hash_table_lookup(arrows->counts, text->str);
	if (!count)
		g_ptr_array_add(arrows->names, text->str);
	/* GLib keeps the first key and frees the new one, and replaces the value */
	g_hash_table_insert(arrows->counts, g_string_free(g_steal_pointer(&text), FALSE),
			    GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + 1));
}

static int write_arrows(struct text_sink *sink, const struct arrows *arrows)
{
	int err = 0;

	for (guint i = 0; !err && i < arrows->names->len; i++) {
		const char *name = arrows->names->pdata[i];
		guint count = GPOINTER_TO_UINT(g_hash_table_lookup(arrows->counts, name));

		g_string_append(sink->out, name);
		if (count > 1)
			g_string_append_printf(sink->out, " \xc3\x97%u", count);
		g_string_append(sink->out, "\"];\n");
		err = sink_pass(sink);
	}
	return err;
}

static void add_edge(GString *out, struct arrows *arrows, const struct bpfrefs_ref *ref,
		     size_t index)
{
	struct bpfrefs_key holder = bpfrefs_ref_holder(ref);
	char from[32];

	if (holder.kind != BPFREFS_KIND_NONE) {
		bpfrefs_key_format(holder, from);
		add_arrow(arrows, is_own(arrows, holder) ? "own" : from, ref);
		return;
	}
	if (bpfrefs_ref_pid(ref)) {
		g_snprintf(from, sizeof(from), "pid/%" PRIu32, bpfrefs_ref_pid(ref));
	} else {
		g_snprintf(from, sizeof(from), "root/%zu", index);
		add_root_node(out, ref, index);
	}
	add_arrow(arrows, from, ref);
}

static int write_edges(struct text_sink *sink, const struct bpfrefs_snapshot *snap, GHashTable *own)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct arrows arrows = { snap, own, names, counts };
	const struct bpfrefs_ref *ref;
	int err = 0;

	for (size_t i = 0; !err && (ref = bpfrefs_snapshot_ref_at(snap, i)); i++) {
		add_edge(sink->out, &arrows, ref, i);
		err = sink_pass(sink);
	}
	return err ? err : write_arrows(sink, &arrows);
}

/* Returns nonzero if a process holds anything: snapshots also have other processes. */
static int holds_something(const struct bpfrefs_ref *ref, void *data)
{
	(void)ref;
	(void)data;
	return 1;
}

static int write_nodes(struct text_sink *sink, const struct bpfrefs_snapshot *snap, GHashTable *own)
{
	const struct bpfrefs_process *process;
	const struct bpfrefs_object *object;
	int err = 0;

	for (size_t i = 0; !err && (process = bpfrefs_snapshot_process(snap, i)); i++) {
		if (bpfrefs_snapshot_pid_holding(snap, process->pid, holds_something, NULL))
			add_process_node(sink->out, process);
		err = sink_pass(sink);
	}
	for (size_t i = 0; !err && (object = bpfrefs_snapshot_object(snap, i)); i++) {
		if (!g_hash_table_contains(own, object))
			add_object_node(sink->out, object);
		err = sink_pass(sink);
	}
	add_own_node(sink->out, own);
	return err;
}

int bpfrefs_snapshot_to_dot(const struct bpfrefs_snapshot *snap, bool fold_own,
			    bpfrefs_write_fn write, void *data)
{
	g_autoptr(GHashTable) own = g_hash_table_new(NULL, NULL);
	int err = fold_own ? bpfrefs_retains(snap, (uint32_t)getpid(), add_own, own) : 0;
	struct text_sink sink = sink_begin(write, data);

	g_string_append(sink.out,
			"digraph bpfrefs {\n"
			"\trankdir=LR;\n"
			"\tranksep=1;\n"
			"\tnode [style=filled fontname=\"sans-serif\" fontsize=11];\n"
			"\tedge [fontname=\"sans-serif\" fontsize=9 color=\"#666666\"];\n");
	if (!err)
		err = write_nodes(&sink, snap, own);
	if (!err)
		err = write_edges(&sink, snap, own);
	g_string_append(sink.out, "}\n");
	sink_gaps(sink.out, snap);
	return sink_end(&sink, err);
}

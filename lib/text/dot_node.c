/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The nodes of a picture for dot(1): their labels, shapes and colors. */
#include "text/dot_node.h"

#include <inttypes.h>

#include "text/sink.h"

/* -------------------------------------------------------------- labels --- */

/* The longest line of a label. The tooltip has the whole text. */
#define LABEL_MAX 34

/* Appends ASCII inside a quoted string of DOT. */
static void quote_part(GString *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"' || text[i] == '\\')
			g_string_append_c(out, '\\');
		/* dot(1) decodes HTML entities in every string: "&#10;" would be a newline. */
		if (text[i] == '&')
			g_string_append(out, "&amp;");
		else
			g_string_append_c(out, text[i]);
	}
}

/* Escapes stay as in the records. */
static void quote(GString *out, const char *text)
{
	g_autoptr(GString) shown = g_string_new(NULL);

	fmt_add_text(shown, text);
	quote_part(out, shown->str, shown->len);
}

/* Adds a line to a label; of one that is too long, its ends. */
static void add_line(GString *out, const char *text)
{
	g_autoptr(GString) shown = g_string_new(NULL);
	const size_t half = LABEL_MAX / 2;

	g_string_append(out, "\\n");
	fmt_add_text(shown, text);
	if (shown->len <= LABEL_MAX) {
		quote_part(out, shown->str, shown->len);
		return;
	}
	quote_part(out, shown->str, half - 1);
	g_string_append(out, "\xe2\x80\xa6"); /* an ellipsis */
	quote_part(out, shown->str + shown->len - half, half);
}

static void add_count_line(GString *out, uint32_t count, const char *what)
{
	if (count)
		g_string_append_printf(out, "\\n%" PRIu32 " %s%s", count, what,
				       count == 1 ? "" : "s");
}

/* Each kind has its own shape and color. */
static const char *style_of(enum bpfrefs_kind kind)
{
	static const char *const styles[KIND_COUNT] = {
		[BPFREFS_KIND_MAP] = "shape=cylinder fillcolor=\"#cfe2f3\"",
		[BPFREFS_KIND_PROG] = "shape=box fillcolor=\"#d9ead3\"",
		[BPFREFS_KIND_LINK] = "shape=cds margin=\"0.2,0.1\" fillcolor=\"#fff2cc\"",
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

/* --------------------------------------------------------------- nodes --- */

void dot_node_name(GString *out, const struct picture *picture, uint32_t index)
{
	const struct picture_node *node = &picture->node[index];

	if (node->own)
		g_string_append(out, "own");
	else if (node->what == PICTURE_OBJECT)
		fmt_add_key(out, node->object->key);
	else if (node->what == PICTURE_PROCESS)
		g_string_append_printf(out, "pid/%" PRIu32, node->pid);
	else
		g_string_append_printf(out, "%s/%" PRIu32,
				       node->what == PICTURE_ROOT ? "root" : "owner", index);
}

/* "map/12", or "3 maps" and "map/12 ... map/40". */
static void add_object(GString *out, const struct picture *picture,
		       const struct picture_group *group)
{
	const struct bpfrefs_object *object = picture->node[group->first].object;
	const struct bpfrefs_object *last = picture->node[group->last].object;

	if (group->count > 1)
		g_string_append_printf(out, "%" PRIu32 " %ss\\n", group->count,
				       bpfrefs_kind_name(object->key.kind));
	fmt_add_key(out, object->key);
	if (group->count > 1) {
		g_string_append(out, group->count == 2 ? ", " : " \xe2\x80\xa6 ");
		fmt_add_key(out, last->key);
	}
	if (group->same_name && object->name && *object->name)
		add_line(out, object->name);
	add_line(out, object->type);
	if (object->state != BPFREFS_STATE_HELD)
		g_string_append_printf(out, "\\n%s", bpfrefs_state_name(object->state));
}

static void add_process(GString *out, const struct picture *picture,
			const struct picture_group *group)
{
	uint32_t pid = picture->node[group->first].pid, last = picture->node[group->last].pid;
	const struct bpfrefs_process *process = bpfrefs_snapshot_find_pid(picture->snap, pid);

	if (group->count > 1)
		g_string_append_printf(out, "%" PRIu32 " processes\\n", group->count);
	g_string_append_printf(out, "pid %" PRIu32, pid);
	if (group->count > 1)
		g_string_append_printf(out, "%s%" PRIu32,
				       group->count == 2 ? ", " : " \xe2\x80\xa6 ", last);
	if (group->same_name)
		add_line(out, process ? process->comm : NULL);
}

static void add_owner(GString *out, const struct owner *owner, uint32_t count)
{
	static const char *const words[OWNER_KINDS] = {
		[OWNER_MNT_NS] = "mount namespace",
		[OWNER_NET_NS] = "network namespace",
		[OWNER_BPFFS] = "bpffs",
		[OWNER_NETDEV] = "device",
		[OWNER_SOCKET] = "socket",
		[OWNER_TUN] = "tun device",
		[OWNER_PSOCK] = "psock",
		[OWNER_XDP] = "XDP dispatcher",
	};

	if (count > 1)
		g_string_append_printf(out, "%" PRIu32 " \xc3\x97 ", count);
	g_string_append(out, words[owner->kind]);
	if (count > 1)
		return;
	/* The identity of the others is an address. */
	if (owner->kind == OWNER_MNT_NS || owner->kind == OWNER_NET_NS)
		g_string_append_printf(out, "\\n%" PRIu64, owner->id);
	else if (owner->kind == OWNER_BPFFS)
		g_string_append_printf(out, "\\n%" PRIu64 ":%" PRIu64, owner->id >> 32,
				       owner->id & UINT32_MAX);
}

bool dot_node_place(GString *out, const struct bpfrefs_ref *ref)
{
	const struct bpfrefs_class *class_ = bpfrefs_ref_class(ref);
	struct bpfrefs_value where = bpfrefs_ref_value(ref, class_->place);

	/* Something else distinguishes it then, such as the dispatcher of XDP. */
	for (size_t i = ref->keys; where.type == BPFREFS_VALUE_ABSENT && i > 0; i--)
		if (bpfrefs_ref_value(ref, i - 1).type == BPFREFS_VALUE_STR)
			where = bpfrefs_ref_value(ref, i - 1);
	if (where.type == BPFREFS_VALUE_STR)
		add_line(out, where.str);
	else if (where.type == BPFREFS_VALUE_NUM)
		g_string_append_printf(out, "\\n%s %" PRIu64, class_->keys[class_->place],
				       where.num);
	return where.type == BPFREFS_VALUE_STR || where.type == BPFREFS_VALUE_NUM;
}

static void add_root(GString *out, const struct bpfrefs_ref *ref, uint32_t count)
{
	if (count > 1)
		g_string_append_printf(out, "%" PRIu32 " \xc3\x97 ", count);
	g_string_append(out, bpfrefs_ref_class(ref)->name);
	if (dot_node_place(out, ref) && count > 1)
		g_string_append_printf(out, "\\nand %" PRIu32 " more", count - 1);
}

/* What the calling process alone keeps. */
static void add_own(GString *out, const struct picture *picture)
{
	unsigned int count[KIND_COUNT] = { 0 };

	for (uint32_t i = 0; i < picture->nodes; i++)
		if (picture->node[i].own && picture->node[i].shown)
			count[picture->node[i].object->key.kind]++;
	g_string_append(out, "bpfrefs's own");
	for (int kind = 0; kind < KIND_COUNT; kind++)
		g_string_append_printf(out, "%s%u %s", kind ? ", " : "\\n", count[kind],
				       bpfrefs_kind_name((enum bpfrefs_kind)kind));
}

static void add_label(GString *out, const struct picture *picture,
		      const struct picture_group *group)
{
	const struct picture_node *node = &picture->node[group->first];

	if (node->own)
		add_own(out, picture);
	else if (node->what == PICTURE_OBJECT)
		add_object(out, picture, group);
	else if (node->what == PICTURE_PROCESS)
		add_process(out, picture, group);
	else if (node->what == PICTURE_OWNER)
		add_owner(out, node->owner, group->count);
	else
		add_root(out, node->root, group->count);
}

static void add_style(GString *out, const struct picture_node *node)
{
	bool pin = node->what == PICTURE_ROOT &&
		   node->root->class->pub.flags & (BPFREFS_CLASS_PIN | BPFREFS_CLASS_KEEP);

	if (node->own)
		g_string_append(out, "shape=box3d fillcolor=\"#ffffff\"");
	else if (node->what == PICTURE_OBJECT)
		g_string_append_printf(out, "%s%s", style_of(node->object->key.kind),
				       mark_of(node->object->state));
	else if (node->what == PICTURE_PROCESS)
		g_string_append(out, "shape=ellipse fillcolor=\"#f4cccc\"");
	else if (node->what == PICTURE_OWNER)
		g_string_append(out, "shape=tab fillcolor=\"#d9d2e9\"");
	else
		g_string_append_printf(out, "shape=%s fillcolor=\"%s\"", pin ? "house" : "hexagon",
				       pin ? "#ead1dc" : "#fce5cd");
	if (node->focus)
		g_string_append(out, " penwidth=4");
}

/* The sentence of the state, with the whole name, or the whole name of a place. */
static void add_tooltip(GString *out, const struct picture_node *node)
{
	struct bpfrefs_value where = { .type = BPFREFS_VALUE_ABSENT };

	if (node->own)
		return;
	if (node->what == PICTURE_ROOT)
		where = bpfrefs_ref_value(node->root, node->root->class->pub.place);
	if (where.type == BPFREFS_VALUE_STR) {
		g_string_append(out, " tooltip=\"");
		quote(out, where.str);
		g_string_append_c(out, '"');
	} else if (node->what == PICTURE_OBJECT) {
		g_string_append(out, " tooltip=\"");
		if (node->object->name && *node->object->name) {
			quote(out, node->object->name);
			g_string_append(out, ": ");
		}
		quote(out, node->object->because);
		g_string_append_c(out, '"');
	}
}

/* References of the group's objects that were not found, and those from what is not shown. */
static void add_rest(GString *out, const struct picture *picture, uint32_t group)
{
	uint64_t unexplained = 0, number;
	uint32_t others = 0;

	for (uint32_t i = picture->group[group].first; i <= picture->group[group].last; i++) {
		const struct picture_node *node = &picture->node[i];

		if (!node->shown || node->group != group || node->own)
			continue;
		others += node->others;
		if (node->what != PICTURE_OBJECT)
			continue;
		number = bpfrefs_object_unexplained(node->object);
		if (number != BPFREFS_UNKNOWN && number > node->object->constant)
			unexplained += number - node->object->constant;
	}
	add_count_line(out, (uint32_t)MIN(unexplained, UINT32_MAX), "unexplained reference");
	add_count_line(out, others, "other reference");
}

void dot_node_add(GString *out, const struct picture *picture, uint32_t index)
{
	const struct picture_group *group = &picture->group[index];
	const struct picture_node *node = &picture->node[group->first];

	g_string_append(out, "\t\"");
	dot_node_name(out, picture, group->first);
	g_string_append(out, "\" [label=\"");
	add_label(out, picture, group);
	add_rest(out, picture, index);
	g_string_append(out, "\" ");
	add_style(out, node);
	add_tooltip(out, node);
	g_string_append(out, "];\n");
}

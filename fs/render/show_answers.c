/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What follows from all references together: the roots of an object, the objects at risk, and the answers in JSON and DOT.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <string.h>

#include "render/show.h"

/* The approximate length of a reference or object in JSON. */
#define JSON_MEAN 180

/* --------------------------------------------------------------- roots --- */

static int show_root(GString *out, const struct bpfrefs_root *root)
{
	char key[BPFREFS_KEY_MAX];

	bpfrefs_ref_to_record(root->ref, show_write, out);
	g_string_truncate(out, out->len - 1); /* the newline */
	if (root->owner) {
		g_string_append_printf(
			out, " owner=%s owner_pid=%" PRIu32 " owner_comm=", root->owner, root->pid);
		fmt_add_value(out, root->comm);
	}
	if (root->ways > 1)
		g_string_append_printf(out, " ways=%zu", root->ways);
	for (size_t i = 0; text_room(out) == 0 && i < root->count; i++)
		g_string_append_printf(
			out, "%s%s", i ? "," : " chain=", bpfrefs_key_format(root->chain[i], key));
	g_string_append_c(out, '\n');
	return text_room(out);
}

int show_roots(const struct where *w, GString *out)
{
	selection_auto *roots = NULL;
	const struct bpfrefs_root *root;
	int err = bpfrefs_select_roots(w->snap, w->key, NULL, &roots);

	while (!err && (root = bpfrefs_next_root(roots)))
		err = show_root(out, root);
	if (!err)
		show_gaps(out, w->snap, NULL, NULL);
	return err;
}

int show_script(const struct where *w, GString *out)
{
	const struct fs *fs = w->fs;
	struct bpfrefs_script_options options = {
		.size = sizeof(options),
		.mountpoint = fs->opt.mountpoint,
		.major = fs->source_major,
		.minor = fs->source_minor,
		.dir_ino = fs->source_ino,
	};

	return bpfrefs_object_to_script(fs->ctx, w->snap, w->key, &options, show_write, out);
}

/* ------------------------------------------------------------- at risk --- */

static bool is_prog_array(const struct bpfrefs_object *object)
{
	return object->key.kind == BPFREFS_KIND_MAP &&
	       object->type_number == BPF_MAP_TYPE_PROG_ARRAY;
}

static int show_line(const struct where *w, GString *out, const struct bpfrefs_object *object)
{
	return bpfrefs_object_to_line(object, bpfrefs_memlock(w->fs->ctx, w->snap, object->key),
				      show_write, out);
}

static int show_risky(const struct where *w, GString *out, bool arrays)
{
	struct bpfrefs_filter filter = {
		.size = sizeof(filter),
		.states = 1u << BPFREFS_STATE_AT_RISK | 1u << BPFREFS_STATE_CLEARED,
		.hide_self = true,
	};
	const struct bpfrefs_object *object;
	selection_auto *objects = NULL;
	int err = bpfrefs_select_objects(w->snap, &filter, &objects);

	while (!err && (object = bpfrefs_next_object(objects)))
		if (is_prog_array(object) == arrays)
			err = show_line(w, out, object);
	return err;
}

/* Program arrays come first, because clearing them changes what attached programs do. */
int show_at_risk(const struct where *w, GString *out)
{
	int err = show_risky(w, out, true);

	if (!err)
		err = show_risky(w, out, false);
	show_gaps(out, w->snap, NULL, NULL);
	bpfrefs_self_to_text(w->snap, show_write, out);
	return err;
}

/* -------------------------------------------------------------- unused --- */

/* What the daemon holds for itself is held by a process, so it is none of these. */
int show_unused(const struct where *w, GString *out)
{
	const struct bpfrefs_unused *unused;
	selection_auto *all = NULL;
	int err = bpfrefs_select_unused(w->fs->ctx, w->snap, NULL, &all);

	while (!err && (unused = bpfrefs_next_unused(all)))
		err = show_line(w, out, unused->object);
	show_gaps(out, w->snap, NULL, NULL);
	bpfrefs_self_to_text(w->snap, show_write, out);
	return err;
}

/* ------------------------------------------------------- JSON and DOT --- */

int show_json(const struct where *w, GString *out)
{
	return bpfrefs_object_to_json(w->fs->ctx, w->snap, w->key, show_write, out);
}

int show_all_json(const struct where *w, GString *out)
{
	size_t refs = bpfrefs_snapshot_ref_count(w->snap);
	int err = text_room_for(out, JSON_MEAN * (refs + bpfrefs_snapshot_object_count(w->snap)));

	return err ? err : bpfrefs_snapshot_to_json(w->fs->ctx, w->snap, show_write, out);
}

int show_dot(const struct where *w, GString *out)
{
	return bpfrefs_snapshot_to_dot(w->snap, true, show_write, out);
}

int show_object_dot(const struct where *w, GString *out)
{
	return bpfrefs_object_to_dot(w->snap, w->key, show_write, out);
}

int show_pid_dot(const struct where *w, GString *out)
{
	return bpfrefs_processes_to_dot(w->snap, &w->pid, 1, show_write, out);
}

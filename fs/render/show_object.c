/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects: facts, the account of references, and pins. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "render/show.h"
#include "tree/node.h"

int show_info(const struct where *w, GString *out)
{
	const struct bpfrefs_field *field;
	struct bpfrefs_info *info;
	int err = bpfrefs_info_read(w->fs->ctx, w->key, &info);

	if (err)
		return err;
	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++) {
		if (field->str)
			show_pair(out, field->key, field->str);
		else
			show_pair_number(out, field->key, field->num);
	}
	bpfrefs_info_free(info);
	return 0;
}

/* -------------------------------------------------------- the account --- */

/* A counter without its explained part. Below 0 if more references were found than counted. */
struct remainder {
	bool known;
	int64_t value;
};

/* If a counter changed during the scan, the remainder is unknown. */
static struct remainder remainder_of(const struct bpfrefs_object *object, uint64_t counter,
				     uint64_t explained)
{
	if (counter == BPFREFS_UNKNOWN || object->changing)
		return (struct remainder){ false, 0 };
	return (struct remainder){ true, (int64_t)(counter - explained) };
}

static void show_remainder(GString *out, const char *key, struct remainder rest)
{
	if (rest.known)
		g_string_append_printf(out, "%s: %" PRId64 "\n", key, rest.value);
	else
		g_string_append_printf(out, "%s: ?\n", key);
}

/* Appends "CLASS: ref=N user=N" for each class that holds the object. */
static void show_classes(GString *out, const struct bpfrefs_snapshot *snap, struct bpfrefs_key key)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .object = key };
	const struct bpfrefs_class *class_ = NULL;
	uint64_t counts = 0, users = 0;
	selection_auto *refs = NULL;
	const struct bpfrefs_ref *ref;

	bpfrefs_select_refs(snap, &filter, &refs);
	do {
		ref = bpfrefs_next_ref(refs);
		if (class_ && (!ref || bpfrefs_ref_class(ref) != class_)) {
			g_string_append_printf(out, "%s: ref=%" PRIu64 " user=%" PRIu64 "\n",
					       class_->name, counts, users);
			counts = users = 0;
		}
		class_ = ref ? bpfrefs_ref_class(ref) : NULL;
		counts += ref ? bpfrefs_ref_count(ref) : 0;
		users += ref ? bpfrefs_ref_user(ref) : 0;
	} while (ref);
}

int show_refs(const struct where *w, GString *out)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(w->snap, w->key);

	if (!object)
		return -ENOENT;
	show_pair_number(out, "refcnt", object->refcnt);
	show_pair_number(out, "explained", object->explained);
	show_remainder(out, "unexplained", remainder_of(object, object->refcnt, object->explained));
	if (w->key.kind == BPFREFS_KIND_BTF)
		show_pair_number(out, "constant", object->constant);
	if (w->key.kind == BPFREFS_KIND_MAP) {
		show_pair_number(out, "usercnt", object->usercnt);
		show_pair_number(out, "user_explained", object->user_explained);
		show_remainder(out, "user_unexplained",
			       remainder_of(object, object->usercnt, object->user_explained));
	}
	show_classes(out, w->snap, w->key);
	show_pair(out, "state", bpfrefs_state_name(object->state));
	show_pair(out, "because", object->because);
	if (object->changing)
		g_string_append(out, "# refcnt: changing\n");
	show_gaps(out, w->snap, NULL, NULL);
	return 0;
}

/* The approximate length of an object's line. */
#define LINE_MEAN 160

int show_objects(const struct where *w, GString *out)
{
	int err = text_room_for(out, LINE_MEAN * bpfrefs_snapshot_object_count(w->snap));

	return err ? err : bpfrefs_snapshot_to_objects(w->fs->ctx, w->snap, show_write, out);
}

/* ----------------------------------------------------- pins and keeps --- */

static bool is_pin_class(const struct bpfrefs_class *class_, const void *data)
{
	(void)data;
	return class_->flags & BPFREFS_CLASS_PIN;
}

/* Shows the object's pins below SOURCE, in the form that pin and unpin take. */
int show_pins(const struct where *w, GString *out)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .object = w->key };
	const struct fs *fs = w->fs;
	const struct bpfrefs_ref *ref;
	selection_auto *refs = NULL;
	int err;

	if (!bpfrefs_snapshot_has(w->snap, w->key))
		return -ENOENT;
	err = bpfrefs_select_refs(w->snap, &filter, &refs);
	while (!err && (ref = bpfrefs_next_ref(refs))) {
		const char *path;

		if (!is_pin_class(bpfrefs_ref_class(ref), NULL))
			continue;
		path = bpfrefs_snapshot_pin_path(w->snap, ref, fs->source_major, fs->source_minor,
						 fs->source_ino);
		if (!path)
			continue;
		path = show_line_start(out, path);
		fmt_add_value(out, path);
		g_string_append_c(out, '\n');
		err = text_room(out);
	}
	show_gaps(out, w->snap, is_pin_class, NULL);
	return err;
}

int show_keep(const struct where *w, GString *out)
{
	enum bpfrefs_keep_mode mode;
	int err = bpfrefs_exists(w->fs->ctx, w->key);

	if (!err)
		err = bpfrefs_keep_get(w->fs->keeper, w->key, &mode);
	if (err)
		return err;
	g_string_append_printf(out, "%s\n", bpfrefs_keep_name(mode));
	return 0;
}

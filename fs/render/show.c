/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records: one reference to an object, with its holder, on each line. */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "render/show.h"

/* The approximate length of a record. */
#define LINE_MEAN 80

int show_records(GString *out, const struct bpfrefs_snapshot *snap,
		 const struct bpfrefs_filter *filter)
{
	selection_auto *refs = NULL;
	const struct bpfrefs_ref *ref;
	int err = bpfrefs_select_refs(snap, filter, &refs);

	while (!err && (ref = bpfrefs_next_ref(refs)))
		err = bpfrefs_ref_to_record(ref, show_write, out);
	return err;
}

/* --------------------------------------------------------------- gaps --- */

void show_gaps(GString *out, const struct bpfrefs_snapshot *snap,
	       bool (*affects)(const struct bpfrefs_class *class_, const void *data),
	       const void *data)
{
	const struct bpfrefs_class_status *status;
	selection_auto *classes = NULL;

	bpfrefs_select_classes(snap, NULL, &classes);
	while ((status = bpfrefs_next_class(classes))) {
		if (status->coverage == BPFREFS_COVERAGE_COMPLETE)
			continue;
		if (affects && !affects(status->class_, data))
			continue;
		g_string_append_printf(out, "# %s: ", status->class_->name);
		bpfrefs_class_status_to_text(status, show_write, out);
		g_string_append_c(out, '\n');
	}
}

static bool is_class_of(const struct bpfrefs_class *class_, const void *data)
{
	const struct bpfrefs_key *key = data;

	return class_->holders & 1u << key->kind;
}

/* Returns whether the class can hold such an object. */
static bool can_hold(const struct bpfrefs_class *class_, const void *data)
{
	const struct bpfrefs_key *key = data;

	return !class_->kinds || class_->kinds & 1u << key->kind;
}

/* -------------------------------------------------------------- files --- */

int show_holders(const struct where *w, GString *out)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .object = w->key };
	int err;

	if (!bpfrefs_snapshot_has(w->snap, w->key))
		return -ENOENT;
	err = show_records(out, w->snap, &filter);
	show_gaps(out, w->snap, can_hold, &w->key);
	return err;
}

int show_holding(const struct where *w, GString *out)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .holder = w->key };
	int err;

	if (!bpfrefs_snapshot_has(w->snap, w->key))
		return -ENOENT;
	err = show_records(out, w->snap, &filter);
	show_gaps(out, w->snap, is_class_of, &w->key);
	return err;
}

int show_all_holders(const struct where *w, GString *out)
{
	/* allocated in one step: growth by doubling would copy the text each time */
	int err = text_room_for(out, LINE_MEAN * bpfrefs_snapshot_ref_count(w->snap));

	return err ? err : bpfrefs_snapshot_to_records(w->snap, show_write, out);
}

/* -------------------------------------------------------------- slots --- */

bool show_has_slots(const struct where *w)
{
	const struct bpfrefs_field *field;
	struct bpfrefs_info *info;
	bool found = false;

	if (bpfrefs_info_read(w->fs->ctx, w->key, &info) != 0)
		return false;
	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++)
		if (strcmp(field->key, "type") == 0)
			found = field->num == BPF_MAP_TYPE_PROG_ARRAY ||
				field->num == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
				field->num == BPF_MAP_TYPE_HASH_OF_MAPS;
	bpfrefs_info_free(info);
	return found;
}

/* Sorts by index, or by text for the keys of a hash that are not numbers. */
static int by_slot(gconstpointer a, gconstpointer b)
{
	struct bpfrefs_value x = bpfrefs_ref_get(*(const struct bpfrefs_ref *const *)a, "slot");
	struct bpfrefs_value y = bpfrefs_ref_get(*(const struct bpfrefs_ref *const *)b, "slot");

	if (x.type == BPFREFS_VALUE_STR && y.type == BPFREFS_VALUE_STR)
		return strcmp(x.str, y.str);
	return x.num < y.num ? -1 : x.num > y.num;
}

static void show_slot(GString *out, const struct bpfrefs_snapshot *snap,
		      const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value slot = bpfrefs_ref_get(ref, "slot");
	struct bpfrefs_key target = bpfrefs_ref_target(ref);
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, target);

	if (slot.type == BPFREFS_VALUE_NUM)
		fmt_add_number(out, slot.num);
	else
		fmt_add_value(out, slot.type == BPFREFS_VALUE_STR ? slot.str : NULL);
	g_string_append_c(out, ' ');
	fmt_add_key(out, target);
	g_string_append_c(out, ' ');
	fmt_add_value(out, object ? object->name : NULL);
	g_string_append_c(out, '\n');
}

int show_slots(const struct where *w, GString *out)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .holder = w->key };
	g_autoptr(GPtrArray) slots = g_ptr_array_new();
	selection_auto *refs = NULL;
	const struct bpfrefs_ref *ref;
	int err;

	if (!bpfrefs_snapshot_has(w->snap, w->key))
		return -ENOENT;
	err = bpfrefs_select_refs(w->snap, &filter, &refs);
	while ((ref = bpfrefs_next_ref(refs)))
		if (bpfrefs_ref_get(ref, "slot").type != BPFREFS_VALUE_ABSENT)
			g_ptr_array_add(slots, (gpointer)ref);
	g_ptr_array_sort(slots, by_slot);
	for (guint i = 0; !err && i < slots->len; i++) {
		show_slot(out, w->snap, slots->pdata[i]);
		err = text_room(out);
	}
	show_gaps(out, w->snap, is_class_of, &w->key);
	return err;
}

int show_attachments(const struct where *w, GString *out)
{
	return bpfrefs_snapshot_to_attachments(w->fs->ctx, w->snap, show_write, out);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The references to the kernel's own BTFs that have been unexplained since the first scan. They are
 * held by programs and maps that have no id, such as those that the kernel loads for itself, and
 * were there before bpfrefs started. They stay unexplained, but they are no sign of a new leak.
 */
#include "snapshot/private.h"

/*
 * The number of references that the kernel counts and that were not found; 0 if the counter is
 * unknown.
 */
static uint64_t remainder_of(const struct bpfrefs_object *object)
{
	if (object->refcnt == BPFREFS_UNKNOWN || object->refcnt < object->explained)
		return 0;
	return object->refcnt - object->explained;
}

/* @table maps the id of a BTF to the lowest remainder of any scan so far, plus 1. */
static void record_least(GHashTable *table, bool first, const struct bpfrefs_object *object)
{
	gpointer id = GUINT_TO_POINTER(object->key.id);
	uint64_t before = GPOINTER_TO_SIZE(g_hash_table_lookup(table, id));
	uint64_t now = remainder_of(object);

	/* The BTF of a module that was loaded later had no references before bpfrefs started. */
	if (!before)
		now = first ? now : 0;
	else
		now = MIN(now, before - 1);
	g_hash_table_insert(table, id, GSIZE_TO_POINTER(now + 1));
}

void constant_update(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot *snap, bool stable)
{
	bool first = !ctx->constant;

	if (first && !stable)
		return;
	if (first)
		ctx->constant = g_hash_table_new(NULL, NULL);
	for (guint i = 0; i < snap->objects->len; i++) {
		struct bpfrefs_object *object = g_ptr_array_index(snap->objects, i);
		uint64_t least;

		if (object->key.kind != BPFREFS_KIND_BTF || object->type_number != BTF_OF_KERNEL ||
		    object->changing)
			continue;
		if (stable)
			record_least(ctx->constant, first, object);
		least = GPOINTER_TO_SIZE(
			g_hash_table_lookup(ctx->constant, GUINT_TO_POINTER(object->key.id)));
		object->constant = least ? MIN(least - 1, remainder_of(object)) : 0;
	}
}

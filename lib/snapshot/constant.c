/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has been unexplained of the kernel's own BTFs since the first scan. Programs and maps that are in
 * no table of ids hold them, such as those that the kernel loads for itself, from before our start. It
 * stays a remainder, but one that does not report a new leak.
 */
#include "snapshot/private.h"

/* How often a counter says more than the holders found; 0 where that is not known. */
static uint64_t remainder_of(const struct bpfrefs_object *object)
{
	if (object->refcnt == BPFREFS_UNKNOWN || object->refcnt < object->explained)
		return 0;
	return object->refcnt - object->explained;
}

/* @table: a BTF's id -> the least remainder that a scan has found, plus 1. */
static void note(GHashTable *table, bool first, const struct bpfrefs_object *object)
{
	gpointer id = GUINT_TO_POINTER(object->key.id);
	uint64_t before = GPOINTER_TO_SIZE(g_hash_table_lookup(table, id));
	uint64_t now = remainder_of(object);

	/* A BTF that was added later, a module's, had no references before our start. */
	if (!before)
		now = first ? now : 0;
	else
		now = MIN(now, before - 1);
	g_hash_table_insert(table, id, GSIZE_TO_POINTER(now + 1));
}

void constant_note(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot *snap, bool settled)
{
	bool first = !ctx->constant;

	if (first && !settled)
		return;
	if (first)
		ctx->constant = g_hash_table_new(NULL, NULL);
	for (guint i = 0; i < snap->objects->len; i++) {
		struct bpfrefs_object *object = g_ptr_array_index(snap->objects, i);
		uint64_t least;

		if (object->key.kind != BPFREFS_BTF || object->type_number != BTF_OF_KERNEL ||
		    object->changing)
			continue;
		if (settled)
			note(ctx->constant, first, object);
		least = GPOINTER_TO_SIZE(
			g_hash_table_lookup(ctx->constant, GUINT_TO_POINTER(object->key.id)));
		object->constant = least ? MIN(least - 1, remainder_of(object)) : 0;
	}
}

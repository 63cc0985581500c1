/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lines of .bpf/objects: one object, with its counters and its state, on each line. */
#include "text/sink.h"

/* Returns how many references of a counter are unexplained, or too many were found. */
static uint64_t difference(uint64_t counter, uint64_t explained)
{
	return counter > explained ? counter - explained : explained - counter;
}

uint64_t bpfrefs_object_unexplained(const struct bpfrefs_object *object)
{
	bool map = object->key.kind == BPFREFS_KIND_MAP;

	if (object->changing || object->refcnt == BPFREFS_UNKNOWN ||
	    (map && object->usercnt == BPFREFS_UNKNOWN))
		return BPFREFS_UNKNOWN;
	return difference(object->refcnt, object->explained) +
	       (map ? difference(object->usercnt, object->user_explained) : 0);
}

static void add_line(GString *out, const struct bpfrefs_object *object, uint64_t memlock)
{
	fmt_add_key(out, object->key);
	g_string_append(out, " name=");
	fmt_add_value(out, object->name);
	g_string_append(out, " type=");
	fmt_add_value(out, object->type);
	g_string_append(out, " refcnt=");
	fmt_add_number(out, object->refcnt);
	/*
	 * Only maps have a usercnt. Others have an empty value, so that all lines have the same
	 * keys.
	 */
	g_string_append(out, " usercnt=");
	if (object->key.kind == BPFREFS_KIND_MAP)
		fmt_add_number(out, object->usercnt);
	g_string_append(out, " unexplained=");
	fmt_add_number(out, bpfrefs_object_unexplained(object));
	g_string_append(out, " pins=");
	fmt_add_number(out, object->pins);
	g_string_append(out, " memlock=");
	fmt_add_number(out, memlock);
	g_string_append(out, " state=");
	g_string_append(out, bpfrefs_state_name(object->state));
	g_string_append(out, " because=");
	fmt_add_text(out, object->because);
	g_string_append_c(out, '\n');
}

int bpfrefs_object_to_line(const struct bpfrefs_object *object, uint64_t memlock,
			   bpfrefs_write_fn write, void *data)
{
	struct text_sink sink = sink_begin(write, data);

	add_line(sink.out, object, memlock);
	return sink_end(&sink, 0);
}

static void add_item(GString *out, const void *data, size_t index, bool first)
{
	const struct sink_objects *objects = data;

	(void)first;
	add_line(out, snapshot_object(objects->snap, index), objects->memlock[index]);
}

int bpfrefs_snapshot_to_objects(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
				bpfrefs_write_fn write, void *data)
{
	g_autofree uint64_t *memlock = NULL;
	int err = bpfrefs_snapshot_memlock(ctx, snap, &memlock);
	struct sink_objects objects = { snap, memlock };
	struct sink_items items = { bpfrefs_snapshot_object_count(snap), add_item, &objects,
				    sink_hides_object, snap };
	struct text_sink sink = sink_begin(write, data);

	if (!err)
		err = sink_list(&sink, &items);
	sink_gaps(sink.out, snap);
	sink_self(sink.out, snap);
	return sink_end(&sink, err);
}

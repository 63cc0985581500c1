/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The facts as JSON, with the keys of the records. Text is not escaped as in the records. */
#include <time.h>

#include "text/json.h"
#include "text/sink.h"

/* ------------------------------------------------------------- records --- */

static void add_field(struct json *json, const char *key, struct bpfrefs_value value)
{
	if (value.type == BPFREFS_VALUE_NUM)
		json_number(json, key, value.num);
	else if (value.type == BPFREFS_VALUE_STR)
		json_text(json, key, value.str);
	else if (value.type == BPFREFS_VALUE_UNKNOWN)
		json_null(json, key);
}

/* Adds the members of a record. "object" and "class" have no key in a record's line. */
static void add_fields(struct json *json, const struct bpfrefs_ref *ref)
{
	const struct bpfrefs_class *class_ = bpfrefs_ref_class(ref);

	json_key(json, "object", bpfrefs_ref_target(ref));
	json_text(json, "class", class_->name);
	json_number(json, "ref", bpfrefs_ref_count(ref));
	json_number(json, "user", bpfrefs_ref_user(ref));
	for (size_t i = 0; class_->keys[i]; i++)
		add_field(json, class_->keys[i], bpfrefs_ref_value(ref, i));
}

static int add_record(const struct bpfrefs_ref *ref, void *data)
{
	struct json *json = data;

	json_begin(json, NULL, '{');
	add_fields(json, ref);
	json_end(json, '}');
	return 0;
}

static void add_gaps(struct json *json, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_class_status *status;

	json_begin(json, "gaps", '[');
	for (size_t i = 0; (status = snapshot_class(snap, i)); i++) {
		if (status->coverage == BPFREFS_COVERAGE_COMPLETE)
			continue;
		json_begin(json, NULL, '{');
		json_text(json, "class", status->class_->name);
		json_text(json, "coverage", bpfrefs_coverage_name(status->coverage));
		if (status->coverage == BPFREFS_COVERAGE_PARTIAL)
			json_number(json, "count", status->count ? status->count : BPFREFS_UNKNOWN);
		json_text(json, "what", status->what);
		json_text(json, "error", status->error ? g_strerror(status->error) : NULL);
		json_end(json, '}');
	}
	json_end(json, ']');
}

/* ------------------------------------------------------------- objects --- */

/* Adds a counter without its explained part, or null if that is unknown. */
static void add_remainder(struct json *json, const char *key, const struct bpfrefs_object *object,
			  uint64_t counter, uint64_t explained)
{
	if (counter == BPFREFS_UNKNOWN || object->changing)
		json_null(json, key);
	else
		json_signed(json, key, (int64_t)(counter - explained));
}

/* Adds the object and the account of its references. */
static void add_object(struct json *json, const struct bpfrefs_object *object, uint64_t memlock)
{
	json_key(json, "object", object->key);
	json_text(json, "kind", bpfrefs_kind_name(object->key.kind));
	json_number(json, "id", object->key.id);
	json_text(json, "name", object->name);
	json_text(json, "type", object->type);
	json_number(json, "refcnt", object->refcnt);
	json_number(json, "explained", object->explained);
	add_remainder(json, "unexplained", object, object->refcnt, object->explained);
	if (object->key.kind == BPFREFS_KIND_BTF)
		json_number(json, "constant", object->constant);
	if (object->key.kind == BPFREFS_KIND_MAP) {
		json_number(json, "usercnt", object->usercnt);
		json_number(json, "user_explained", object->user_explained);
		add_remainder(json, "user_unexplained", object, object->usercnt,
			      object->user_explained);
	}
	json_bool(json, "changing", object->changing);
	json_number(json, "pins", object->pins);
	json_number(json, "memlock", memlock);
	json_text(json, "state", bpfrefs_state_name(object->state));
	json_text(json, "because", object->because);
}

/* Adds null if the object was freed after the snapshot. */
static void add_info(struct json *json, struct bpfrefs_ctx *ctx, struct bpfrefs_key key)
{
	const struct bpfrefs_field *field;
	struct bpfrefs_info *info;

	if (bpfrefs_info_read(ctx, key, &info) != 0) {
		json_null(json, "info");
		return;
	}
	json_begin(json, "info", '{');
	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++) {
		if (field->str)
			json_text(json, field->key, field->str);
		else
			json_number(json, field->key, field->num);
	}
	json_end(json, '}');
	bpfrefs_info_free(info);
}

static void add_root(struct json *json, const struct bpfrefs_root *root)
{
	json_begin(json, NULL, '{');
	add_fields(json, root->ref);
	if (root->owner) {
		json_text(json, "owner", root->owner);
		json_number(json, "owner_pid", root->pid);
		json_text(json, "owner_comm", root->comm);
	}
	if (root->ways > 1)
		json_number(json, "ways", root->ways);
	json_begin(json, "chain", '[');
	for (size_t i = 0; i < root->count; i++)
		json_key(json, NULL, root->chain[i]);
	json_end(json, ']');
	json_end(json, '}');
}

static void add_records(struct json *json, const char *name, struct ref_range refs)
{
	const struct bpfrefs_ref *ref;

	json_begin(json, name, '[');
	while ((ref = ref_range_next(&refs)))
		add_record(ref, json);
	json_end(json, ']');
}

/* Adds what holds the object, what it holds, and the roots that lead to it. */
static int add_references(struct json *json, const struct bpfrefs_snapshot *snap,
			  struct bpfrefs_key key)
{
	struct bpfrefs_selection *roots = NULL;
	const struct bpfrefs_root *root;
	struct ref_range holding;
	int err = index_holding(snap, key, &holding);

	add_records(json, "holders", index_holders(snap, key));
	add_records(json, "holding", holding);
	if (!err)
		err = bpfrefs_select_roots(snap, key, NULL, &roots);
	json_begin(json, "roots", '[');
	while ((root = bpfrefs_next_root(roots)))
		add_root(json, root);
	json_end(json, ']');
	bpfrefs_selection_free(roots);
	return err;
}

int bpfrefs_object_to_json(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
			   struct bpfrefs_key key, bpfrefs_write_fn write, void *data)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, key);
	struct text_sink sink;
	struct json json = { .pretty = true };
	int err;

	if (!object)
		return -ENOENT;
	sink = sink_begin(write, data);
	json.out = sink.out;
	json_begin(&json, NULL, '{');
	add_object(&json, object, bpfrefs_memlock(ctx, snap, key));
	add_info(&json, ctx, key);
	err = add_references(&json, snap, key);
	add_gaps(&json, snap);
	json_end(&json, '}');
	g_string_append_c(sink.out, '\n');
	return sink_end(&sink, err);
}

/* ---------------------------------------------------- the whole system --- */

/* The state of the writer before an item, which is on a line of its own. */
static struct json item_json(GString *out, bool first)
{
	return (struct json){ .out = out, .depth = 2, .new_line = true, .continued = !first };
}

static void add_object_item(GString *out, const void *data, size_t index, bool first)
{
	const struct sink_objects *objects = data;
	struct json json = item_json(out, first);

	json_begin(&json, NULL, '{');
	add_object(&json, snapshot_object(objects->snap, index), objects->memlock[index]);
	json_end(&json, '}');
}

static void add_holder_item(GString *out, const void *snap, size_t index, bool first)
{
	struct json json = item_json(out, first);

	/* references are scattered in memory */
	__builtin_prefetch(snapshot_ref_at(snap, index + 4));
	add_record(snapshot_ref_at(snap, index), &json);
}

static void add_process_item(GString *out, const void *snap, size_t index, bool first)
{
	const struct bpfrefs_process *process = snapshot_process(snap, index);
	struct json json = item_json(out, first);

	json_begin(&json, NULL, '{');
	json_number(&json, "pid", process->pid);
	json_text(&json, "comm", process->comm);
	json_text(&json, "cgroup", bpfrefs_process_cgroup(snap, process->pid));
	json_end(&json, '}');
}

static int add_array(struct json *json, const char *key, struct text_sink *sink,
		     const struct sink_items *items)
{
	int err;

	json->new_line = true;
	json_begin(json, key, '[');
	err = sink_list(sink, items);
	json_end(json, ']');
	return err;
}

/* Adds the time in UTC when the scan began: "2025-11-22T09:01:02.345Z". */
static void add_time(struct json *json, const struct bpfrefs_snapshot *snap)
{
	uint64_t ns = bpfrefs_snapshot_stats(snap)->wall_ns;
	g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc((gint64)(ns / 1000000000u));
	g_autofree char *seconds = when ? g_date_time_format(when, "%Y-%m-%dT%H:%M:%S") : NULL;
	g_autofree char *text = NULL;

	if (seconds)
		text = g_strdup_printf("%s.%03uZ", seconds, (unsigned int)(ns / 1000000 % 1000));
	json_text(json, "time", text ? text : "?");
}

/* Adds how many objects only this process holds, and whether they are left out. */
static void add_self(struct json *json, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_self *self = bpfrefs_snapshot_self(snap);

	json_begin(json, "self", '{');
	json_number(json, "pid", self->pid);
	json_number(json, "objects", self->objects);
	json_bool(json, "left_out", self->left_out);
	json_end(json, '}');
}

int bpfrefs_snapshot_to_json(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
			     bpfrefs_write_fn write, void *data)
{
	g_autofree uint64_t *memlock = NULL;
	int err = bpfrefs_snapshot_memlock(ctx, snap, &memlock);
	struct sink_objects all = { snap, memlock };
	struct sink_items objects = { bpfrefs_snapshot_object_count(snap), add_object_item, &all,
				      sink_hides_object, snap };
	struct sink_items refs = { bpfrefs_snapshot_ref_count(snap), add_holder_item, snap,
				   sink_hides_ref, snap };
	struct sink_items processes = { snap->processes->len, add_process_item, snap,
					sink_hides_process, snap };
	struct text_sink sink = sink_begin(write, data);
	struct json json = { .out = sink.out };

	json_begin(&json, NULL, '{');
	json_text(&json, "version", bpfrefs_version());
	add_time(&json, snap);
	if (!err)
		err = add_array(&json, "objects", &sink, &objects);
	if (!err)
		err = add_array(&json, "holders", &sink, &refs);
	if (!err)
		err = add_array(&json, "processes", &sink, &processes);
	json.new_line = true;
	add_gaps(&json, snap);
	add_self(&json, snap);
	json_end(&json, '}');
	g_string_append_c(sink.out, '\n');
	return sink_end(&sink, err);
}

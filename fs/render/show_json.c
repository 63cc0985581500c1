/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The facts as JSON, with the keys of the records. Counts are numbers, and unknown values are
 * null. Text is not escaped as in the records. Bytes that are not UTF-8 become U+FFFD.
 */
#include <errno.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "render/show.h"

/* -------------------------------------------------------------- values --- */

/* Adds a string, or null if it is unknown. */
static void add_text(JsonBuilder *json, const char *key, const char *text)
{
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

	json_builder_set_member_name(json, key);
	if (valid)
		json_builder_add_string_value(json, valid);
	else
		json_builder_add_null_value(json);
}

/* All parsers support integers up to 2^63 - 1. Larger ones are added as strings. */
static void add_number(JsonBuilder *json, const char *key, uint64_t number)
{
	g_autofree char *text = NULL;

	json_builder_set_member_name(json, key);
	if (number == BPFREFS_UNKNOWN) {
		json_builder_add_null_value(json);
	} else if (number <= INT64_MAX) {
		json_builder_add_int_value(json, (gint64)number);
	} else {
		text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
		json_builder_add_string_value(json, text);
	}
}

/* Adds a counter without its explained part, or null if that is unknown. */
static void add_remainder(JsonBuilder *json, const char *key, const struct bpfrefs_object *object,
			  uint64_t counter, uint64_t explained)
{
	json_builder_set_member_name(json, key);
	if (counter == BPFREFS_UNKNOWN || object->changing)
		json_builder_add_null_value(json);
	else
		json_builder_add_int_value(json, (gint64)(counter - explained));
}

static void add_key(JsonBuilder *json, const char *member, struct bpfrefs_key key)
{
	char text[BPFREFS_KEY_MAX];

	add_text(json, member, bpfrefs_key_format(key, text));
}

static void begin_array(JsonBuilder *json, const char *key)
{
	json_builder_set_member_name(json, key);
	json_builder_begin_array(json);
}

/* ------------------------------------------------------------- records --- */

static void add_field(JsonBuilder *json, const char *key, struct bpfrefs_value value)
{
	if (value.type == BPFREFS_VALUE_NUM)
		add_number(json, key, value.num);
	else if (value.type == BPFREFS_VALUE_STR)
		add_text(json, key, value.str);
	else if (value.type == BPFREFS_VALUE_UNKNOWN)
		add_text(json, key, NULL);
}

/* Adds the members of a record. "object" and "class" have no key in a record's line. */
static void add_fields(JsonBuilder *json, const struct bpfrefs_ref *ref)
{
	const struct bpfrefs_class *class_ = bpfrefs_ref_class(ref);

	add_key(json, "object", bpfrefs_ref_target(ref));
	add_text(json, "class", class_->name);
	add_number(json, "ref", bpfrefs_ref_count(ref));
	add_number(json, "user", bpfrefs_ref_user(ref));
	for (size_t i = 0; class_->keys[i]; i++)
		add_field(json, class_->keys[i], bpfrefs_ref_value(ref, i));
}

static int add_record(const struct bpfrefs_ref *ref, void *json)
{
	json_builder_begin_object(json);
	add_fields(json, ref);
	json_builder_end_object(json);
	return 0;
}

static void add_gaps(JsonBuilder *json, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_class_status *status;

	begin_array(json, "gaps");
	for (size_t i = 0; (status = bpfrefs_snapshot_class(snap, i)); i++) {
		if (status->coverage == BPFREFS_COMPLETE)
			continue;
		json_builder_begin_object(json);
		add_text(json, "class", status->class_->name);
		add_text(json, "coverage", bpfrefs_coverage_name(status->coverage));
		if (status->coverage == BPFREFS_PARTIAL)
			add_number(json, "count", status->count ? status->count : BPFREFS_UNKNOWN);
		add_text(json, "what", status->what);
		add_text(json, "error", status->error ? g_strerror(status->error) : NULL);
		json_builder_end_object(json);
	}
	json_builder_end_array(json);
}

/* ------------------------------------------------------------- objects --- */

static void add_account(JsonBuilder *json, const struct bpfrefs_object *object)
{
	add_number(json, "refcnt", object->refcnt);
	add_number(json, "explained", object->explained);
	add_remainder(json, "unexplained", object, object->refcnt, object->explained);
	if (object->key.kind == BPFREFS_BTF)
		add_number(json, "constant", object->constant);
	if (object->key.kind == BPFREFS_MAP) {
		add_number(json, "usercnt", object->usercnt);
		add_number(json, "user_explained", object->user_explained);
		add_remainder(json, "user_unexplained", object, object->usercnt,
			      object->user_explained);
	}
	json_builder_set_member_name(json, "changing");
	json_builder_add_boolean_value(json, object->changing);
	add_number(json, "pins", object->pins);
	add_text(json, "state", bpfrefs_state_name(object->state));
	add_text(json, "because", object->because);
}

static void add_head(JsonBuilder *json, const struct bpfrefs_object *object)
{
	add_key(json, "object", object->key);
	add_text(json, "kind", bpfrefs_kind_name(object->key.kind));
	add_number(json, "id", object->key.id);
	add_text(json, "name", object->name);
	add_text(json, "type", object->type);
}

/* Adds null if the object was freed after the snapshot. */
static void add_info(JsonBuilder *json, const struct where *w)
{
	const struct bpfrefs_field *field;
	struct bpfrefs_info *info;

	json_builder_set_member_name(json, "info");
	if (bpfrefs_info_read(w->fs->ctx, w->key, &info) != 0) {
		json_builder_add_null_value(json);
		return;
	}
	json_builder_begin_object(json);
	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++) {
		if (field->str)
			add_text(json, field->key, field->str);
		else
			add_number(json, field->key, field->num);
	}
	json_builder_end_object(json);
	bpfrefs_info_free(info);
}

static int add_root(const struct bpfrefs_root *root, void *data)
{
	JsonBuilder *json = data;
	char key[BPFREFS_KEY_MAX];

	json_builder_begin_object(json);
	add_fields(json, root->ref);
	if (root->owner) {
		add_text(json, "owner", root->owner);
		add_number(json, "owner_pid", root->pid);
		add_text(json, "owner_comm", root->comm);
	}
	begin_array(json, "chain");
	for (size_t i = 0; i < root->count; i++)
		json_builder_add_string_value(json, bpfrefs_key_format(root->chain[i], key));
	json_builder_end_array(json);
	json_builder_end_object(json);
	return 0;
}

static int add_holders(JsonBuilder *json, const struct where *w)
{
	size_t first, count = bpfrefs_snapshot_holders(w->snap, w->key, &first);
	int err = 0;

	begin_array(json, "holders");
	for (size_t i = first; !err && i < first + count; i++)
		err = add_record(bpfrefs_snapshot_ref_at(w->snap, i), json);
	json_builder_end_array(json);
	begin_array(json, "holding");
	if (!err)
		err = bpfrefs_snapshot_holding(w->snap, w->key, add_record, json);
	json_builder_end_array(json);
	begin_array(json, "roots");
	if (!err)
		err = bpfrefs_snapshot_roots(w->snap, w->key, add_root, json);
	json_builder_end_array(json);
	return err;
}

/* Ends the outermost object and writes it. */
static void finish(JsonBuilder *json, GString *out)
{
	g_autoptr(JsonGenerator) generator = json_generator_new();
	g_autoptr(JsonNode) root = NULL;

	json_builder_end_object(json);
	root = json_builder_get_root(json);
	json_generator_set_root(generator, root);
	json_generator_set_pretty(generator, TRUE);
	json_generator_set_indent(generator, 1);
	json_generator_to_gstring(generator, out);
	g_string_append_c(out, '\n');
}

int show_json(const struct where *w, GString *out)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(w->snap, w->key);
	g_autoptr(JsonBuilder) json = NULL;
	int err;

	if (!object)
		return -ENOENT;
	json = json_builder_new();
	json_builder_begin_object(json);
	add_head(json, object);
	add_account(json, object);
	add_info(json, w);
	err = add_holders(json, w);
	add_gaps(json, w->snap);
	finish(json, out);
	return err ? err : text_room(out);
}

/* ---------------------------------------------------- the whole system --- */

/*
 * Writes each record when it is complete, on its own line: the tree of all records would take
 * about twenty times the size of the text.
 */
struct stream {
	GString *out;
	JsonBuilder *json; /* the object that is being built */
	JsonGenerator *generator;
	const char *between; /* the text between it and the previous one */
};

/* Ends the current object and writes it. On -ENOMEM the caller stops. */
static int stream_object(struct stream *stream)
{
	g_autoptr(JsonNode) root = NULL;

	json_builder_end_object(stream->json);
	root = json_builder_get_root(stream->json);
	json_generator_set_root(stream->generator, root);
	g_string_append(stream->out, stream->between);
	json_generator_to_gstring(stream->generator, stream->out);
	json_builder_reset(stream->json);
	stream->between = ",\n";
	return text_room(stream->out);
}

/* Does the same, but writes its members into the outermost object. */
static void stream_members(struct stream *stream)
{
	gsize at = stream->out->len + strlen(stream->between);

	stream_object(stream);
	g_string_erase(stream->out, (gssize)at, 1);
	g_string_truncate(stream->out, stream->out->len - 1);
}

static void stream_array(struct stream *stream, const char *key)
{
	g_string_append_printf(stream->out, "%s\"%s\":[", stream->between, key);
	stream->between = "\n";
}

static void stream_array_end(struct stream *stream)
{
	g_string_append_c(stream->out, ']');
	stream->between = ",\n";
}

static int stream_objects(struct stream *stream, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_object *object;
	int err = 0;

	stream_array(stream, "objects");
	for (size_t i = 0; !err && (object = bpfrefs_snapshot_object(snap, i)); i++) {
		json_builder_begin_object(stream->json);
		add_head(stream->json, object);
		add_account(stream->json, object);
		err = stream_object(stream);
	}
	stream_array_end(stream);
	return err;
}

static int stream_holders(struct stream *stream, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_ref *ref;
	int err = 0;

	stream_array(stream, "holders");
	for (size_t i = 0; !err && (ref = bpfrefs_snapshot_ref_at(snap, i)); i++) {
		json_builder_begin_object(stream->json);
		add_fields(stream->json, ref);
		err = stream_object(stream);
	}
	stream_array_end(stream);
	return err;
}

static int stream_processes(struct stream *stream, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_process *process;
	int err = 0;

	stream_array(stream, "processes");
	for (size_t i = 0; !err && (process = bpfrefs_snapshot_process(snap, i)); i++) {
		json_builder_begin_object(stream->json);
		add_number(stream->json, "pid", process->pid);
		add_text(stream->json, "comm", process->comm);
		err = stream_object(stream);
	}
	stream_array_end(stream);
	return err;
}

static void add_when(JsonBuilder *json, const struct bpfrefs_snapshot *snap)
{
	struct bpfrefs_snapshot_stats stats = bpfrefs_snapshot_stats(snap);
	struct timespec when = { .tv_sec = (time_t)(stats.wall_ns / 1000000000u),
				 .tv_nsec = (long)(stats.wall_ns % 1000000000u) };
	g_autoptr(GString) text = g_string_new(NULL);

	show_time(text, when);
	add_text(json, "time", text->str);
}

int show_all_json(const struct where *w, GString *out)
{
	g_autoptr(JsonGenerator) generator = json_generator_new();
	g_autoptr(JsonBuilder) json = json_builder_new();
	struct stream stream = { out, json, generator, "" };
	int err;

	g_string_append_c(out, '{');
	json_builder_begin_object(json);
	add_text(json, "version", bpfrefs_version());
	add_when(json, w->snap);
	stream_members(&stream);
	err = stream_objects(&stream, w->snap);
	if (!err)
		err = stream_holders(&stream, w->snap);
	if (!err)
		err = stream_processes(&stream, w->snap);
	if (err)
		return err;
	json_builder_begin_object(json);
	add_gaps(json, w->snap);
	stream_members(&stream);
	g_string_append(out, "}\n");
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts of a large snapshot, which come in parts. */
#include <json-glib/json-glib.h>
#include <string.h>

#include "fixture.h"
#include "snapshot/snapshot.h"

#define OBJECTS	   3000
#define REFERENCES 5000

static struct bpfrefs_snapshot *large_snapshot(void)
{
	struct scan *scan = scan_new(NULL, holder_classes);
	struct bpfrefs_snapshot *snap;

	for (uint32_t i = 1; i <= OBJECTS; i++) {
		struct bpfrefs_object *object =
			scan_object_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, i });

		object->name = scan_str(scan, "a\xff b");
		object->type = "hash";
	}
	scan_set_class(scan, holder_classes[0]);
	for (uint32_t i = 0; i < REFERENCES; i++) {
		struct bpfrefs_key key = { BPFREFS_KIND_MAP, 1 + i % OBJECTS };
		struct bpfrefs_ref *ref = scan_add(scan, key, 1, 1);

		ref_set_num(ref, 0, i);
		ref_set_static(ref, 1, i % 3 ? "word" : NULL);
	}
	snap = scan_finish(scan);
	g_assert_cmpint(snapshot_freeze(snap, -1), ==, 0);
	return snap;
}

/* What a write function got. */
struct got {
	GString *text;
	unsigned int calls, fail_at; /* 0: it does not fail */
};

static int take(const char *text, size_t length, void *data)
{
	struct got *got = data;

	g_assert_cmpuint(length, >, 0);
	g_string_append_len(got->text, text, (gssize)length);
	return ++got->calls == got->fail_at ? -EIO : 0;
}

static int write_json(const struct bpfrefs_snapshot *snap, bpfrefs_write_fn write, void *data)
{
	struct fake fake = { .collect_error = -EIO };
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);
	int err = bpfrefs_snapshot_to_json(ctx, snap, write, data);

	bpfrefs_ctx_close(ctx);
	return err;
}

static int write_objects(const struct bpfrefs_snapshot *snap, bpfrefs_write_fn write, void *data)
{
	struct fake fake = { .collect_error = -EIO };
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);
	int err = bpfrefs_snapshot_to_objects(ctx, snap, write, data);

	bpfrefs_ctx_close(ctx);
	return err;
}

typedef int (*write_text)(const struct bpfrefs_snapshot *snap, bpfrefs_write_fn write, void *data);

static char *whole_text(const struct bpfrefs_snapshot *snap, write_text write)
{
	struct got got = { .text = g_string_new(NULL) };

	g_assert_cmpint(write(snap, take, &got), ==, 0);
	g_assert_cmpuint(got.calls, >, 2);
	return g_string_free(got.text, FALSE);
}

/* The text of all is that of each one after the other. */
TEST(records_of_a_large_snapshot)
{
	struct bpfrefs_snapshot *snap = large_snapshot();
	g_autofree char *text = whole_text(snap, bpfrefs_snapshot_to_records);
	struct got each = { .text = g_string_new(NULL) };

	for (size_t i = 0; i < REFERENCES; i++)
		g_assert_cmpint(bpfrefs_ref_to_record(snapshot_ref_at(snap, i), take, &each), ==,
				0);
	g_assert_cmpuint(each.calls, ==, REFERENCES);
	g_assert_cmpstr(text, ==, each.text->str);
	g_string_free(each.text, TRUE);
	bpfrefs_snapshot_unref(snap);
}

TEST(objects_of_a_large_snapshot)
{
	struct bpfrefs_snapshot *snap = large_snapshot();
	g_autofree char *text = whole_text(snap, write_objects);
	struct got each = { .text = g_string_new(NULL) };

	for (size_t i = 0; i < OBJECTS; i++)
		g_assert_cmpint(bpfrefs_object_to_line(snapshot_object(snap, i), BPFREFS_UNKNOWN,
						       take, &each),
				==, 0);
	g_assert_cmpstr(text, ==, each.text->str);
	g_string_free(each.text, TRUE);
	bpfrefs_snapshot_unref(snap);
}

TEST(json_of_a_large_snapshot)
{
	struct bpfrefs_snapshot *snap = large_snapshot();
	g_autofree char *text = whole_text(snap, write_json);
	g_autoptr(JsonNode) node = json_from_string(text, NULL);
	JsonArray *objects, *holders;

	g_assert_nonnull(node);
	objects = json_object_get_array_member(json_node_get_object(node), "objects");
	holders = json_object_get_array_member(json_node_get_object(node), "holders");
	g_assert_cmpuint(json_array_get_length(objects), ==, OBJECTS);
	g_assert_cmpuint(json_array_get_length(holders), ==, REFERENCES);
	for (guint i = 0; i < OBJECTS; i++) {
		JsonObject *object = json_array_get_object_element(objects, i);

		g_assert_cmpint(json_object_get_int_member(object, "id"), ==, i + 1);
		g_assert_cmpstr(json_object_get_string_member(object, "name"), ==,
				"a\xef\xbf\xbd b");
	}
	for (guint i = 0; i < REFERENCES; i++) {
		g_autofree char *key =
			g_strdup_printf("map/%u", bpfrefs_ref_target(snapshot_ref_at(snap, i)).id);
		JsonObject *holder = json_array_get_object_element(holders, i);

		g_assert_cmpstr(json_object_get_string_member(holder, "object"), ==, key);
	}
	bpfrefs_snapshot_unref(snap);
}

/* The value of the write function that fails is returned, and it is not called again. */
TEST(failed_write_ends_the_text)
{
	static const write_text all[] = { write_json, bpfrefs_snapshot_to_records, write_objects };
	struct bpfrefs_snapshot *snap = large_snapshot();

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		for (unsigned int at = 1; at <= 3; at++) {
			struct got got = { .text = g_string_new(NULL), .fail_at = at };

			g_assert_cmpint(all[i](snap, take, &got), ==, -EIO);
			g_assert_cmpuint(got.calls, ==, at);
			g_string_free(got.text, TRUE);
		}
	}
	bpfrefs_snapshot_unref(snap);
}

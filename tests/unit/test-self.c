/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only this process holds for itself, and the texts that leave it out. */
#include <stdlib.h>

#include "fixture.h"

/* Any process but this one. */
#define OTHER FAKE_PID

static const char left_out[] = "map/1 prog/10 prog/11 ";

/*
 * This process holds program 10, which holds map 1 and program 11, and what others hold, too: map 2
 * by the program of a pin, map 3 by a descriptor, map 4 by a keep, and a BTF by the kernel.
 */
static void build(struct scan *scan)
{
	struct bpfrefs_key btf = FAKE_BTF;
	uint32_t self = scan->ctx->self;

	for (uint32_t id = 1; id <= 4; id++)
		array(scan, id);
	for (uint32_t id = 10; id <= 12; id++)
		program(scan, id);
	object(scan, btf, "kernel", false);
	fd(scan, prog(10), self);
	uses(scan, 10, 1);
	slot(scan, 1, 0, 11);
	fd(scan, map(1), self);
	fd(scan, map(2), self);
	pin(scan, prog(12), 100);
	uses(scan, 12, 2);
	fd(scan, map(3), self);
	fd(scan, map(3), OTHER);
	ref_set_pid(keep(scan, 4, "fd"), self);
	hold(scan, "kernel", btf, nobody, NULL, 0);
	hold(scan, "prog", btf, prog(10), "func_info", 0);
}

static void self_is(const struct bpfrefs_snapshot *snap, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_object *found;
	char key[BPFREFS_KEY_MAX];
	size_t count = 0;

	for (size_t i = 0; (found = snapshot_object(snap, i)); i++) {
		g_assert_true(bpfrefs_snapshot_hides(snap, found) ==
			      (found->self && bpfrefs_snapshot_self(snap)->left_out));
		if (!found->self)
			continue;
		g_string_append_printf(text, "%s ", bpfrefs_key_format(found->key, key));
		count++;
	}
	g_assert_cmpstr(text->str, ==, expected);
	g_assert_cmpuint(bpfrefs_snapshot_self(snap)->objects, ==, count);
	g_assert_cmpuint(bpfrefs_snapshot_self(snap)->pid, ==, (uint32_t)getpid());
}

TEST_GRAPH(only_what_others_do_not_hold)
{
	build(scan);
	snap = freeze(scan);
	self_is(snap, left_out);
	g_assert_true(bpfrefs_snapshot_self(snap)->others);
}

TEST_GRAPH(process_of_its_own)
{
	scan->snap->self.left_out = true;
	program(scan, 10);
	program(scan, 11);
	fd(scan, prog(10), scan->ctx->self);
	fd(scan, prog(11), OTHER);
	snap = freeze(scan);
	self_is(snap, "prog/10 ");
	g_assert_true(bpfrefs_snapshot_hides_process(snap, (uint32_t)getpid()));
	g_assert_false(bpfrefs_snapshot_hides_process(snap, OTHER));
}

/* Another process may hold it, in a way that was not found. */
TEST_GRAPH(unexplained)
{
	program(scan, 10);
	program(scan, 11)->refcnt++;
	fd(scan, prog(10), scan->ctx->self);
	fd(scan, prog(11), scan->ctx->self);
	snap = freeze(scan);
	self_is(snap, "prog/10 ");
}

/* With the procfs source the counters are unknown. */
TEST_GRAPH(unknown_counters)
{
	struct bpfrefs_object *own = program(scan, 10);

	fd(scan, prog(10), scan->ctx->self);
	own->refcnt = BPFREFS_UNKNOWN;
	snap = freeze(scan);
	self_is(snap, "prog/10 ");
}

/* ---------------------------------------------------------------- texts --- */

static int take(const char *text, size_t length, void *out)
{
	g_string_append_len(out, text, (gssize)length);
	return 0;
}

/* All texts about the whole, one after the other. */
static char *texts(const struct bpfrefs_snapshot *snap, struct bpfrefs_ctx *ctx)
{
	GString *out = g_string_new(NULL);

	g_assert_cmpint(bpfrefs_snapshot_to_objects(ctx, snap, take, out), ==, 0);
	g_assert_cmpint(bpfrefs_snapshot_to_records(snap, take, out), ==, 0);
	g_assert_cmpint(bpfrefs_snapshot_to_json(ctx, snap, take, out), ==, 0);
	g_assert_cmpint(bpfrefs_snapshot_to_dot(snap, true, take, out), ==, 0);
	return g_string_free(out, FALSE);
}

static unsigned int lines_with(const char *text, const char *part)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	unsigned int count = 0;

	for (char **line = lines; *line; line++)
		count += strstr(*line, part) != NULL;
	return count;
}

static char *texts_of(bool hide)
{
	struct fake fake = { .build = build };
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);
	struct bpfrefs_snapshot *snap = NULL;
	char *text;

	ctx->hide_self = hide;
	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &snap), ==, 0);
	text = texts(snap, ctx);
	bpfrefs_snapshot_unref(snap);
	bpfrefs_ctx_close(ctx);
	return text;
}

TEST(texts_that_leave_it_out)
{
	g_autofree char *note = g_strdup_printf("# self: 3 objects of bpfrefs itself (pid %u) left "
						"out; mount with self=show",
						(unsigned int)getpid());
	g_autofree char *text = texts_of(true);

	/* objects, records and graph; JSON has a member */
	g_assert_cmpuint(lines_with(text, note), ==, 3);
	g_assert_cmpuint(lines_with(text, "\"objects\":3,\"left_out\":true"), ==, 1);
	g_assert_cmpuint(lines_with(text, "prog/11"), ==, 0);
	g_assert_cmpuint(lines_with(text, "map/1"), ==, 0);
	g_assert_cmpuint(lines_with(text, "bpfrefs's own"), ==, 0);
	/* the account of the BTF is whole, so that its holder is in a record, in text and JSON */
	g_assert_cmpuint(lines_with(text, "prog/10"), ==, 0);
	g_assert_cmpuint(lines_with(text, "btf/1 prog ref=1 user=0 id=10"), ==, 1);
	g_assert_cmpuint(lines_with(text, "\"object\":\"btf/1\",\"class\":\"prog\""), ==, 1);
}

TEST(texts_that_show_it)
{
	g_autofree char *text = texts_of(false);

	g_assert_cmpuint(lines_with(text, "# self"), ==, 0);
	g_assert_cmpuint(lines_with(text, "\"objects\":3,\"left_out\":false"), ==, 1);
	g_assert_cmpuint(lines_with(text, "prog/11"), ==, 4);
	/* one box instead of its nodes */
	g_assert_cmpuint(lines_with(text, "bpfrefs's own\\n1 map, 2 prog, 0 link, 0 btf"), ==, 1);
	g_assert_cmpuint(lines_with(text, "\"prog/11\" ["), ==, 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What filters select. */
#include "fixture.h"

static void build(struct scan *scan)
{
	object(scan, map(1), "hash", false)->name = "conns";
	open_fd(scan, map(1), 77, "agent", 3, 1);
	open_fd(scan, map(1), 78, "other", 4, 2);
	array(scan, 2);
	open_fd(scan, map(2), 77, "agent", 5, 3);
	program(scan, 4);
	uses(scan, 4, 2);
	pin(scan, prog(4), 100);
}

/* "OBJECT ... | OBJECT CLASS PID ..." of what the filter selects. */
static char *selected(const struct bpfrefs_filter *filter)
{
	struct bpfrefs_snapshot *snap = snapshot_of(build);
	struct bpfrefs_selection *selection = NULL;
	const struct bpfrefs_object *object;
	GString *out = g_string_new(NULL);
	const struct bpfrefs_ref *ref;
	char key[BPFREFS_KEY_MAX];
	int err = bpfrefs_select(snap, filter, &selection);

	if (err)
		g_string_append_printf(out, "%s", g_strerror(-err));
	while (!err && (object = bpfrefs_selection_object(selection)))
		g_string_append_printf(out, "%s ", bpfrefs_key_format(object->key, key));
	while (!err && (ref = bpfrefs_selection_ref(selection)))
		g_string_append_printf(out, "| %s %s %u ",
				       bpfrefs_key_format(bpfrefs_ref_target(ref), key),
				       bpfrefs_ref_class(ref)->name, bpfrefs_ref_pid(ref));
	bpfrefs_selection_free(selection);
	bpfrefs_snapshot_unref(snap);
	return g_string_free(out, FALSE);
}

#define check(text, ...)                                                                \
	do {                                                                            \
		struct bpfrefs_filter filter = { .size = sizeof(filter), __VA_ARGS__ }; \
		g_autofree char *found = selected(&filter);                             \
		g_assert_cmpstr(found, ==, text);                                       \
	} while (0)

#define ALL                                                                            \
	"map/1 map/2 prog/4 | map/1 fd 77 | map/1 fd 78 | map/2 fd 77 | map/2 prog 0 " \
	"| prog/4 pin 0 "

TEST(filters)
{
	g_autofree char *all = selected(NULL);

	g_assert_cmpstr(all, ==, ALL);
	check(ALL, .kinds = 0);
	check("prog/4 | prog/4 pin 0 ", .kinds = 1u << BPFREFS_KIND_PROG);
	check("map/2 | map/2 fd 77 | map/2 prog 0 ", .states = 1u << BPFREFS_STATE_AT_RISK);
	check("map/1 | map/1 fd 77 | map/1 fd 78 ", .type = "hash");
	check("map/1 | map/1 fd 77 | map/1 fd 78 ", .name = "con*");
	check("", .name = "con");
	check("prog/4 | prog/4 pin 0 ", .class_ = "pin");
	check("map/1 map/2 | map/1 fd 77 | map/2 fd 77 ", .pid = 77);
	check("map/1 | map/1 fd 77 ", .pid = 77, .type = "hash");
	check("map/1 map/2 | map/1 fd 77 | map/1 fd 78 | map/2 fd 77 ", .cgroup = "/");
	check("", .cgroup = "/none");
	check("Invalid argument", .class_ = "pins");
}

TEST(filter_of_another_size)
{
	struct {
		struct bpfrefs_filter known;
		uint64_t later;
	} filter = { .known = { .size = sizeof(filter), .class_ = "pin" } };
	g_autofree char *newer = selected(&filter.known), *unknown = NULL, *older = NULL,
			*huge = NULL;

	g_assert_cmpstr(newer, ==, "prog/4 | prog/4 pin 0 ");
	filter.later = 1;
	unknown = selected(&filter.known);
	g_assert_cmpstr(unknown, ==, "Argument list too long");
	filter.later = 0;
	filter.known.size = SIZE_MAX;
	huge = selected(&filter.known);
	g_assert_cmpstr(huge, ==, "Invalid argument");
	filter.known.size = offsetof(struct bpfrefs_filter, class_);
	older = selected(&filter.known);
	g_assert_cmpstr(older, ==, ALL);
}

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

/* "OBJECT ... | OBJECT CLASS PID ... | PID ..." of what the filter selects. */
static char *selected(const struct bpfrefs_filter *filter)
{
	struct bpfrefs_snapshot *snap = snapshot_of(build);
	selection_auto *objects = NULL, *refs = NULL, *processes = NULL;
	GString *out = g_string_new(NULL);
	const struct bpfrefs_process *process;
	const struct bpfrefs_object *object;
	const struct bpfrefs_ref *ref;
	char key[BPFREFS_KEY_MAX];
	int err = bpfrefs_select_objects(snap, filter, &objects);

	g_assert_cmpint(bpfrefs_select_refs(snap, filter, &refs), ==, err);
	g_assert_cmpint(bpfrefs_select_processes(snap, filter, &processes), ==, err);
	/* Each selection has a reference of its own. */
	bpfrefs_snapshot_unref(snap);
	if (err)
		g_string_append_printf(out, "%s", g_strerror(-err));
	while ((object = bpfrefs_next_object(objects)))
		g_string_append_printf(out, "%s ", bpfrefs_key_format(object->key, key));
	while ((ref = bpfrefs_next_ref(refs)))
		g_string_append_printf(out, "| %s %s %u ",
				       bpfrefs_key_format(bpfrefs_ref_target(ref), key),
				       bpfrefs_ref_class(ref)->name, bpfrefs_ref_pid(ref));
	while ((process = bpfrefs_next_process(processes)))
		g_string_append_printf(out, "/%u", process->pid);
	g_assert_null(bpfrefs_next_process(processes));
	g_assert_null(bpfrefs_next_ref(objects));
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
	"| prog/4 pin 0 /77/78"

TEST(filters)
{
	g_autofree char *all = selected(NULL);

	g_assert_cmpstr(all, ==, ALL);
	check(ALL, .kinds = 0);
	check("prog/4 | prog/4 pin 0 ", .kinds = 1u << BPFREFS_KIND_PROG);
	check("map/2 | map/2 fd 77 | map/2 prog 0 /77", .states = 1u << BPFREFS_STATE_AT_RISK);
	check("map/1 | map/1 fd 77 | map/1 fd 78 /77/78", .type = "hash");
	check("map/1 | map/1 fd 77 | map/1 fd 78 /77/78", .name = "con*");
	check("", .name = "con");
	check("prog/4 | prog/4 pin 0 ", .class_ = "pin");
	check("map/1 map/2 | map/1 fd 77 | map/2 fd 77 /77", .pid = 77);
	check("map/1 | map/1 fd 77 /77", .pid = 77, .type = "hash");
	check("map/1 map/2 | map/1 fd 77 | map/1 fd 78 | map/2 fd 77 /77/78", .cgroup = "/");
	check("", .cgroup = "/none");
	check("map/2 | map/2 fd 77 | map/2 prog 0 /77", .object = map(2));
	check("", .object = map(9));
	check("map/2 | map/2 prog 0 ", .holder = prog(4));
	check("", .holder = prog(4), .pid = 77);
	check(ALL, .hide_self = true);
}

TEST(filters_without_meaning)
{
	check("Invalid argument", .class_ = "pins");
	check("Invalid argument", .kinds = 1u << BPFREFS_KIND_NONE);
	check("Invalid argument", .kinds = 1u << (BPFREFS_KIND_BTF + 1));
	check("Invalid argument", .states = 1u << (BPFREFS_STATE_UNKNOWN + 1));
	check("Invalid argument", .object = { BPFREFS_KIND_NONE, 1 });
	check("Invalid argument", .holder = { BPFREFS_KIND_BTF + 1, 1 });
}

/* What has no meaning for a question is an error, not something that selects nothing. */
TEST(members_that_do_not_apply)
{
	struct bpfrefs_filter pid = { .size = sizeof(pid), .pid = 77 };
	struct bpfrefs_filter class_ = { .size = sizeof(class_), .class_ = "fd" };
	struct bpfrefs_filter kinds = { .size = sizeof(kinds), .kinds = 1u << BPFREFS_KIND_BTF };
	struct bpfrefs_snapshot *snap = snapshot_of(build);
	selection_auto *none = NULL, *found = NULL;
	const struct bpfrefs_class_status *status;
	size_t count = 0;

	g_assert_cmpint(bpfrefs_select_bpffs(snap, &pid, &none), ==, -EINVAL);
	g_assert_cmpint(bpfrefs_select_classes(snap, &pid, &none), ==, -EINVAL);
	g_assert_cmpint(bpfrefs_select_descriptors(snap, &class_, &none), ==, -EINVAL);
	g_assert_cmpint(bpfrefs_select_classes(snap, &kinds, &found), ==, 0);
	while ((status = bpfrefs_next_class(found)))
		count += !status->class_->kinds || status->class_->kinds & kinds.kinds;
	g_assert_cmpuint(count, >, 0);
	g_assert_cmpuint(count, <, snap->classes->len);
	g_assert_null(bpfrefs_next_object(NULL));
	bpfrefs_snapshot_unref(snap);
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots, while they are taken and when they are frozen: references, indexes and gaps. */
#include <string.h>

#include "bpf/records.h"
#include "fixture.h"
#include "snapshot/private.h"
#include "snapshot/snapshot.h"

static const struct bpfrefs_key map12 = { BPFREFS_KIND_MAP, 12 }, map3 = { BPFREFS_KIND_MAP, 3 };
static const struct bpfrefs_key prog5 = { BPFREFS_KIND_PROG, 5 };

static struct scan *begin(void)
{
	struct scan *scan = scan_new(NULL, holder_classes);

	scan_object_add(scan, prog5)->name = "entry";
	scan_object_add(scan, map12);
	scan_object_add(scan, map3);
	return scan;
}

static struct bpfrefs_snapshot *end(struct scan *scan)
{
	struct bpfrefs_snapshot *snap = scan_finish(scan);

	g_assert_cmpint(snapshot_freeze(snap, -1), ==, 0);
	return snap;
}

TEST(objects_are_sorted_and_found)
{
	struct scan *scan = begin();
	struct bpfrefs_snapshot *snap;

	g_assert_true(scan_object_add(scan, map12) == scan_object(scan, map12));
	snap = end(scan);
	g_assert_cmpuint(bpfrefs_snapshot_object_count(snap), ==, 3);
	g_assert_cmpuint(snapshot_object(snap, 0)->key.id, ==, 3);
	g_assert_cmpuint(snapshot_object(snap, 1)->key.id, ==, 12);
	g_assert_cmpint(snapshot_object(snap, 2)->key.kind, ==, BPFREFS_KIND_PROG);
	g_assert_null(snapshot_object(snap, 3));
	g_assert_null(bpfrefs_snapshot_find(snap, (struct bpfrefs_key){ BPFREFS_KIND_BTF, 12 }));
	g_assert_true(bpfrefs_snapshot_find(snap, map12)->refcnt == BPFREFS_UNKNOWN);
	bpfrefs_snapshot_unref(snap);
}

/* "CLASS(PID) " of the references that the filter selects. */
static void refs_are(const struct bpfrefs_snapshot *snap, struct bpfrefs_filter filter,
		     const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_ref *ref;
	selection_auto *refs = NULL;

	filter.size = sizeof(filter);
	g_assert_cmpint(bpfrefs_select_refs(snap, &filter, &refs), ==, 0);
	while ((ref = bpfrefs_next_ref(refs)))
		g_string_append_printf(text, "%s(%u) ", bpfrefs_ref_class(ref)->name,
				       bpfrefs_ref_pid(ref));
	g_assert_cmpstr(text->str, ==, expected);
}

/* References are grouped by target and class, in whatever order they were added. */
TEST(references_are_grouped)
{
	struct scan *scan = begin();
	struct bpfrefs_snapshot *snap;

	set_class(scan, "map");
	scan_add_held(scan, prog5, 1, 0, map12, WALK_VIA_SLOT);
	set_class(scan, "prog");
	scan_add_held(scan, map12, 1, 0, prog5, WALK_VIA_USED_MAPS);
	set_class(scan, "fd");
	ref_set_pid(scan_add(scan, map12, 1, 1), 100);
	ref_set_pid(scan_add(scan, map12, 0, 0), 200);
	g_assert_null(scan_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, 99 }, 1, 1));
	snap = end(scan);

	g_assert_cmpuint(bpfrefs_snapshot_ref_count(snap), ==, 4);
	refs_are(snap, (struct bpfrefs_filter){ .object = map12 }, "fd(100) fd(200) prog(0) ");
	refs_are(snap, (struct bpfrefs_filter){ .object = map3 }, "");
	g_assert_cmpuint(bpfrefs_snapshot_find(snap, map12)->explained, ==, 2);
	g_assert_cmpuint(bpfrefs_snapshot_find(snap, map12)->user_explained, ==, 1);

	refs_are(snap, (struct bpfrefs_filter){ .holder = prog5 }, "prog(0) ");
	refs_are(snap, (struct bpfrefs_filter){ .pid = 200 }, "fd(200) ");
	refs_are(snap, (struct bpfrefs_filter){ .pid = 150 }, "");
	bpfrefs_snapshot_unref(snap);
}

/* "PID:FD:KIND " of the descriptors of the process; 0: of all. */
static void descriptors_are(const struct bpfrefs_snapshot *snap, uint32_t pid, const char *expected)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .pid = pid };
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_descriptor *fd;
	selection_auto *fds = NULL;

	g_assert_cmpint(bpfrefs_select_descriptors(snap, &filter, &fds), ==, 0);
	while ((fd = bpfrefs_next_descriptor(fds)))
		g_string_append_printf(text, "%u:%u:%s ", fd->pid, fd->fd,
				       bpfrefs_kind_name(fd->key.kind));
	g_assert_cmpstr(text->str, ==, expected);
}

static void add_descriptor(struct scan *scan, struct bpfrefs_key key, uint32_t pid, uint64_t fd)
{
	struct bpfrefs_ref *ref = scan_add(scan, key, 1, 0);

	ref_set_pid(ref, pid);
	set(scan, ref, "fd", NULL, fd);
}

/*
 * The descriptors of each process, by number, whatever their order was; an iterator's is its
 * program's, and a thread's own table is left out.
 */
TEST(descriptors_are_found)
{
	struct scan *scan = begin();
	struct bpfrefs_snapshot *snap;
	struct bpfrefs_key key;

	set_class(scan, "fd");
	add_descriptor(scan, map12, 100, 700);
	add_descriptor(scan, map12, 99, 5);
	add_descriptor(scan, prog5, 100, 3);
	add_descriptor(scan, map12, 100, 4);
	ref_set_num(g_ptr_array_index(scan->snap->refs, 3), 2, 101); /* tid */
	set_class(scan, "iter");
	add_descriptor(scan, map12, 100, 9);
	add_descriptor(scan, prog5, 100, 9);
	set_class(scan, "socket");
	add_descriptor(scan, map12, 100, 11);
	snap = end(scan);

	descriptors_are(snap, 100, "100:3:prog 100:9:prog 100:700:map ");
	descriptors_are(snap, 99, "99:5:map ");
	descriptors_are(snap, 98, "");
	descriptors_are(snap, 101, "");
	descriptors_are(snap, 0, "99:5:map 100:3:prog 100:9:prog 100:700:map ");
	g_assert_cmpint(bpfrefs_snapshot_find_fd(snap, 100, 9, &key), ==, 0);
	g_assert_cmpint(bpfrefs_key_compare(key, prog5), ==, 0);
	g_assert_cmpint(bpfrefs_snapshot_find_fd(snap, 100, 4, &key), ==, -ENOENT);
	g_assert_cmpint(bpfrefs_snapshot_find_fd(snap, 100, 701, NULL), ==, -ENOENT);
	bpfrefs_snapshot_unref(snap);
}

#define ASSERT_SIZED(structure) g_assert_cmpuint((structure)->size, ==, sizeof(*(structure)))

/* A caller asks the size whether the library which is running has a member. */
TEST_SCANNED(structures_begin_with_their_size)
{
	struct bpfrefs_process older = { .size = offsetof(struct bpfrefs_process, comm) };
	const struct bpfrefs_bpffs *bpffs;
	struct bpfrefs_snapshot *snap = NULL;
	struct bpfrefs_info *info = NULL;
	const struct bpfrefs_descriptor *fd;
	selection_auto *fds = NULL;

	g_assert_true(BPFREFS_HAS(&older, pid));
	g_assert_false(BPFREFS_HAS(&older, comm));
	g_assert_cmpint(bpfrefs_snapshot_take(fake->fs.ctx, &snap), ==, 0);
	ASSERT_SIZED(bpfrefs_snapshot_stats(snap));
	ASSERT_SIZED(bpfrefs_snapshot_self(snap));
	for (size_t i = 0; snapshot_object(snap, i); i++)
		ASSERT_SIZED(snapshot_object(snap, i));
	for (size_t i = 0; snapshot_process(snap, i); i++)
		ASSERT_SIZED(snapshot_process(snap, i));
	for (size_t i = 0; snapshot_class(snap, i); i++) {
		ASSERT_SIZED(snapshot_class(snap, i));
		ASSERT_SIZED(snapshot_class(snap, i)->class_);
	}
	bpffs = snapshot_bpffs(snap, 0);
	ASSERT_SIZED(bpffs);
	g_assert_cmpuint(bpffs->mount_count, ==, 2);
	for (size_t i = 0; i < bpffs->mount_count; i++)
		ASSERT_SIZED(bpffs->mounts[i]);
	g_assert_cmpint(bpfrefs_select_descriptors(snap, NULL, &fds), ==, 0);
	fd = bpfrefs_next_descriptor(fds);
	ASSERT_SIZED(fd);
	g_assert_cmpint(bpfrefs_info_read(fake->fs.ctx, fake_map, &info), ==, 0);
	for (size_t i = 0; bpfrefs_info_field(info, i); i++)
		ASSERT_SIZED(bpfrefs_info_field(info, i));
	bpfrefs_info_free(info);
	bpfrefs_snapshot_unref(snap);
}

TEST(fields_have_four_states)
{
	struct scan *scan = begin();
	struct bpfrefs_snapshot *snap;
	struct bpfrefs_value value;
	struct bpfrefs_ref *ref;

	set_class(scan, "map");
	ref = scan_add_held(scan, prog5, 1, 0, map12, WALK_VIA_SLOT);
	snap = end(scan);

	value = bpfrefs_ref_get(ref, "id");
	g_assert_cmpint(value.type, ==, BPFREFS_VALUE_NUM);
	g_assert_cmpuint(value.num, ==, 12);
	/* The name of map/12 is unknown. */
	g_assert_cmpint(bpfrefs_ref_get(ref, "name").type, ==, BPFREFS_VALUE_UNKNOWN);
	value = bpfrefs_ref_get(ref, "via");
	g_assert_cmpint(value.type, ==, BPFREFS_VALUE_STR);
	g_assert_cmpstr(value.str, ==, "slot");
	g_assert_cmpint(bpfrefs_ref_get(ref, "slot").type, ==, BPFREFS_VALUE_ABSENT);
	g_assert_cmpint(bpfrefs_ref_get(ref, "nothing").type, ==, BPFREFS_VALUE_ABSENT);
	g_assert_cmpint(bpfrefs_ref_value(ref, 1000).type, ==, BPFREFS_VALUE_ABSENT);
	bpfrefs_snapshot_unref(snap);
}

TEST(files_get_tokens)
{
	struct scan *scan = begin();
	uint32_t a, b, again;

	g_assert_true(scan_file(scan, 0xffff888000000001u, &a));
	g_assert_true(scan_file(scan, 0xffff888000000002u, &b));
	g_assert_false(scan_file(scan, 0xffff888000000001u, &again));
	g_assert_cmpuint(a, ==, again);
	g_assert_cmpuint(a, !=, b);
	g_assert_cmpuint(MAX(a, b), <=, 2); /* A token is never an address. */
	bpfrefs_snapshot_unref(end(scan));
}

/*
 * The first reason is shown with the count of its kind, unless this process lacked something later. A
 * class that is unavailable stays so.
 */
TEST(gaps_add_up)
{
	struct scan *scan = begin();
	const struct bpfrefs_class_status *status = NULL;
	struct bpfrefs_snapshot *snap;

	set_class(scan, "fd");
	scan_gap(scan, 2, "processes", EACCES);
	scan_gap(scan, 5, "tables", EPERM);
	scan_gap(scan, 1, "processes", ESRCH);
	set_class(scan, "perf");
	scan_gap(scan, 2, "processes", EACCES);
	scan_gap(scan, 5, "tables", ENOMEM);
	scan_gap(scan, 1, "tables", EMFILE);
	scan_gap(scan, 1, "processes", EMFILE);
	set_class(scan, "pin");
	scan_unavailable(scan, "no bpffs", ENODEV);
	scan_gap(scan, 1, "mounts", EIO);
	snap = end(scan);
	for (size_t i = 0; (status = snapshot_class(snap, i)); i++) {
		if (strcmp(status->class_->name, "fd") == 0) {
			g_assert_cmpint(status->coverage, ==, BPFREFS_COVERAGE_PARTIAL);
			g_assert_cmpuint(status->count, ==, 3);
			g_assert_cmpstr(status->what, ==, "processes");
			g_assert_cmpint(status->error, ==, EACCES);
		} else if (strcmp(status->class_->name, "perf") == 0) {
			g_assert_cmpuint(status->count, ==, 6);
			g_assert_cmpstr(status->what, ==, "tables");
			g_assert_cmpint(status->error, ==, ENOMEM);
		} else if (strcmp(status->class_->name, "pin") == 0) {
			g_assert_cmpint(status->coverage, ==, BPFREFS_COVERAGE_UNAVAILABLE);
			g_assert_cmpstr(status->what, ==, "no bpffs");
		} else {
			g_assert_cmpint(status->coverage, ==, BPFREFS_COVERAGE_COMPLETE);
		}
	}
	bpfrefs_snapshot_unref(snap);
}

TEST(pin_paths_start_at_a_directory)
{
	struct scan *scan = begin();
	struct bpfrefs_snapshot *snap;
	struct bpfrefs_ref *ref, *other;

	set_class(scan, "pin");
	ref = scan_add(scan, map12, 1, 1);
	ref_set_location(scan, ref, (struct pin_location){ 0, 40, 7, "/app/sub/conns" });
	other = scan_add(scan, map3, 1, 1);
	ref_set_location(scan, other, (struct pin_location){ 0, 40, 8, "/application" });
	scan_bpffs_dir(scan, 0, 40, 1, "/");
	scan_bpffs_dir(scan, 0, 40, 2, "/app");
	scan_bpffs_dir(scan, 0, 41, 2, "/app");
	snap = end(scan);

	g_assert_cmpstr(bpfrefs_snapshot_pin_path(snap, ref, 0, 40, 1), ==, "app/sub/conns");
	g_assert_cmpstr(bpfrefs_snapshot_pin_path(snap, ref, 0, 40, 2), ==, "sub/conns");
	g_assert_cmpstr(bpfrefs_snapshot_pin_path(snap, other, 0, 40, 1), ==, "application");
	g_assert_null(bpfrefs_snapshot_pin_path(snap, other, 0, 40, 2));
	g_assert_null(bpfrefs_snapshot_pin_path(snap, ref, 0, 41, 2));
	g_assert_null(bpfrefs_snapshot_pin_path(snap, ref, 0, 40, 3));
	g_assert_cmpuint(bpfrefs_snapshot_find(snap, map12)->pins, ==, 1);
	bpfrefs_snapshot_unref(snap);
}

TEST(processes_are_listed_once)
{
	struct scan *scan = begin();
	struct bpfrefs_snapshot *snap;

	scan_process(scan, 30, "c");
	scan_process(scan, 30, "c");
	scan_process(scan, 10, NULL);
	scan_process(scan, 20, "b");
	scan_process(scan, 10, "a");
	snap = end(scan);
	for (uint32_t i = 0; i < 3; i++)
		g_assert_cmpuint(snapshot_process(snap, i)->pid, ==, 10 * (i + 1));
	g_assert_null(snapshot_process(snap, 3));
	g_assert_cmpstr(bpfrefs_snapshot_find_pid(snap, 10)->comm, ==, "a");
	g_assert_null(bpfrefs_snapshot_find_pid(snap, 15));
	bpfrefs_snapshot_unref(snap);
}

TEST(large_strings_survive)
{
	g_autofree char *long_text = g_strnfill(100000, 'x');
	struct arena *arena = arena_new();
	const char *a = arena_str(arena, long_text), *b = arena_str(arena, "short");

	g_assert_cmpuint(strlen(a), ==, 100000);
	g_assert_true(arena_str(arena, "short") == b);
	g_assert_null(arena_str(arena, NULL));
	for (int i = 0; i < 10000; i++) {
		char *block = arena_alloc(arena, 24);

		g_assert_cmpint(block[0] | block[23], ==, 0);
		memset(block, 0xff, 24);
	}
	g_assert_cmpstr(b, ==, "short");
	arena_free(arena);
}

/* A snapshot may allocate as much as the limit while it is taken. */
TEST(less_than_the_limit_is_had)
{
	struct bpfrefs_ctx ctx = { .memory = 1 << 20 };
	struct scan *scan = scan_new(&ctx, holder_classes);
	struct bpfrefs_snapshot *snap;

	scan_object_add(scan, map12);
	set_class(scan, "fd");
	for (uint64_t i = 0; i < 1000; i++) {
		struct bpfrefs_ref *ref = scan_add(scan, map12, 1, 1);

		g_assert_nonnull(ref);
		ref_set_str(scan, ref, 3, "loader");
	}
	g_assert_cmpint(scan_failed(scan), ==, 0);
	snap = scan_finish(scan);
	g_assert_cmpint(snapshot_freeze(snap, -1), ==, 0);
	g_assert_cmpuint(bpfrefs_snapshot_find(snap, map12)->explained, ==, 1000);
	bpfrefs_snapshot_unref(snap);
}

/*
 * Everything that grows counts: references, objects, names, files. What is added afterwards is
 * lost.
 */
static void grow(struct scan *scan, unsigned int what, uint32_t i)
{
	char text[32];

	g_snprintf(text, sizeof(text), "a name, the %uth", i);
	if (what == 0)
		scan_add(scan, map12, 1, 1);
	else if (what == 1)
		scan_object_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, i })->name = "p";
	else if (what == 2)
		scan_str(scan, text);
	else if (what == 3)
		scan_file(scan, 1000 + i, &i);
	else if (what == 4)
		scan_bpffs_dir(scan, 0, 30, i, text);
	else
		scan_process(scan, i, text);
}

TEST(whatever_grows_counts)
{
	struct bpfrefs_ctx ctx = { .memory = 1 << 20 };

	for (unsigned int what = 0; what < 6; what++) {
		struct scan *scan = scan_new(&ctx, holder_classes);
		struct bpfrefs_snapshot *snap;
		uint32_t i = 1;

		scan_object_add(scan, map12);
		set_class(scan, "fd");
		while (!scan_failed(scan) && i < 1000000)
			grow(scan, what, i++);
		g_assert_cmpint(scan_failed(scan), ==, -ENOMEM);
		for (uint32_t more = 0; more < 10000; more++)
			grow(scan, what, i++);
		g_assert_null(scan_add(scan, map12, 1, 1));
		snap = scan_finish(scan);
		g_assert_cmpuint(arena_used(snap->arena), <, 2 << 20);
		g_assert_cmpint(snapshot_freeze(snap, -1), ==, -ENOMEM);
		bpfrefs_snapshot_unref(snap);
	}
}

TEST_SCANNED(one_object_that_cannot_be)
{
	struct bpfrefs_key none = { BPFREFS_KIND_NONE, 1 };
	struct bpfrefs_snapshot *snap = NULL;

	g_assert_cmpint(bpfrefs_snapshot_take_one(fake->fs.ctx, none, &snap), ==, -EINVAL);
	g_assert_cmpint(bpfrefs_snapshot_take_one(fake->fs.ctx, map(0), &snap), ==, -ENOENT);
	g_assert_null(snap);
}

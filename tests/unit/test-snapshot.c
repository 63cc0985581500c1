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
	g_assert_cmpuint(bpfrefs_snapshot_object(snap, 0)->key.id, ==, 3);
	g_assert_cmpuint(bpfrefs_snapshot_object(snap, 1)->key.id, ==, 12);
	g_assert_cmpint(bpfrefs_snapshot_object(snap, 2)->key.kind, ==, BPFREFS_KIND_PROG);
	g_assert_null(bpfrefs_snapshot_object(snap, 3));
	g_assert_null(bpfrefs_snapshot_find(snap, (struct bpfrefs_key){ BPFREFS_KIND_BTF, 12 }));
	g_assert_true(bpfrefs_snapshot_find(snap, map12)->refcnt == BPFREFS_UNKNOWN);
	bpfrefs_snapshot_unref(snap);
}

static int count(const struct bpfrefs_ref *ref, void *data)
{
	++*(int *)data;
	return 0;
}

static int stop_at_once(const struct bpfrefs_ref *ref, void *data)
{
	++*(int *)data;
	return 42;
}

/* References are grouped by target and class, in whatever order they were added. */
TEST(references_are_grouped)
{
	struct scan *scan = begin();
	struct bpfrefs_snapshot *snap;
	size_t first;
	int n = 0;

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
	g_assert_cmpuint(bpfrefs_snapshot_holders(snap, map12, &first), ==, 3);
	g_assert_cmpstr(bpfrefs_ref_class(bpfrefs_snapshot_ref_at(snap, first))->name, ==, "fd");
	g_assert_cmpuint(bpfrefs_ref_pid(bpfrefs_snapshot_ref_at(snap, first)), ==, 100);
	g_assert_cmpuint(bpfrefs_ref_pid(bpfrefs_snapshot_ref_at(snap, first + 1)), ==, 200);
	g_assert_cmpstr(bpfrefs_ref_class(bpfrefs_snapshot_ref_at(snap, first + 2))->name, ==,
			"prog");
	g_assert_cmpuint(bpfrefs_snapshot_holders(snap, map3, &first), ==, 0);
	g_assert_cmpuint(bpfrefs_snapshot_find(snap, map12)->explained, ==, 2);
	g_assert_cmpuint(bpfrefs_snapshot_find(snap, map12)->user_explained, ==, 1);

	g_assert_cmpint(bpfrefs_snapshot_holding(snap, prog5, count, &n), ==, 0);
	g_assert_cmpint(n, ==, 1);
	g_assert_cmpint(bpfrefs_snapshot_pid_holding(snap, 200, stop_at_once, &n), ==, 42);
	g_assert_cmpint(n, ==, 2);
	g_assert_cmpint(bpfrefs_snapshot_pid_holding(snap, 150, count, &n), ==, 0);
	g_assert_cmpint(n, ==, 2);
	bpfrefs_snapshot_unref(snap);
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
	static const uint32_t fds[] = { 3, 9, 700 };
	struct scan *scan = begin();
	struct bpfrefs_snapshot *snap;
	size_t first, count;

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

	g_assert_cmpint(bpfrefs_snapshot_descriptors(snap, 100, 0, &first, &count), ==, 0);
	g_assert_cmpuint(count, ==, 3);
	for (size_t i = 0; i < count; i++)
		g_assert_cmpuint(bpfrefs_snapshot_descriptor_at(snap, first + i)->fd, ==, fds[i]);
	g_assert_cmpint(bpfrefs_snapshot_descriptor_at(snap, first + 1)->key.kind, ==,
			BPFREFS_KIND_PROG);
	g_assert_cmpint(bpfrefs_snapshot_descriptors(snap, 100, 9, &first, &count), ==, 0);
	g_assert_cmpuint(count, ==, 2);
	g_assert_cmpuint(bpfrefs_snapshot_descriptor_at(snap, first)->fd, ==, 9);
	g_assert_cmpint(bpfrefs_snapshot_descriptors(snap, 100, 10, &first, &count), ==, 0);
	g_assert_cmpuint(count, ==, 1);
	g_assert_cmpint(bpfrefs_snapshot_descriptors(snap, 100, 701, &first, &count), ==, 0);
	g_assert_cmpuint(count, ==, 0);
	g_assert_null(bpfrefs_snapshot_descriptor_at(snap, first));
	g_assert_cmpint(bpfrefs_snapshot_descriptors(snap, 99, 0, &first, &count), ==, 0);
	g_assert_cmpuint(count, ==, 1);
	g_assert_cmpuint(bpfrefs_snapshot_descriptor_at(snap, first)->fd, ==, 5);
	g_assert_cmpint(bpfrefs_snapshot_descriptors(snap, 98, 0, &first, &count), ==, 0);
	g_assert_cmpuint(count, ==, 0);
	g_assert_cmpint(bpfrefs_snapshot_descriptors(snap, 101, 0, &first, &count), ==, 0);
	g_assert_cmpuint(count, ==, 0);
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
	size_t first, count;

	g_assert_true(BPFREFS_HAS(&older, pid));
	g_assert_false(BPFREFS_HAS(&older, comm));
	g_assert_cmpint(bpfrefs_snapshot_take(fake->fs.ctx, &snap), ==, 0);
	ASSERT_SIZED(bpfrefs_snapshot_stats(snap));
	ASSERT_SIZED(bpfrefs_snapshot_self(snap));
	for (size_t i = 0; bpfrefs_snapshot_object(snap, i); i++)
		ASSERT_SIZED(bpfrefs_snapshot_object(snap, i));
	for (size_t i = 0; bpfrefs_snapshot_process(snap, i); i++)
		ASSERT_SIZED(bpfrefs_snapshot_process(snap, i));
	for (size_t i = 0; bpfrefs_snapshot_class(snap, i); i++) {
		ASSERT_SIZED(bpfrefs_snapshot_class(snap, i));
		ASSERT_SIZED(bpfrefs_snapshot_class(snap, i)->class_);
	}
	bpffs = bpfrefs_snapshot_bpffs(snap, 0);
	ASSERT_SIZED(bpffs);
	g_assert_cmpuint(bpffs->mount_count, ==, 2);
	for (size_t i = 0; i < bpffs->mount_count; i++)
		ASSERT_SIZED(bpffs->mounts[i]);
	g_assert_cmpint(bpfrefs_snapshot_descriptors(snap, 0, 0, &first, &count), ==, 0);
	ASSERT_SIZED(bpfrefs_snapshot_descriptor_at(snap, first));
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
 * The first reason is shown with the count of its kind, and a class that is unavailable stays so.
 */
TEST(gaps_add_up)
{
	struct scan *scan = begin();
	const struct bpfrefs_class_status *status = NULL;
	struct bpfrefs_snapshot *snap;

	set_class(scan, "fd");
	scan_gap(scan, 2, "processes", EACCES);
	scan_gap(scan, 5, "tables", ENOMEM);
	scan_gap(scan, 1, "processes", ESRCH);
	set_class(scan, "pin");
	scan_unavailable(scan, "no bpffs", ENODEV);
	scan_gap(scan, 1, "mounts", EIO);
	snap = end(scan);
	for (size_t i = 0; (status = bpfrefs_snapshot_class(snap, i)); i++) {
		if (strcmp(status->class_->name, "fd") == 0) {
			g_assert_cmpint(status->coverage, ==, BPFREFS_COVERAGE_PARTIAL);
			g_assert_cmpuint(status->count, ==, 3);
			g_assert_cmpstr(status->what, ==, "processes");
			g_assert_cmpint(status->error, ==, EACCES);
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
		g_assert_cmpuint(bpfrefs_snapshot_process(snap, i)->pid, ==, 10 * (i + 1));
	g_assert_null(bpfrefs_snapshot_process(snap, 3));
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroups of processes, the lines of processes, and the directories of .bpf/cgroup, with a fake
 * procfs for the two processes of the fake kernel.
 */
#include <stdlib.h>

#include "fixture.h"
#include "render/show.h"

struct world {
	struct fake fake;
	struct temp_dir proc;
};

/* The names need escapes, are those of files, and have an underscore already. */
static void world_init(struct world *world)
{
	struct bpfrefs_ctx *ctx;

	fake_init(&world->fake);
	temp_dir_init(&world->proc);
	temp_dir_file(&world->proc, "4194302/cgroup",
		      "12:memory:/v1\n1:name=systemd:/other\n0::/pods/holding/a b\\x2d\377\n");
	temp_dir_file(&world->proc, "4194303/cgroup", "0::/pods/_holding\n");
	temp_dir_mkdir(&world->proc, "4194303/ns");
	temp_dir_link(&world->proc, "4194303/ns/mnt", "mnt:[4026531841]");
	temp_dir_link(&world->proc, "4194303/ns/net", "net:[4026531840]");
	ctx = world->fake.fs.ctx;
	ctx->proc_fd = dup(world->proc.fd);
	ctx->proc = shared_fd_new(ctx->proc_fd);
}

static void world_clear(struct world *world)
{
	fake_clear(&world->fake);
	temp_dir_clear(&world->proc);
}

#define TEST_WORLD(name) TEST_WITH(struct world, world, world_init, world_clear, name)

/* -------------------------------------------------------------- the facts --- */

TEST_WORLD(read)
{
	static const struct {
		const char *text, *path; /* NULL: no process */
	} cases[] = {
		{ "0::/\n", "/" },
		{ "0::/a/b\n", "/a/b" },
		{ "1:cpu:/x\n0::/a (deleted)\n", "/a (deleted)" },
		/* a name of version 1 that looks like another line */
		{ "3:name=0:::/x0::\n0::/y\n", "/y" },
		/* version 2 was never mounted */
		{ "10:x:/x\n2:cpu:/y\n", "/" },
		{ "", NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		char *path = NULL;
		int err;

		temp_dir_file(&world->proc, "7/cgroup", cases[i].text);
		err = bpfrefs_cgroup_read(world->fake.fs.ctx, 7, &path);
		g_assert_cmpint(err, ==, cases[i].path ? 0 : -ENOENT);
		g_assert_cmpstr(path, ==, cases[i].path);
		free(path);
	}
	g_assert_cmpint(bpfrefs_cgroup_read(world->fake.fs.ctx, 8, &(char *){ NULL }), ==, -ENOENT);
}

TEST(contains)
{
	g_assert_true(bpfrefs_cgroup_contains("/", NULL));
	g_assert_true(bpfrefs_cgroup_contains("/", "/a"));
	g_assert_true(bpfrefs_cgroup_contains("/a", "/a"));
	g_assert_true(bpfrefs_cgroup_contains("/a", "/a/b"));
	g_assert_false(bpfrefs_cgroup_contains("/a", "/ab"));
	g_assert_false(bpfrefs_cgroup_contains("/a", "/"));
	g_assert_false(bpfrefs_cgroup_contains("/a", NULL));
}

/* What the snapshot has answered once it answers again, though the process has moved since. */
TEST_WORLD(frozen)
{
	const struct bpfrefs_snapshot *snap;

	fake_scan(&world->fake);
	snap = world->fake.snap;
	g_assert_cmpstr(bpfrefs_process_cgroup(snap, FAKE_PID), ==, "/pods/_holding");
	temp_dir_file(&world->proc, "4194303/cgroup", "0::/moved\n");
	g_assert_cmpstr(bpfrefs_process_cgroup(snap, FAKE_PID), ==, "/pods/_holding");
	g_assert_null(bpfrefs_process_cgroup(snap, 1));
	fake_scan(&world->fake);
	g_assert_cmpstr(bpfrefs_process_cgroup(world->fake.snap, FAKE_PID), ==, "/moved");
}

/* The snapshot's own reference to procfs outlives the context. */
TEST_WORLD(because)
{
	struct bpfrefs_ctx *ctx = world->fake.fs.ctx;
	struct bpfrefs_snapshot *snap;

	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &snap), ==, 0);
	state_is(snap, fake_link, BPFREFS_STATE_HELD,
		 "pid 4194302 (the loader) in /pods/holding/a b\\x2d\377 has a descriptor");
	bpfrefs_snapshot_unref(snap);
	temp_dir_file(&world->proc, "4194302/cgroup", "0::/\n");
	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &snap), ==, 0);
	state_is(snap, fake_link, BPFREFS_STATE_HELD, "pid 4194302 (the loader) has a descriptor");
	bpfrefs_snapshot_unref(snap);
}

/* ---------------------------------------------------------------- texts --- */

#define SECOND                                                                                   \
	"4194303 comm=the\\040loader cgroup=/pods/_holding mnt_ns=4026531841 net_ns=4026531840 " \
	"fds=2 maps=1 progs=0 links=0 btfs=0 memlock=4096\n"

TEST_WORLD(processes)
{
	struct fake *fake = &world->fake;

	fake_scan(fake);
	fake_object(fake, fake_map)->memlock = 4096;
	fake_object(fake, fake_link)->memlock = BPFREFS_UNKNOWN;
	check_shown(fake, fake_map, 0, show_processes,
		    "4194302 comm=the\\040loader cgroup=/pods/holding/a\\040b\\134x2d\\377 "
		    "mnt_ns=? net_ns=? fds=1 maps=0 progs=0 links=1 btfs=0 memlock=?\n" SECOND);
	/* It exits before its cgroup is read. */
	temp_dir_file(&world->proc, "4194303/cgroup", "");
	fake->gaps = true;
	fake_scan(fake);
	check_shown(fake, fake_map, 0, show_processes,
		    "4194302 comm=the\\040loader cgroup=/pods/holding/a\\040b\\134x2d\\377 "
		    "mnt_ns=? net_ns=? fds=1 maps=0 progs=0 links=1 btfs=0 memlock=0\n"
		    "4194303 comm=the\\040loader cgroup=? mnt_ns=4026531841 net_ns=4026531840 "
		    "fds=2 maps=1 progs=0 links=0 btfs=0 memlock=4096\n"
		    "# fd: partial: 3 processes: Permission denied\n"
		    "# pin: unavailable: no bpffs here\n"
		    "# map: partial: one never knows\n");
}

TEST_WORLD(pid_cgroup)
{
	check_shown(&world->fake, fake_map, FAKE_PID, show_pid_cgroup, "/pods/_holding\n");
	check_shown(&world->fake, fake_map, FAKE_PID2, show_pid_cgroup,
		    "/pods/holding/a\\040b\\134x2d\\377\n");
}

static void check_cgroup(struct world *world, uint64_t cgroup, show_fn show, const char *text)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct where w = { .fs = &world->fake.fs, .snap = world->fake.snap, .cgroup = cgroup };

	g_assert_cmpint(show(&w, out), ==, text ? 0 : -ENOENT);
	g_assert_cmpstr(out->str, ==, text ? text : "");
}

static uint64_t number(struct world *world, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	uint64_t cgroup = 0;

	for (char **name = names; *name; name++)
		cgroup = cgroup_child(tree, &world->fake.fs, cgroup, *name);
	return cgroup;
}

TEST_WORLD(cgroup_files)
{
	const char *held = "link/7 fd ref=1 user=0 file=2 pid=4194302 comm=the\\040loader fd=3\n";
	const char *both = "link/7 fd ref=1 user=0 file=2 pid=4194302 comm=the\\040loader fd=3\n"
			   "map/12 fd ref=1 user=1 file=1 pid=4194303 comm=the\\040loader fd=9\n"
			   "map/12 fd ref=0 user=0 file=1 pid=4194303 comm=the\\040loader fd=10\n";
	const char *freed = "link/7 name=? effect=freed memlock=0\n";

	fake_scan(&world->fake);
	fake_object(&world->fake, fake_map)->memlock = 4096;
	check_cgroup(world, 0, show_cgroup_holding, both);
	check_cgroup(world, number(world, "pods"), show_cgroup_holding, both);
	check_cgroup(world, number(world, "pods/_holding"), show_cgroup_holding, held);
	check_cgroup(world, number(world, "pods/_holding"), show_cgroup_retains, freed);
	check_cgroup(world, number(world, "pods/__holding"), show_cgroup_retains, "");
	check_cgroup(world, number(world, "pods/__holding"), show_cgroup_processes, SECOND);
	check_cgroup(world, number(world, "pods/other"), show_cgroup_processes, NULL);
	check_cgroup(world, number(world, "pods/other"), show_cgroup_holding, NULL);
	check_cgroup(world, number(world, "pods/other"), show_cgroup_retains, NULL);
	check_cgroup(world, number(world, "pods/other"), show_cgroup_dot, NULL);
	/* A process whose cgroup is unknown may be in any of them, and is in the root. */
	temp_dir_file(&world->proc, "4194303/cgroup", "");
	fake_scan(&world->fake);
	check_cgroup(world, 0, show_cgroup_holding, both);
	check_cgroup(world, number(world, "pods"), show_cgroup_retains,
		     "link/7 name=? effect=freed memlock=0\n"
		     "# processes: partial: 1 whose cgroup is unknown\n");
}

/* ----------------------------------------------------------------- tree --- */

static int walk(struct world *world, const char *path, struct entry *entry)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	uint64_t ino = tree_root_ino();
	int err = 0;

	for (char **name = names; *name && !err; name++) {
		err = tree_lookup(&world->fake.fs, ino, *name, entry);
		ino = entry->ino;
	}
	return err;
}

static const char *const found[] = {
	"cgroup",
	"cgroup/retains",
	"cgroup/pods",
	"cgroup/pods/holding",
	"cgroup/pods/_holding",
	"cgroup/pods/_holding/processes",
	"cgroup/pods/_holding/a b\\x2d\377",
	"cgroup/pods/_holding/a b\\x2d\377/retains",
	"cgroup/pods/__holding",
};

TEST_WORLD(lookup)
{
	static const char *const missing[] = {
		"cgroup/pod",
		"cgroup/pods/a",
		"cgroup/_pods",
		"cgroup/pods/___holding",
		"cgroup/pods/__holding/a b\\x2d\377",
		"cgroup/pods/_holding/_holding",
	};
	struct entry entry, again;
	g_autoptr(GHashTable) numbers = g_hash_table_new(NULL, NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(found); i++) {
		g_assert_cmpint(walk(world, found[i], &entry), ==, 0);
		g_assert_true(g_hash_table_add(numbers, (gpointer)(uintptr_t)entry.ino));
		g_assert_cmpint(tree_getattr(&world->fake.fs, entry.ino, &again), ==, 0);
		g_assert_cmpmem(&entry, sizeof(entry), &again, sizeof(again));
	}
	for (size_t i = 0; i < G_N_ELEMENTS(missing); i++)
		g_assert_cmpint(walk(world, missing[i], &entry), ==, -ENOENT);
	/* Its only process moves. */
	g_assert_cmpint(walk(world, "cgroup/pods/__holding", &entry), ==, 0);
	temp_dir_file(&world->proc, "4194303/cgroup", "0::/moved\n");
	g_assert_cmpint(tree_getattr(&world->fake.fs, entry.ino, &again), ==, -ENOENT);
	g_assert_cmpint(walk(world, "cgroup/pods/__holding", &entry), ==, -ENOENT);
	g_assert_cmpint(walk(world, "cgroup/moved", &entry), ==, 0);
}

struct listed {
	GString *text;
	off_t last;
	int room;
	uint64_t parent;
	struct world *world;
	uint64_t ino;
};

static bool add_name(void *data, const char *name, const struct entry *entry, off_t cookie)
{
	struct listed *listed = data;
	struct entry same;

	if (listed->room-- == 0)
		return false;
	g_assert_cmpint(cookie, >, listed->last);
	listed->last = cookie;
	if (strcmp(name, "..") == 0) {
		listed->parent = entry->ino;
	} else if (strcmp(name, ".") != 0) {
		g_assert_cmpint(tree_lookup(&listed->world->fake.fs, listed->ino, name, &same), ==,
				0);
		g_assert_cmpuint(same.ino, ==, entry->ino);
		g_string_append_printf(listed->text, "%s|", name);
	}
	return true;
}

/* Lists a directory @room entries at a time. */
static uint64_t check_listing(struct world *world, const char *path, int room, const char *want)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct listed listed = { .text = text, .world = world };
	struct entry entry;
	off_t before;

	g_assert_cmpint(walk(world, path, &entry), ==, 0);
	listed.ino = entry.ino;
	do {
		before = listed.last;
		listed.room = room;
		g_assert_cmpint(tree_readdir(&world->fake.fs, entry.ino, before, add_name, &listed),
				==, 0);
	} while (listed.last != before);
	g_assert_cmpstr(text->str, ==, want);
	return listed.parent;
}

TEST_WORLD(listing)
{
	/* in the order of their numbers, which depends on the key */
	bool first = number(world, "pods/_holding") < number(world, "pods/__holding");
	struct entry root, pods;

	g_assert_cmpint(walk(world, "cgroup", &root), ==, 0);
	g_assert_cmpint(walk(world, "cgroup/pods", &pods), ==, 0);
	for (int room = 1; room < 8; room++) {
		g_assert_cmpuint(check_listing(world, "cgroup", room,
					       "processes|holding|retains|graph.dot|pods|"),
				 ==, tree_root_ino());
		g_assert_cmpuint(
			check_listing(
				world, "cgroup/pods", room,
				first ? "processes|holding|retains|graph.dot|_holding|__holding|"
				      : "processes|holding|retains|graph.dot|__holding|_holding|"),
			==, root.ino);
		g_assert_cmpuint(check_listing(world, "cgroup/pods/_holding", room,
					       "processes|holding|retains|graph.dot|a b\\x2d\377|"),
				 ==, pods.ino);
		check_listing(world, "cgroup/pods/__holding", room,
			      "processes|holding|retains|graph.dot|");
	}
}

/* Another key gives other numbers, so that nobody can choose names that collide. */
TEST_WORLD(key)
{
	uint64_t before = number(world, "pods");

	world->fake.fs.cgroup_key[3] = 1;
	g_assert_cmpuint(number(world, "pods"), !=, before);
	g_assert_cmpuint(number(world, "pods"), <=, NODE_CGROUP_MAX);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of virtual files, inode numbers, lookups and listings. */
#include "fixture.h"

/* ----------------------------------------------------------- the table --- */

TEST(rows)
{
	g_assert_cmpstr(tree[0].name, ==, ".bpf");
	for (const struct node *row = tree; row->mode; row++) {
		bool file = S_ISREG(row->mode), dir = S_ISDIR(row->mode);

		g_assert_true(file || dir || S_ISLNK(row->mode));
		g_assert_cmpint(row->show != NULL, ==, !dir && row->need != NEED_READER);
		g_assert_cmpint(row->store != NULL, ==, file && row->mode & 0200);
		g_assert_cmpint(row->opens != DIR_NONE, ==, dir);
		g_assert_cmpint(row->mode & 0077, ==, S_ISLNK(row->mode) ? 0077 : 0);
		g_assert_true(row->in != DIR_NONE || row == tree);
	}
}

TEST(names)
{
	for (const struct node *row = tree; row->mode; row++)
		for (const struct node *other = row + 1; other->mode; other++)
			g_assert_true(row->in != other->in ||
				      g_strcmp0(row->name, other->name) != 0);
}

/*
 * Every directory but the root is opened by one row, which identifies it; but a cgroup can be in another
 * one.
 */
TEST(directories)
{
	unsigned int opened[DIR_COUNT] = { 0 };

	for (const struct node *row = tree; row->mode; row++)
		opened[row->opens] += row->opens != DIR_CGROUP || row->name;
	for (enum dir dir = DIR_ROOT; dir < DIR_COUNT; dir++)
		g_assert_cmpint(opened[dir], ==, dir == DIR_OBJECT ? BPFREFS_KIND_BTF + 1 : 1);
}

TEST(codec)
{
	for (const struct node *row = tree; row->mode; row++) {
		struct where w = { .row = row, .key.kind = BPFREFS_KIND_NONE }, back;

		if (node_dir_has_key(row->in))
			w.key = (struct bpfrefs_key){ BPFREFS_KIND_BTF, UINT32_MAX };
		if (node_dir_has_pid(row->in))
			w.pid = NODE_PID_MAX;
		if (row->in == DIR_FDS)
			w.fd = NODE_FD_MAX;
		if (row->in == DIR_CGROUP)
			w.cgroup = NODE_CGROUP_MAX;
		g_assert_cmpint(node_where(tree, NULL, node_ino(tree, &w), &back), ==, 0);
		g_assert_true(back.row == row);
		g_assert_cmpint(back.key.kind, ==, w.key.kind);
		g_assert_cmpuint(back.key.id, ==, w.key.id);
		g_assert_cmpuint(back.pid, ==, w.pid);
		g_assert_cmpuint(back.fd, ==, w.fd);
		g_assert_cmpuint(back.cgroup, ==, w.cgroup);
		g_assert_cmpuint(INO_SPACE(node_ino(tree, &w)), ==, SPACE_TREE);
	}
}

TEST(codec_foreign)
{
	struct where w;

	g_assert_cmpint(node_where(tree, NULL, 1, &w), ==, -ENOENT);
	g_assert_cmpint(node_where(tree, NULL, (uint64_t)SPACE_TREE << 60 | 0xfffull << 48, &w), ==,
			-ENOENT);
	/* The row of map/ID, with a kind and an id that no object has. */
	g_assert_cmpint(
		node_where(tree, NULL, (uint64_t)SPACE_TREE << 60 | 2ull << 48 | 9ull << 32, &w),
		==, -ENOENT);
	g_assert_cmpint(node_where(tree, NULL, (uint64_t)SPACE_TREE << 60 | 2ull << 48, &w), ==,
			-ENOENT);
}

/* -------------------------------------------------------------- lookup --- */

/* Looks up a path below .bpf, one component after another. */
static int walk(struct fs *fs, const char *path, struct entry *entry)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	uint64_t ino = tree_root_ino();
	int err = 0;

	for (char **name = names; *name && !err; name++) {
		err = tree_lookup(fs, ino, *name, entry);
		ino = entry->ino;
	}
	return err;
}

TEST_FAKE(lookup)
{
	struct entry entry, again;
	static const char *const good[] = {
		"map",	      "map/12", "map/12/holders", "map/12/slots", "link/7/pin",
		"btf/1/keep", "pid",	"source",	  "status",	  "metrics/bpfrefs.prom",
		"events",     "cgroup", "cgroup/retains", "processes"
	};

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_assert_cmpint(walk(&fake->fs, good[i], &entry), ==, 0);
		g_assert_cmpint(tree_getattr(&fake->fs, entry.ino, &again), ==, 0);
		g_assert_cmpmem(&entry, sizeof(entry), &again, sizeof(again));
		g_assert_cmpuint(entry.attr.st_ino, ==, entry.ino);
		g_assert_cmpint(entry.attr.st_mtim.tv_sec, ==, 1000);
	}
	g_assert_cmpint(fake->scans, ==, 0);
}

TEST_FAKE(lookup_none)
{
	struct entry entry;
	static const char *const bad[] = {
		"nothing",	".bpf",	   "map/0",	   "map/012",	     "map/+12",
		"map/11",	"map/12x", "map/",	   "map/4294967296", "map/4294967295",
		"map/-1",	"prog/12", "prog/5/slots", "btf/1/pin",	     "btf/1/unpin",
		"map/13/slots", "pid/0",   "pid/4194304",  "pid/1x",	     "pid/4194303/fd/09",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(walk(&fake->fs, bad[i], &entry), ==, -ENOENT);
	g_assert_cmpint(walk(&fake->fs, "status", &entry), ==, 0);
	g_assert_cmpint(tree_lookup(&fake->fs, entry.ino, ".bpf", &entry), ==, -ENOTDIR);
}

TEST_FAKE(lookup_process)
{
	struct entry entry;
	char target[64];

	g_assert_cmpint(walk(&fake->fs, "pid/4194303/fd/9", &entry), ==, 0);
	g_assert_cmpint(tree_readlink(&fake->fs, entry.ino, target, sizeof(target)), ==, 0);
	g_assert_cmpstr(target, ==, "../../../map/12");
	g_assert_cmpint(walk(&fake->fs, "pid/4194302/fd/3", &entry), ==, 0);
	g_assert_cmpint(tree_readlink(&fake->fs, entry.ino, target, sizeof(target)), ==, 0);
	g_assert_cmpstr(target, ==, "../../../link/7");
	/* If the last snapshot lacks a descriptor, a new snapshot is taken. */
	g_assert_cmpint(walk(&fake->fs, "pid/4194303/fd/11", &entry), ==, -ENOENT);
	fake->more_fds = true;
	g_assert_cmpint(walk(&fake->fs, "pid/4194303/fd/11", &entry), ==, 0);
	fake->more_fds = false;
	g_assert_cmpint(tree_getattr(&fake->fs, entry.ino, &entry), ==, -ENOENT);
	g_assert_cmpint(walk(&fake->fs, "pid/1", &entry), ==, -ENOENT);
}

TEST_FAKE(attributes)
{
	struct entry entry;

	g_assert_cmpint(tree_getattr(&fake->fs, tree_root_ino(), &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_mode, ==, (S_IFDIR | 0500));
	g_assert_cmpuint(entry.attr.st_nlink, ==, 9);
	g_assert_cmpint(walk(&fake->fs, "map", &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_nlink, ==, 1);
	g_assert_cmpfloat(entry.entry_timeout, >, 60);
	g_assert_cmpint(walk(&fake->fs, "map/12", &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_nlink, ==, 2);
	g_assert_cmpfloat(entry.entry_timeout, ==, 0);
	g_assert_cmpfloat(entry.attr_timeout, >, 60);
	fake->fs.opt.max_age =
		250; /* a name is cached no longer than a snapshot, and at most a second */
	g_assert_cmpint(walk(&fake->fs, "map/12", &entry), ==, 0);
	g_assert_cmpfloat(entry.entry_timeout, ==, 0.25);
	fake->fs.opt.max_age = 86400000;
	g_assert_cmpint(walk(&fake->fs, "map/12", &entry), ==, 0);
	g_assert_cmpfloat(entry.entry_timeout, ==, 1);
	fake->fs.opt.max_age = 0;
	g_assert_cmpint(walk(&fake->fs, "source", &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 1); /* "/", by fake_init() */
	fake->fs.opt.has_gid = true;
	fake->fs.opt.gid = 44;
	g_assert_cmpint(walk(&fake->fs, "map/12", &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_mode, ==, (S_IFDIR | 0550));
	g_assert_cmpint(walk(&fake->fs, "map/12/refs", &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_mode, ==, (S_IFREG | 0440));
	g_assert_cmpuint(entry.attr.st_gid, ==, 44);
	g_assert_cmpuint(entry.attr.st_uid, ==, 0);
	g_assert_cmpint(walk(&fake->fs, "map/12/keep", &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_mode, ==, (S_IFREG | 0600));
}

TEST_FAKE(twin)
{
	struct entry entry, again;
	char target[64];

	g_assert_cmpint(tree_twin(&fake->fs, 0, fake_entry, &entry), ==, 0);
	g_assert_cmpint(tree_readlink(&fake->fs, entry.ino, target, sizeof(target)), ==, 0);
	g_assert_cmpstr(target, ==, ".bpf/prog/5");
	g_assert_cmpint(tree_twin(&fake->fs, 2, fake_map, &entry), ==, 0);
	g_assert_cmpint(tree_readlink(&fake->fs, entry.ino, target, sizeof(target)), ==, 0);
	g_assert_cmpstr(target, ==, "../../.bpf/map/12");
	g_assert_cmpint(entry.attr.st_size, ==, (int)strlen(target));
	g_assert_cmpint(tree_getattr(&fake->fs, entry.ino, &again), ==, 0);
	g_assert_cmpmem(&entry, sizeof(entry), &again, sizeof(again));
	g_assert_cmpint(tree_readlink(&fake->fs, entry.ino, target, 17), ==, -ENAMETOOLONG);
	g_assert_cmpint(tree_twin(&fake->fs, 5000, fake_map, &entry), ==, -ENAMETOOLONG);
}

/* ------------------------------------------------------------- listing --- */

struct names {
	GString *text;
	int room; /* the number of entries that still fit */
	off_t last;
};

static bool add_name(void *data, const char *name, const struct entry *entry, off_t cookie)
{
	struct names *names = data;

	if (names->room-- == 0)
		return false;
	g_assert_cmpint(cookie, >, names->last);
	g_assert_cmpuint(entry->ino, !=, 0);
	names->last = cookie;
	g_string_append_printf(names->text, "%s ", name);
	return true;
}

/* Returns the names of a directory that is read @room entries at a time. */
static char *list(struct fs *fs, uint64_t ino, int room)
{
	struct names names = { .text = g_string_new(NULL) };
	off_t before;

	do {
		before = names.last;
		names.room = room;
		g_assert_cmpint(tree_readdir(fs, ino, names.last, add_name, &names), ==, 0);
	} while (names.last != before);
	return g_string_free(names.text, FALSE);
}

TEST_FAKE(readdir)
{
	struct entry entry;
	static const char *const listings[][2] = {
		{ "map", ". .. 12 13 " },
		{ "map/12", ". .. info holders holding refs roots json graph.dot free.sh slots pin "
			    "unpin keep " },
		{ "map/13",
		  ". .. info holders holding refs roots json graph.dot free.sh pin unpin keep " },
		{ "btf/1", ". .. info holders holding refs roots json graph.dot free.sh keep " },
		{ "pid", ". .. 4194302 4194303 " },
		{ "pid/4194303", ". .. comm cgroup holding retains graph.dot fd " },
		{ "pid/4194303/fd", ". .. 9 10 " },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(listings); i++) {
		for (int room = 1; room < 12; room++) {
			g_autofree char *names = NULL;

			g_assert_cmpint(walk(&fake->fs, listings[i][0], &entry), ==, 0);
			names = list(&fake->fs, entry.ino, room);
			g_assert_cmpstr(names, ==, listings[i][1]);
		}
	}
}

TEST_FAKE(readdir_root)
{
	struct entry entry;
	g_autofree char *names = NULL;

	names = list(&fake->fs, tree_root_ino(), 100);
	g_assert_cmpstr(names, ==,
			". .. map prog link btf pid cgroup objects processes holders attachments "
			"at-risk unused json graph.dot "
			"metrics bpffs source status control errors ");
	g_assert_cmpint(walk(&fake->fs, "status", &entry), ==, 0);
	g_assert_cmpint(tree_readdir(&fake->fs, entry.ino, 0, add_name, NULL), ==, -ENOTDIR);
}

struct parents {
	uint64_t self, parent;
};

static bool find_dots(void *data, const char *name, const struct entry *entry, off_t cookie)
{
	struct parents *parents = data;

	if (strcmp(name, ".") == 0)
		parents->self = entry->ino;
	if (strcmp(name, "..") == 0)
		parents->parent = entry->ino;
	return true;
}

TEST_FAKE(parents)
{
	struct entry entry, parent;
	struct parents found = { 0 };
	static const char *const paths[][2] = {
		{ "prog/5", "prog" },	  { "map", NULL },
		{ "pid/4194303", "pid" }, { "pid/4194303/fd", "pid/4194303" },
		{ "metrics", NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		parent.ino = tree_root_ino();
		g_assert_cmpint(walk(&fake->fs, paths[i][0], &entry), ==, 0);
		if (paths[i][1])
			g_assert_cmpint(walk(&fake->fs, paths[i][1], &parent), ==, 0);
		g_assert_cmpint(tree_readdir(&fake->fs, entry.ino, 0, find_dots, &found), ==, 0);
		g_assert_cmpuint(found.self, ==, entry.ino);
		g_assert_cmpuint(found.parent, ==, parent.ino);
	}
	g_assert_cmpint(tree_readdir(&fake->fs, tree_root_ino(), 0, find_dots, &found), ==, 0);
	g_assert_cmpuint(found.parent, ==, 1);
}

TEST_FAKE(readdir_gone)
{
	struct names names = { .text = NULL };
	struct where w = { .row = &tree[2], .key = { BPFREFS_KIND_MAP, 99 } };

	g_assert_cmpint(tree_readdir(&fake->fs, node_ino(tree, &w), 0, add_name, &names), ==,
			-ENOENT);
}

/* --------------------------------------------- a table of one's own --- */

static int show_hello(const struct where *w, GString *out)
{
	g_string_append(out, "hello");
	return 0;
}

static const struct node tiny[] = {
	{ .in = DIR_NONE, .opens = DIR_ROOT, .name = "top", .mode = S_IFDIR | 0500 },
	{ .in = DIR_ROOT, .name = "link", .mode = S_IFLNK | 0777, .show = show_hello },
	{ .in = DIR_ROOT, .name = "file", .mode = S_IFREG | 0400, .show = show_hello },
	{ .mode = 0 },
};

TEST(tiny)
{
	struct fs fs = { .started.tv_sec = 5 };
	struct where top = { .row = tiny };
	struct entry entry;
	char text[6];

	g_assert_cmpint(node_lookup(tiny, &fs, node_ino(tiny, &top), "link", &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 5);
	g_assert_cmpint(node_readlink(tiny, &fs, entry.ino, text, sizeof(text)), ==, 0);
	g_assert_cmpstr(text, ==, "hello");
	g_assert_cmpint(node_lookup(tiny, &fs, node_ino(tiny, &top), "file", &entry), ==, 0);
	g_assert_cmpint(node_readlink(tiny, &fs, entry.ino, text, sizeof(text)), ==, -EINVAL);
	g_assert_cmpint(node_lookup(tiny, &fs, node_ino(tiny, &top), "top", &entry), ==, -ENOENT);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mirror's table of nodes and its listings, over an ordinary directory, since nothing in them
 * is particular to bpffs. What the mirror does with a caller's credentials needs root, and is
 * tested in tests/kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "mirror/mirror.h"
#include "mirror/source.h"

struct world {
	struct temp_dir dir;
	char *top;
	int fd;
	struct fs_options options;
	struct mirror_source *source;
	struct mirror *mirror;
};

static const struct caller root_caller = { .tid = 1 };

static void world_init(struct world *w)
{
	temp_dir_init(&w->dir);
	w->top = w->dir.path;
	w->fd = w->dir.fd;
	w->options.source = w->top;
	w->source = source_new(w->fd);
	w->mirror = mirror_new(w->source, &w->options);
}

static void world_clear(struct world *w)
{
	mirror_free(w->mirror);
	source_free(w->source);
	temp_dir_clear(&w->dir);
}

#define TEST_MIRROR(name) TEST_WITH(struct world, w, world_init, world_clear, name)

static void make_file(struct world *w, const char *name)
{
	int fd = openat(w->fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);

	g_assert_cmpint(fd, >=, 0);
	close(fd);
}

static uint64_t find(struct world *w, uint64_t parent, const char *name)
{
	struct entry entry;

	g_assert_cmpint(mirror_lookup(w->mirror, 0, parent, name, &entry), ==, 0);
	return entry.ino;
}

static unsigned int open_descriptors(void)
{
	GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
	unsigned int count = 0;

	while (g_dir_read_name(dir))
		count++;
	g_dir_close(dir);
	return count;
}

TEST_MIRROR(same_node)
{
	uint64_t dir, pin, link;

	g_assert_cmpint(mkdirat(w->fd, "d", 0700), ==, 0);
	make_file(w, "d/x");
	g_assert_cmpint(linkat(w->fd, "d/x", w->fd, "d/y", 0), ==, 0);
	dir = find(w, MIRROR_ROOT_INO, "d");
	g_assert_cmpuint(find(w, MIRROR_ROOT_INO, "d"), ==, dir);
	pin = find(w, dir, "x");
	g_assert_cmpuint(find(w, dir, "x"), ==, pin);
	/* Hard links are one node. */
	link = find(w, dir, "y");
	g_assert_cmpuint(link, ==, pin);
	mirror_forget(w->mirror, pin, 2);
	mirror_forget(w->mirror, link, 1);
	mirror_forget(w->mirror, dir, 2);
}

TEST_MIRROR(forget_closes)
{
	unsigned int before = open_descriptors();
	uint64_t dir, pin;

	g_assert_cmpint(mkdirat(w->fd, "d", 0700), ==, 0);
	make_file(w, "d/x");
	dir = find(w, MIRROR_ROOT_INO, "d");
	pin = find(w, dir, "x");
	/* The directory has a descriptor, and what is in it has none. */
	g_assert_cmpuint(open_descriptors(), ==, before + 1);
	mirror_forget(w->mirror, dir, 1);
	g_assert_cmpuint(open_descriptors(), ==, before + 1);
	mirror_forget(w->mirror, pin, 1);
	g_assert_cmpuint(open_descriptors(), ==, before);
}

TEST_MIRROR(replaced)
{
	struct stat st;
	uint64_t pin;

	make_file(w, "x");
	make_file(w, "z");
	pin = find(w, MIRROR_ROOT_INO, "x");
	g_assert_cmpint(mirror_getattr(w->mirror, pin, &st), ==, 0);
	g_assert_cmpint(renameat(w->fd, "z", w->fd, "x"), ==, 0);
	g_assert_cmpint(mirror_getattr(w->mirror, pin, &st), ==, -ESTALE);
	g_assert_cmpuint(find(w, MIRROR_ROOT_INO, "x"), !=, pin);
	g_assert_cmpint(unlinkat(w->fd, "x", 0), ==, 0);
	g_assert_cmpint(mirror_getattr(w->mirror, pin, &st), ==, -ESTALE);
}

TEST_MIRROR(names)
{
	unsigned int before;
	uint64_t dir, pin;
	struct stat st;

	g_assert_cmpint(mkdirat(w->fd, "d", 0700), ==, 0);
	make_file(w, "x");
	g_assert_cmpint(linkat(w->fd, "x", w->fd, "d/y", 0), ==, 0);
	before = open_descriptors();
	pin = find(w, MIRROR_ROOT_INO, "x");
	dir = find(w, MIRROR_ROOT_INO, "d");
	g_assert_cmpuint(find(w, dir, "y"), ==, pin);
	/* The node is found by either name, as long as it has one. */
	g_assert_cmpint(unlinkat(w->fd, "d/y", 0), ==, 0);
	g_assert_cmpint(mirror_getattr(w->mirror, pin, &st), ==, 0);
	g_assert_cmpint(linkat(w->fd, "x", w->fd, "d/y", 0), ==, 0);
	g_assert_cmpuint(find(w, dir, "y"), ==, pin);
	g_assert_cmpint(unlinkat(w->fd, "x", 0), ==, 0);
	make_file(w, "x");
	g_assert_cmpint(mirror_getattr(w->mirror, pin, &st), ==, 0);
	/* A directory stays while a name in it is used, and is released with the last such name. */
	mirror_forget(w->mirror, dir, 1);
	g_assert_cmpuint(open_descriptors(), ==, before + 1);
	g_assert_cmpint(unlinkat(w->fd, "d/y", 0), ==, 0);
	g_assert_cmpint(mirror_getattr(w->mirror, pin, &st), ==, -ESTALE);
	g_assert_cmpuint(open_descriptors(), ==, before);
	mirror_forget(w->mirror, pin, 3);
}

/* Names that others create and remove leave no more than a few directories held. */
TEST_MIRROR(many_names)
{
	unsigned int before = open_descriptors();
	uint64_t pin;

	make_file(w, "x");
	pin = find(w, MIRROR_ROOT_INO, "x");
	for (int i = 0; i < 100; i++) {
		g_autofree char *dir = g_strdup_printf("d%d", i),
				*name = g_strdup_printf("d%d/y", i);
		uint64_t ino;

		g_assert_cmpint(mkdirat(w->fd, dir, 0700), ==, 0);
		g_assert_cmpint(linkat(w->fd, "x", w->fd, name, 0), ==, 0);
		ino = find(w, MIRROR_ROOT_INO, dir);
		g_assert_cmpuint(find(w, ino, "y"), ==, pin);
		mirror_forget(w->mirror, ino, 1);
	}
	g_assert_cmpuint(open_descriptors(), <=, before + 16);
	/* If the node has one name, its other directories are released. */
	for (int i = 0; i < 100; i++) {
		g_autofree char *name = g_strdup_printf("d%d/y", i);

		g_assert_cmpint(unlinkat(w->fd, name, 0), ==, 0);
	}
	g_assert_cmpuint(find(w, MIRROR_ROOT_INO, "x"), ==, pin);
	g_assert_cmpuint(open_descriptors(), ==, before);
	mirror_forget(w->mirror, pin, 102);
}

/* Each thread gets the name that it has looked up itself. */
TEST_MIRROR(name_of_thread)
{
	char target[PATH_MAX];
	struct entry entry;

	make_file(w, "x");
	g_assert_cmpint(linkat(w->fd, "x", w->fd, "y", 0), ==, 0);
	for (pid_t tid = 1; tid < 3; tid++)
		g_assert_cmpint(mirror_lookup(w->mirror, tid, MIRROR_ROOT_INO, tid == 1 ? "x" : "y",
					      &entry),
				==, 0);
	for (pid_t tid = 1; tid < 3; tid++) {
		g_assert_cmpint(mirror_readlink(w->mirror, tid, entry.ino, target, sizeof(target)),
				==, 0);
		g_assert_true(g_str_has_suffix(target, tid == 1 ? "/x" : "/y"));
	}
	/*
	 * A thread that looked up no name gets none of several: it need not trust who created
	 * them.
	 */
	g_assert_cmpint(mirror_readlink(w->mirror, 3, entry.ino, target, sizeof(target)), ==,
			-ESTALE);
	g_assert_cmpint(unlinkat(w->fd, "x", 0), ==, 0);
	g_assert_cmpint(mirror_readlink(w->mirror, 1, entry.ino, target, sizeof(target)), ==,
			-ESTALE);
	/* If there is only one name, every caller gets that. */
	g_assert_cmpint(mirror_lookup(w->mirror, 2, MIRROR_ROOT_INO, "y", &entry), ==, 0);
	g_assert_cmpint(mirror_readlink(w->mirror, 3, entry.ino, target, sizeof(target)), ==, 0);
	g_assert_true(g_str_has_suffix(target, "/y"));
	mirror_forget(w->mirror, entry.ino, 3);
}

static void check_shown_as(struct world *w, bool pins_file)
{
	char target[PATH_MAX];
	struct entry entry;

	g_assert_cmpint(mkdirat(w->fd, "d", 0700), ==, 0);
	make_file(w, "d/x");
	g_assert_cmpint(symlinkat("to", w->fd, "s"), ==, 0);
	g_assert_cmpint(mirror_lookup(w->mirror, 0, find(w, MIRROR_ROOT_INO, "d"), "x", &entry), ==,
			0);
	if (pins_file) {
		g_assert_cmpint(entry.attr.st_mode, ==, S_IFREG | 0640);
	} else {
		g_autofree char *want = g_strdup_printf("%s/d/x", w->top);

		g_assert_cmpint(entry.attr.st_mode, ==, S_IFLNK | 0777);
		g_assert_cmpint(mirror_readlink(w->mirror, 0, entry.ino, target, sizeof(target)),
				==, 0);
		g_assert_cmpstr(target, ==, want);
		g_assert_cmpint(mirror_readlink(w->mirror, 0, entry.ino, target, 5), ==,
				-ENAMETOOLONG);
	}
	g_assert_cmpint(mirror_readlink(w->mirror, 0, find(w, MIRROR_ROOT_INO, "s"), target,
					sizeof(target)),
			==, 0);
	g_assert_cmpstr(target, ==, "to");
}

TEST_MIRROR(shown_as_symlink)
{
	check_shown_as(w, false);
}

TEST_MIRROR(shown_as_file)
{
	w->options.pins_file = true;
	check_shown_as(w, true);
}

TEST_MIRROR(depth)
{
	uint64_t a, b;

	g_assert_cmpint(mkdirat(w->fd, "a", 0700), ==, 0);
	g_assert_cmpint(mkdirat(w->fd, "a/b (deleted)", 0700), ==, 0);
	a = find(w, MIRROR_ROOT_INO, "a");
	b = find(w, a, "b (deleted)");
	g_assert_cmpint(mirror_depth(w->mirror, MIRROR_ROOT_INO), ==, 0);
	g_assert_cmpint(mirror_depth(w->mirror, a), ==, 1);
	g_assert_cmpint(mirror_depth(w->mirror, b), ==, 2);
	/* If somebody else moves it, its depth is that of the new location. */
	g_assert_cmpint(renameat(w->fd, "a/b (deleted)", w->fd, "c"), ==, 0);
	g_assert_cmpint(mirror_depth(w->mirror, b), ==, 1);
	g_assert_cmpint(unlinkat(w->fd, "c", AT_REMOVEDIR), ==, 0);
	g_assert_cmpint(mirror_depth(w->mirror, b), ==, -ESTALE);
}

struct names {
	GHashTable *seen;
	unsigned int room; /* the number of entries until the buffer is full */
	off_t cookie;	   /* of the last entry */
};

static bool note_name(void *data, const char *name, const struct entry *entry, off_t cookie)
{
	struct names *names = data;

	g_assert_cmpuint(entry->attr.st_ino, !=, 0);
	if (!names->room--)
		return false;
	g_assert_true(g_hash_table_add(names->seen, g_strdup(name)));
	names->cookie = cookie;
	return true;
}

TEST_MIRROR(listing)
{
	struct names names = { .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
							     NULL) };
	struct mirror_dir *dir;
	guint before;

	for (int i = 0; i < 100; i++) {
		g_autofree char *name = g_strdup_printf("n%d", i);

		make_file(w, name);
	}
	g_assert_cmpint(mirror_opendir(w->mirror, &root_caller, MIRROR_ROOT_INO, &dir), ==, 0);
	do {
		before = g_hash_table_size(names.seen);
		names.room = 7;
		g_assert_cmpint(mirror_readdir(dir, names.cookie, note_name, &names), ==, 0);
	} while (g_hash_table_size(names.seen) > before);
	g_assert_cmpuint(g_hash_table_size(names.seen), ==, 102); /* "." and ".." too */
	/* A listing from the start is read anew. */
	g_hash_table_remove_all(names.seen);
	make_file(w, "late");
	names.room = 1000;
	g_assert_cmpint(mirror_readdir(dir, 0, note_name, &names), ==, 0);
	g_assert_true(g_hash_table_contains(names.seen, "late"));
	mirror_releasedir(dir);
	g_hash_table_unref(names.seen);
}

TEST_MIRROR(removed_directory)
{
	struct names names = { .room = 10 };
	struct mirror_dir *dir;
	struct entry entry;
	struct stat st;
	uint64_t ino;

	g_assert_cmpint(mkdirat(w->fd, "d", 0700), ==, 0);
	ino = find(w, MIRROR_ROOT_INO, "d");
	g_assert_cmpint(mirror_opendir(w->mirror, &root_caller, ino, &dir), ==, 0);
	g_assert_cmpint(unlinkat(w->fd, "d", AT_REMOVEDIR), ==, 0);
	g_assert_cmpint(mirror_readdir(dir, 0, note_name, &names), ==, -ENOENT);
	mirror_releasedir(dir);
	g_assert_cmpint(mirror_getattr(w->mirror, ino, &st), ==, 0);
	g_assert_cmpint(mirror_lookup(w->mirror, 0, ino, "x", &entry), ==, -ENOENT);
}

static gpointer look_and_forget(gpointer data)
{
	struct world *w = data;
	struct entry dir, pin;

	for (int i = 0; i < 2000; i++) {
		if (mirror_lookup(w->mirror, 0, MIRROR_ROOT_INO, "d", &dir) != 0)
			return GINT_TO_POINTER(1);
		if (mirror_lookup(w->mirror, 0, dir.ino, "x", &pin) != 0)
			return GINT_TO_POINTER(1);
		mirror_forget(w->mirror, dir.ino, 1);
		mirror_forget(w->mirror, pin.ino, 1);
	}
	return NULL;
}

TEST_MIRROR(many_threads)
{
	unsigned int before = open_descriptors();
	GThread *threads[4];

	g_assert_cmpint(mkdirat(w->fd, "d", 0700), ==, 0);
	make_file(w, "d/x");
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("look", look_and_forget, w);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_null(g_thread_join(threads[i]));
	g_assert_cmpuint(open_descriptors(), ==, before);
}

/* Looks up two names, and uses the node by either, while they are created and removed. */
static gpointer look_at_names(gpointer data)
{
	struct world *w = data;
	struct entry dir, pin;
	char target[PATH_MAX];
	struct stat st;

	for (int i = 0; i < 2000; i++) {
		if (mirror_lookup(w->mirror, i % 7, MIRROR_ROOT_INO, "d", &dir) != 0)
			return GINT_TO_POINTER(1);
		if (mirror_lookup(w->mirror, i % 7, i % 2 ? dir.ino : MIRROR_ROOT_INO, "x", &pin) ==
		    0) {
			mirror_getattr(w->mirror, pin.ino, &st);
			mirror_readlink(w->mirror, i % 7, pin.ino, target, sizeof(target));
			mirror_forget(w->mirror, pin.ino, 1);
		}
		mirror_forget(w->mirror, dir.ino, 1);
	}
	return NULL;
}

TEST_MIRROR(many_threads_and_names)
{
	unsigned int before = open_descriptors();
	GThread *threads[4];

	g_assert_cmpint(mkdirat(w->fd, "d", 0700), ==, 0);
	make_file(w, "y");
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("look", look_at_names, w);
	for (int i = 0; i < 500; i++) {
		g_assert_cmpint(linkat(w->fd, "y", w->fd, "d/x", 0), ==, 0);
		g_assert_cmpint(renameat(w->fd, "y", w->fd, "x"), ==, 0);
		g_assert_cmpint(unlinkat(w->fd, "d/x", 0), ==, 0);
		g_assert_cmpint(renameat(w->fd, "x", w->fd, "y"), ==, 0);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_null(g_thread_join(threads[i]));
	g_assert_cmpuint(open_descriptors(), ==, before);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeps, as far as they need no kernel: names, checks of the directories, and what is refused. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "keep/keep.h"

/* ---------------------------------------------------------------- names --- */

static void test_names(void)
{
	static const char *const bad[] = {
		"",	  "map",    "map_",	      "map_0",
		"map_01", "map_+1", "map_1 ",	      "map/1",
		"MAP_1",  "_1",	    "map_1_",	      "cgroup_1",
		"map__1", "map_-1", "map_4294967296", "link_12345678901234567890"
	};
	struct bpfrefs_key key;
	char name[KEEP_NAME_MAX];

	g_assert_cmpint(keep_name_parse("map_12", &key), ==, 0);
	g_assert_cmpint(key.kind, ==, BPFREFS_MAP);
	g_assert_cmpuint(key.id, ==, 12);
	g_assert_cmpint(keep_name_parse("link_4294967295", &key), ==, 0);
	g_assert_cmpstr(keep_name(key, name), ==, "link_4294967295");
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("%s", bad[i]);
		g_assert_cmpint(keep_name_parse(bad[i], &key), ==, -EINVAL);
	}
}

/* ---------------------------------------------------------- directories --- */

struct dir {
	char *path;
	int fd;
};

static void dir_open(struct dir *dir, gconstpointer data)
{
	(void)data;
	dir->path = g_dir_make_tmp("keep-XXXXXX", NULL);
	g_assert_nonnull(dir->path);
	dir->fd = open(dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(dir->fd, >=, 0);
}

static void dir_close(struct dir *dir, gconstpointer data)
{
	static const char *const left[] = { "bpfrefs/keep/x", "bpfrefs/keep/map_1",
					    "bpfrefs/keep/map_2", "bpfrefs/keep/prog_3" };
	static const char *const dirs[] = { "bpfrefs/keep", "bpfrefs/auto", "bpfrefs", "other" };

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(left); i++)
		unlinkat(dir->fd, left[i], 0);
	for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
		if (unlinkat(dir->fd, dirs[i], 0) != 0)
			unlinkat(dir->fd, dirs[i], AT_REMOVEDIR);
	g_assert_cmpint(g_rmdir(dir->path), ==, 0);
	close(dir->fd);
	g_free(dir->path);
}

static bool need_root(void)
{
	if (geteuid() == 0)
		return true;
	g_test_skip("the directories must be root's: not run as root");
	return false;
}

static void mode_of(const struct dir *dir, const char *path, unsigned int mode)
{
	struct stat st;

	g_assert_cmpint(fstatat(dir->fd, path, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
	g_assert_true(S_ISDIR(st.st_mode));
	g_assert_cmpuint(st.st_mode & 0777, ==, mode);
}

static void test_created(struct dir *dir, gconstpointer data)
{
	int fd;

	(void)data;
	if (!need_root())
		return;
	g_assert_cmpint(keep_dirs_open(dir->fd, BPFREFS_KEEP_PIN, false), ==, -ENOENT);
	fd = keep_dirs_open(dir->fd, BPFREFS_KEEP_AUTO, true);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	mode_of(dir, "bpfrefs", 0700);
	mode_of(dir, "bpfrefs/auto", 0700);
	g_assert_cmpint(keep_dirs_open(dir->fd, BPFREFS_KEEP_PIN, false), ==, -ENOENT);
	fd = keep_dirs_open(dir->fd, BPFREFS_KEEP_AUTO, false);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
}

static void test_refused(struct dir *dir, gconstpointer data)
{
	(void)data;
	if (!need_root())
		return;
	/* A symlink to a valid directory. */
	g_assert_cmpint(mkdirat(dir->fd, "other", 0700), ==, 0);
	g_assert_cmpint(symlinkat("other", dir->fd, "bpfrefs"), ==, 0);
	g_assert_cmpint(keep_dirs_open(dir->fd, BPFREFS_KEEP_PIN, true), ==, -EPERM);
	g_assert_cmpint(unlinkat(dir->fd, "bpfrefs", 0), ==, 0);
	/* A file. */
	close(openat(dir->fd, "bpfrefs", O_CREAT | O_WRONLY | O_CLOEXEC, 0700));
	g_assert_cmpint(keep_dirs_open(dir->fd, BPFREFS_KEEP_PIN, true), ==, -EPERM);
	g_assert_cmpint(unlinkat(dir->fd, "bpfrefs", 0), ==, 0);
	/* A directory of another user, or one that another user may read or write. */
	g_assert_cmpint(mkdirat(dir->fd, "bpfrefs", 0700), ==, 0);
	g_assert_cmpint(fchmodat(dir->fd, "bpfrefs", 0755, 0), ==, 0);
	g_assert_cmpint(keep_dirs_open(dir->fd, BPFREFS_KEEP_PIN, true), ==, -EPERM);
	g_assert_cmpint(fchmodat(dir->fd, "bpfrefs", 0700, 0), ==, 0);
	g_assert_cmpint(fchownat(dir->fd, "bpfrefs", 1, 1, 0), ==, 0);
	g_assert_cmpint(keep_dirs_open(dir->fd, BPFREFS_KEEP_PIN, true), ==, -EPERM);
	g_assert_cmpint(fchownat(dir->fd, "bpfrefs", 0, 0, 0), ==, 0);
	/* The directory below. */
	g_assert_cmpint(symlinkat("../other", dir->fd, "bpfrefs/keep"), ==, 0);
	g_assert_cmpint(keep_dirs_open(dir->fd, BPFREFS_KEEP_PIN, true), ==, -EPERM);
	g_assert_cmpint(unlinkat(dir->fd, "bpfrefs/keep", 0), ==, 0);
}

/* ------------------------------------------------------------- keepers --- */

/* A fake kernel with array 1, hash 2, program 3 and btf 4. */
static const struct bpfrefs_key array = { BPFREFS_MAP, 1 }, hash = { BPFREFS_MAP, 2 },
				program = { BPFREFS_PROG, 3 }, btf = { BPFREFS_BTF, 4 },
				missing = { BPFREFS_MAP, 9 };

static int next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start, uint32_t *id)
{
	const struct bpfrefs_key all[] = { array, hash, program, btf };

	(void)ctx;
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		if (all[i].kind == kind && all[i].id > start) {
			*id = all[i].id;
			return 0;
		}
	}
	return -ENOENT;
}

static int collect(struct scan *scan)
{
	scan_object_add(scan, array)->user_state = true;
	scan_object_add(scan, hash);
	scan_object_add(scan, program);
	scan_object_add(scan, btf);
	return 0;
}

static const struct source fake = { .id = BPFREFS_SOURCE_BPF,
				    .next_id = next_id,
				    .collect = collect };

static void test_set_refused(struct dir *dir, gconstpointer data)
{
	struct bpfrefs_keeper *keeper;
	struct bpfrefs_ctx *ctx;
	enum bpfrefs_keep_mode mode;

	(void)data;
	g_assert_cmpint(ctx_open_with(&fake, NULL, &ctx), ==, 0);
	g_assert_cmpint(bpfrefs_keeper_open(ctx, -1, &keeper), ==, -EBADF);
	g_assert_cmpint(bpfrefs_keeper_open(ctx, dir->fd, &keeper), ==, 0);
	g_assert_cmpint(bpfrefs_keep_set(keeper, missing, BPFREFS_KEEP_FD), ==, -ENOENT);
	g_assert_cmpint(bpfrefs_keep_set(keeper, array, BPFREFS_KEEP_COUNT), ==, -EINVAL);
	g_assert_cmpint(bpfrefs_keep_set(keeper, (struct bpfrefs_key){ BPFREFS_KIND_COUNT, 1 },
					 BPFREFS_KEEP_OFF),
			==, -EINVAL);
	g_assert_cmpint(bpfrefs_keep_set(keeper, btf, BPFREFS_KEEP_PIN), ==, -EOPNOTSUPP);
	g_assert_cmpint(bpfrefs_keep_set(keeper, btf, BPFREFS_KEEP_AUTO), ==, -EOPNOTSUPP);
	g_assert_cmpint(bpfrefs_keep_set(keeper, program, BPFREFS_KEEP_AUTO), ==, -EOPNOTSUPP);
	g_assert_cmpint(bpfrefs_keep_set(keeper, hash, BPFREFS_KEEP_AUTO), ==, -EOPNOTSUPP);
	/* Setting the present mode does nothing, and creates no directory. */
	g_assert_cmpint(bpfrefs_keep_set(keeper, array, BPFREFS_KEEP_OFF), ==, 0);
	g_assert_cmpint(bpfrefs_keep_get(keeper, array, &mode), ==, 0);
	g_assert_cmpint(mode, ==, BPFREFS_KEEP_OFF);
	g_assert_cmpint(bpfrefs_keep_get(keeper, btf, &mode), ==, 0);
	g_assert_cmpint(faccessat(dir->fd, "bpfrefs", F_OK, 0), ==, -1);
	bpfrefs_keeper_close(keeper);
	bpfrefs_ctx_close(ctx);
}

static void test_counts(struct dir *dir, gconstpointer data)
{
	struct bpfrefs_keeper *keeper;
	struct bpfrefs_ctx *ctx;
	static const char *const names[] = { "x", "map_1", "map_2", "prog_3" };

	(void)data;
	if (!need_root())
		return;
	g_assert_cmpint(ctx_open_with(&fake, NULL, &ctx), ==, 0);
	g_assert_cmpint(bpfrefs_keeper_open(ctx, dir->fd, &keeper), ==, 0);
	g_assert_cmpint(bpfrefs_keep_count(keeper, BPFREFS_KEEP_PIN), ==, 0);
	close(keep_dirs_open(dir->fd, BPFREFS_KEEP_PIN, true));
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_strdup_printf("bpfrefs/keep/%s", names[i]);

		close(openat(dir->fd, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	g_assert_cmpint(bpfrefs_keep_count(keeper, BPFREFS_KEEP_PIN), ==, 3);
	g_assert_cmpint(bpfrefs_keep_count(keeper, BPFREFS_KEEP_AUTO), ==, 0);
	g_assert_cmpint(bpfrefs_keep_count(keeper, BPFREFS_KEEP_FD), ==, 0);
	g_assert_cmpint(bpfrefs_keep_count(keeper, BPFREFS_KEEP_OFF), ==, -EINVAL);
	bpfrefs_keeper_close(keeper);
	bpfrefs_ctx_close(ctx);
}

/* Two keepers of one context: neither counts, drops or closes the descriptors of the other one. */
static void test_two_keepers(struct dir *dir, gconstpointer data)
{
	struct bpfrefs_keeper *keepers[2];
	enum bpfrefs_keep_mode mode;
	struct bpfrefs_ctx *ctx;
	int fds[2];

	(void)data;
	g_assert_cmpint(ctx_open_with(&fake, NULL, &ctx), ==, 0);
	for (size_t i = 0; i < 2; i++) {
		g_assert_cmpint(bpfrefs_keeper_open(ctx, dir->fd, &keepers[i]), ==, 0);
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		g_assert_cmpint(fds[i], >=, 0);
		keep_fd_add(keepers[i], fds[i], i ? hash : array);
	}
	g_assert_cmpint(bpfrefs_keep_count(keepers[0], BPFREFS_KEEP_FD), ==, 1);
	g_assert_cmpint(bpfrefs_keep_get(keepers[1], array, &mode), ==, 0);
	g_assert_cmpint(mode, ==, BPFREFS_KEEP_OFF);
	g_assert_cmpint(bpfrefs_keep_set(keepers[1], array, BPFREFS_KEEP_OFF), ==, 0);
	bpfrefs_keeper_close(keepers[1]);
	g_assert_cmpint(fcntl(fds[1], F_GETFD), ==, -1);
	g_assert_cmpint(fcntl(fds[0], F_GETFD), >=, 0);
	g_assert_cmpint(bpfrefs_keep_get(keepers[0], array, &mode), ==, 0);
	g_assert_cmpint(mode, ==, BPFREFS_KEEP_FD);
	bpfrefs_keeper_close(keepers[0]);
	g_assert_cmpint(fcntl(fds[0], F_GETFD), ==, -1);
	bpfrefs_ctx_close(ctx);
}

static void test_null(void)
{
	bpfrefs_keeper_close(NULL);
	bpfrefs_watch_close(NULL);
}

#define ADD(path, fn) g_test_add(path, struct dir, NULL, dir_open, fn, dir_close)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/keep/names", test_names);
	ADD("/keep/directories/created", test_created);
	ADD("/keep/directories/refused", test_refused);
	ADD("/keep/set/refused", test_set_refused);
	ADD("/keep/counts", test_counts);
	ADD("/keep/two-keepers", test_two_keepers);
	g_test_add_func("/keep/null", test_null);
	return g_test_run();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeps, as far as they need no kernel: names, checks of the directories, and what is refused. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fixture.h"
#include "keep/keep.h"

/* ---------------------------------------------------------------- names --- */

TEST(names)
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
	g_assert_cmpint(key.kind, ==, BPFREFS_KIND_MAP);
	g_assert_cmpuint(key.id, ==, 12);
	g_assert_cmpint(keep_name_parse("link_4294967295", &key), ==, 0);
	g_assert_cmpstr(keep_name(key, name), ==, "link_4294967295");
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("%s", bad[i]);
		g_assert_cmpint(keep_name_parse(bad[i], &key), ==, -EINVAL);
	}
}

/* ---------------------------------------------------------- directories --- */

static void dir_clear(struct temp_dir *dir)
{
	temp_dir_has_only(dir, "", "bpfrefs other");
	temp_dir_clear(dir);
}

#define TEST_DIR(name) TEST_WITH(struct temp_dir, dir, temp_dir_init, dir_clear, name)

static bool need_root(void)
{
	if (geteuid() == 0)
		return true;
	g_test_skip("the directories must be root's: not run as root");
	return false;
}

static void mode_of(const struct temp_dir *dir, const char *path, unsigned int mode)
{
	struct stat st;

	g_assert_cmpint(fstatat(dir->fd, path, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
	g_assert_true(S_ISDIR(st.st_mode));
	g_assert_cmpuint(st.st_mode & 0777, ==, mode);
}

TEST_DIR(created)
{
	int fd;

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

TEST_DIR(refused)
{
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
static const struct bpfrefs_key ids[] = { { BPFREFS_KIND_MAP, 1 },
					  { BPFREFS_KIND_MAP, 2 },
					  { BPFREFS_KIND_PROG, 3 },
					  { BPFREFS_KIND_BTF, 4 },
					  NOBODY };
static const struct bpfrefs_key btf = { BPFREFS_KIND_BTF, 4 };

static void build(struct scan *scan)
{
	array(scan, 1);
	object(scan, map(2), "hash", false);
	program(scan, 3);
	object(scan, btf, "btf", false);
}

static struct fake kernel = { .build = build, .ids = ids };

TEST_DIR(set_refused)
{
	struct bpfrefs_keeper *keeper;
	struct bpfrefs_ctx *ctx = fake_ctx_new(&kernel);
	enum bpfrefs_keep_mode mode;

	g_assert_cmpint(bpfrefs_keeper_open(ctx, -1, &keeper), ==, -EBADF);
	g_assert_cmpint(bpfrefs_keeper_open(ctx, dir->fd, &keeper), ==, 0);
	g_assert_cmpint(bpfrefs_keep_set(keeper, map(9), BPFREFS_KEEP_FD), ==, -ENOENT);
	g_assert_cmpint(bpfrefs_keep_set(keeper, map(1), KEEP_COUNT), ==, -EINVAL);
	g_assert_cmpint(bpfrefs_keep_set(keeper, (struct bpfrefs_key){ BPFREFS_KIND_NONE, 1 },
					 BPFREFS_KEEP_OFF),
			==, -EINVAL);
	g_assert_cmpint(bpfrefs_keep_set(keeper, btf, BPFREFS_KEEP_PIN), ==, -EOPNOTSUPP);
	g_assert_cmpint(bpfrefs_keep_set(keeper, btf, BPFREFS_KEEP_AUTO), ==, -EOPNOTSUPP);
	g_assert_cmpint(bpfrefs_keep_set(keeper, prog(3), BPFREFS_KEEP_AUTO), ==, -EOPNOTSUPP);
	g_assert_cmpint(bpfrefs_keep_set(keeper, map(2), BPFREFS_KEEP_AUTO), ==, -EOPNOTSUPP);
	/* Setting the present mode does nothing, and creates no directory. */
	g_assert_cmpint(bpfrefs_keep_set(keeper, map(1), BPFREFS_KEEP_OFF), ==, 0);
	g_assert_cmpint(bpfrefs_keep_get(keeper, map(1), &mode), ==, 0);
	g_assert_cmpint(mode, ==, BPFREFS_KEEP_OFF);
	g_assert_cmpint(bpfrefs_keep_get(keeper, btf, &mode), ==, 0);
	g_assert_cmpint(faccessat(dir->fd, "bpfrefs", F_OK, 0), ==, -1);
	bpfrefs_keeper_close(keeper);
	bpfrefs_ctx_close(ctx);
}

TEST_DIR(counts)
{
	struct bpfrefs_keeper *keeper;
	struct bpfrefs_ctx *ctx = fake_ctx_new(&kernel);
	static const char *const names[] = { "x", "map_1", "map_2", "prog_3" };

	if (!need_root())
		return;
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
TEST_DIR(two_keepers)
{
	struct bpfrefs_keeper *keepers[2];
	enum bpfrefs_keep_mode mode;
	struct bpfrefs_ctx *ctx = fake_ctx_new(&kernel);
	int fds[2];

	for (size_t i = 0; i < 2; i++) {
		g_assert_cmpint(bpfrefs_keeper_open(ctx, dir->fd, &keepers[i]), ==, 0);
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		g_assert_cmpint(fds[i], >=, 0);
		keep_fd_add(keepers[i], fds[i], map(i ? 2 : 1), 0);
	}
	g_assert_cmpint(bpfrefs_keep_count(keepers[0], BPFREFS_KEEP_FD), ==, 1);
	g_assert_cmpint(bpfrefs_keep_get(keepers[1], map(1), &mode), ==, 0);
	g_assert_cmpint(mode, ==, BPFREFS_KEEP_OFF);
	g_assert_cmpint(bpfrefs_keep_set(keepers[1], map(1), BPFREFS_KEEP_OFF), ==, 0);
	bpfrefs_keeper_close(keepers[1]);
	g_assert_cmpint(fcntl(fds[1], F_GETFD), ==, -1);
	g_assert_cmpint(fcntl(fds[0], F_GETFD), >=, 0);
	g_assert_cmpint(bpfrefs_keep_get(keepers[0], map(1), &mode), ==, 0);
	g_assert_cmpint(mode, ==, BPFREFS_KEEP_FD);
	bpfrefs_keeper_close(keepers[0]);
	g_assert_cmpint(fcntl(fds[0], F_GETFD), ==, -1);
	bpfrefs_ctx_close(ctx);
}

TEST(null)
{
	bpfrefs_keeper_close(NULL);
	bpfrefs_watch_close(NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "control/ctl.h"
#include "fixture.h"

static int top_fd;

static void tree_init(struct temp_dir *dir)
{
	temp_dir_init(dir);
	top_fd = dir->fd;
	temp_dir_mkdir(dir, "dir/sub");
	temp_dir_link(dir, "out", "/");
	temp_dir_link(dir, "within", "dir");
	temp_dir_link(dir, "dir/loop", "loop");
	temp_dir_file(dir, "file", "");
}

#define TEST_PATH(name) TEST_WITH(struct temp_dir, dir, tree_init, temp_dir_clear, name)

/* The result for @path, and its last component, where it is found. */
static int try(const char *path, char **last)
{
	const char *name = NULL;
	int fd = -1, err = ctl_open_parent(top_fd, path, &fd, &name);

	if (last)
		*last = err ? NULL : g_strdup(name);
	if (!err) {
		g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
		close(fd);
	}
	return err;
}

TEST_PATH(found)
{
	g_autofree char *a = NULL, *b = NULL, *c = NULL;

	g_assert_cmpint(try("x", &a), ==, 0);
	g_assert_cmpstr(a, ==, "x");
	g_assert_cmpint(try("dir/sub/x", &b), ==, 0);
	g_assert_cmpstr(b, ==, "x");
	g_assert_cmpint(try("./dir/x y\nz", &c), ==, 0);
	g_assert_cmpstr(c, ==, "x y\nz");
}

TEST_PATH(which_directory)
{
	struct stat want, got;
	const char *name;
	int fd;

	g_assert_cmpint(ctl_open_parent(top_fd, "dir/sub/x", &fd, &name), ==, 0);
	g_assert_cmpint(fstatat(top_fd, "dir/sub", &want, 0), ==, 0);
	g_assert_cmpint(fstat(fd, &got), ==, 0);
	g_assert_true(want.st_ino == got.st_ino && want.st_dev == got.st_dev);
	close(fd);
}

TEST_PATH(leaves)
{
	static const char *const paths[] = {
		"/x",
		"/",
		"..",
		"../x",
		"dir/..",
		"dir/../x",
		"dir/../../x",
		"out/x",
		"within/x",
		"dir/loop/x",
		"dir/sub/../../../x",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		g_test_message("%s", paths[i]);
		g_assert_cmpint(try(paths[i], NULL), ==, -EXDEV);
	}
}

TEST_PATH(bad)
{
	g_assert_cmpint(try("", NULL), ==, -EINVAL);
	g_assert_cmpint(try(".", NULL), ==, -EINVAL);
	g_assert_cmpint(try("dir/", NULL), ==, -EINVAL);
	g_assert_cmpint(try("dir/.", NULL), ==, -EINVAL);
	g_assert_cmpint(try("dir//x", NULL), ==, -EINVAL);
	g_assert_cmpint(try("none/x", NULL), ==, -ENOENT);
	g_assert_cmpint(try("file/x", NULL), ==, -ENOTDIR);
}

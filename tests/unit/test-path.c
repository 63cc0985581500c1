/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "fs.h"

static char *top;
static int top_fd;

/* The result for @path, and its last component, where it is found. */
static int try(const char *path, char **last)
{
	const char *name = NULL;
	int fd = -1, err = path_open_parent(top_fd, path, &fd, &name);

	if (last)
		*last = err ? NULL : g_strdup(name);
	if (!err) {
		g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
		close(fd);
	}
	return err;
}

static void test_found(void)
{
	g_autofree char *a = NULL, *b = NULL, *c = NULL;

	g_assert_cmpint(try("x", &a), ==, 0);
	g_assert_cmpstr(a, ==, "x");
	g_assert_cmpint(try("dir/sub/x", &b), ==, 0);
	g_assert_cmpstr(b, ==, "x");
	g_assert_cmpint(try("./dir/x y\nz", &c), ==, 0);
	g_assert_cmpstr(c, ==, "x y\nz");
}

static void test_which_directory(void)
{
	struct stat want, got;
	const char *name;
	int fd;

	g_assert_cmpint(path_open_parent(top_fd, "dir/sub/x", &fd, &name), ==, 0);
	g_assert_cmpint(fstatat(top_fd, "dir/sub", &want, 0), ==, 0);
	g_assert_cmpint(fstat(fd, &got), ==, 0);
	g_assert_true(want.st_ino == got.st_ino && want.st_dev == got.st_dev);
	close(fd);
}

static void test_leaves(void)
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

static void test_bad(void)
{
	g_assert_cmpint(try("", NULL), ==, -EINVAL);
	g_assert_cmpint(try(".", NULL), ==, -EINVAL);
	g_assert_cmpint(try("dir/", NULL), ==, -EINVAL);
	g_assert_cmpint(try("dir/.", NULL), ==, -EINVAL);
	g_assert_cmpint(try("dir//x", NULL), ==, -EINVAL);
	g_assert_cmpint(try("none/x", NULL), ==, -ENOENT);
	g_assert_cmpint(try("file/x", NULL), ==, -ENOTDIR);
}

static void make_tree(void)
{
	top = g_dir_make_tmp("bpfrefs-path-XXXXXX", NULL);
	g_assert_nonnull(top);
	top_fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(top_fd, >=, 0);
	g_assert_cmpint(mkdirat(top_fd, "dir", 0700), ==, 0);
	g_assert_cmpint(mkdirat(top_fd, "dir/sub", 0700), ==, 0);
	g_assert_cmpint(symlinkat("/", top_fd, "out"), ==, 0);
	g_assert_cmpint(symlinkat("dir", top_fd, "within"), ==, 0);
	g_assert_cmpint(symlinkat("loop", top_fd, "dir/loop"), ==, 0);
	close(openat(top_fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void remove_tree(void)
{
	unlinkat(top_fd, "file", 0);
	unlinkat(top_fd, "dir/loop", 0);
	unlinkat(top_fd, "within", 0);
	unlinkat(top_fd, "out", 0);
	unlinkat(top_fd, "dir/sub", AT_REMOVEDIR);
	unlinkat(top_fd, "dir", AT_REMOVEDIR);
	close(top_fd);
	g_rmdir(top);
	g_free(top);
}

int main(int argc, char **argv)
{
	int result;

	g_test_init(&argc, &argv, NULL);
	make_tree();
	g_test_add_func("/path/found", test_found);
	g_test_add_func("/path/which-directory", test_which_directory);
	g_test_add_func("/path/leaves", test_leaves);
	g_test_add_func("/path/bad", test_bad);
	result = g_test_run();
	remove_tree();
	return result;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree that stands for /proc, made in a temporary directory and passed as a descriptor. */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/private.h"

struct fixture {
	char *dir;
	int fd;
};

static inline char *fixture_parent(const struct fixture *fixture, const char *path)
{
	char *full = g_build_filename(fixture->dir, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
	return full;
}

static inline void fixture_file(const struct fixture *fixture, const char *path, const char *text)
{
	g_autofree char *full = fixture_parent(fixture, path);

	g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

static inline void fixture_link(const struct fixture *fixture, const char *path, const char *target)
{
	g_autofree char *full = fixture_parent(fixture, path);

	g_assert_cmpint(symlink(target, full), ==, 0);
}

static inline void fixture_dir(const struct fixture *fixture, const char *path)
{
	g_autofree char *full = fixture_parent(fixture, path);

	g_assert_cmpint(g_mkdir_with_parents(full, 0755), ==, 0);
}

static inline void fixture_open(struct fixture *fixture)
{
	fixture->dir = g_dir_make_tmp("bpfrefs-XXXXXX", NULL);
	g_assert_nonnull(fixture->dir);
	fixture->fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(fixture->fd, >=, 0);
}

static inline int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void fixture_close(struct fixture *fixture)
{
	g_assert_cmpint(nftw(fixture->dir, fixture_remove, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
	close(fixture->fd);
	g_free(fixture->dir);
}

#endif

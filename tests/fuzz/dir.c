/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory for targets that read files. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"

static char *dir;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_dir(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	g_free(dir);
	dir = NULL;
}

char *fuzz_dir(void)
{
	dir = g_dir_make_tmp("bpfrefs-fuzz-XXXXXX", NULL);
	must(dir);
	atexit(remove_dir);
	return dir;
}

void fuzz_write(int dir_fd, const char *name, const void *data, size_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0);
	must(write(fd, data, size) == (ssize_t)size);
	close(fd);
}

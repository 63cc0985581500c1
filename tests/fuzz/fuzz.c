/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"

/*
 * Warnings of GLib are findings too. If GLib made them fatal, they would raise SIGTRAP, for which
 * libFuzzer saves no input.
 */
static void complain(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
	g_printerr("%s: %s\n", domain ? domain : "?", message);
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING))
		abort();
}

__attribute__((weak)) void fuzz_begin(void)
{
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	g_log_set_default_handler(complain, NULL);
	fuzz_begin();
	return 0;
}

/* -------------------------------------------------- temporary directory --- */

static char *dir;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
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

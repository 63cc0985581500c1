/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Resolves paths in commands, confined to SOURCE. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs.h"

/*
 * With RESOLVE_BENEATH, openat2(2) fails with EAGAIN if a rename anywhere in the system raced
 * with "..".
 */
#define RETRIES 16

/* Returns whether a path is absolute or has a component "..", with which it could leave SOURCE. */
static bool leaves(const char *path)
{
	if (*path == '/')
		return true;
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0)
			return true;
		path += len;
		path += *path == '/';
	}
	return false;
}

static int open_beneath(int dir_fd, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	for (int i = 0;; i++) {
		int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

		if (fd >= 0)
			return fd;
		if (errno == ELOOP)
			return -EXDEV; /* the path contains a symlink */
		if (errno != EAGAIN || i == RETRIES)
			return -errno;
	}
}

int path_open_parent(int source_fd, const char *path, int *dir_fd, const char **name)
{
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	g_autofree char *dir = NULL;
	int fd;

	if (leaves(path))
		return -EXDEV;
	if (!*last || strcmp(last, ".") == 0 || strstr(path, "//"))
		return -EINVAL;
	dir = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup(".");
	fd = open_beneath(source_fd, dir);
	if (fd < 0)
		return fd;
	*dir_fd = fd;
	*name = last;
	return 0;
}

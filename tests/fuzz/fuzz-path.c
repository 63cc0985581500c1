/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths in controls, in a tree with symlinks that lead out of it and one that leads into it: for
 * any path, the directory that is opened is in SOURCE, and the name has no slash.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/ctl.h"
#include "fuzz.h"

static int source_fd;
static char *source;

static void make_tree(int top)
{
	must(mkdirat(top, "source", 0700) == 0 && mkdirat(top, "other", 0700) == 0);
	source_fd = openat(top, "source", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(source_fd >= 0);
	must(mkdirat(source_fd, "a", 0700) == 0 && mkdirat(source_fd, "a/b", 0700) == 0);
	must(mkdirat(source_fd, "a b\\", 0700) == 0 && mkdirat(source_fd, "...", 0700) == 0);
	must(symlinkat("../other", source_fd, "out") == 0);
	must(symlinkat("/", source_fd, "a/root") == 0);
	must(symlinkat("a", source_fd, "in") == 0);
	must(symlinkat("..", source_fd, "a/up") == 0);
	fuzz_write(source_fd, "file", "", 0);
}

void fuzz_begin(void)
{
	const char *dir = fuzz_dir();
	int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(top >= 0);
	make_tree(top);
	source = g_build_filename(dir, "source", NULL);
}

static void check_inside(int fd)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autofree char *real = g_file_read_link(link, NULL);

	must(real && g_str_has_prefix(real, source));
	must(real[strlen(source)] == '\0' || real[strlen(source)] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = exact_string(data, size);
	const char *name = NULL;
	int fd = -1, err = ctl_open_parent(source_fd, path, &fd, &name);

	if (err) {
		must(err < 0 && fd == -1);
	} else {
		check_inside(fd);
		must(name >= path && *name && !strchr(name, '/'));
		must(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
		must(name + strlen(name) == path + strlen(path));
		close(fd);
	}
	free(path);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path that leads to SOURCE now. The mirror works through a descriptor, which refers to the
 * same directory whatever is mounted, moved or renamed. A symlink needs a path, and the path
 * given on the command line may lead to another directory by then.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <glib.h>
#include <limits.h>

struct mirror_source;

enum source_state {
	SOURCE_VISIBLE,	 /* its path leads to it */
	SOURCE_COVERED,	 /* another mount covers it, or a directory on its path */
	SOURCE_DETACHED, /* its mount is no longer in the daemon's mount namespace (umount -l) */
	SOURCE_REMOVED,	 /* the directory was removed */
	SOURCE_UNKNOWN,	 /* the mounts could not be read */
};

/* @fd is an O_PATH descriptor of SOURCE, borrowed as long as the source exists. */
struct mirror_source *source_new(int fd);
void source_free(struct mirror_source *source);
int source_fd(const struct mirror_source *source);
/* Returns the state of SOURCE, and its path by d_path(), or "?". */
enum source_state source_state(struct mirror_source *source, char path[PATH_MAX]);
/*
 * Returns a path that leads to the directory @below SOURCE ("", "/app"): SOURCE's own path, or a
 * path through the daemon's descriptor in /proc if SOURCE's path leads elsewhere. Returns 0,
 * -EXDEV if something is mounted on a directory between SOURCE and @below, or -ENAMETOOLONG.
 */
int source_path(struct mirror_source *source, const char *below, char path[PATH_MAX]);
/* Returns the path of SOURCE through the daemon's descriptor. */
void source_proc_path(const struct mirror_source *source, char path[PATH_MAX]);
/* Returns the current path of a descriptor by d_path(); -ENAMETOOLONG if it is too long. */
int source_path_of_fd(int fd, char path[PATH_MAX]);

#endif

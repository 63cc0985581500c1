/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which path leads to SOURCE now. The mirror acts through a descriptor, which goes on showing the same
 * directory whatever is mounted, moved or renamed; a symlink has to name a path, and the path that
 * SOURCE was given by may show another directory by then.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <glib.h>
#include <limits.h>

struct source;

enum source_state {
	SOURCE_VISIBLE,	 /* its own path leads to it */
	SOURCE_COVERED,	 /* another mount lies over it, or over a directory on the way to it */
	SOURCE_DETACHED, /* its mount is no longer in our mount namespace: umount -l */
	SOURCE_REMOVED,	 /* the directory was removed */
	SOURCE_UNKNOWN,	 /* the mounts could not be read */
};

/* @fd is an O_PATH descriptor of SOURCE, borrowed for the life of this. */
struct source *source_new(int fd);
void source_free(struct source *source);
int source_fd(const struct source *source);
/* Its state, and where the kernel says that it is (d_path()), or "?". */
enum source_state source_state(struct source *source, char path[PATH_MAX]);
/*
 * A path that leads to the directory @below SOURCE ("", "/app"): its own one, or where that leads
 * elsewhere, through the daemon's descriptor in /proc. 0, -EXDEV where something is mounted on a
 * directory between SOURCE and there, -ENAMETOOLONG.
 */
int source_path(struct source *source, const char *below, char path[PATH_MAX]);
/* The path through the descriptor. */
void source_proc_path(const struct source *source, char path[PATH_MAX]);
/* Where a descriptor is by the kernel's account, whoever moved it; -ENAMETOOLONG. */
int source_path_of_fd(int fd, char path[PATH_MAX]);

#endif

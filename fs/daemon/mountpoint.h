/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where to mount, and on what: everything that can be said about SOURCE and MOUNTPOINT before
 * mounting. Functions return 0 or -errno, and then an owned sentence in *why.
 */
#ifndef MOUNTPOINT_H
#define MOUNTPOINT_H

#include <stdbool.h>
#include <sys/types.h>

struct mountpoint {
	char *source;	  /* owned: absolute, without symlinks */
	int source_fd;	  /* owned: an O_PATH descriptor of it */
	bool mounted;	  /* we mounted the bpffs there: undo it if the mount fails */
	char *mountpoint; /* owned: absolute, without symlinks */
};

/* Refuses a process outside the initial pid namespace: it would see just some of the holders. */
int mountpoint_check_pid_ns(char **why);
/* Opens SOURCE, which must be a directory of a bpffs; @mount_bpffs: mounts one there if not. */
int mountpoint_open_source(struct mountpoint *point, const char *path, bool mount_bpffs,
			   char **why);
/*
 * Finds MOUNTPOINT. A dead bpfrefs there is detached; one that lives, or does not answer, is
 * refused. Sends nothing to what is mounted there but from a child that can be left behind.
 */
int mountpoint_open_mountpoint(struct mountpoint *point, const char *path, char **why);
/* Refuses a MOUNTPOINT at or in SOURCE, or over it, by whatever mounts they are reached. */
int mountpoint_check(const struct mountpoint *point, char **why);
/*
 * The number of the uppermost mount at an absolute path without symlinks, -ENOENT if there is none;
 * and its filesystem's in *dev, unless that is NULL.
 */
int mountpoint_top_mount(const char *path, dev_t *dev);
/* Undoes what mountpoint_open_source() mounted. */
void mountpoint_undo(struct mountpoint *point);
void mountpoint_clear(struct mountpoint *point);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds SOURCE and MOUNTPOINT, and checks them as far as possible before mounting. The functions
 * return 0 or -errno, and with an error an owned message in *why.
 */
#ifndef MOUNTPOINT_H
#define MOUNTPOINT_H

#include <stdbool.h>
#include <sys/types.h>

struct mountpoint {
	char *source;  /* owned; absolute, without symlinks */
	int source_fd; /* owned; an O_PATH descriptor of SOURCE */
	bool mounted;  /* a bpffs was mounted on SOURCE, to be unmounted if the FUSE mount fails */
	char *mountpoint; /* owned; absolute, without symlinks */
};

/* Refuses to run outside the initial PID namespace, where only some of the holders are visible. */
int mountpoint_check_pid_ns(char **why);
/*
 * Opens SOURCE, which must be a directory of a bpffs. With @mount_bpffs, mounts a bpffs there if
 * it is not.
 */
int mountpoint_open_source(struct mountpoint *point, const char *path, bool mount_bpffs,
			   char **why);
/*
 * Finds MOUNTPOINT. A dead bpfrefs there is detached. One that is alive, or does not answer in
 * time, is refused. Only a child process sends requests to what is mounted there, since it may
 * block for ever.
 */
int mountpoint_open_mountpoint(struct mountpoint *point, const char *path, char **why);
/*
 * Refuses a MOUNTPOINT that is SOURCE, lies below it, or would hide it, through whatever mounts
 * the two are reached.
 */
int mountpoint_check(const struct mountpoint *point, char **why);
/*
 * Returns the id of the topmost mount at an absolute path without symlinks, or -ENOENT if there
 * is none. *dev gets the device number of its filesystem, unless @dev is NULL.
 */
int mountpoint_top_mount(const char *path, dev_t *dev);
/* Unmounts the bpffs that mountpoint_open_source() mounted. */
void mountpoint_undo(struct mountpoint *point);
void mountpoint_clear(struct mountpoint *point);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes and their descriptors, as .bpf/pid shows them. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tree/node.h"

/* Returns 0, -ENOENT or -ENOMEM according to the snapshot. */
static int snapshot_holds(const struct bpfrefs_snapshot *snap, uint32_t pid, int64_t fd,
			  struct bpfrefs_key *target)
{
	if (fd < 0)
		return bpfrefs_snapshot_find_pid(snap, pid) ? 0 : -ENOENT;
	if (fd > UINT32_MAX)
		return -ENOENT;
	return bpfrefs_snapshot_find_fd(snap, pid, (uint32_t)fd, target);
}

/*
 * Uses fdinfo instead of fd: a lookup in fd reaches the open file, which may be on a FUSE mount
 * that waits for this daemon.
 */
bool pid_is_shown(uint32_t pid, int64_t fd)
{
	char path[64];

	if (fd < 0)
		snprintf(path, sizeof(path), "/proc/%" PRIu32, pid);
	else
		snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fdinfo/%" PRId64, pid, fd);
	return access(path, F_OK) == 0;
}

int pid_holds(struct fs *fs, uint32_t pid, int64_t fd, struct bpfrefs_key *target)
{
	struct bpfrefs_snapshot *snap;
	int err = view_recent(fs->view, &snap);

	if (err)
		return err;
	err = snapshot_holds(snap, pid, fd, target);
	bpfrefs_snapshot_unref(snap);
	if (!err && pid_is_shown(pid, fd))
		return 0;
	err = view_fresh(fs->view, &snap);
	if (err)
		return err;
	err = snapshot_holds(snap, pid, fd, target);
	if (err == -ENOENT)
		err = view_missing(snap);
	bpfrefs_snapshot_unref(snap);
	return err;
}

/* Returns whether a symlink below /proc/PID/fd is of a descriptor that .bpf/pid/PID/fd lists. */
static bool is_object(int dir_fd, const char *name)
{
	static const char *const files[] = { "bpf-map", "bpf-prog", "bpf_link", "bpf_iter", "btf" };
	char target[64];
	ssize_t len = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	target[MAX(len, 0)] = '\0';
	if (!g_str_has_prefix(target, "anon_inode:"))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
		if (strcmp(target + strlen("anon_inode:"), files[i]) == 0)
			return true;
	return false;
}

/*
 * Reading the directory and the symlinks in it reaches no file of the process (see pid_is_shown()).
 */
bool pid_is_unchanged(const struct bpfrefs_snapshot *snap, uint32_t pid)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .pid = pid };
	const struct bpfrefs_descriptor *next;
	selection_auto *fds = NULL;
	struct dirent *found;
	bool agrees = true;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fd", pid);
	dir = bpfrefs_select_descriptors(snap, &filter, &fds) == 0 ? opendir(path) : NULL;
	if (!dir)
		return false;
	next = bpfrefs_next_descriptor(fds);
	/* procfs lists descriptors in ascending order (proc_readfd_common()) */
	while (agrees && (found = readdir(dir))) {
		uint64_t fd = g_ascii_strtoull(found->d_name, NULL, 10);

		if (*found->d_name == '.')
			continue;
		agrees = !next || fd <= next->fd;
		if (next && fd == next->fd)
			next = bpfrefs_next_descriptor(fds);
		else
			agrees = agrees && !is_object(dirfd(dir), found->d_name);
	}
	closedir(dir);
	return agrees && !next;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes and their descriptors, as .bpf/pid shows them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tree/node.h"

static int by_fd(gconstpointer a, gconstpointer b)
{
	const struct pid_fd *x = a, *y = b;

	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

/*
 * Returns whether the process itself has the descriptor. In other classes the "fd" is of a socket
 * or ring, through which the object is held.
 */
static bool is_own_descriptor(const struct bpfrefs_ref *ref)
{
	return bpfrefs_ref_class(ref)->flags & BPFREFS_CLASS_DESCRIPTOR;
}

static int collect_fd(const struct bpfrefs_ref *ref, void *data)
{
	struct bpfrefs_value fd = bpfrefs_ref_get(ref, "fd");
	struct pid_fd found = { .key = bpfrefs_ref_target(ref) };
	GArray *fds = data;

	if (!is_own_descriptor(ref) || fd.type != BPFREFS_VALUE_NUM || fd.num > UINT32_MAX)
		return 0;
	if (bpfrefs_ref_get(ref, "tid").type != BPFREFS_VALUE_ABSENT)
		return 0;
	found.fd = (uint32_t)fd.num;
	g_array_append_val(fds, found);
	return 0;
}

GArray *pid_fds(const struct bpfrefs_snapshot *snap, uint32_t pid)
{
	GArray *fds = g_array_new(FALSE, FALSE, sizeof(struct pid_fd));
	guint kept = 0;

	bpfrefs_snapshot_pid_holding(snap, pid, collect_fd, fds);
	g_array_sort(fds, by_fd);
	/*
	 * The descriptor of an iterator holds a program and perhaps a map. The symlink shows the
	 * program.
	 */
	for (guint i = 0; i < fds->len; i++) {
		struct pid_fd *all = (struct pid_fd *)(void *)fds->data;

		if (kept && all[kept - 1].fd == all[i].fd) {
			if (all[i].key.kind == BPFREFS_PROG)
				all[kept - 1] = all[i];
			continue;
		}
		all[kept++] = all[i];
	}
	g_array_set_size(fds, kept);
	return fds;
}

/* Returns 0 or -ENOENT according to the snapshot. */
static int snapshot_holds(const struct bpfrefs_snapshot *snap, uint32_t pid, int64_t fd,
			  struct bpfrefs_key *target)
{
	g_autoptr(GArray) fds = NULL;

	if (fd < 0)
		return bpfrefs_snapshot_find_pid(snap, pid) ? 0 : -ENOENT;
	fds = pid_fds(snap, pid);
	for (guint i = 0; i < fds->len; i++) {
		const struct pid_fd *found = &g_array_index(fds, struct pid_fd, i);

		if (found->fd != fd)
			continue;
		if (target)
			*target = found->key;
		return 0;
	}
	return -ENOENT;
}

/*
 * Uses fdinfo instead of fd: a lookup in fd reaches the open file, which may be on a FUSE mount
 * that waits for this daemon.
 */
static bool proc_shows(uint32_t pid, int64_t fd)
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
	if (!err && proc_shows(pid, fd))
		return 0;
	err = view_fresh(fs->view, &snap);
	if (err)
		return err;
	err = snapshot_holds(snap, pid, fd, target);
	bpfrefs_snapshot_unref(snap);
	return err;
}

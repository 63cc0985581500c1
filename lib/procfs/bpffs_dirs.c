/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds where bpffs is mounted in each mount namespace, and a process through which each
 * mount can be reached.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "procfs/procfs.h"

/*
 * Reads the number of the mount namespace of a process from its link, such as "mnt:[4026531841]".
 */
static int read_namespace(int proc_fd, uint32_t pid, uint32_t *mnt_ns)
{
	static const char prefix[] = "mnt:[";
	char path[32], target[64];
	ssize_t len;

	if (pid)
		snprintf(path, sizeof(path), "%u/ns/mnt", pid);
	else
		snprintf(path, sizeof(path), "self/ns/mnt");
	len = readlinkat(proc_fd, path, target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	if (!g_str_has_prefix(target, prefix))
		return -EINVAL;
	*mnt_ns = (uint32_t)strtoul(target + sizeof(prefix) - 1, NULL, 10);
	return 0;
}

/*
 * The same for a process whose main thread has exited while others live. The main thread has
 * no namespaces then. Sets @tid to a thread that has; procfs shows for a thread what it
 * shows for a process.
 */
static int read_namespace_of_thread(int proc_fd, uint32_t pid, uint32_t *tid, uint32_t *mnt_ns)
{
	g_autoptr(GArray) threads = NULL;
	char path[32];
	int err;

	snprintf(path, sizeof(path), "%u/task", pid);
	err = proc_numbers(proc_fd, path, &threads);
	if (err)
		return err;
	err = -ENOENT;
	for (guint i = 0; i < threads->len && err; i++) {
		*tid = g_array_index(threads, uint32_t, i);
		if (*tid != pid)
			err = read_namespace(proc_fd, *tid, mnt_ns);
	}
	return err;
}

static int read_mounts(int proc_fd, uint32_t pid, uint32_t mnt_ns, struct proc_pins *pins)
{
	GPtrArray *mounts;
	int err = mounts_read(proc_fd, pid, &mounts);

	if (err)
		return err;
	if (pid == 0)
		pins->own = mounts;
	else
		g_ptr_array_add(pins->others, mounts);
	for (guint i = 0; i < mounts->len; i++) {
		struct proc_mount place = { g_ptr_array_index(mounts, i), mnt_ns, pid };

		g_array_append_val(pins->places, place);
	}
	return 0;
}

/*
 * Sorts by instance. Within an instance, mounts that can be walked come first, then those of the
 * whole instance before those of a part, and our own namespace before others.
 */
static int by_instance(gconstpointer a, gconstpointer b)
{
	const struct proc_mount *x = a, *y = b;
	const struct bpffs_mount *m = x->mount, *n = y->mount;
	bool x_closed = m->hidden || m->remote, y_closed = n->hidden || n->remote;
	size_t x_len = strlen(m->root), y_len = strlen(n->root);

	if (m->major != n->major)
		return m->major < n->major ? -1 : 1;
	if (m->minor != n->minor)
		return m->minor < n->minor ? -1 : 1;
	if (x_closed != y_closed)
		return x_closed ? 1 : -1;
	if (x_len != y_len)
		return x_len < y_len ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int proc_mounts_read(int proc_fd, struct proc_pins *pins)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	g_autoptr(GArray) pids = NULL;
	uint32_t mnt_ns = 0;
	int err = proc_numbers(proc_fd, ".", &pids);

	if (!err)
		err = read_namespace(proc_fd, 0, &mnt_ns);
	if (!err)
		err = read_mounts(proc_fd, 0, mnt_ns, pins);
	if (err)
		return err;
	g_hash_table_add(seen, GUINT_TO_POINTER(mnt_ns));
	for (guint i = 0; i < pids->len; i++) {
		uint32_t pid = g_array_index(pids, uint32_t, i);

		err = read_namespace(proc_fd, pid, &mnt_ns);
		if (err == -ENOENT)
			err = read_namespace_of_thread(proc_fd, pid, &pid, &mnt_ns);
		if (!err && g_hash_table_contains(seen, GUINT_TO_POINTER(mnt_ns)))
			continue;
		if (!err)
			err = read_mounts(proc_fd, pid, mnt_ns, pins);
		if (!err)
			g_hash_table_add(seen, GUINT_TO_POINTER(mnt_ns));
		else if (!proc_is_gone(err))
			proc_miss(&pins->namespaces, err);
	}
	g_array_sort(pins->places, by_instance);
	return 0;
}

/*
 * Returns 0 if the directory belongs to the instance that it should. AT_STATX_DONT_SYNC does
 * not wait for the filesystem: if a FUSE filesystem has been mounted there meanwhile, fstat(2)
 * might never return.
 */
static int check_instance(int fd, const struct bpffs_mount *mount)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) != 0)
		return -errno;
	return st.stx_dev_major == mount->major && st.stx_dev_minor == mount->minor ? 0 : -ENOENT;
}

int proc_mount_open(int proc_fd, const struct proc_mount *place)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	bpfrefs_autofd root = -1, fd = -1;
	char path[32];
	int err;

	if (place->mount->hidden || place->mount->remote)
		return -EXDEV;
	if (place->pid)
		snprintf(path, sizeof(path), "%u/root", place->pid);
	else
		snprintf(path, sizeof(path), "self/root");
	root = openat(proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root, place->mount->target, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	err = check_instance(fd, place->mount);
	return err ? err : fd_steal(&fd);
}

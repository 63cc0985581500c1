/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks SOURCE and MOUNTPOINT before mounting. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/mountpoint.h"
#include "fs.h"

/* The value of PROC_PID_INIT_INO (include/linux/proc_ns.h), unchanged since Linux 3.8. */
#define INITIAL_PID_NS 0xEFFFFFFCu

#define MOUNTINFO "/proc/self/mountinfo"
/* How long a bpfrefs that is mounted at MOUNTPOINT may take to answer one request. */
#define ANSWER_MS 3000
/* The most symlinks that MOUNTPOINT may go through, and the most dead mounts stacked there. */
#define MAX_LINKS 40
#define MAX_DEAD  64

G_GNUC_PRINTF(3, 4)
static int refuse(int err, char **why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	*why = g_strdup_vprintf(format, args);
	va_end(args);
	return err;
}

int mountpoint_check_pid_ns(char **why)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) != 0)
		return refuse(-errno, why, "reading /proc/self/ns/pid: %s: is /proc mounted?",
			      g_strerror(errno));
	if (st.st_ino == INITIAL_PID_NS)
		return 0;
	return refuse(
		-EPERM, why,
		"bpfrefs is not in the initial PID namespace, where alone all processes that hold "
		"BPF objects are visible: run it on the host");
}

/* ------------------------------------------------------------- SOURCE --- */

static bool is_bpffs(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && st.f_type == BPF_FS_MAGIC;
}

static int open_dir(const char *path, char **why)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? refuse(-errno, why, "opening %s: %s", path, g_strerror(errno)) : fd;
}

int mountpoint_open_source(struct mountpoint *point, const char *path, bool mount_bpffs, char **why)
{
	point->source_fd = -1;
	point->source = realpath(path, NULL);
	if (!point->source)
		return refuse(-errno, why, "resolving SOURCE %s: %s", path, g_strerror(errno));
	point->source_fd = open_dir(point->source, why);
	if (point->source_fd < 0)
		return point->source_fd;
	if (is_bpffs(point->source_fd))
		return 0;
	if (!mount_bpffs)
		return refuse(-EINVAL, why,
			      "%s is not on a bpffs: mount one there with 'mount -t bpf bpf %s' or "
			      "with the option --mount-bpffs",
			      point->source, point->source);
	if (mount("bpf", point->source, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
		return refuse(-errno, why, "mounting a bpffs on %s: %s", point->source,
			      g_strerror(errno));
	point->mounted = true;
	close(point->source_fd);
	point->source_fd = open_dir(point->source, why);
	return MIN(point->source_fd, 0);
}

void mountpoint_undo(struct mountpoint *point)
{
	if (!point->mounted)
		return;
	/* The daemon's own descriptor would keep the filesystem busy. */
	if (point->source_fd >= 0)
		close(point->source_fd);
	point->source_fd = -1;
	umount2(point->source, UMOUNT_NOFOLLOW);
	point->mounted = false;
}

void mountpoint_clear(struct mountpoint *point)
{
	if (point->source_fd >= 0)
		close(point->source_fd);
	free(point->source);
	g_free(point->mountpoint);
}

/* --------------------------------------------------------- MOUNTPOINT --- */

/* Returns @path with its parent directory resolved, and with the same last component. */
static char *resolve_parent(const char *path)
{
	g_autofree char *dir = g_path_get_dirname(path), *base = g_path_get_basename(path);
	char *real = realpath(dir, NULL), *joined;

	if (!real)
		return NULL;
	if (strcmp(base, "/") == 0)
		joined = g_strdup(real);
	else
		joined = g_strdup_printf("%s/%s", strcmp(real, "/") == 0 ? "" : real, base);
	free(real);
	return joined;
}

/*
 * Does what realpath(3) does, but sends no request to a filesystem mounted at the last component,
 * whose daemon may be dead. readlink(2) of a mounted directory fails in the kernel with EINVAL,
 * whereas lstat(2) would send a request.
 */
static int resolve_mountpoint(const char *path, char **resolved, char **why)
{
	g_autofree char *at = g_strdup(path);
	char target[PATH_MAX];

	for (int i = 0; i < MAX_LINKS; i++) {
		g_autofree char *found = NULL, *base = NULL;
		ssize_t len;

		while (strlen(at) > 1 && g_str_has_suffix(at, "/"))
			at[strlen(at) - 1] = '\0';
		base = g_path_get_basename(at);
		found = strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ? realpath(at, NULL)
									  : resolve_parent(at);
		if (!found)
			return refuse(-errno, why, "resolving MOUNTPOINT %s: %s", path,
				      g_strerror(errno));
		len = readlink(found, target, sizeof(target) - 1);
		if (len < 0) {
			*resolved = g_steal_pointer(&found);
			return 0;
		}
		target[len] = '\0';
		g_free(at);
		at = g_path_is_absolute(target)
			     ? g_strdup(target)
			     : g_strdup_printf("%.*s%s", (int)(strrchr(found, '/') - found + 1),
					       found, target);
	}
	return refuse(-ELOOP, why, "resolving MOUNTPOINT %s: %s", path, g_strerror(ELOOP));
}

static struct libmnt_table *read_mounts(void)
{
	return mnt_new_table_from_file(MOUNTINFO);
}

int mountpoint_top_mount(const char *path, dev_t *dev)
{
	struct libmnt_table *mounts = read_mounts();
	struct libmnt_fs *top;
	int id;

	if (!mounts)
		return errno ? -errno : -ENOENT;
	top = mnt_table_find_target(mounts, path, MNT_ITER_BACKWARD);
	id = top ? mnt_fs_get_id(top) : -ENOENT;
	if (top && dev)
		*dev = mnt_fs_get_devno(top);
	mnt_unref_table(mounts);
	return id;
}

/* Returns whether the topmost mount at @path is a bpfrefs. */
static bool is_bpfrefs(const char *path)
{
	struct libmnt_table *mounts = read_mounts();
	struct libmnt_fs *top;
	const char *type;
	bool is;

	if (!mounts)
		return false;
	top = mnt_table_find_target(mounts, path, MNT_ITER_BACKWARD);
	type = top ? mnt_fs_get_fstype(top) : NULL;
	is = type && strcmp(type, "fuse.bpfrefs") == 0;
	mnt_unref_table(mounts);
	return is;
}

/*
 * Calls lstat(2) on the root of a mount in a child process. Returns 0 or -errno, and -ETIMEDOUT
 * if the call takes longer than ANSWER_MS.
 */
static int probe_mount(const char *path)
{
	struct pollfd answer = { .events = POLLIN };
	int ends[2], err = -ETIMEDOUT;
	struct stat st;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	child = fork();
	if (child == 0) {
		err = lstat(path, &st) == 0 ? 0 : -errno;
		_exit(write(ends[1], &err, sizeof(err)) == sizeof(err) ? 0 : 1);
	}
	close(ends[1]);
	answer.fd = ends[0];
	if (child < 0)
		err = -EAGAIN;
	else if (poll(&answer, 1, ANSWER_MS) == 1 && read(ends[0], &err, sizeof(err)) <= 0)
		err = -EIO;
	close(ends[0]);
	/*
	 * Nothing ends a request that a stopped daemon has read already. The child is then left
	 * to init.
	 */
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, err == -ETIMEDOUT ? WNOHANG : 0);
	}
	return err;
}

/* Detaches dead mounts of bpfrefs at @path. Refuses one that is alive. */
static int clear_mountpoint(const char *path, char **why)
{
	for (int i = 0; i < MAX_DEAD && is_bpfrefs(path); i++) {
		int err = probe_mount(path);

		if (err == -ETIMEDOUT)
			return refuse(-EBUSY, why,
				      "%s: the bpfrefs that is mounted there does not answer: end "
				      "its process, or detach it with umount -l %s",
				      path, path);
		if (err != -ENOTCONN)
			return refuse(-EBUSY, why,
				      "%s: a bpfrefs is mounted there already: unmount it first",
				      path);
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
			return refuse(-errno, why, "detaching the dead bpfrefs at %s: %s", path,
				      g_strerror(errno));
	}
	return 0;
}

int mountpoint_open_mountpoint(struct mountpoint *point, const char *path, char **why)
{
	struct stat st;
	int err = resolve_mountpoint(path, &point->mountpoint, why);

	if (!err)
		err = clear_mountpoint(point->mountpoint, why);
	if (err)
		return err;
	if (stat(point->mountpoint, &st) != 0)
		return refuse(-errno, why, "%s: %s", point->mountpoint, g_strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return refuse(-ENOTDIR, why, "%s: %s", point->mountpoint, g_strerror(ENOTDIR));
	return 0;
}

/* ------------------------------------------- SOURCE and MOUNTPOINT --- */

/* Returns the id of the mount that @fd was opened through. */
static int mount_id(int fd)
{
	g_autofree char *text = NULL;
	char path[48];
	const char *line;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (text_read(path, &text, NULL) != 0)
		return -ENOENT;
	line = strstr(text, "mnt_id:");
	return line ? atoi(line + strlen("mnt_id:")) : -ENOENT;
}

static struct libmnt_fs *find_mount(struct libmnt_table *mounts, int id)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs = NULL;

	while (iter && mnt_table_next_fs(mounts, iter, &fs) == 0)
		if (mnt_fs_get_id(fs) == id)
			break;
	if (fs && mnt_fs_get_id(fs) != id)
		fs = NULL;
	mnt_free_iter(iter);
	return fs;
}

/* Returns whether @path is @dir or lies below it. Both are absolute. */
static bool is_within(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/*
 * Returns the path of a directory from the root of its filesystem, which does not depend on what
 * part of the filesystem is mounted where. The string is owned, and NULL if it cannot be
 * determined.
 */
static char *inner_path(struct libmnt_table *mounts, int fd)
{
	struct libmnt_fs *mount = find_mount(mounts, mount_id(fd));
	const char *root = mount ? mnt_fs_get_root(mount) : NULL;
	const char *target = mount ? mnt_fs_get_target(mount) : NULL;
	char link[48], path[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0 || !root || !target)
		return NULL;
	path[len] = '\0';
	if (!is_within(path, target))
		return NULL;
	return g_strconcat(strcmp(root, "/") == 0 ? "" : root,
			   path + (strcmp(target, "/") == 0 ? 0 : strlen(target)), NULL);
}

/*
 * Returns 1 if MOUNTPOINT is SOURCE or lies below it, 0 if not, -EIO if that cannot be
 * determined.
 */
static int lies_in_source(const struct mountpoint *point, int fd)
{
	g_autofree char *source = NULL, *mountpoint = NULL;
	struct libmnt_table *mounts;
	struct stat a, b;

	if (fstat(point->source_fd, &a) != 0 || fstat(fd, &b) != 0)
		return -EIO;
	if (a.st_dev != b.st_dev)
		return 0;
	mounts = read_mounts();
	if (!mounts)
		return -EIO;
	source = inner_path(mounts, point->source_fd);
	mountpoint = inner_path(mounts, fd);
	mnt_unref_table(mounts);
	if (!source || !mountpoint)
		return -EIO;
	return *source == '\0' || is_within(mountpoint, source);
}

int mountpoint_check(const struct mountpoint *point, char **why)
{
	int fd = open_dir(point->mountpoint, why), within;

	if (fd < 0)
		return fd;
	within = lies_in_source(point, fd);
	close(fd);
	if (within < 0)
		return refuse(within, why, "cannot determine whether %s lies in %s",
			      point->mountpoint, point->source);
	if (within)
		return refuse(-EINVAL, why,
			      "%s lies in %s: bpf(2) would no longer reach the pins by path, so "
			      "mount somewhere else",
			      point->mountpoint, point->source);
	if (is_within(point->source, point->mountpoint))
		return refuse(-EINVAL, why, "mounting on %s would hide %s: mount somewhere else",
			      point->mountpoint, point->source);
	return 0;
}

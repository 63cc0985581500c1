/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a path leads to SOURCE is determined from mountinfo alone: a path lookup could reach a
 * FUSE mount that waits for this daemon. The mounts are read again only when poll(2) reports a
 * change (mounts_poll() compares the event counter of the mount namespace), which takes one
 * system call.
 */
#include "mirror/source.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"

#define MOUNTINFO "/proc/self/mountinfo"

struct mirror_source {
	int fd;
	int mount_id;	  /* the id of the mount that fd was opened through, or -1 if unknown */
	int mountinfo_fd; /* only for poll(2); -1 if it could not be opened */
	GMutex lock;	  /* protects the members below */
	int root_id;	  /* the id of the mount in which lookups from "/" begin */
	/* "PARENT TARGET" -> id, of the daemon's mount namespace; NULL if not read */
	GHashTable *mounts;
	bool present; /* mount_id is among the mounts */
};

/* Returns the id of a mount without a request to its filesystem, which may be the mirror. */
static int mount_id_of(int dir_fd, const char *path)
{
	const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
	struct statx st;

	if (statx(dir_fd, path, flags, STATX_MNT_ID, &st) != 0 || !(st.stx_mask & STATX_MNT_ID))
		return -1;
	return (int)st.stx_mnt_id;
}

struct mirror_source *source_new(int fd)
{
	struct mirror_source *source = g_new0(struct mirror_source, 1);

	source->fd = fd;
	source->mount_id = mount_id_of(fd, "");
	source->mountinfo_fd = open(MOUNTINFO, O_RDONLY | O_CLOEXEC);
	g_mutex_init(&source->lock);
	return source;
}

void source_free(struct mirror_source *source)
{
	if (!source)
		return;
	if (source->mountinfo_fd >= 0)
		close(source->mountinfo_fd);
	g_clear_pointer(&source->mounts, g_hash_table_unref);
	g_mutex_clear(&source->lock);
	g_free(source);
}

int source_fd(const struct mirror_source *source)
{
	return source->fd;
}

/* ------------------------------------------------------------- mounts --- */

/* A line that libmount cannot parse is skipped, and the rest is read. */
static int skip_line(struct libmnt_table *mounts, const char *file, int line)
{
	(void)mounts;
	(void)file;
	(void)line;
	return 1;
}

static void add_mounts(struct mirror_source *source, struct libmnt_table *mounts)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	while (iter && mnt_table_next_fs(mounts, iter, &fs) == 0) {
		int id = mnt_fs_get_id(fs);
		const char *target = mnt_fs_get_target(fs);

		if (!target)
			continue;
		g_hash_table_insert(source->mounts,
				    g_strdup_printf("%d %s", mnt_fs_get_parent_id(fs), target),
				    GINT_TO_POINTER(id));
		if (id == source->mount_id)
			source->present = true;
	}
	mnt_free_iter(iter);
}

/* Called with the lock. */
static int read_mounts(struct mirror_source *source)
{
	g_autofree char *text = NULL;
	struct libmnt_table *mounts;
	FILE *file;
	size_t length;
	int err = text_read(MOUNTINFO, &text, &length);

	if (err)
		return err;
	mounts = mnt_new_table();
	file = mounts ? fmemopen(text, length, "r") : NULL;
	err = file ? 0 : -ENOMEM;
	if (!err) {
		mnt_table_set_parser_errcb(mounts, skip_line);
		err = mnt_table_parse_stream(mounts, file, MOUNTINFO);
		fclose(file);
	}
	if (!err) {
		source->mounts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		source->root_id = mount_id_of(AT_FDCWD, "/");
		/* In a chroot, mountinfo does not list the mount that "/" is in. */
		source->present = source->root_id == source->mount_id;
		add_mounts(source, mounts);
	}
	mnt_unref_table(mounts);
	return err;
}

/*
 * Called with the lock. Reads the mounts again if they have changed. Returns false if they could
 * not be read.
 */
static bool refresh_mounts(struct mirror_source *source)
{
	struct pollfd changed = { .fd = source->mountinfo_fd, .events = POLLPRI };

	if (source->mountinfo_fd < 0 || source->mount_id < 0)
		return false;
	/*
	 * Polled before the table is read, so that the next poll reports a change during the
	 * read.
	 */
	if (poll(&changed, 1, 0) != 0)
		g_clear_pointer(&source->mounts, g_hash_table_unref);
	if (!source->mounts && read_mounts(source) != 0)
		return false;
	return source->root_id >= 0;
}

/* Returns the id of the mount at @path whose parent is @mount, or 0 if there is none. */
static int mount_on(const struct mirror_source *source, int mount, const char *path, size_t length)
{
	g_autofree char *key = g_strdup_printf("%d %.*s", mount, (int)length, path);

	return GPOINTER_TO_INT(g_hash_table_lookup(source->mounts, key));
}

/*
 * Returns the mount in which a lookup of @path ends. After the first @done bytes, which end at
 * the end of a component, the lookup is in @mount. At each component there may be a stack of
 * mounts.
 */
static int walk_path(const struct mirror_source *source, int mount, const char *path, size_t done)
{
	const char *at = path + done;

	while (*at) {
		int upper;

		at += strspn(at, "/");
		at += strcspn(at, "/");
		while ((upper = mount_on(source, mount, path, (size_t)(at - path))))
			mount = upper;
	}
	return mount;
}

/* -------------------------------------------------------------- paths --- */

int source_path_of_fd(int fd, char path[PATH_MAX])
{
	char link[32];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, PATH_MAX);
	if (len < 0)
		return -errno;
	if (len == PATH_MAX)
		return -ENAMETOOLONG;
	path[len] = '\0';
	return 0;
}

void source_proc_path(const struct mirror_source *source, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "/proc/%d/fd/%d", (int)getpid(), source->fd);
}

/* Called with the lock. @path is SOURCE's path by d_path(). */
static enum source_state judge(struct mirror_source *source, const char *path)
{
	struct stat st;

	/* d_path() appends " (deleted)" to a removed directory, which could also be a real name. */
	if (fstat(source->fd, &st) == 0 && st.st_nlink == 0)
		return SOURCE_REMOVED;
	if (!refresh_mounts(source))
		return SOURCE_UNKNOWN;
	if (!source->present)
		return SOURCE_DETACHED;
	if (strcmp(path, "/") == 0)
		return source->root_id == source->mount_id ? SOURCE_VISIBLE : SOURCE_COVERED;
	return walk_path(source, source->root_id, path, 0) == source->mount_id ? SOURCE_VISIBLE
									       : SOURCE_COVERED;
}

enum source_state source_state(struct mirror_source *source, char path[PATH_MAX])
{
	enum source_state state = SOURCE_UNKNOWN;

	if (source_path_of_fd(source->fd, path) != 0) {
		g_strlcpy(path, "?", PATH_MAX);
		return state;
	}
	g_mutex_lock(&source->lock);
	state = judge(source, path);
	g_mutex_unlock(&source->lock);
	return state;
}

/*
 * Called with the lock. Returns whether something is mounted on a directory between SOURCE and
 * @below.
 */
static bool is_cut_off(struct mirror_source *source, const char *path, const char *below)
{
	g_autofree char *whole = NULL;

	if (!*below || !source->mounts)
		return false;
	path = strcmp(path, "/") == 0 ? "" : path;
	whole = g_strconcat(path, below, NULL);
	return walk_path(source, source->mount_id, whole, strlen(path)) != source->mount_id;
}

int source_path(struct mirror_source *source, const char *below, char path[PATH_MAX])
{
	char base[PATH_MAX];
	enum source_state state;
	bool cut;
	int len, err = source_path_of_fd(source->fd, base);

	if (err)
		return err;
	g_mutex_lock(&source->lock);
	state = judge(source, base);
	cut = is_cut_off(source, base, below);
	g_mutex_unlock(&source->lock);
	if (cut)
		return -EXDEV;
	if (state != SOURCE_VISIBLE)
		source_proc_path(source, base);
	else if (strcmp(base, "/") == 0 && *below)
		*base = '\0';
	len = snprintf(path, PATH_MAX, "%s%s", base, below);
	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

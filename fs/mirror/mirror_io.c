/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open pins (pins=file) and open directories of the mirror. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "mirror/mirror_node.h"

/* -------------------------------------------------------------- files --- */

static enum mirror_share share_of(const struct caller *caller)
{
	return caller->uid == 0 ? MIRROR_ROOT_OPENS : MIRROR_OTHERS_OPEN;
}

/*
 * Opens a pin through a descriptor that is certainly the pin's, since its name may be another
 * pin's by now. That is an O_PATH descriptor or, if the name was removed, a descriptor of an open
 * file of the pin, as /proc/PID/fd works on bpffs.
 */
static int open_pin(struct mirror *mirror, const struct caller *caller, struct mnode *node,
		    int flags)
{
	mirror_autofd pin_fd = mirror_node_open(mirror, node);
	char path[32];
	int fd, err;

	/* An open of what is mounted on the pin could have any effect, so -EXDEV is final. */
	if (pin_fd < 0 && pin_fd != -EXDEV)
		pin_fd = mirror_node_dup_file(mirror, node);
	if (pin_fd < 0)
		return pin_fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pin_fd);
	err = caller_enter(caller);
	if (err)
		return err;
	fd = open(path, flags | O_CLOEXEC);
	err = fd < 0 ? -errno : fd;
	caller_leave();
	return err;
}

int mirror_open(struct mirror *mirror, const struct caller *caller, uint64_t ino, int flags,
		struct mirror_file **out)
{
	struct mnode *node = mirror_node_of(mirror, ino);
	struct mirror_file *file;
	int fd, err;

	if (node->fd >= 0)
		return -EISDIR;
	err = mirror_node_check_inside(mirror, node);
	if (err)
		return err;
	fd = open_pin(mirror, caller, node, flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_NOFOLLOW));
	if (fd >= 0)
		fd = mirror_node_share_fd(mirror, share_of(caller), fd);
	if (fd < 0)
		return fd;
	file = g_new0(struct mirror_file, 1);
	file->node = node;
	file->fd = fd;
	g_mutex_lock(&mirror->lock);
	node->files = g_slist_prepend(node->files, file);
	g_mutex_unlock(&mirror->lock);
	*out = file;
	return 0;
}

ssize_t mirror_read(struct mirror_file *file, char *buf, size_t size, off_t offset)
{
	ssize_t len = pread(file->fd, buf, size, offset);

	return len < 0 ? -errno : len;
}

ssize_t mirror_write(struct mirror_file *file, const char *buf, size_t size)
{
	/* Files of bpffs refuse pwrite(2) with another error than write(2). */
	ssize_t len = write(file->fd, buf, size);

	return len < 0 ? -errno : len;
}

int mirror_fsync(struct mirror_file *file, bool data_only)
{
	return (data_only ? fdatasync(file->fd) : fsync(file->fd)) == 0 ? 0 : -errno;
}

void mirror_release(struct mirror *mirror, struct mirror_file *file)
{
	g_mutex_lock(&mirror->lock);
	file->node->files = g_slist_remove(file->node->files, file);
	g_mutex_unlock(&mirror->lock);
	close(file->fd);
	g_free(file);
}

/* -------------------------------------------------------- directories --- */

int mirror_opendir(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		   struct mirror_dir **out)
{
	struct mnode *node = mirror_node_of(mirror, ino);
	struct mirror_dir *dir;
	int fd;

	if (node->fd < 0)
		return -ENOTDIR;
	if (mirror_node_check_inside(mirror, node) != 0)
		return -ESTALE;
	fd = openat(node->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fd = mirror_node_share_fd(mirror, share_of(caller), fd);
	if (fd < 0)
		return fd;
	dir = g_new0(struct mirror_dir, 1);
	dir->mirror = mirror;
	dir->fd = fd;
	dir->pins_file = mirror->options->pins_file;
	g_mutex_init(&dir->lock);
	g_mutex_lock(&mirror->lock);
	g_hash_table_add(mirror->dirs, dir);
	g_mutex_unlock(&mirror->lock);
	*out = dir;
	return 0;
}

/*
 * Returns the next entry in *found, NULL at the end. Uses the system call, because readdir(3)
 * reports the ENOENT of a removed directory as its end.
 */
static int dir_next(struct mirror_dir *dir, const struct dirent64 **found)
{
	ssize_t len;

	*found = NULL;
	if (dir->next == dir->len) {
		len = getdents64(dir->fd, dir->buf, sizeof(dir->buf));
		if (len < 0)
			return -errno;
		dir->next = 0;
		dir->len = (size_t)len;
		if (!len)
			return 0;
	}
	*found = (const struct dirent64 *)(const void *)(dir->buf + dir->next);
	return 0;
}

static int dir_seek(struct mirror_dir *dir, off_t cookie)
{
	/* Reading from the start is always new: rewinddir(3) has to show changes. */
	if (cookie && cookie == dir->at)
		return 0;
	if (lseek(dir->fd, cookie, SEEK_SET) < 0)
		return -errno;
	dir->at = cookie;
	dir->next = dir->len = 0;
	return 0;
}

static mode_t dirent_type(const struct mirror_dir *dir, const struct dirent64 *found)
{
	mode_t type = DTTOIF(found->d_type);

	return S_ISREG(type) && !dir->pins_file ? S_IFLNK : type;
}

static int dir_fill_from(struct mirror_dir *dir, dir_fill fill, void *data)
{
	const struct dirent64 *found;
	bool any = false;
	int err;

	for (;;) {
		struct entry entry = { 0 };

		err = dir_next(dir, &found);
		if (err || !found)
			return any ? 0 : err; /* the next call returns the error */
		entry.attr.st_ino = found->d_ino;
		entry.attr.st_mode = dirent_type(dir, found);
		if (!fill(data, found->d_name, &entry, found->d_off))
			return 0;
		any = true;
		dir->at = found->d_off;
		dir->next += found->d_reclen;
	}
}

int mirror_readdir(struct mirror_dir *dir, off_t cookie, dir_fill fill, void *data)
{
	int err;

	g_mutex_lock(&dir->lock);
	err = dir_seek(dir, cookie);
	if (!err)
		err = dir_fill_from(dir, fill, data);
	g_mutex_unlock(&dir->lock);
	return err;
}

void mirror_releasedir(struct mirror_dir *dir)
{
	struct mirror *mirror = dir->mirror;

	g_mutex_lock(&mirror->lock);
	g_hash_table_remove(mirror->dirs, dir);
	g_mutex_unlock(&mirror->lock);
	mirror_dir_free(dir);
}

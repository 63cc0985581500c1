/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mirror's lookups, attributes, and changes of the namespace. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "mirror/mirror_node.h"

/* The number of tries of a lookup whose name is replaced between stat and open. */
#define LOOKUP_TRIES 8

/* ------------------------------------------------------------- lookup --- */

/*
 * Opens the directory @name, whose attributes were @st before. -ESTALE if it has been replaced,
 * and the lookup has to be repeated.
 */
static int open_subdir(int dir_fd, const char *name, const struct stat *st)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_NO_XDEV };
	int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
	struct stat now;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -ESTALE : -errno;
	if (fstat(fd, &now) == 0 && now.st_ino == st->st_ino)
		return fd;
	close(fd);
	return -ESTALE;
}

static int find_dir(struct mirror *mirror, const struct mnode *dir, const char *name,
		    const struct stat *st, struct mnode **node)
{
	int fd;

	*node = mirror_node_get_dir(mirror, dir, st->st_ino, -1);
	if (*node)
		return 0;
	fd = open_subdir(dir->fd, name, st);
	if (fd >= 0)
		fd = mirror_node_share_fd(mirror, MIRROR_NODES, fd);
	if (fd < 0)
		return fd;
	*node = mirror_node_get_dir(mirror, dir, st->st_ino, fd);
	return 0;
}

static int look_up(struct mirror *mirror, const struct found_name *found, struct entry *entry)
{
	struct mnode *node = NULL;
	int err = -ESTALE;

	memset(entry, 0, sizeof(*entry));
	for (int i = 0; err == -ESTALE && i < LOOKUP_TRIES; i++) {
		err = mirror_node_stat_at(found->dir->fd, found->name, &entry->attr);
		if (err)
			return err;
		if (S_ISDIR(entry->attr.st_mode))
			err = find_dir(mirror, found->dir, found->name, &entry->attr, &node);
		else
			node = mirror_node_get_leaf(mirror, found, &entry->attr);
	}
	if (err)
		return err;
	entry->ino = mirror_node_number(mirror, node);
	entry->entry_timeout = entry->attr_timeout = names_age(mirror->options);
	mirror_show_stat(mirror, &entry->attr);
	return 0;
}

int mirror_lookup(struct mirror *mirror, pid_t tid, uint64_t parent, const char *name,
		  struct entry *entry)
{
	const struct found_name found = { mirror_node_of(mirror, parent), name, tid };

	if (found.dir->fd < 0)
		return -ENOTDIR;
	if (mirror_node_check_inside(mirror, found.dir) != 0)
		return -ESTALE;
	return look_up(mirror, &found, entry);
}

int mirror_check_inside(struct mirror *mirror, uint64_t dir)
{
	return mirror_node_check_inside(mirror, mirror_node_of(mirror, dir));
}

int mirror_lookup_listed(struct mirror *mirror, uint64_t dir, const char *name, struct entry *entry)
{
	const struct found_name found = { mirror_node_of(mirror, dir), name, 0 };

	return look_up(mirror, &found, entry);
}

bool mirror_has_pin(struct mirror *mirror, uint64_t parent, const char *name)
{
	struct stat st;

	return mirror_node_stat_at(mirror_dir_fd(mirror, parent), name, &st) == 0 &&
	       S_ISREG(st.st_mode);
}

/* --------------------------------------------------------- attributes --- */

int mirror_dir_fd(struct mirror *mirror, uint64_t ino)
{
	return mirror_node_of(mirror, ino)->fd;
}

int mirror_getattr(struct mirror *mirror, uint64_t ino, struct stat *st)
{
	int err = mirror_node_stat(mirror, mirror_node_of(mirror, ino), st);

	if (!err)
		mirror_show_stat(mirror, st);
	return err;
}

int mirror_statfs(struct mirror *mirror, struct statvfs *st)
{
	return fstatvfs(mirror->root->fd, st) == 0 ? 0 : -errno;
}

/* ------------------------------------------------------------ setattr --- */

static int set_owner(int fd, const struct stat *attr, unsigned int set)
{
	uid_t uid = set & MIRROR_SET_UID ? attr->st_uid : (uid_t)-1;
	gid_t gid = set & MIRROR_SET_GID ? attr->st_gid : (gid_t)-1;

	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0 ? 0 : -errno;
}

/*
 * Changes the mode through /proc/self/fd, since fchmod(2) and ftruncate(2) refuse O_PATH
 * descriptors.
 */
static int set_mode(int fd, mode_t mode)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode & 07777) == 0 ? 0 : -errno;
}

static int set_size(int fd, const struct mirror_file *file, off_t size)
{
	char path[32];

	if (file)
		return ftruncate(file->fd, size) == 0 ? 0 : -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return truncate(path, size) == 0 ? 0 : -errno;
}

static int set_times(int fd, const struct stat *attr, unsigned int set)
{
	struct timespec times[2] = { attr->st_atim, attr->st_mtim };

	if (!(set & MIRROR_SET_ATIME))
		times[0].tv_nsec = UTIME_OMIT;
	if (!(set & MIRROR_SET_MTIME))
		times[1].tv_nsec = UTIME_OMIT;
	return utimensat(fd, "", times, AT_EMPTY_PATH) == 0 ? 0 : -errno;
}

static int set_all(int fd, const struct mirror_file *file, const struct stat *attr,
		   unsigned int set)
{
	int err = 0;

	/* An empty @set is chown(-1, -1), which changes the ctime only. */
	if (!set || set & (MIRROR_SET_UID | MIRROR_SET_GID))
		err = set_owner(fd, attr, set);
	if (!err && set & MIRROR_SET_SIZE)
		err = set_size(fd, file, attr->st_size);
	/*
	 * A mode that comes with another change is not from chmod(2): the kernel clears the
	 * setuid and setgid bits (notify_change()). bpffs has just done that itself, and chmod(2)
	 * could be refused for this caller.
	 */
	if (!err && (set & (MIRROR_SET_UID | MIRROR_SET_GID | MIRROR_SET_SIZE | MIRROR_SET_MODE)) ==
			    MIRROR_SET_MODE)
		err = set_mode(fd, attr->st_mode);
	if (!err && set & (MIRROR_SET_ATIME | MIRROR_SET_MTIME))
		err = set_times(fd, attr, set);
	return err;
}

int mirror_setattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		   struct mirror_file *file, const struct stat *attr, unsigned int set)
{
	struct mnode *node = mirror_node_of(mirror, ino);
	mirror_autofd fd = -1;
	int err;

	/*
	 * The node is opened with the daemon's rights: a caller who has the file open needs no
	 * search permission on its directory.
	 */
	if (!file && mirror_node_check_inside(mirror, node) != 0)
		return -ESTALE;
	fd = mirror_node_open_any(mirror, node);
	if (fd < 0)
		return fd;
	err = caller_enter(caller);
	if (err)
		return err;
	err = set_all(fd, file, attr, set);
	caller_leave();
	return err;
}

/* ---------------------------------------------------------- namespace --- */

/* Begins a change in a directory as the caller. */
static int enter(struct mirror *mirror, const struct caller *caller, uint64_t dir)
{
	int err = mirror_node_check_inside(mirror, mirror_node_of(mirror, dir));

	return err ? err : caller_enter(caller);
}

/* Ends an operation as the caller. Returns its result as 0 or -errno. */
static int leave(int result)
{
	int err = result < 0 ? -errno : 0;

	caller_leave();
	return err;
}

int mirror_mkdir(struct mirror *mirror, const struct caller *caller, uint64_t parent,
		 const char *name, mode_t mode)
{
	int err = enter(mirror, caller, parent);

	return err ? err : leave(mkdirat(mirror_dir_fd(mirror, parent), name, mode));
}

int mirror_mknod(struct mirror *mirror, const struct caller *caller, uint64_t parent,
		 const char *name, mode_t mode, dev_t dev)
{
	int err = enter(mirror, caller, parent);

	return err ? err : leave(mknodat(mirror_dir_fd(mirror, parent), name, mode, dev));
}

int mirror_symlink(struct mirror *mirror, const struct caller *caller, const char *target,
		   uint64_t parent, const char *name)
{
	int err = enter(mirror, caller, parent);

	return err ? err : leave(symlinkat(target, mirror_dir_fd(mirror, parent), name));
}

int mirror_unlink(struct mirror *mirror, const struct caller *caller, uint64_t parent,
		  const char *name, int flags)
{
	int err = enter(mirror, caller, parent);

	return err ? err : leave(unlinkat(mirror_dir_fd(mirror, parent), name, flags));
}

int mirror_link(struct mirror *mirror, const struct caller *caller, uint64_t ino, uint64_t parent,
		const char *name)
{
	mirror_autofd fd = mirror_node_open(mirror, mirror_node_of(mirror, ino));
	char path[32];
	int err;

	if (fd < 0)
		return fd;
	err = mirror_node_check_inside(mirror, mirror_node_of(mirror, ino));
	if (!err)
		err = enter(mirror, caller, parent);
	if (err)
		return err;
	/* AT_EMPTY_PATH would require CAP_DAC_READ_SEARCH. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return leave(
		linkat(AT_FDCWD, path, mirror_dir_fd(mirror, parent), name, AT_SYMLINK_FOLLOW));
}

int mirror_rename(struct mirror *mirror, const struct caller *caller, struct mirror_name from,
		  struct mirror_name to, unsigned int flags)
{
	int err = mirror_node_check_inside(mirror, mirror_node_of(mirror, from.parent));

	if (!err)
		err = enter(mirror, caller, to.parent);
	if (err)
		return err;
	err = leave(renameat2(mirror_dir_fd(mirror, from.parent), from.name,
			      mirror_dir_fd(mirror, to.parent), to.name, flags));
	if (err)
		return err;
	mirror_forget_path(mirror);
	mirror_node_moved(mirror, mirror_node_of(mirror, to.parent), to.name);
	if (flags & RENAME_EXCHANGE)
		mirror_node_moved(mirror, mirror_node_of(mirror, from.parent), from.name);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bpffs below SOURCE as the mirror shows it.
 *
 * Who owns what: the kernel owns each node that a lookup has told it of, once for each such lookup
 * (nlookup), until it forgets them. Only directories have a descriptor, an O_PATH one: a pin, or a
 * symlink, is the names that it was found by (places), and is checked by inode number whenever one
 * is used, so that nothing of ours holds an object. Hard links are one node. A place owns one
 * reference to the node of its directory; it goes when it is found to be another's or nobody's, and
 * at the latest with its node.
 *
 * A node number is valid from the lookup that gave it to the forget that takes the last lookup
 * back; the kernel keeps to that, and so a number needs no lock to be used.
 */
#ifndef MIRROR_H
#define MIRROR_H

#include <limits.h>
#include <sys/statvfs.h>

#include "fs.h"

#define MIRROR_ROOT_INO 1 /* FUSE_ROOT_ID */

struct mirror;

/* @source is borrowed for the mirror's life, as is @options. */
struct mirror *mirror_new(struct source *source, const struct fs_options *options);
/* Frees it with all nodes, which the kernel no longer knows by then. */
void mirror_free(struct mirror *mirror);

/*
 * Finds a name of bpffs, and counts one lookup on the node. -EXDEV where something is mounted.
 * Else, as of all functions below, 0 or the errno of bpffs itself. @asker: the thread that asks, or
 * 0 where it will not read it as a symlink next.
 */
int mirror_lookup(struct mirror *mirror, pid_t asker, uint64_t parent, const char *name,
		  struct entry *entry);
/* Takes @count lookups back. */
void mirror_forget(struct mirror *mirror, uint64_t ino, uint64_t count);

/* The descriptor of a directory, borrowed; of what is none, -1. */
int mirror_dir_fd(struct mirror *mirror, uint64_t ino);
/* How many directories below SOURCE a directory lies: 0 the root. -ESTALE if no longer in it. */
int mirror_depth(struct mirror *mirror, uint64_t ino);
/* Where a directory is below SOURCE: "" for the root, "app". -ESTALE likewise. */
int mirror_path(struct mirror *mirror, uint64_t ino, char path[PATH_MAX]);
/* Is there a pin of that name in that directory, as bpffs has it? */
bool mirror_has_pin(struct mirror *mirror, uint64_t parent, const char *name);

/* An open pin (pins=file). */
struct mirror_file;

int mirror_getattr(struct mirror *mirror, uint64_t ino, struct stat *st);
/*
 * A symlink's target, or where a pin stands (pins=symlink): of several names, the one that @asker has
 * looked up last, or -ESTALE. -ENAMETOOLONG if @size is too small.
 */
int mirror_readlink(struct mirror *mirror, pid_t asker, uint64_t ino, char *buf, size_t size);
int mirror_statfs(struct mirror *mirror, struct statvfs *st);

/* The functions that take a caller act with the caller's file system ids and groups. */

enum mirror_set {
	MIRROR_SET_MODE = 1 << 0,
	MIRROR_SET_UID = 1 << 1,
	MIRROR_SET_GID = 1 << 2,
	MIRROR_SET_SIZE = 1 << 3,
	MIRROR_SET_ATIME = 1 << 4, /* tv_nsec may be UTIME_NOW */
	MIRROR_SET_MTIME = 1 << 5,
};
/* What @set names of @attr; none is a change of the ctime. Through @file if it is not NULL. */
int mirror_setattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		   struct mirror_file *file, const struct stat *attr, unsigned int set);
int mirror_mkdir(struct mirror *mirror, const struct caller *caller, uint64_t parent,
		 const char *name, mode_t mode);
int mirror_mknod(struct mirror *mirror, const struct caller *caller, uint64_t parent,
		 const char *name, mode_t mode, dev_t dev);
int mirror_symlink(struct mirror *mirror, const struct caller *caller, const char *target,
		   uint64_t parent, const char *name);
int mirror_link(struct mirror *mirror, const struct caller *caller, uint64_t ino, uint64_t parent,
		const char *name);
/* @flags: AT_REMOVEDIR or 0. */
int mirror_unlink(struct mirror *mirror, const struct caller *caller, uint64_t parent,
		  const char *name, int flags);
struct mirror_name {
	uint64_t parent;
	const char *name;
};
int mirror_rename(struct mirror *mirror, const struct caller *caller, struct mirror_name from,
		  struct mirror_name to, unsigned int flags);

/* Has this bpffs extended attributes? Else the four below are not called. */
bool mirror_xattrs_are_there(int source_fd);
struct mirror_xattr {
	const char *name;
	const void *value;
	size_t size;
	int flags; /* XATTR_CREATE, XATTR_REPLACE */
};
/* Its length, also where @size is 0, and it is not copied then. */
ssize_t mirror_getxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
			const char *name, void *value, size_t size);
/* The names, at most XATTR_LIST_MAX bytes: there must be room for those. */
ssize_t mirror_listxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
			 char *list);
int mirror_setxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		    const struct mirror_xattr *xattr);
int mirror_removexattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		       const char *name);

/* Opens the pin itself; @flags as open(2). */
int mirror_open(struct mirror *mirror, const struct caller *caller, uint64_t ino, int flags,
		struct mirror_file **file);
ssize_t mirror_read(struct mirror_file *file, char *buf, size_t size, off_t offset);
ssize_t mirror_write(struct mirror_file *file, const char *buf, size_t size);
int mirror_fsync(struct mirror_file *file, bool data_only);
void mirror_release(struct mirror *mirror, struct mirror_file *file);

/* An open directory. Reading goes on where it stopped, or at any cookie that it gave. */
struct mirror_dir;
int mirror_opendir(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		   struct mirror_dir **dir);
/*
 * Tells of the entries after @cookie; of each but "." and ".." the number is 0 and of the
 * attributes only st_ino and the type are set. .bpf is not among them.
 */
int mirror_readdir(struct mirror_dir *dir, off_t cookie, dir_fill fill, void *data);
void mirror_releasedir(struct mirror_dir *dir);

#endif

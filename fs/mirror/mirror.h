/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bpffs below SOURCE, as the mirror shows it.
 *
 * Ownership: the kernel owns a node once for each lookup that returned it (nlookup), until it
 * forgets those lookups. Only directories have a descriptor, an O_PATH one. A leaf, which is a
 * pin or a symlink, has the names by which it was found (struct leaf_name), and the inode number is
 * checked whenever a name is used, so that the mirror holds no object. Hard links are one node.
 * Each name of a leaf owns one reference to the node of its directory. A name is freed when it
 * turns out to be of another inode or removed, and at the latest with its node.
 *
 * A node number is valid from the lookup that returned it to the forget that takes back the last
 * lookup. The kernel guarantees that, so a number can be used without a lock.
 */
#ifndef MIRROR_H
#define MIRROR_H

#include <limits.h>
#include <sys/statvfs.h>

#include "fs.h"

#define MIRROR_ROOT_INO 1 /* FUSE_ROOT_ID */

struct mirror;

/* @source and @options are borrowed as long as the mirror exists. */
struct mirror *mirror_new(struct mirror_source *source, const struct fs_options *options);
/* Frees the mirror with all nodes, after the kernel has dropped them. */
void mirror_free(struct mirror *mirror);

/*
 * Looks up a name in bpffs, and counts one lookup on the node. -EXDEV if something is mounted
 * there, otherwise 0 or the errno of bpffs, as all functions below. @tid is the calling thread,
 * or 0 if the thread does not read the symlink next.
 */
int mirror_lookup(struct mirror *mirror, pid_t tid, uint64_t parent, const char *name,
		  struct entry *entry);
/*
 * The same for a directory that is being listed. mirror_check_inside() says beforehand, once for
 * many names, whether it still is below SOURCE: 0 or -ESTALE.
 */
int mirror_check_inside(struct mirror *mirror, uint64_t dir);
int mirror_lookup_listed(struct mirror *mirror, uint64_t dir, const char *name,
			 struct entry *entry);
/* Takes back @count lookups. */
void mirror_forget(struct mirror *mirror, uint64_t ino, uint64_t count);

/* Returns the descriptor of a directory, borrowed, or -1 if the node is not a directory. */
int mirror_dir_fd(struct mirror *mirror, uint64_t ino);
/*
 * Returns how many levels a directory is below SOURCE, 0 for the root. -ESTALE if it was moved
 * away.
 */
int mirror_depth(struct mirror *mirror, uint64_t ino);
/* Returns a directory's path below SOURCE: "" for the root, "app". -ESTALE if it was moved away. */
int mirror_path(struct mirror *mirror, uint64_t ino, char path[PATH_MAX]);
/* Returns whether bpffs has a pin of that name in that directory. */
bool mirror_has_pin(struct mirror *mirror, uint64_t parent, const char *name);

/* An open pin (pins=file). */
struct mirror_file;

int mirror_getattr(struct mirror *mirror, uint64_t ino, struct stat *st);
/*
 * Returns a symlink's target, or the path of a pin (pins=symlink). If a pin has several names,
 * the path is of the one that thread @tid looked up last; -ESTALE if that is not known.
 * -ENAMETOOLONG if @size is too small.
 */
int mirror_readlink(struct mirror *mirror, pid_t tid, uint64_t ino, char *buf, size_t size);
int mirror_statfs(struct mirror *mirror, struct statvfs *st);

/* The functions that take a caller act with the caller's filesystem ids and groups. */

enum mirror_set {
	MIRROR_SET_MODE = 1 << 0,
	MIRROR_SET_UID = 1 << 1,
	MIRROR_SET_GID = 1 << 2,
	MIRROR_SET_SIZE = 1 << 3,
	MIRROR_SET_ATIME = 1 << 4, /* tv_nsec may be UTIME_NOW */
	MIRROR_SET_MTIME = 1 << 5,
};
/*
 * Sets those members of @attr that @set lists. With an empty @set, changes only the ctime. Uses
 * the open @file if it is not NULL.
 */
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

/*
 * Returns whether this bpffs has extended attributes. If not, the four functions below are not
 * called.
 */
bool mirror_xattrs_are_there(int source_fd);
struct mirror_xattr {
	const char *name;
	const void *value;
	size_t size;
	int flags; /* XATTR_CREATE, XATTR_REPLACE */
};
/* Returns the length of the value. With @size 0 the value is not copied. */
ssize_t mirror_getxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
			const char *name, void *value, size_t size);
/* Returns the length of the names. @list must have room for XATTR_LIST_MAX bytes. */
ssize_t mirror_listxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
			 char *list);
int mirror_setxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		    const struct mirror_xattr *xattr);
int mirror_removexattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		       const char *name);

/* Opens the pin's file on bpffs; @flags as in open(2). */
int mirror_open(struct mirror *mirror, const struct caller *caller, uint64_t ino, int flags,
		struct mirror_file **file);
ssize_t mirror_read(struct mirror_file *file, char *buf, size_t size, off_t offset);
ssize_t mirror_write(struct mirror_file *file, const char *buf, size_t size);
int mirror_fsync(struct mirror_file *file, bool data_only);
void mirror_release(struct mirror *mirror, struct mirror_file *file);

/* An open directory. Reading continues where it stopped, or at any cookie that it returned. */
struct mirror_dir;
int mirror_opendir(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		   struct mirror_dir **dir);
/*
 * Lists the entries after @cookie. Except for "." and "..", their node id is 0, and of the
 * attributes only st_ino and the type are set. .bpf is not listed.
 */
int mirror_readdir(struct mirror_dir *dir, off_t cookie, dir_fill fill, void *data);
void mirror_releasedir(struct mirror_dir *dir);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended attributes in the trusted and security namespaces, which bpffs has on Linux 7.2 but
 * not on 6.18. If it has none, ops_xattr.c makes the kernel answer by itself.
 */
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "mirror/mirror_node.h"

#define TRUSTED	 "trusted."
#define SECURITY "security."

/*
 * The path of a descriptor in /proc, which leads to the inode itself. fgetxattr(2) and its
 * siblings refuse O_PATH descriptors.
 */
struct fd_path {
	char path[32];
};

static struct fd_path path_of(int fd)
{
	struct fd_path result;

	snprintf(result.path, sizeof(result.path), "/proc/self/fd/%d", fd);
	return result;
}

bool mirror_xattrs_are_there(int source_fd)
{
	return getxattr(path_of(source_fd).path, TRUSTED "bpfrefs", NULL, 0) < 0 &&
	       errno == ENODATA;
}

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* Other prefixes are not supported. The kernel has checked the permission to write before. */
static bool is_supported(const char *name)
{
	static const char *const prefixes[] = { "user.", TRUSTED, SECURITY, "system." };

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (begins(name, prefixes[i]))
			return true;
	return false;
}

/*
 * The kernel has checked the caller's rights to trusted and security attributes already
 * (xattr_permission(), cap_inode_setxattr()). On the daemon's call it would check the daemon's
 * rights, which always suffice, so the caller's are checked again here.
 */
static bool may_read(const struct caller *caller, const char *name)
{
	return !begins(name, TRUSTED) || caller_is_admin(caller) == 0;
}

static int may_change(const struct caller *caller, const char *name)
{
	if (!is_supported(name))
		return -EOPNOTSUPP;
	return begins(name, TRUSTED) || begins(name, SECURITY) ? caller_is_admin(caller) : 0;
}

/* Opens a node, as the caller. Returns an owned descriptor, to be passed to leave(), or -errno. */
static int enter(struct mirror *mirror, const struct caller *caller, uint64_t ino)
{
	struct mnode *node = mirror_node_of(mirror, ino);
	int fd, err;

	if (mirror_node_check_inside(mirror, node) != 0)
		return -ESTALE;
	fd = mirror_node_open_any(mirror, node);
	if (fd < 0)
		return fd;
	err = caller_enter(caller);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static ssize_t leave(int fd, ssize_t result)
{
	ssize_t err = result < 0 ? -errno : result;

	caller_leave();
	close(fd);
	return err;
}

ssize_t mirror_getxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
			const char *name, void *value, size_t size)
{
	int fd;

	if (!is_supported(name))
		return -EOPNOTSUPP;
	if (!may_read(caller, name))
		return -ENODATA;
	fd = enter(mirror, caller, ino);
	return fd < 0 ? fd : leave(fd, getxattr(path_of(fd).path, name, value, size));
}

int mirror_setxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		    const struct mirror_xattr *xattr)
{
	int fd = may_change(caller, xattr->name);

	if (!fd)
		fd = enter(mirror, caller, ino);
	return fd < 0 ? fd
		      : (int)leave(fd, setxattr(path_of(fd).path, xattr->name, xattr->value,
						xattr->size, xattr->flags));
}

int mirror_removexattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
		       const char *name)
{
	int fd = may_change(caller, name);

	if (!fd)
		fd = enter(mirror, caller, ino);
	return fd < 0 ? fd : (int)leave(fd, removexattr(path_of(fd).path, name));
}

/* Removes trusted attributes from a list of @len bytes. Returns the new length. */
static size_t without_trusted(char *list, size_t len)
{
	size_t kept = 0;

	for (size_t at = 0, size; at < len; at += size) {
		size = strnlen(list + at, len - at - 1) + 1;
		if (begins(list + at, TRUSTED))
			continue;
		memmove(list + kept, list + at, size);
		kept += size;
	}
	return kept;
}

ssize_t mirror_listxattr(struct mirror *mirror, const struct caller *caller, uint64_t ino,
			 char *list)
{
	int fd = enter(mirror, caller, ino);
	ssize_t len = fd < 0 ? fd : leave(fd, listxattr(path_of(fd).path, list, XATTR_LIST_MAX));

	if (len > 0 && caller_is_admin(caller) != 0)
		len = (ssize_t)without_trusted(list, (size_t)len);
	return len;
}

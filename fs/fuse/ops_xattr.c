/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes: those of bpffs, where it has any. Virtual files have none. */
#include <errno.h>
#include <linux/limits.h>

#include "mirror/mirror.h"
#include "fuse/ops.h"

static bool are_there(fuse_req_t req)
{
	return fs_of(req)->has_xattrs;
}

/* What can be told in one reply: both lists and values have the same bound. */
_Static_assert(XATTR_LIST_MAX == XATTR_SIZE_MAX, "one buffer serves both");

/* @len bytes of @data, or that number alone if it was asked for. */
static void reply_bytes(fuse_req_t req, const char *data, ssize_t len, size_t size)
{
	if (len < 0)
		reply_result(req, (int)len);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)len);
	else if ((size_t)len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, (size_t)len);
}

/* Without xattrs bpffs has an empty list, and does not support the other calls. */
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct caller caller = caller_of(req);
	char *list = NULL;
	ssize_t len = 0;

	if (are_there(req) && !is_virtual(ino)) {
		list = g_try_malloc(XATTR_LIST_MAX);
		len = list ? mirror_listxattr(fs_of(req)->mirror, &caller, ino, list) : -ENOMEM;
	}
	reply_bytes(req, list, len, size);
	g_free(list);
}

/*
 * Told each time: were it left out, the kernel would remember that, and say of ACLs that there are none
 * (ENODATA), where bpffs says that it has no such thing. ls -l asks a file system that says so once,
 * and one that does not for two ACLs of each name.
 */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct caller caller = caller_of(req);
	char *value = NULL;
	ssize_t len = -EOPNOTSUPP;

	if (are_there(req) && !is_virtual(ino)) {
		value = g_try_malloc(MIN(size, (size_t)XATTR_SIZE_MAX) + 1);
		len = value ? mirror_getxattr(fs_of(req)->mirror, &caller, ino, name, value,
					      MIN(size, (size_t)XATTR_SIZE_MAX))
			    : -ENOMEM;
	}
	reply_bytes(req, value, len, size);
	g_free(value);
}

/* What the kernel remembers where bpffs has none: it says EOPNOTSUPP itself then, as bpffs does. */
static bool is_unsupported(fuse_req_t req, fuse_ino_t ino)
{
	bool there = are_there(req);

	if (!there || is_virtual(ino))
		fuse_reply_err(req, there ? EOPNOTSUPP : ENOSYS);
	return !there || is_virtual(ino);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	struct caller caller = caller_of(req);
	struct mirror_xattr xattr = { name, value, size, flags };

	if (!is_unsupported(req, ino))
		reply_result(req, mirror_setxattr(fs_of(req)->mirror, &caller, ino, &xattr));
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct caller caller = caller_of(req);

	if (!is_unsupported(req, ino))
		reply_result(req, mirror_removexattr(fs_of(req)->mirror, &caller, ino, name));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes: those of bpffs, if it has any. Virtual files have none. */
#include <errno.h>
#include <linux/limits.h>

#include "fuse/ops.h"
#include "mirror/mirror.h"

static bool are_there(fuse_req_t req)
{
	return fs_of(req)->has_xattrs;
}

/* Both the list of names and a value fit in one buffer, and in one reply. */
_Static_assert(XATTR_LIST_MAX == XATTR_SIZE_MAX, "one buffer serves both");

/* Replies with @len bytes of @data, or with @len alone if the caller's @size is 0. */
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

/* Without extended attributes, bpffs returns an empty list and does not support the other calls. */
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
 * Always answers. ENOSYS, or no such operation, would make the kernel stop asking, and report
 * ENODATA for ACLs where bpffs reports EOPNOTSUPP. ls -l asks a filesystem that returns
 * EOPNOTSUPP only once, but one that returns ENODATA for two ACLs of each name.
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

/*
 * If bpffs has no extended attributes, ENOSYS makes the kernel itself return EOPNOTSUPP from now
 * on, as bpffs does.
 */
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

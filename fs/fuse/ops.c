/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations on names and attributes. Each decodes its request, chooses the virtual tree or
 * the mirror by the inode number, and replies.
 */
#include <fcntl.h>
#include <string.h>

#include "control/guard.h"
#include "fuse/ops.h"

#define VIRTUAL_NAME ".bpf"

_Static_assert(MIRROR_ROOT_INO == FUSE_ROOT_ID, "the mirror's root is the mount's");

void op_init(void *data, struct fuse_conn_info *conn)
{
	/* Otherwise fuse_direct_IO() ends a direct read at the inode's size, which is 0. */
	compat_want(conn, FUSE_CAP_ASYNC_DIO, false);
	/* Directory operations run on bpffs, which has its own locks. */
	compat_want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	/* Each write(2) stays one request in memory, since pipes save nothing here. */
	compat_want(conn, FUSE_CAP_SPLICE_READ, false);
	compat_want(conn, FUSE_CAP_SPLICE_WRITE, false);
	compat_want(conn, FUSE_CAP_SPLICE_MOVE, false);
	compat_refuse_handles(conn);
	((struct session *)data)->ready(data);
}

/* ------------------------------------------------------------- lookup --- */

struct fuse_entry_param op_entry_param(const struct entry *entry)
{
	return (struct fuse_entry_param){
		.ino = entry->ino,
		.attr = entry->attr,
		.attr_timeout = entry->attr_timeout,
		.entry_timeout = entry->entry_timeout,
	};
}

/*
 * Looks up a dotted name for which bpffs returned the error @refusal: .bpf, or the twin of a pin.
 * A twin shows the object of its pin, so only callers who may read .bpf can look it up.
 */
static int find_dotted(fuse_req_t req, fuse_ino_t parent, const char *name, int refusal,
		       struct entry *entry)
{
	struct caller caller = caller_of(req);
	struct fs *fs = fs_of(req);
	struct bpfrefs_key key;
	int depth, err;

	if (parent == FUSE_ROOT_ID && strcmp(name, VIRTUAL_NAME) == 0)
		return tree_getattr(fs, tree_root_ino(), entry);
	if (strlen(name) > NAME_MAX || !mirror_has_pin(fs->mirror, parent, name + 1) ||
	    !caller_may_read(&caller, &fs->opt))
		return refusal;
	depth = mirror_depth(fs->mirror, parent);
	if (depth < 0)
		return refusal;
	err = bpfrefs_pin_identify(fs->ctx, mirror_dir_fd(fs->mirror, parent), name + 1, &key);
	/* A pin whose object cannot be identified in this bpffs is not a missing name. */
	if (err == -EROFS)
		return err;
	if (err)
		return refusal;
	return tree_twin(fs, (unsigned int)depth, key, entry);
}

static int find(fuse_req_t req, fuse_ino_t parent, const char *name, struct entry *entry)
{
	struct fs *fs = fs_of(req);
	int err;

	if (is_virtual(parent))
		return tree_lookup(fs, parent, name, entry);
	err = mirror_lookup(fs->mirror, fuse_req_ctx(req)->pid, parent, name, entry);
	return err && *name == '.' ? find_dotted(req, parent, name, err, entry) : err;
}

static void reply_found(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param param;
	struct entry entry;
	int err = find(req, parent, name, &entry);

	if (err) {
		reply_result(req, err);
		return;
	}
	param = op_entry_param(&entry);
	/* The request was interrupted, so the kernel does not count this lookup. */
	if (fuse_reply_entry(req, &param) == -ENOENT && !is_virtual(entry.ino))
		mirror_forget(fs->mirror, entry.ino, 1);
}

/* Replies to an operation that creates a name: an error, or the new entry. */
static void reply_made(fuse_req_t req, int err, fuse_ino_t parent, const char *name)
{
	if (err)
		reply_result(req, err);
	else
		reply_found(req, parent, name);
}

void op_lookup(const struct fuse_call *call)
{
	reply_found(call->req, call->ino, call->name);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	if (!is_virtual(ino))
		mirror_forget(fs_of(req)->mirror, ino, count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		if (!is_virtual(forgets[i].ino))
			mirror_forget(fs_of(req)->mirror, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* --------------------------------------------------------- attributes --- */

static int get_attributes(struct fs *fs, fuse_ino_t ino, struct entry *entry)
{
	if (is_virtual(ino))
		return tree_getattr(fs, ino, entry);
	memset(entry, 0, sizeof(*entry));
	entry->attr_timeout = names_age(&fs->opt);
	return mirror_getattr(fs->mirror, ino, &entry->attr);
}

static void reply_attributes(fuse_req_t req, fuse_ino_t ino)
{
	struct entry entry;
	int err = get_attributes(fs_of(req), ino, &entry);

	if (err)
		reply_result(req, err);
	else
		fuse_reply_attr(req, &entry.attr, entry.attr_timeout);
}

void op_getattr(const struct fuse_call *call)
{
	reply_attributes(call->req, call->ino);
}

/*
 * A shell's ">" truncates a control file, so that has to succeed. Times are those of the snapshot
 * and are not changed.
 */
static int virtual_setattr(struct fs *fs, fuse_ino_t ino, const struct stat *attr, int set)
{
	struct entry entry;
	int err = tree_getattr(fs, ino, &entry);

	if (err)
		return err;
	if (set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		return -EPERM;
	if (!(set & FUSE_SET_ATTR_SIZE))
		return 0;
	if (!S_ISREG(entry.attr.st_mode) || !(entry.attr.st_mode & 0222))
		return -EACCES;
	return attr->st_size == 0 ? 0 : -EINVAL;
}

static unsigned int what_to_set(int set, struct stat *attr)
{
	unsigned int mirror_set = 0;

	if (set & FUSE_SET_ATTR_MODE)
		mirror_set |= MIRROR_SET_MODE;
	if (set & FUSE_SET_ATTR_UID)
		mirror_set |= MIRROR_SET_UID;
	if (set & FUSE_SET_ATTR_GID)
		mirror_set |= MIRROR_SET_GID;
	if (set & FUSE_SET_ATTR_SIZE)
		mirror_set |= MIRROR_SET_SIZE;
	if (set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
		mirror_set |= MIRROR_SET_ATIME;
	if (set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		mirror_set |= MIRROR_SET_MTIME;
	if (set & FUSE_SET_ATTR_ATIME_NOW)
		attr->st_atim.tv_nsec = UTIME_NOW;
	if (set & FUSE_SET_ATTR_MTIME_NOW)
		attr->st_mtim.tv_nsec = UTIME_NOW;
	return mirror_set;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
		struct fuse_file_info *fi)
{
	struct caller caller = caller_of(req);
	struct fs *fs = fs_of(req);
	unsigned int mirror_set;
	int err;

	if (is_virtual(ino)) {
		err = virtual_setattr(fs, ino, attr, set);
	} else {
		mirror_set = what_to_set(set, attr);
		err = mirror_setattr(fs->mirror, &caller, ino,
				     fi ? (struct mirror_file *)(uintptr_t)fi->fh : NULL, attr,
				     mirror_set);
	}
	if (err)
		reply_result(req, err);
	else
		reply_attributes(req, ino);
}

void op_readlink(const struct fuse_call *call)
{
	struct fs *fs = fs_of(call->req);
	char target[PATH_MAX + 1];
	int err;

	if (is_virtual(call->ino))
		err = tree_readlink(fs, call->ino, target, sizeof(target));
	else
		err = mirror_readlink(fs->mirror, fuse_req_ctx(call->req)->pid, call->ino, target,
				      sizeof(target));
	if (err)
		reply_result(call->req, err);
	else
		fuse_reply_readlink(call->req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int err = mirror_statfs(fs_of(req)->mirror, &st);

	(void)ino;
	if (err)
		reply_result(req, err);
	else
		fuse_reply_statfs(req, &st);
}

/* ---------------------------------------------------------- namespace --- */

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct caller caller = caller_of(req);
	int err;

	/* the errors that the VFS returns for a filesystem without this operation */
	if (is_virtual(parent))
		err = S_ISREG(mode) ? -EACCES : -EPERM;
	else
		err = mirror_mknod(fs_of(req)->mirror, &caller, parent, name, mode, dev);
	reply_made(req, err, parent, name);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct caller caller = caller_of(req);
	int err = -EPERM;

	if (!is_virtual(parent))
		err = mirror_mkdir(fs_of(req)->mirror, &caller, parent, name, mode);
	reply_made(req, err, parent, name);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct caller caller = caller_of(req);
	int err = -EPERM;

	if (!is_virtual(parent))
		err = mirror_symlink(fs_of(req)->mirror, &caller, target, parent, name);
	reply_made(req, err, parent, name);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct caller caller = caller_of(req);
	int err = -EPERM;

	if (!is_virtual(ino) && !is_virtual(parent))
		err = mirror_link(fs_of(req)->mirror, &caller, ino, parent, name);
	reply_made(req, err, parent, name);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
	struct caller caller = caller_of(req);
	struct fs *fs = fs_of(req);
	int err;

	if (is_virtual(parent))
		err = -EPERM;
	else if (fs->opt.guard && !(flags & AT_REMOVEDIR))
		err = guard_unlink(fs, &caller, parent, name);
	else
		err = mirror_unlink(fs->mirror, &caller, parent, name, flags);
	reply_result(req, err);
}

void op_unlink(const struct fuse_call *call)
{
	remove_name(call->req, call->ino, call->name, 0);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, AT_REMOVEDIR);
}

void op_rename(const struct fuse_call *call)
{
	struct caller caller = caller_of(call->req);
	struct mirror_name from = { call->ino, call->name };
	struct mirror_name to = { call->new_parent, call->new_name };
	struct fs *fs = fs_of(call->req);
	int err;

	if (is_virtual(from.parent) || is_virtual(to.parent))
		err = -EPERM;
	else if (fs->opt.guard)
		err = guard_rename(fs, &caller, from, to, call->flags);
	else
		err = mirror_rename(fs->mirror, &caller, from, to, call->flags);
	reply_result(call->req, err);
}

/*
 * bpffs has no ioctl. Without this operation libfuse replies ENOSYS, which the kernel turns into
 * ENOTTY since 6.1 but not in 5.10.
 */
/* NOLINTNEXTLINE(readability-function-size): the parameters are libfuse's */
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_size,
	      size_t out_size)
{
	(void)ino, (void)cmd, (void)arg, (void)fi, (void)flags, (void)in, (void)in_size;
	(void)out_size;
	fuse_reply_err(req, ENOTTY);
}

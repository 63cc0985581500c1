/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The FUSE operations as libfuse calls them. Each sends exactly one reply, as its last step and
 * with no lock held.
 */
#ifndef OPS_H
#define OPS_H

#include "daemon/session.h"
#include "events/events.h"
#include "fuse/compat.h"

extern const struct fuse_lowlevel_ops fs_ops;

static inline struct session *session_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct fs *fs_of(fuse_req_t req)
{
	return &session_of(req)->fs;
}

static inline struct caller caller_of(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct caller){ .tid = ctx->pid, .uid = ctx->uid, .gid = ctx->gid };
}

/*
 * Returns whether an inode number is of the virtual tree or of a twin. Other numbers are the
 * mirror's.
 */
static inline bool is_virtual(fuse_ino_t ino)
{
	return INO_SPACE(ino) != SPACE_MIRROR;
}

/* libfuse takes a positive errno, and 0 for success. */
static inline void reply_result(fuse_req_t req, int err)
{
	fuse_reply_err(req, -err);
}

/* The operations in the table of dispatch.c. */
enum fuse_operation {
	CALL_LOOKUP,
	CALL_GETATTR,
	CALL_READLINK,
	CALL_OPEN,
	CALL_READ,
	CALL_POLL,
	CALL_READDIR,
	CALL_READDIRPLUS,
	CALL_WRITE,
	CALL_UNLINK,
	CALL_RENAME,
};

/* A request with those parameters that its operation has. All pointers are borrowed. */
struct fuse_call {
	enum fuse_operation operation;
	fuse_req_t req;
	fuse_ino_t ino, new_parent; /* ino is the parent's if there is a name */
	const char *name, *new_name, *data;
	size_t size;
	off_t offset;
	unsigned int flags;
	struct fuse_file_info *fi;
	struct fuse_pollhandle *poll; /* owned by the operation that serves the call */
};

/* Returns the reply to a lookup. */
struct fuse_entry_param op_entry_param(const struct entry *entry);

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/* ops.c */
void op_lookup(const struct fuse_call *call);
void op_getattr(const struct fuse_call *call);
void op_readlink(const struct fuse_call *call);
void op_unlink(const struct fuse_call *call);
void op_rename(const struct fuse_call *call);

/* ops_xattr.c */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* ops_io.c */
extern const struct events_calls ops_events_calls; /* the replies to readers of .bpf/events */
void op_open(const struct fuse_call *call);
void op_read(const struct fuse_call *call);
void op_poll(const struct fuse_call *call);
void op_write(const struct fuse_call *call);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(const struct fuse_call *call); /* also serves readdirplus */
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* Those that never wait. */
void op_init(void *data, struct fuse_conn_info *conn);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
		struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_size,
	      size_t out_size);

#endif

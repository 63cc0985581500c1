/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations that may wait, as libfuse calls them. dispatch.c chooses the thread for each. */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "fuse/ops.h"

/*
 * Called while no other thread changes signal masks or credentials. NULL if no thread can be
 * created.
 */
struct dispatcher *dispatch_new(void);
/* Serves everything that is queued, and then frees @dispatcher. */
void dispatch_free(struct dispatcher *dispatcher);

void dispatch_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void dispatch_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void dispatch_readlink(fuse_req_t req, fuse_ino_t ino);
void dispatch_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void dispatch_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		   struct fuse_file_info *fi);
void dispatch_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
		   struct fuse_pollhandle *poll);
void dispatch_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi);
void dispatch_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			  struct fuse_file_info *fi);
void dispatch_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
		    struct fuse_file_info *fi);
void dispatch_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void dispatch_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		     const char *new_name, unsigned int flags);

#endif

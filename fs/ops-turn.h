/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations that may wait, in turn: as those of ops.h, which they call now or later. */
#ifndef OPS_TURN_H
#define OPS_TURN_H

#include "ops.h"

/* When no other thread changes signal masks or credentials. NULL: no thread can be made. */
struct turns *turns_new(void);
/* Serves all that waits, and then frees it. */
void turns_free(struct turns *turns);

void turn_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void turn_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void turn_readlink(fuse_req_t req, fuse_ino_t ino);
void turn_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void turn_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	       struct fuse_file_info *fi);
void turn_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	       struct fuse_pollhandle *poll);
void turn_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		  struct fuse_file_info *fi);
void turn_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi);
void turn_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
		struct fuse_file_info *fi);
void turn_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void turn_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		 const char *new_name, unsigned int flags);

#endif

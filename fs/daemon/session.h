/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One mount from its beginning to its end. */
#ifndef SESSION_H
#define SESSION_H

#include "fs.h"

/* The threads of libfuse. Not all of them may wait at the same time: see dispatch.c. */
#define SESSION_THREADS 32

struct fuse_session;
struct dispatcher;
struct service;

/* The user data of every FUSE operation. */
struct session {
	struct fs fs;
	struct fuse_session *fuse;
	struct dispatcher *dispatcher; /* set while requests are served */
	struct service *service;       /* NULL without a service manager */
	int ready_fd;		       /* written when the mount works, or -1 */
	bool background;
	/* Called when the kernel is about to get the answer to its first request. */
	void (*ready)(struct session *session);
};

struct session_config {
	struct fs_options options; /* the strings are borrowed */
	int source_fd;		   /* borrowed */
	enum bpfrefs_source source;
	const char *mount_options; /* options for libfuse, separated by commas; may be "" */
	/* gets one byte and is closed when the first request is answered; -1 for none */
	int ready_fd;
};

/*
 * Mounts, serves requests until the mount is removed or SIGTERM, SIGINT or SIGHUP arrives, and
 * frees everything. Logs what went wrong. Returns 0 or -errno.
 */
int session_run(const struct session_config *config);

#endif

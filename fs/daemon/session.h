/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One mount from its beginning to its end. */
#ifndef SESSION_H
#define SESSION_H

#include "fs.h"

/* libfuse's. Not all of them may wait at once: dispatch.c. */
#define SESSION_THREADS 32

struct fuse_session;
struct dispatcher;

/* What the operations get as their user data. */
struct session {
	struct fs fs;
	struct fuse_session *fuse;
	struct dispatcher *dispatcher; /* while it serves */
	int ready_fd; /* who waits for the mount to work, or -1 */
	bool background;
};

struct session_config {
	struct fs_options options; /* borrowed strings */
	int source_fd;		   /* borrowed */
	enum bpfrefs_source source;
	const char *mount_options; /* for libfuse, comma separated; may be "" */
	int ready_fd; /* gets one byte, and is closed, when the kernel is answered; -1: none */
};

/*
 * Mounts, serves until unmounted or told by SIGTERM, SIGINT or SIGHUP, and takes everything down
 * again. Says on stderr what went wrong; 0 or -errno.
 */
int session_run(const struct session_config *config);
/* For the operations: the kernel is about to get the answer to its first request. */
void session_ready(struct session *session);

#endif

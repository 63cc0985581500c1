/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declarations shared by keep.c (modes), keep_dirs.c (the directories), and keep_auto.c and
 * keep_release.c (automatic keeps).
 */
#ifndef BPFREFS_KEEP_H
#define BPFREFS_KEEP_H

#include <pthread.h>

#include "snapshot/private.h"

/*
 * A program array that had no other user reference when it was opened. It is held until the kernel
 * must have cleared it, if it was going to.
 */
struct pending_clear {
	int fd; /* also in ctx->kept, so that snapshots explain it */
	uint32_t id;
	gint64 until; /* g_get_monotonic_time() */
};

/* A program array that is still to be kept, as soon as the locks can be taken. */
struct pending_keep {
	/*
	 * A descriptor, which holds it; -1: not opened, since it was seen before and need not be
	 * held at once.
	 */
	int fd;
	uint32_t id;
};

/*
 * Locks: @lock is taken before ctx->lock, which is held during a whole scan. @queues is taken last,
 * and is held only for a moment. Program loads are handled with @queues alone, so that they need
 * not wait.
 */
struct bpfrefs_keeper {
	struct bpfrefs_ctx *ctx;
	int source_fd; /* borrowed */
	GMutex lock;   /* protects what is kept: ctx->kept, and the directories */

	pthread_mutex_t queues; /* protects the members below; inherits priority */
	GHashTable *types;	/* map id -> 1: a program array, 2: another type */
	GQueue pending_keeps;	/* struct pending_keep, owned, in order of arrival */
	/* struct pending_clear, owned, in order of arrival; removed with @lock held too */
	GQueue pending_clears;
	pthread_cond_t more; /* signalled when a queue gets an element, and for @stop */
	GThread *worker; /* the thread that handles both queues; NULL before the first element */
	int late_error;	 /* the last error of that thread, which bpfrefs_keep_release() returns */
	bool stop;
};

/* ----------------------------------------------- directories (keep_dirs.c) --- */

/* The size in bytes of the longest "KIND_ID", including its NUL. */
#define KEEP_NAME_MAX BPFREFS_KEY_MAX

/* Writes the name of the pin of a keep, "map_12", and returns @buf. */
char *keep_name(struct bpfrefs_key key, char buf[KEEP_NAME_MAX]);
/* Parses such a name. -EINVAL if it is not the name of a keep. */
int keep_name_parse(const char *name, struct bpfrefs_key *key);

/*
 * Opens bpfrefs/keep or bpfrefs/auto (mode PIN or AUTO) in @source_fd, and creates it first with
 * @create. -ENOENT if it does not exist, -EPERM if the path is something else than such a
 * directory.
 */
int keep_dirs_open(int source_fd, enum bpfrefs_keep_mode mode, bool create);
/* Whether @key is pinned in that directory under its name: 1 or 0, or -errno. ctx->lock is held. */
int keep_dirs_has(int dir_fd, struct bpfrefs_key key);
/*
 * Counts the keeps in a directory by their names. Opening each pin would make that expensive, and
 * only root could have given such a name to a pin of another object.
 */
int keep_dirs_count(int dir_fd);

/* ------------------------------------------------------- modes (keep.c) --- */

/*
 * A value of ctx->kept. The key comes first, since the sources read the value as a struct
 * bpfrefs_key.
 */
struct kept {
	struct bpfrefs_key key;
	/* the keeper that has the descriptor: a context may have several keepers */
	const struct bpfrefs_keeper *keeper;
};

/* Returns the descriptor that keeps @key (mode fd), or -1. ctx->lock is held. */
int keep_fd_find(struct bpfrefs_keeper *keeper, struct bpfrefs_key key);
/* Whether @key is kept in any mode: 1 or 0, or -errno. ctx->lock is held. */
int keep_is_kept(struct bpfrefs_keeper *keeper, struct bpfrefs_key key);
/* Adds a descriptor of this keeper to ctx->kept, which owns it then. ctx->lock is held. */
void keep_fd_add(struct bpfrefs_keeper *keeper, int fd, struct bpfrefs_key key);

/* --------------------------------------------- automatic keeps (keep_auto.c) --- */

void pending_init(struct bpfrefs_keeper *keeper);
/* Is one of the arrays that wait such a one? @by compares it with @what. */
bool pending_find(struct bpfrefs_keeper *keeper, gconstpointer what, GCompareFunc by);
/* Compares a struct pending_clear with the id of a map: 0 where they are equal. */
int pending_by_id(gconstpointer data, gconstpointer id);
/* Whether this descriptor is in the queue @pending_clears. keeper->lock is held. */
bool pending_has(struct bpfrefs_keeper *keeper, int fd);
/* Returns the length of that queue. keeper->lock is held. */
unsigned int pending_count(struct bpfrefs_keeper *keeper);
/*
 * Waits until both queues are empty, ends the thread, and frees what pending_init() has allocated.
 */
void pending_finish(struct bpfrefs_keeper *keeper);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keep.c (modes), keep_dirs.c (the directories) and keep_auto.c (automatic keeps) share. */
#ifndef BPFREFS_KEEP_H
#define BPFREFS_KEEP_H

#include <pthread.h>

#include "snapshot/private.h"

/*
 * Locks: @lock is taken before ctx->lock, which is held during a whole scan. @opened_lock is taken
 * last, and is held only for a moment. Program loads are handled with it alone, so that they need
 * not wait.
 */
struct bpfrefs_keeper {
	struct bpfrefs_ctx *ctx;
	int source_fd; /* borrowed */
	GMutex lock;   /* protects what is kept: ctx->kept, and the directories */

	pthread_mutex_t opened_lock; /* protects the members below; inherits priority */
	GHashTable *types;	     /* map id -> 1: a program array, 2: another type */
	GArray *opened; /* struct opened_array: arrays that bpfrefs_keep_pending() keeps */
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
	/*
	 * 0: a keep of mode fd. Otherwise a program array that had no other user reference when it
	 * was opened is held until this time of g_get_monotonic_time(), when the kernel must have
	 * cleared it, if it was going to.
	 */
	gint64 until;
};

/* Whether @key is kept in any mode: 1 or 0, or -errno. ctx->lock is held. */
int keep_is_kept(struct bpfrefs_keeper *keeper, struct bpfrefs_key key);
/* Whether @key is held until a time. ctx->lock is held. */
bool keep_is_held(struct bpfrefs_keeper *keeper, struct bpfrefs_key key);
/* Adds a descriptor of this keeper to ctx->kept, which owns it then. ctx->lock is held. */
void keep_fd_add(struct bpfrefs_keeper *keeper, int fd, struct bpfrefs_key key, gint64 until);
/* Closes all these descriptors of this keeper. */
void keep_fd_close_all(struct bpfrefs_keeper *keeper);

#endif

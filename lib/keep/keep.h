/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keep.c (modes), keepdir.c (the directories) and keep-*.c (automatic keeps) share. */
#ifndef BPFREFS_KEEP_H
#define BPFREFS_KEEP_H

#include <pthread.h>

#include "snapshot/private.h"

/* A program array that we met without another user reference, held until that has an end. */
struct settling {
	int fd; /* in ctx->kept meanwhile, so that snapshots explain it */
	uint32_t id;
	gint64 until; /* g_get_monotonic_time() */
};

/* A program array that is held already, and is to be kept when the locks can be had. */
struct caught {
	int fd; /* -1: not opened, since it need not be in a hurry */
	uint32_t id;
};

/*
 * Locks: @lock is taken before ctx->lock, which a walk holds for long; @queues is the last, and
 * held for a moment. What must be done at once takes @queues alone.
 */
struct bpfrefs_keeper {
	struct bpfrefs_ctx *ctx;
	int source_fd; /* borrowed */
	GMutex lock;   /* what is kept: ctx->kept and the directories */

	pthread_mutex_t queues; /* all that follows; lends priority */
	GHashTable *types; /* map id -> 1 a program array, 2 something else */
	GQueue caught;	   /* struct caught, owned, earliest first */
	GQueue settling;   /* struct settling, owned, earliest first; let go of with @lock held too */
	pthread_cond_t more; /* there is one more in a queue, or it is time to stop */
	GThread *settler;  /* empties both; NULL until the first */
	int late_error;	   /* of one that was caught: for bpfrefs_keep_release() to tell */
	bool stop;
};

/* ------------------------------------------------- directories (keepdir.c) --- */

/* Bytes of the longest "KIND_ID", with its NUL. */
#define KEEP_NAME_MAX BPFREFS_KEY_MAX

/* The pin's name: "map_12". */
char *keep_name(struct bpfrefs_key key, char buf[KEEP_NAME_MAX]);
/* The key that a name stands for, or -EINVAL. */
int keep_name_parse(const char *name, struct bpfrefs_key *key);

/*
 * Opens bpfrefs/keep or bpfrefs/auto (mode PIN or AUTO) in @source_fd, made where @create is set.
 * -ENOENT if it is not there, -EPERM if something else is.
 */
int keepdir_open(int source_fd, enum bpfrefs_keep_mode mode, bool create);
/* Is @key pinned in that directory under its name? 1 or 0, or -errno. ctx->lock is held. */
int keepdir_has(int dir_fd, struct bpfrefs_key key);
/*
 * How many keeps are there, by their names: a look at each object would make every count dear, and
 * only root could have moved another pin to such a name.
 */
int keepdir_count(int dir_fd);

/* ------------------------------------------------------- modes (keep.c) --- */

/* A value of ctx->kept. The key is first, since sources read the value as one. */
struct kept {
	struct bpfrefs_key key;
	const struct bpfrefs_keeper *keeper; /* whose descriptor it is: a context may have several */
};

/* The descriptor that keeps @key (mode fd), or -1. ctx->lock is held. */
int kept_fd(struct bpfrefs_keeper *keeper, struct bpfrefs_key key);
/* Is it kept in any mode? 1 or 0, or -errno. ctx->lock is held. */
int is_kept(struct bpfrefs_keeper *keeper, struct bpfrefs_key key);
/* Adds an owned descriptor of this keeper's to ctx->kept. ctx->lock is held. */
void kept_add(struct bpfrefs_keeper *keeper, int fd, struct bpfrefs_key key);

/* --------------------------------------------- automatic keeps (keep-auto.c) --- */

void settling_init(struct bpfrefs_keeper *keeper);
/* Is this descriptor one of a program array that is settling? keeper->lock is held. */
bool settling_has(struct bpfrefs_keeper *keeper, int fd);
/* How many are. keeper->lock is held. */
unsigned int settling_count(struct bpfrefs_keeper *keeper);
/* Waits for what is caught or settling, ends the thread, and frees what settling_init() made. */
void settling_finish(struct bpfrefs_keeper *keeper);

#endif

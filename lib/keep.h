/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keep.c (modes), keepdir.c (the directories) and keep-auto.c (automatic keeps) share. */
#ifndef BPFREFS_KEEP_H
#define BPFREFS_KEEP_H

#include "private.h"

/* A program array that we met without another user reference, held until that has an end. */
struct settling {
	int fd; /* in ctx->kept meanwhile, so that snapshots explain it */
	uint32_t id;
	gint64 until; /* g_get_monotonic_time() */
};

struct bpfrefs_keeper {
	struct bpfrefs_ctx *ctx;
	int source_fd;	     /* borrowed */
	GMutex lock;	     /* everything below; taken before ctx->lock */
	GHashTable *arrays;  /* map id -> 1 a program array, 2 something else */
	GQueue settling;     /* struct settling, owned, earliest first */
	GCond settling_more; /* there is one more, or it is time to stop */
	GThread *settler;    /* runs them out; NULL until the first */
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

/* The descriptor that keeps @key (mode fd), or -1. ctx->lock is held. */
int kept_fd(struct bpfrefs_keeper *keeper, struct bpfrefs_key key);
/* Is it kept in any mode? 1 or 0, or -errno. ctx->lock is held. */
int is_kept(struct bpfrefs_keeper *keeper, struct bpfrefs_key key);
/* Adds an owned descriptor to ctx->kept. ctx->lock is held. */
void kept_add(struct bpfrefs_ctx *ctx, int fd, struct bpfrefs_key key);

/* --------------------------------------------- automatic keeps (keep-auto.c) --- */

/* Is this descriptor one of a program array that is settling? keeper->lock is held. */
bool settling_has(struct bpfrefs_keeper *keeper, int fd);
/* Waits for what is settling, and ends the thread. */
void settling_finish(struct bpfrefs_keeper *keeper);

#endif

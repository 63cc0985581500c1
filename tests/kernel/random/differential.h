/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two bpffs, one of them mirrored, and the same random steps on both: every result is compared. A
 * step is decided from what is in the plain one alone, so that a seed and a number of steps say all.
 */
#ifndef DIFFERENTIAL_H
#define DIFFERENTIAL_H

#include "random.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

enum { PLAIN, MIRRORED, SIDES };
enum { DIRS = 5, FILES = 4 }; /* descriptors held from one step to others */
enum { OBJECTS = 4, USERS = 10 };
enum { PATH_ROOM = 5120, TEXT_ROOM = 1 << 16 };
enum { ITEMS_MAX = 400 };

struct side {
	char root[128]; /* the path of its root */
	int root_fd;
	int dirs[DIRS], files[FILES]; /* -1: none */
};

/* What was done behind the mirror to what is held. */
struct held {
	bool gone, moved; /* a directory; or one above it */
	bool changed;	  /* its owner or mode, and nobody has looked since */
	struct stat st;	  /* as it was the last time */
	uint64_t up;
};

struct world {
	char top[64];
	bool pins_symlink;
	bool guards_symlinks, guards_hardlinks; /* fs.protected_symlinks, fs.protected_hardlinks */
	bool is_noexec;				/* its superblock (bpfrefs(8), DIFFERENCES) */
	bool has_acls, has_fchmodat2;		/* what FUSE and the kernel know: 6.2, 6.6 */
	struct side sides[SIDES];
	struct side source; /* what the mirror shows, directly */
	struct held held_dirs[DIRS], held_files[FILES];
	int objects[OBJECTS], kinds; /* how many of them are of a kind of their own */
	pid_t daemon;
};

/* ------------------------------------------------------------- a step --- */

struct path {
	int dir; /* among the held ones, or -1: the root */
	char name[PATH_ROOM];
};

struct step {
	const struct operation *op;
	struct path x, y;
	uint32_t n;
	unsigned int user;
	bool behind;  /* in SOURCE itself, not through the mirror */
	bool refused; /* what @x leads to would be refused where pins are symlinks */
};

/* A step on one side, and what came of it. */
struct call {
	const struct step *step;
	struct world *world;
	int number; /* of the side */
	struct side *side;
	int xdir, ydir;
	char *text;
	size_t used;
};

struct operation {
	const char *name;
	unsigned int weight;
	void (*run)(struct call *call);
	bool any_user; /* false: root alone */
	bool at_root;  /* its paths start at the root, not at held directories */
	bool holds;    /* or uses what is held: not behind the mirror */
};

/* A NULL name ends each. */
extern const struct operation name_operations[], attribute_operations[], file_operations[];

/* Adds to what came of the step. */
void note(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same of a system call's result: 0 and more as they are, -1 by the errno's name. */
void note_result(struct call *call, const char *what, long result);
/* @itself: not of what a symlink leads to. */
void note_stat(struct call *call, const struct stat *st, bool itself);
/* Names and types in an open directory, read in pieces of @size, at most 4096; -1 or 0. */
long list_by(struct call *call, int fd, size_t size);

/* Is it the plain side, and shall it say what is to be seen through the mirror? */
bool speaks_for_mirror(const struct call *call);
/* That, where pins are symlinks? */
bool speaks_for_symlinks(const struct call *call);
/* That, and is the name itself a pin's? */
bool stands_for_symlink(const struct call *call, int dir, const char *name);
/* That, and would the kernel refuse to follow? Then says so. */
bool note_refused(struct call *call, const char *what);
/* Then no name, to hear what the kernel says before it looks any up; and what it would say of @path. */
const char *followed(const struct call *call, const char *path);
long followed_result(const struct call *call, long result);

/* ------------------------------------------------------------ chance --- */

/* A step, from what is there. */
struct scan;
void step_choose(uint64_t *random, const struct scan *there, struct step *step);

/* ------------------------------------------------------------- world --- */

/* 0, or -1 with the reason in errno and in *what. */
int world_open(struct world *world, const char *bpfrefs, const char **what);
/* Empties both sides, drops what is held, pins the objects. */
int world_reset(struct world *world);
/* The daemon's wait status. */
int world_close(struct world *world);
void become(unsigned int user);
void become_root(void);
uid_t uid_of(unsigned int user);
/* Is it the owner, or one who counts as such? */
bool owns(unsigned int user, uid_t uid);

/* ------------------------------------------------------------- state --- */

struct item {
	const char *name; /* path from the root; "." */
	struct stat st;
};

/* Everything in a tree, in order. */
struct scan {
	struct item items[ITEMS_MAX];
	size_t count, used;
	bool full; /* there is more */
	struct timespec since,
		when; /* no stamp after it is before the first, none before it later */
	char names[ITEMS_MAX * 256];
};

void scan_take(int root_fd, struct scan *scan);
/* Differences between what became of two trees that were as in @before; false: none. */
bool scan_differs(struct scan *const before[SIDES], struct scan *const after[SIDES], char *why,
		  size_t size);
/* Does the mirror show what is in SOURCE, to the nanosecond? */
bool view_differs(struct world *world, const struct scan *there, char *why, size_t size);

#endif

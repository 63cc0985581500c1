/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table's rows and the codec between rows and inode numbers. node.c receives the table as an
 * argument, so that tests drive it with a few rows of their own.
 */
#ifndef NODE_H
#define NODE_H

#include "fs.h"

/* What an inode number has room for. PID_MAX_LIMIT of the kernel is 1 << 22. */
#define NODE_PID_MAX 0x3fffffu
#define NODE_FD_MAX  0x3ffffffu

/* Directories of the virtual tree. */
enum dir {
	DIR_NONE, /* "in" of the root row; "opens" of a file */
	DIR_ROOT, /* .bpf */
	DIR_MAPS,
	DIR_PROGS,
	DIR_LINKS,
	DIR_BTFS,
	DIR_OBJECT, /* .bpf/KIND/ID */
	DIR_PIDS,
	DIR_PID,
	DIR_FDS,
	DIR_METRICS,
	DIR_COUNT,
};

enum need {
	NEED_NOTHING, /* show asks the kernel itself, or nobody: always fresh */
	NEED_SNAPSHOT,
	NEED_HOLDERS, /* of its object: a snapshot of that one will do */
	NEED_READER, /* no text: each open file is a reader of events */
};

/* One row: one virtual file, directory or symlink, or one family of them (name NULL: one a number). */
struct node {
	enum dir in, opens;
	const char *name;
	mode_t mode;		/* type and permissions; 0400 files become 0440 with gid= */
	unsigned int kinds;	/* bit a kind that it applies to; 0: all */
	enum bpfrefs_kind kind; /* the kind that it fixes for its subtree */
	enum need need;
	bool unlisted;			       /* found by lookup alone */
	bool (*exists)(const struct where *w); /* NULL: always; else asked at lookup (slots, ids) */
	int (*show)(const struct where *w, GString *out); /* text of a file, target of a symlink */
	int (*store)(const struct where *w, const struct caller *caller, const char *command,
		     char **reason); /* reason: owned sentence for .bpf/errors */
};

extern const struct node tree[]; /* ends with a row of mode 0; the first is .bpf itself */

/*
 * What an inode number stands for: *w gets its row and its object, process or descriptor (key.kind
 * is BPFREFS_KIND_COUNT where it has none). -ENOENT for a number that the table never gives.
 */
int node_where(const struct node *table, struct fs *fs, uint64_t ino, struct where *w);
/* The other way. */
uint64_t node_ino(const struct node *table, const struct where *w);
/* The permissions that a row has under the mount's options. */
mode_t node_mode(const struct node *row, const struct fs_options *opt);

/* Does the row appear in the directory @dir? */
bool node_row_in(const struct node *row, const struct where *dir);
/* Does what the row stands for exist now? 0 or -errno. */
int node_exists(const struct where *w);
/* Number, attributes and timeouts, of what is known to exist. */
void node_entry(const struct node *table, const struct where *w, struct entry *entry);
/* Do the entries of such a directory belong to an object, or to a process? */
bool dir_has_key(enum dir in);
bool dir_has_pid(enum dir in);

/* As the tree_* functions of fs.h, which are these with the table of tree.c. */
int node_lookup(const struct node *table, struct fs *fs, uint64_t parent, const char *name,
		struct entry *entry);
int node_getattr(const struct node *table, struct fs *fs, uint64_t ino, struct entry *entry);
int node_readlink(const struct node *table, struct fs *fs, uint64_t ino, char *buf, size_t size);
int node_readdir(const struct node *table, struct fs *fs, uint64_t ino, off_t cookie, dir_fill fill,
		 void *data);
int node_twin(struct fs *fs, unsigned int depth, struct bpfrefs_key key, struct entry *entry);

/*
 * The descriptors of a process in ascending order, each with the object that its link shows
 * (pid.c). Those of the table that /proc/PID/fd shows: a thread with one of its own has other
 * files under the same numbers, and `holding` tells of those.
 */
struct pid_fd {
	uint32_t fd;
	struct bpfrefs_key key;
};
/* Owned; NULL where there is no memory. */
GArray *pid_fds(const struct bpfrefs_snapshot *snap, uint32_t pid);
/*
 * Does the process hold anything (fd negative), or that descriptor? A snapshot of the last second
 * may say yes while /proc does not say that it has gone; only a fresh one says no. 0 or -errno.
 * @target gets the descriptor's object, if not NULL.
 */
int pid_holds(struct fs *fs, uint32_t pid, int64_t fd, struct bpfrefs_key *target);

#endif

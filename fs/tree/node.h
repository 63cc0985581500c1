/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rows of the table, and the conversion between rows and inode numbers. The functions take
 * the table as an argument, so that unit tests can use their own.
 */
#ifndef NODE_H
#define NODE_H

#include "fs.h"

/* The largest values that fit in an inode number. PID_MAX_LIMIT of the kernel is 1 << 22. */
#define NODE_PID_MAX	0x3fffffu
#define NODE_FD_MAX	0x3ffffffu
#define NODE_CGROUP_MAX 0xffffffffffffull

/* The directories of the virtual tree. */
enum dir {
	DIR_NONE, /* "in" of the root row, "opens" of a file */
	DIR_ROOT, /* .bpf */
	DIR_MAPS,
	DIR_PROGS,
	DIR_LINKS,
	DIR_BTFS,
	DIR_OBJECT, /* .bpf/KIND/ID */
	DIR_PIDS,
	DIR_PID,
	DIR_FDS,
	DIR_CGROUP, /* .bpf/cgroup, and each directory below it */
	DIR_METRICS,
	DIR_COUNT,
};

enum need {
	NEED_NOTHING, /* the show function needs no snapshot, so its text is always current */
	NEED_SNAPSHOT,
	NEED_HOLDERS, /* a snapshot of the references to its object is enough */
	NEED_READER,  /* no text: each open file is a reader of events */
};

/*
 * A row is one virtual file, directory or symlink, or with name NULL all entries whose names are
 * numbers, and in DIR_CGROUP those that are cgroups.
 */
struct node {
	enum dir in, opens;
	const char *name;
	mode_t mode;	    /* type and permissions; with gid=, 0400 becomes 0440 */
	unsigned int kinds; /* a bit for each kind of object that has the row; 0 for all kinds */
	enum bpfrefs_kind kind; /* the kind of the objects in its subtree */
	enum need need;
	bool unlisted; /* found by lookup, but not listed */
	/* called by lookup and readdir; NULL if it always exists */
	bool (*exists)(const struct where *w);
	/* writes the text of a file, or the target of a symlink */
	int (*show)(const struct where *w, GString *out);
	int (*store)(const struct where *w, const struct caller *caller, const char *command,
		     char **reason); /* @reason gets an owned sentence for .bpf/errors */
};

extern const struct node tree[]; /* ends with a row of mode 0; the first row is .bpf itself */

/*
 * Decodes an inode number: *w gets its row, and its object, process or descriptor. key.kind is
 * BPFREFS_KIND_NONE if it has no object. -ENOENT for a number that node_ino() never returns.
 */
int node_where(const struct node *table, struct fs *fs, uint64_t ino, struct where *w);
/* Encodes *w as an inode number. */
uint64_t node_ino(const struct node *table, const struct where *w);
/* Returns the mode of a row with the mount's options. */
mode_t node_mode(const struct node *row, const struct fs_options *opt);

/* Returns whether the row is an entry of the directory @dir. */
bool node_row_in(const struct node *row, const struct where *dir);
/* Checks that the object, process or descriptor of *w exists now. Returns 0 or -errno. */
int node_exists(const struct where *w);
/* Fills in the number, attributes and timeouts of something that exists. */
void node_entry(const struct node *table, const struct where *w, struct entry *entry);
/* Return whether the entries of a directory belong to an object, or to a process. */
bool node_dir_has_key(enum dir in);
bool node_dir_has_pid(enum dir in);

/* The tree_* functions of fs.h call these with the table of tree.c. */
int node_lookup(const struct node *table, struct fs *fs, uint64_t parent, const char *name,
		struct entry *entry);
int node_getattr(const struct node *table, struct fs *fs, uint64_t ino, struct entry *entry);
int node_readlink(const struct node *table, struct fs *fs, uint64_t ino, char *buf, size_t size);
int node_readdir(const struct node *table, struct fs *fs, uint64_t ino, off_t cookie, dir_fill fill,
		 void *data);
int node_twin(struct fs *fs, unsigned int depth, struct bpfrefs_key key, struct entry *entry);

/*
 * Checks that the process holds an object (@fd negative), or holds one by the descriptor @fd. The
 * answer "yes" may come from a snapshot that is up to a second old, if /proc still shows the
 * process or descriptor. The answer "no" always comes from a new one. Returns 0 or -errno.
 * @target gets the descriptor's object, unless it is NULL.
 */
int pid_holds(struct fs *fs, uint32_t pid, int64_t fd, struct bpfrefs_key *target);
/* Returns whether /proc shows the process (@fd negative), or its descriptor @fd. */
bool pid_is_shown(uint32_t pid, int64_t fd);
/*
 * Returns whether the process has just the descriptors of BPF objects that a snapshot of the last
 * second has. That is then as good as a new one for a listing: which objects the descriptors are of is
 * looked up later.
 */
bool pid_is_unchanged(const struct bpfrefs_snapshot *snap, uint32_t pid);

/* A cgroup as the entry of a directory of .bpf/cgroup; @name is owned. */
struct cgroup_name {
	uint64_t cgroup;
	char *name;
};

/* Returns the number of the cgroup that the directory of @parent has, or would have, as @name. */
uint64_t cgroup_child(const struct node *table, const struct fs *fs, uint64_t parent,
		      const char *name);
/* Returns the number of the cgroup above, which is 0 for the root, and if @cgroup is unknown. */
uint64_t cgroup_parent(struct fs *fs, uint64_t cgroup);
/*
 * Checks that processes in the cgroup or below it hold objects. The same as pid_holds() does for a
 * process holds for the age of the answer. Returns 0 or -errno.
 */
int cgroup_exists(struct fs *fs, uint64_t cgroup);
/* Returns the cgroups of a directory in the order of their numbers: struct cgroup_name, owned. */
GArray *cgroup_children(const struct node *table, const struct fs *fs,
			const struct bpfrefs_snapshot *snap, uint64_t parent);

#endif

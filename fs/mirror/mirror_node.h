/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mirror's nodes. Only the files mirror*.c include this. */
#ifndef MIRROR_NODE_H
#define MIRROR_NODE_H

#include <errno.h>
#include <unistd.h>

#include "mirror/mirror.h"

struct leaf_name;

struct mnode {
	/* The key in the table. */
	uint64_t ino;	/* the inode number in bpffs; immutable */
	mode_t type;	/* the S_IFMT bits in bpffs; immutable */
	uint64_t moved; /* 0, or the node's serial after its directory was found elsewhere */

	/* The O_PATH descriptor of a directory, else -1; immutable, owned except for the root's */
	int fd;
	uint64_t serial; /* unique to this directory node, 0 for the root; immutable */

	/* Protected by mirror.lock. */
	uint64_t nlookup; /* lookups that the kernel holds; the root is never freed */
	/* of a directory: the leaf names in it, and those that are being tried */
	unsigned int child_refs;
	struct leaf_name *leaf_names; /* the names of a leaf, which is any node but a directory */
	GSList *files;	 /* open files (struct mirror_file) of a pin, borrowed (pins=file) */
	uint64_t within; /* the serial of the directory in which this directory was found last */
};

/*
 * Long-lived descriptors are limited by their number, since the kernel returns the lowest free
 * one. A descriptor above the limit of its kind is refused, so that other users leave some to
 * root, and root leaves some to the daemon itself.
 */
enum mirror_share {
	MIRROR_OTHERS_OPEN, /* files opened by users other than root: half of RLIMIT_NOFILE */
	MIRROR_NODES,	    /* directories that the kernel has looked up: three quarters */
	MIRROR_ROOT_OPENS,  /* files opened by root: all but OWN_FDS */
};

struct mirror {
	const struct fs_options *options;
	struct mirror_source *source;
	int fd_limit; /* RLIMIT_NOFILE of the daemon */
	struct mnode *root;
	GMutex lock;	   /* never held during a reply or a system call that could wait */
	GHashTable *nodes; /* all but the root, by key; protected by lock */
	uint64_t serials;  /* the last serial that was given; protected by lock */
	/* for each thread, the name that it looked up last; protected by lock */
	struct last_lookup *last_lookups;
	/* With max_age: a path below SOURCE, and the directory and time for which it is believed. */
	struct {
		uint64_t serial;
		gint64 until;
		unsigned int renames; /* through the mirror: what was read before one is not kept */
		char path[PATH_MAX];
	} last_dir; /* protected by lock */
	/*
	 * Open directories; protected by lock. The kernel may drop the connection before it has
	 * sent their releases, so mirror_free() closes the rest.
	 */
	GHashTable *dirs;
};

struct mirror_file {
	struct mnode *node; /* the kernel does not forget it while the file is open */
	int fd;
};

struct mirror_dir;
struct mirror_dir {
	struct mirror *mirror;
	int fd;
	bool pins_file;
	GMutex lock; /* two threads may read the same open directory */
	off_t at;    /* the cookie of the last entry that was returned */
	size_t next; /* the offset of the next entry in buf */
	size_t len;  /* how much of buf is filled */
	_Alignas(struct dirent64) char buf[32768];
};
void mirror_dir_free(struct mirror_dir *dir);

/* Like bpfrefs_autofd, which is private to the library. */
static inline void mirror_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define mirror_autofd __attribute__((cleanup(mirror_close))) int

/* Returns @fd, or closes it and returns -EMFILE if its number is above the limit of @share. */
int mirror_node_share_fd(const struct mirror *mirror, enum mirror_share share, int fd);

/* Convert between nodes and the node ids of the kernel. */
struct mnode *mirror_node_of(struct mirror *mirror, uint64_t ino);
uint64_t mirror_node_number(const struct mirror *mirror, const struct mnode *node);

/*
 * These two find or insert a node, in one critical section, and count a lookup. mirror_node_get_dir()
 * owns @fd and closes it if the directory has a node already. With @fd -1 it only finds, and
 * returns NULL if there is no node.
 *
 * A directory that was moved on bpffs without the mirror becomes a new node. For the old one, the
 * kernel would have to move its dentry, which it cannot do while another rename runs; it then
 * returns ESTALE (d_splice_alias()).
 */
struct mnode *mirror_node_get_dir(struct mirror *mirror, const struct mnode *parent, uint64_t ino,
				  int fd);
/* @name in @parent, which may be a directory, is the target of a rename through the mirror. */
void mirror_node_moved(struct mirror *mirror, struct mnode *parent, const char *name);

struct found_name {
	struct mnode *dir;
	const char *name;
	pid_t tid; /* the thread that looks up the name, or 0 */
};
struct mnode *mirror_node_get_leaf(struct mirror *mirror, const struct found_name *name,
				   const struct stat *st);
/*
 * Called with the lock. Removes a node that nothing refers to from the table, and adds it to
 * @unused.
 */
void mirror_node_take_unused(struct mirror *mirror, struct mnode *node, GSList **unused);
/* Called without the lock: closing the descriptor of a removed directory evicts its inode. */
void mirror_node_free(struct mnode *node);
void mirror_nodes_free(GSList *unused);

/*
 * Returns the attributes of a name in a directory of bpffs; with name "", those of the directory.
 * -EXDEV if something is mounted on the name.
 */
int mirror_node_stat_at(int dir_fd, const char *name, struct stat *st);
/*
 * Returns the attributes of a node in bpffs, or -ESTALE if none of its names leads to it any
 * more.
 */
int mirror_node_stat(struct mirror *mirror, struct mnode *node, struct stat *st);
/*
 * Returns a short-lived O_PATH descriptor of a node, owned, or -ESTALE if none of its names leads
 * to it any more.
 */
int mirror_node_open(struct mirror *mirror, struct mnode *node);
/*
 * Checks that a node is still below SOURCE. Returns -ESTALE if its directory was moved out of
 * SOURCE, after which a working directory or an open descriptor still refers to it.
 */
int mirror_node_check_inside(struct mirror *mirror, struct mnode *node);
/*
 * Returns the path of a directory below SOURCE by d_path(): "/app". -ESTALE if it is SOURCE
 * itself or not below it.
 */
int mirror_node_path(const struct mirror *mirror, int dir_fd, char path[PATH_MAX]);
/* Called after a rename: a path that was read before is believed no longer (mirror_path.c). */
void mirror_forget_path(struct mirror *mirror);
/*
 * Duplicates the descriptor of an open file of a pin, owned. It is the only way to a pin whose
 * name was removed. -ESTALE if the pin is not open.
 */
int mirror_node_dup_file(struct mirror *mirror, const struct mnode *node);
/* Returns a short-lived descriptor of a node, owned, by a name or by an open file; else -ESTALE. */
int mirror_node_open_any(struct mirror *mirror, struct mnode *node);
/* Converts the attributes in bpffs to those that the mirror shows. */
void mirror_show_stat(const struct mirror *mirror, struct stat *st);

/* ---------------------------------------------- the names of leaves --- */

/*
 * Called with the lock. Adds a name by which a leaf was found, at a time when it had @names
 * names.
 */
void mirror_names_add(struct mirror *mirror, struct mnode *node, const struct found_name *name,
		      nlink_t names, GSList **unused);
void mirror_names_free(struct mirror *mirror, struct mnode *node, GSList **unused);
/*
 * Frees the memory of the names only, when the directories may be freed already. For
 * mirror_free().
 */
void mirror_names_end(struct mnode *node);

/*
 * Does something with a name under which a leaf may still be found. A result of 0 or more means
 * success. -ESTALE or -ENOENT: the leaf is not there any more, and the name is dropped. Any other
 * error: it failed at this name.
 */
typedef int leaf_name_fn(struct mirror *mirror, const struct mnode *node, const struct mnode *dir,
			 const char *name, void *data);
/*
 * Calls @try for each name until it succeeds. Returns its result, else the last other error, or
 * -ESTALE.
 */
int mirror_names_try(struct mirror *mirror, struct mnode *node, leaf_name_fn *try, void *data);
/*
 * Calls @try for the name that thread @tid looked up last. -ESTALE if that is not a name of the
 * node.
 */
int mirror_names_try_last(struct mirror *mirror, struct mnode *node, pid_t tid, leaf_name_fn *try,
			  void *data);
bool mirror_names_are_many(struct mirror *mirror, const struct mnode *node);
struct last_lookup *mirror_names_last_new(void);

#endif

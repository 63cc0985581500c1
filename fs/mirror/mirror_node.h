/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mirror's nodes, for the files named mirror*.c alone. */
#ifndef MIRROR_NODE_H
#define MIRROR_NODE_H

#include <errno.h>
#include <unistd.h>

#include "mirror/mirror.h"

struct place;

struct mnode {
	/* Its key. */
	uint64_t ino;	/* bpffs's; immutable */
	mode_t type;	/* S_IFMT bits, as bpffs has them; immutable */
	uint64_t moved; /* 0, or its serial once the directory was found elsewhere */

	int fd; /* a directory's O_PATH descriptor, else -1; immutable, owned but the root's */
	uint64_t serial; /* a directory's, never again another's; the root's is 0; immutable */

	/* Protected by mirror.lock. */
	uint64_t nlookup; /* what the kernel owns; the root's never ends */
	unsigned int
		kids; /* a directory's: names in it that are places of leaves, or being tried */
	struct place
		*places; /* a leaf's (which is what is no directory): names that it was found by */
	GSList *files;	 /* struct mirror_file, borrowed: who has it open (pins=file) */
	uint64_t within; /* a directory's: the serial of the one that it was last found in */
};

/*
 * Descriptors that stay are numbered from the lowest: one as high as this, of the process's limit, is
 * not given, so that nobody else takes the last ones from root, and nobody from ourselves.
 */
enum mirror_share {
	MIRROR_OTHERS_OPEN, /* what others than root open: half of all */
	MIRROR_NODES,	    /* directories that the kernel knows of: three quarters */
	MIRROR_ROOT_OPENS,  /* all but some for ourselves */
};

struct mirror {
	const struct fs_options *options;
	struct source *source;
	int fd_limit; /* of the process */
	struct mnode *root;
	GMutex lock;	     /* never held over a system call that could wait, nor over a reply */
	GHashTable *nodes;   /* all but the root, by key; protected by lock */
	uint64_t serials;    /* the last one; protected by lock */
	struct asked *asked; /* which name a thread has looked up last; protected by lock */
	/*
	 * Open directories; protected by lock. The kernel's releases may come after its unmount, and
	 * so not at all.
	 */
	GHashTable *dirs;
};

struct mirror_file {
	struct mnode *node; /* the kernel keeps it as long as the file is open */
	int fd;
};

struct mirror_dir;
void mirror_dir_free(struct mirror_dir *dir);

/* fs's own bpfrefs_autofd: the library's is private to it. */
static inline void mirror_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define mirror_autofd __attribute__((cleanup(mirror_close))) int

/* The descriptor again, or -EMFILE if it is beyond that share: then it is closed. */
int share_fd(const struct mirror *mirror, enum mirror_share share, int fd);

/* What a number of the kernel's stands for. */
struct mnode *node_of(struct mirror *mirror, uint64_t ino);
uint64_t node_number(const struct mirror *mirror, const struct mnode *node);

/*
 * Find or insert, in one critical section, and count a lookup. The directory's form takes @fd,
 * which is closed where the directory was there already; -1: only find, NULL if it is not there.
 *
 * A directory that was moved behind the mirror becomes a new node: the kernel would have to move
 * what it knows of the old one, cannot while it renames something, and says ESTALE then.
 */
struct mnode *node_get_dir(struct mirror *mirror, const struct mnode *parent, uint64_t ino, int fd);
/* Not behind the mirror: @name in @parent, which may be a directory, was renamed to that. */
void node_moved(struct mirror *mirror, struct mnode *parent, const char *name);

struct found_name {
	struct mnode *dir;
	const char *name;
	pid_t asker; /* the thread that looks it up, or 0 */
};
struct mnode *node_get_leaf(struct mirror *mirror, const struct found_name *name,
			    const struct stat *st);
/* With the lock: takes out of the table what nobody needs any more, and adds it to @unused. */
void take_unused(struct mirror *mirror, struct mnode *node, GSList **unused);
/* Without it: closing the descriptor of a removed directory evicts that. */
void nodes_free(GSList *unused);

/*
 * Attributes of a name in a directory as bpffs has them; with name "" those of the directory.
 * -EXDEV where something is mounted on the name.
 */
int stat_at(int dir_fd, const char *name, struct stat *st);
/* Attributes of a node as bpffs has them: -ESTALE where no name known is its any more. */
int node_stat(struct mirror *mirror, struct mnode *node, struct stat *st);
/* A transient O_PATH descriptor of a node, owned; -ESTALE where no name known is its any more. */
int node_open(struct mirror *mirror, struct mnode *node);
/*
 * Is the node still below SOURCE? -ESTALE if its directory was moved out of it, which a working
 * directory or an open descriptor outlives.
 */
int node_check_inside(struct mirror *mirror, struct mnode *node);
/*
 * The path of a directory that is not SOURCE below it, by the kernel's account: "/app". -ESTALE if it
 * is not below SOURCE.
 */
int node_path(const struct mirror *mirror, int dir_fd, char path[PATH_MAX]);
/*
 * One more descriptor, owned, of a pin that somebody has open: what is left of it once its name is
 * gone. -ESTALE if nobody has.
 */
int node_dup_file(struct mirror *mirror, const struct mnode *node);
/* A transient descriptor of a node, owned, by a name or else by who has it open; -ESTALE likewise. */
int node_open_any(struct mirror *mirror, struct mnode *node);
/* How the mirror shows what bpffs has. */
void show_stat(const struct mirror *mirror, struct stat *st);

/* ---------------------------------------------- the names of leaves --- */

/* With the lock: a leaf was found there, when it had as many @names. */
void places_add(struct mirror *mirror, struct mnode *node, const struct found_name *name,
		nlink_t names, GSList **unused);
void places_free(struct mirror *mirror, struct mnode *node, GSList **unused);
/* At the end of all: their memory alone, whatever has become of the directories. */
void places_end(struct mnode *node);

/*
 * Does something where a leaf is perhaps still to be found. 0 or more: done. -ESTALE or -ENOENT: it is
 * not there any more, and the place is forgotten. Anything else: it cannot be done there.
 */
typedef int place_try(struct mirror *mirror, const struct mnode *node, const struct mnode *dir,
		      const char *name, void *data);
/* At each place until it is done. Else what could not be done, or -ESTALE. */
int places_try(struct mirror *mirror, struct mnode *node, place_try *try, void *data);
/* At the one that thread @tid has looked up last; -ESTALE if it is none of the node's. */
int places_try_asked(struct mirror *mirror, struct mnode *node, pid_t tid, place_try *try,
		     void *data);
bool places_are_many(struct mirror *mirror, const struct mnode *node);
struct asked *asked_new(void);

#endif

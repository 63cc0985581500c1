/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mirror's nodes, for the files named mirror*.c alone. */
#ifndef MIRROR_NODE_H
#define MIRROR_NODE_H

#include <errno.h>
#include <unistd.h>

#include "mirror.h"

struct mnode {
	/* Immutable: its key. A directory's parent and name are NULL: it is found by number. */
	uint64_t ino;	      /* bpffs's */
	struct mnode *parent; /* includes one reference to it */
	char *name;
	uint64_t moved; /* 0, or its serial once the directory was found elsewhere */

	int fd;	     /* a directory's O_PATH descriptor, else -1; immutable, owned but the root's */
	mode_t type; /* S_IFMT bits, as bpffs has them; immutable */
	uint64_t serial; /* a directory's, never again another's; the root's is 0; immutable */

	/* Protected by mirror.lock. */
	uint64_t nlookup;  /* what the kernel owns; the root's never ends */
	unsigned int kids; /* nodes whose parent this is */
	GSList *files;	   /* struct mirror_file, borrowed: who has it open (pins=file) */
	uint64_t within;   /* a directory's: the serial of the one that it was last found in */
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
	int fd_limit; /* of the process */
	struct mnode *root;
	GMutex lock;	   /* never held over a system call that could wait, nor over a reply */
	GHashTable *nodes; /* all but the root, by key; protected by lock */
	uint64_t serials;  /* the last one; protected by lock */
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
void node_moved(struct mirror *mirror, const struct mnode *parent, const char *name);
struct mnode *node_get_leaf(struct mirror *mirror, struct mnode *parent, const char *name,
			    const struct stat *st);

/*
 * Attributes of a name in a directory as bpffs has them; with name "" those of the directory.
 * -EXDEV where something is mounted on the name.
 */
int stat_at(int dir_fd, const char *name, struct stat *st);
/* Attributes of a node as bpffs has them: -ESTALE where its name now is something else's. */
int node_stat(struct mirror *mirror, struct mnode *node, struct stat *st);
/* A transient O_PATH descriptor of a node, owned; -ESTALE where its name now is something else's. */
int node_open(const struct mnode *node);
/*
 * Is the node still below SOURCE? -ESTALE if its directory was moved out of it, which a working
 * directory or an open descriptor outlives.
 */
int node_check_inside(const struct mirror *mirror, const struct mnode *node);
/*
 * One more descriptor, owned, of a pin that somebody has open: what is left of it once its name is
 * gone. -ESTALE if nobody has.
 */
int node_dup_file(struct mirror *mirror, const struct mnode *node);
/* How the mirror shows what bpffs has. */
void show_stat(const struct mirror *mirror, struct stat *st);

#endif

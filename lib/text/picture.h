/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A picture: the part of the graph that is to be drawn, with all that is alike in one group.
 * picture.c chooses the part, picture_fold.c the groups, and dot.c writes them for dot(1).
 */
#ifndef BPFREFS_PICTURE_H
#define BPFREFS_PICTURE_H

#include "graph/graph.h"
#include "snapshot/index.h"

enum picture_what {
	PICTURE_OBJECT,
	PICTURE_OWNER, /* a namespace, a bpffs, a device or a socket that does not stay by itself */
	PICTURE_PROCESS,
	PICTURE_ROOT, /* a reference of something else: a pin, an attachment, the kernel */
};

struct picture_node {
	enum picture_what what;
	bool shown;
	bool focus; /* what the picture is about: never in a group with others */
	bool own;   /* what the calling process alone keeps */
	uint32_t group;
	uint32_t others; /* references from what is not shown */
	union {
		const struct bpfrefs_object *object;
		const struct owner *owner;
		uint32_t pid;
		const struct bpfrefs_ref *root;
	};
};

struct picture_edge {
	uint32_t from, to;	       /* nodes */
	const struct bpfrefs_ref *ref; /* NULL: a process or an owner keeps an owner */
	const char *label;	       /* static */
};

/* Nodes that are drawn as one. */
struct picture_group {
	uint32_t first, last; /* nodes, in the order of picture.node */
	uint32_t count;
	bool same_name; /* all have the name of the first one */
};

/* How much is drawn as one: the first of these that makes the picture small enough. */
enum picture_fold {
	FOLD_NOTHING,
	FOLD_SAME_NEIGHBORS, /* of one type, with the very same neighbors */
	FOLD_SAME_NAMES,     /* of one type and name, with neighbors that are alike */
	FOLD_ALIKE,	     /* of one type, with neighbors that are alike */
	FOLD_NEAR,	     /* of one type, with neighbors of the same types */
	FOLD_TYPES,	     /* of one type */
	FOLD_MOST,	     /* of one type, and all processes */
	FOLDS
};

struct picture {
	const struct bpfrefs_snapshot *snap;
	struct picture_node *node;
	struct picture_edge *edge;
	uint32_t nodes, edges;
	/* the edges to each node, and those from it: numbers of edges, with where they begin */
	uint32_t *in_first, *in, *out_first, *out;
	struct picture_group *group; /* set by picture_fold() */
	uint32_t groups;
	enum picture_fold fold;
	uint32_t btfs_left_out;
};

/* Makes the picture of everything, in which nothing is shown yet. 0 or -ENOMEM. */
int picture_init(struct picture *picture, const struct bpfrefs_snapshot *snap);
void picture_clear(struct picture *picture);
/* Shows everything but what lists leave out: bpfrefs_snapshot_hides(). */
void picture_show_all(struct picture *picture);
/*
 * Shows what leads to an object, and one step of what it holds. -ENOENT if there is no such object.
 */
int picture_show_object(struct picture *picture, struct bpfrefs_key key);
/* Shows what the processes hold, directly or through other objects. -ENOENT: they hold nothing. */
int picture_show_processes(struct picture *picture, const uint32_t *pids, size_t count);
/* Makes the groups. 0 or -ENOMEM. */
int picture_fold(struct picture *picture);

#endif

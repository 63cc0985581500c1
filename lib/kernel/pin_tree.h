/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inodes and names of all bpffs instances, as the BPF walk tells them. */
#ifndef BPFREFS_PIN_TREE_H
#define BPFREFS_PIN_TREE_H

#include "kernel/bpf_source.h"

/* One mount of an instance. */
struct pin_mount {
	uint64_t mount, ns; /* addresses: of the struct mount, of its namespace's struct */
	uint32_t mnt_ns;    /* 0: it is in none, or in an anonymous one */
};

/* One instance. */
struct pin_super {
	uint64_t address;
	uint32_t major, minor;
	uint64_t pins; /* inodes that hold an object of the snapshot */
	GArray *namespaces; /* uint32_t: the mount namespaces that it is mounted in, each once */
	GArray *mounts;	    /* struct pin_mount */
};

/* One pin (its object's key) or directory (kind BPFREFS_KIND_COUNT). */
struct pin_inode {
	struct bpfrefs_key key;
	struct pin_super *super;
	uint64_t ino;
	int64_t mtime;
	uint32_t nlink, uid, gid, mode;
	GPtrArray *names; /* struct pin_name *, owned */
};

struct pin_name {
	uint64_t parent; /* dentry of the directory; a root's is its own */
	uint64_t dentry;
	const struct pin_inode *inode;
	bool hashed;
	char name[];
};

/* The program of a pinned iterator link; the same may be there more than once. */
struct pin_iter {
	uint64_t prog; /* its address */
	uint32_t link_id, prog_id, attach_btf_id, btf_id;
};

struct pin_tree {
	GPtrArray *supers;  /* struct pin_super * */
	GPtrArray *inodes;  /* struct pin_inode * */
	GArray *iters;	    /* struct pin_iter */
	struct idmap names; /* dentry -> struct pin_name *, borrowed: the one told last */
};

struct pin_tree *pin_tree_new(void);
void pin_tree_free(struct pin_tree *tree);
/* Take the records of a walk over instances, over the inodes of one. */
void pin_tree_supers(struct pin_tree *tree, const GByteArray *records);
void pin_tree_inodes(struct pin_tree *tree, struct pin_super *super, const GByteArray *records);
/* The path of a name inside its instance, owned; NULL if it no longer leads to the root. */
char *pin_tree_path(const struct pin_tree *tree, const struct pin_name *name);
/* Are the directory of a name and the one above it root's, mode 0700? */
bool pin_tree_private(const struct pin_tree *tree, const struct pin_name *name);

#endif

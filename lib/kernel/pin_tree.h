/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inodes and names of all instances of bpffs, as the BPF programs emit them. */
#ifndef BPFREFS_PIN_TREE_H
#define BPFREFS_PIN_TREE_H

#include "kernel/bpf_source.h"

/* One mount of an instance. */
struct pin_mount {
	uint64_t mount, ns; /* the addresses of its struct mount and its struct mnt_namespace */
	uint64_t version;   /* see struct walk_mount */
	uint32_t mnt_ns;    /* 0 if it is in no namespace or an anonymous one */
};

/* One instance. */
struct pin_super {
	uint64_t address;
	uint32_t major, minor;
	uint64_t pins; /* the number of inodes that hold an object of the snapshot */
	/* uint32_t: the mount namespaces in which it is mounted, each once */
	GArray *namespaces;
	GArray *mounts; /* struct pin_mount */
};

/* A pin (with the key of its object) or a directory (with kind BPFREFS_KIND_NONE). */
struct pin_inode {
	struct bpfrefs_key key;
	struct pin_super *super;
	uint64_t ino;
	int64_t mtime;
	uint32_t nlink, uid, gid, mode;
	GPtrArray *names; /* struct pin_name *, owned */
};

struct pin_name {
	uint64_t parent; /* dentry of the directory; that of a root is the root itself */
	uint64_t dentry;
	const struct pin_inode *inode;
	bool hashed;
	char name[];
};

/* The program of a pinned iterator link. The same program may be there more than once. */
struct pin_iter {
	uint64_t prog; /* its address */
	uint32_t link_id, prog_id, attach_btf_id, btf_id;
};

struct pin_tree {
	GPtrArray *supers; /* struct pin_super * */
	GPtrArray *inodes; /* struct pin_inode * */
	GArray *iters;	   /* struct pin_iter */
	/* dentry -> struct pin_name *, borrowed */
	struct idmap names;
};

struct pin_tree *pin_tree_new(void);
void pin_tree_free(struct pin_tree *tree);
/*
 * pin_tree_supers() adds the records of all instances, pin_tree_inodes() those of one
 * instance's inodes.
 */
void pin_tree_supers(struct pin_tree *tree, const GByteArray *records);
void pin_tree_inodes(struct pin_tree *tree, struct pin_super *super, const GByteArray *records);
/*
 * The path of a name within its instance, owned by the caller; NULL if the name no longer
 * leads to the root.
 */
char *pin_tree_path(const struct pin_tree *tree, const struct pin_name *name);
/*
 * Returns true if the directory of a name and the one above it belong to root and have mode 0700.
 */
bool pin_tree_private(const struct pin_tree *tree, const struct pin_name *name);

#endif

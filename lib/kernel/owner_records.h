/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keeps the owners of the BPF source: namespaces and instances of bpffs (owner.h). */
#ifndef BPFREFS_WALK_OWNER_H
#define BPFREFS_WALK_OWNER_H

#include "snapshot/owner.h"
#include "kernel/bpf_source.h"

/* A root directory that processes of a mount namespace have, and one of them. */
struct walk_root {
	uint64_t mount, dentry;
	uint32_t pid;
};

GHashTable *owners_roots_new(void);
/* Those of a namespace, in the order of the tasks; NULL: no process is in it. Borrowed. */
const GArray *owners_roots(const struct walk_state *state, uint32_t mnt_ns);
/* The number of our mount namespace, 0: it cannot be found out. */
uint32_t owners_own_ns(const struct scan *scan);
/*
 * Before the walk over tasks. Their directories are looked at only where there is a bpffs that is not
 * mounted in our own namespace: to keep one that is makes no difference, and we see its pins ourselves.
 */
void owners_prepare(struct scan *scan);
/* Keeps a record of what a process holds, until it is known which namespaces matter. */
void owners_note(struct scan *scan, const struct walk_rec *rec);
/* After all classes: adds every instance of bpffs as an owner, and the holds of all owners. */
void owners_derive(struct scan *scan);

/* ----------------------------------------------- between walk-owner*.c --- */

/* A namespace that matters. */
struct owned_ns {
	uint32_t owner;
	uint64_t common;   /* its struct ns_common; 0: nothing leads there */
	int64_t found;	   /* references to it, without that of its file's inode */
	int64_t opened;	   /* references to its file's dentry: files and mounts */
	uint32_t detached; /* mounts of its file that are in no namespace */
	enum owner_kind kind;
	uint32_t inum;
	bool stays; /* its holds are not looked for */
};

/* A mount of an instance of bpffs that nothing initial keeps. */
struct owned_mount {
	uint32_t owner; /* the instance */
	uint64_t mount, sb;
	int64_t expected; /* references that belong to its place in a namespace */
	int64_t found;
	bool attached;
};

/* What is in an anonymous mount namespace: kept by the file that fsmount() or open_tree() gave. */
struct owned_tree {
	uint64_t ns;
	uint32_t owner;
	bool held; /* that file was found */
};

struct owners {
	struct scan *scan;
	struct walk_control *control;
	uint32_t own_ns;       /* our mount namespace */
	struct idmap nodes;    /* ns_key() -> struct owned_ns */
	GPtrArray *ns;	       /* the same, owned, in the order in which they were added */
	struct idmap mounts;   /* struct mount -> struct owned_mount */
	GPtrArray *mount;      /* the same, owned */
	GArray *supers;	       /* struct walk_place: id is the index of the owner */
	GArray *super_mounts;  /* uint32_t: how many mounts each of these has */
	GArray *trees;	       /* struct owned_tree */
	GByteArray *ns_mounts; /* records of mounts of namespaces' files */
	struct idmap seen;     /* what was counted already */
};

/* The owner has a hold that is no process's and no other owner's. */
void owners_hold_root(struct owners *d, uint32_t owner, enum owner_how how);
/* Adds holds by something unknown, where the kernel counts more than was found. */
void owners_count(struct owners *d);
/* Adds to each detached instance of bpffs the processes that keep it. */
void owners_note_pids(struct owners *d);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Collects what holds the owners: namespaces and instances of bpffs (snapshot/owner.h). */
#ifndef BPFREFS_OWNER_RECORDS_H
#define BPFREFS_OWNER_RECORDS_H

#include "kernel/bpf_source.h"
#include "snapshot/owner.h"

/* A root directory of processes in a mount namespace, and one of these processes. */
struct walk_root {
	uint64_t mount, dentry;
	uint32_t pid;
};

GHashTable *owners_roots_new(void);
/*
 * The root directories of a namespace, in the order of the tasks; NULL if no process
 * is in it. Borrowed.
 */
const GArray *owners_roots(const struct walk_state *state, uint32_t mnt_ns);
/* The number of our mount namespace, 0: it cannot be found out. */
uint32_t owners_own_ns(const struct scan *scan);
/*
 * Before the walk over tasks. Their directories are looked at only where there is a bpffs that is not
 * mounted in our own namespace: to keep one that is makes no difference, and we see its pins ourselves.
 */
void owners_prepare(struct scan *scan);
/* Stores a record of what a process holds, until it is known which namespaces matter. */
void owners_store(struct scan *scan, const struct walk_rec *rec);
/*
 * After all classes have run: adds every instance of bpffs as an owner, and the
 * holds of all owners.
 */
void owners_derive(struct scan *scan);

/* ------------------------- shared by owner_records.c and owner_counts.c --- */

/* A namespace that matters. */
struct owned_ns {
	uint32_t owner;
	uint64_t common;   /* its struct ns_common; 0 if no record has its address */
	int64_t found;	   /* references to it that were found, without that of its file's inode */
	int64_t opened;	   /* references to the dentry of its file: files and mounts */
	uint32_t detached; /* mounts of its file that are in no namespace */
	enum owner_kind kind;
	uint32_t inum;
	bool stays; /* it is not freed with any process: its holds are not collected */
};

/* A mount of a bpffs that is not mounted in a namespace that stays. */
struct owned_mount {
	uint32_t owner; /* the instance */
	uint64_t mount, sb;
	int64_t expected; /* references that are due to the mount being attached in a namespace */
	int64_t found;
	bool attached;
};

/*
 * A mount in an anonymous mount namespace. The file that fsmount(2) or open_tree(2)
 * returned keeps it.
 */
struct owned_tree {
	uint64_t ns;
	uint32_t owner;
	bool held; /* that file was found */
};

struct owners {
	struct scan *scan;
	struct walk_control *control;
	uint32_t own_ns;       /* the mount namespace of this process */
	struct idmap nodes;    /* ns_key() -> struct owned_ns */
	GPtrArray *ns;	       /* the same, owned, in the order in which they were added */
	struct idmap mounts;   /* struct mount -> struct owned_mount */
	GPtrArray *mount;      /* the same structures, owned */
	GArray *supers;	       /* struct walk_object, whose id is the index of the owner */
	GArray *super_mounts;  /* uint32_t: the number of mounts of each of the supers */
	GArray *trees;	       /* struct owned_tree */
	GByteArray *ns_mounts; /* records of mounts of namespaces' files */
	struct idmap seen;     /* what has been counted already; see is_new() */
};

/* Adds a hold that belongs to no process and no other owner. */
void owners_hold_root(struct owners *d, uint32_t owner, enum owner_how how);
/* Adds holds by something unknown, where the kernel counts more references than were found. */
void owners_count(struct owners *d);
/* Adds to each instance of bpffs that is mounted nowhere the processes that keep it. */
void owners_add_pids(struct owners *d);

#endif

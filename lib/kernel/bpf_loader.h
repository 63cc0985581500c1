/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The BPF programs: loaded, run, their records handed on. walkers.c is the only file that knows
 * libbpf's types.
 */
#ifndef BPFREFS_WALKERS_H
#define BPFREFS_WALKERS_H

#include "snapshot/private.h"
#include "bpf/records.h"

struct walkers;

/*
 * Loads and attaches all programs. @why gets an owned sentence where it fails. One that this kernel's
 * verifier refuses is left out: running it then gives -ENOPKG.
 */
int walkers_load(struct walkers **walkers, char **why);
void walkers_free(struct walkers *walkers); /* NULL is allowed */

/*
 * Has a module been loaded since they were, which may have types that they lack? Of each module this
 * is said once.
 */
bool walkers_outdated(struct walkers *walkers);

/* What the programs share with us; valid as long as @walkers. */
struct walk_control *walkers_control(struct walkers *walkers);

typedef void (*walk_fn)(const struct walk_rec *rec, void *data);

/* Hands on the records in a buffer, up to one whose size is not true: none of ours, then. */
static inline void walk_each(const void *buf, size_t len, walk_fn fn, void *data)
{
	size_t at = 0;

	/* an empty GByteArray has no bytes at all: nothing is added to NULL then */
	while (at + sizeof(struct walk_rec) <= len) {
		const struct walk_rec *rec = (const void *)((const char *)buf + at);

		if (rec->size < sizeof(*rec) || rec->size % 8 || rec->size > len - at)
			return;
		fn(rec, data);
		at += rec->size;
	}
}

/* Is this one of the programs that this kernel refuses? */
bool walkers_lack(const struct walkers *walkers, const char *program);

/* Runs one iterator program to its end; @fn sees each record. */
int walkers_iterate(struct walkers *walkers, const char *program, walk_fn fn, void *data);

/*
 * Walks beside the others. walkers_prepare(), before a scan looks at anything, loads what that needs
 * once an earlier walk took long; it may take some ten ms, once. walkers_begin() has a thread run
 * @program (walk_tasks can) from the beginning, with the control as it is now; NULL: run it with
 * walkers_iterate(). walkers_end() hands on its records in order, as they come, to its end, and frees
 * it: 0 or -errno; @soon, which may be NULL, sees each some records before.
 */
struct walkers_walk;
void walkers_prepare(struct walkers *walkers);
struct walkers_walk *walkers_begin(struct walkers *walkers, const char *program);
int walkers_end(struct walkers_walk *walk, walk_fn soon, walk_fn fn, void *data);

/* Room for WALK_LIST_MAX objects that walk_counts is asked about; valid as long as @walkers. */
struct walk_listed *walkers_list(struct walkers *walkers);

/* Runs one syscall program once; @fn may be NULL where it tells nothing. */
int walkers_call(struct walkers *walkers, const char *program, walk_fn fn, void *data);

/* Descriptors of our own, one of each kind, to learn from. Borrowed. */
int walkers_own_fd(struct walkers *walkers, enum bpfrefs_kind kind);
/* The map of walk_owner_counts, which has one value for each processor. Borrowed. */
int walkers_cpu_map_fd(struct walkers *walkers);
/* A new iterator descriptor, owned. */
int walkers_open_iterator(struct walkers *walkers, const char *program);
/* Is this map one of our programs'? */
bool walkers_own_map(const struct walkers *walkers, uint32_t id);
/* And this program, whose iterators a walk beside the others may meet? Known once there was one. */
bool walkers_own_program(const struct walkers *walkers, uint32_t id);
/* The id of a program of ours, or 0. */
uint32_t walkers_program_id(struct walkers *walkers, const char *program);

#endif

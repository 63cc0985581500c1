/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that a process holds otherwise than by a descriptor, and carriers: files that hold files in
 * their turn, unix sockets and io_uring rings, which may hold each other.
 */
#ifndef BPFREFS_CARRIER_H
#define BPFREFS_CARRIER_H

#include "kernel/bpf_source.h"

/* How deep carriers in carriers are followed. */
#define CARRIER_DEPTH_MAX 16

/* A carrier, as one process leads to it. */
struct carrier {
	uint64_t inside; /* identity: the struct sock or struct io_ring_ctx */
	uint32_t kind;	 /* WALK_HELD_* */
	uint32_t depth;	 /* how many carriers lead to what it holds, itself included */
	uint32_t pid;
	const char *comm;
	/* how the process holds the first of them: enum walk_how, and which descriptor */
	uint32_t how;
	uint64_t fd;
};

/* The fields that all these classes begin with. */
enum { HELD_FILE, HELD_PID, HELD_COMM, HELD_MORE };

/* Sets the fields after those; @carrier is NULL where a task holds the file itself. */
typedef void (*held_fill_fn)(struct scan *scan, struct bpfrefs_ref *ref,
			     const struct walk_held *held, const struct carrier *carrier);

/*
 * Takes a file of one of these classes: adds its references, or, if it is a carrier, puts it among
 * those to be looked into.
 */
void held_take(struct scan *scan, const struct walk_held *held, held_fill_fn fill);

/*
 * Is this the first time that @what is found in the socket or ring that is being looked into, for that
 * process? Always true while none is.
 */
bool held_is_new(struct scan *scan, uint64_t what);

/* The process that holds what is told just now, and its name. */
uint32_t held_pid(struct scan *scan, const char **comm);

/* Sets field @index: the descriptor by which the process holds the first carrier, or a word. */
void held_set_fd(struct bpfrefs_ref *ref, unsigned int index, const struct carrier *carrier);

/*
 * Runs an iterator program that tells files, if one is given; then looks into all carriers known so
 * far, and into those that are found in them.
 */
int carriers_walk(struct scan *scan, const char *program);
void carriers_free(struct scan *scan);

#endif

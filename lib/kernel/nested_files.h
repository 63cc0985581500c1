/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that a process holds without a descriptor, and nested files: unix sockets and io_uring
 * rings hold files, which may be sockets or rings again.
 */
#ifndef BPFREFS_NESTED_FILES_H
#define BPFREFS_NESTED_FILES_H

#include "kernel/bpf_source.h"

/* The depth to which nested files are followed. */
#define NESTED_DEPTH_MAX 16

/* A socket or ring, and how a process reaches it. */
struct nested_file {
	uint64_t inside; /* the address of its struct sock or struct io_ring_ctx */
	uint64_t file;	 /* that of its struct file; 0 for a connection */
	uint32_t kind;	 /* WALK_HELD_* */
	/* the number of sockets and rings on the way to the files in it, itself included */
	uint32_t depth;
	uint32_t pid;
	const char *comm;
	/*
	 * How the process holds the first socket or ring on the way (enum walk_how),
	 * and its descriptor.
	 */
	uint32_t how;
	uint64_t fd;
};

/* The fields that the holder classes of such files have in common, in front of their own. */
#define NESTED_FILE_FIELDS(X)       \
	X(NESTED_FILE_FILE, "file") \
	X(NESTED_FILE_PID, "pid")   \
	X(NESTED_FILE_COMM, "comm")

/*
 * Sets the other fields. @nested is the socket or ring that holds the file, or NULL if
 * the process itself holds it.
 */
typedef void (*nested_file_fill_fn)(struct scan *scan, struct bpfrefs_ref *ref,
				    const struct walk_held *held, const struct nested_file *nested);

/*
 * Processes a file of one of these classes. Adds its references; if it is a socket or ring, queues
 * it to be read instead.
 */
void nested_file_take(struct scan *scan, const struct walk_held *held, nested_file_fill_fn fill);

/*
 * Returns true if the socket or ring that is being read has not been seen to hold @what before, for
 * the same process. Always returns true while none is being read.
 */
bool nested_file_is_new(struct scan *scan, uint64_t what);

/* The process that the current record belongs to, and its name. */
uint32_t nested_file_pid(struct scan *scan, const char **comm);

/*
 * Sets field @index to the descriptor by which the process holds the first socket or ring, or to a
 * word if it holds that without a descriptor.
 */
void nested_file_set_fd(struct bpfrefs_ref *ref, unsigned int index,
			const struct nested_file *nested);

/* Reads all sockets and rings that are queued, and those that are found in them. */
int nested_files_walk(struct scan *scan);
void nested_files_free(struct scan *scan);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thread lets the kernel fill one buffer after another, while the records of the buffers before
 * are decoded. All records are decoded in one thread, in order.
 */
#ifndef BPFREFS_PIPELINE_H
#define BPFREFS_PIPELINE_H

#include "kernel/bpf_loader.h"

/*
 * Reads once. Sets @records, which is valid until the next call, and its length @len in bytes, which
 * may be 0 and is at most WALK_OUT_SIZE. Returns 1 if there is more to read, 0 at the end, and
 * -errno if the reading failed.
 */
typedef int (*pipeline_fn)(void *data, const void **records, uint32_t *len);

/* Reads one of our iterators, whose program writes its records to a buffer that userspace maps. */
struct pipeline_reader {
	struct walk_control *control; /* borrowed */
	const char *out;	      /* the buffer, borrowed */
	int fd;			      /* the iterator, borrowed */
	unsigned int empty;	      /* consecutive reads without a record */
};

/* Resets what the program and userspace share, for a walk from the beginning. */
void pipeline_reader_begin(struct pipeline_reader *reader, struct walk_control *control,
			   const char *out, int fd);
/* It is a pipeline_fn whose data is a struct pipeline_reader. */
int pipeline_reader_next(void *reader, const void **records, uint32_t *len);

struct pipeline;

/*
 * With @parallel, starts a thread that calls @read until the end. Otherwise, and if there can be no
 * thread, pipeline_end() reads.
 */
struct pipeline *pipeline_begin(pipeline_fn read, void *data, bool parallel);
/*
 * Calls @fn for each record, in order, waits for the thread and frees @pipeline. @soon, which may be
 * NULL, is called for each record a few records earlier. Returns 0 or -errno: the result of the
 * reading, or -ENOMEM if there was no memory for what was read.
 */
int pipeline_end(struct pipeline *pipeline, walk_fn soon, walk_fn fn, void *data);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads one of our iterators, whose program writes its records to a buffer that userspace maps. */
#ifndef BPFREFS_ITER_READER_H
#define BPFREFS_ITER_READER_H

#include "kernel/bpf_loader.h"
#include "kernel/prefetch.h"

struct iter_reader {
	struct walk_control *control; /* borrowed */
	const char *out;	      /* the buffer, borrowed */
	int fd;			      /* the iterator, borrowed */
	unsigned int idle;	      /* consecutive reads without a record */
	bool pending;		      /* the buffer has records that have not been passed on */
};

/* Resets what the program and userspace share, for a walk from the beginning. */
void iter_reader_begin(struct iter_reader *reading);
/* Reads once; it is an prefetch_fn whose data is a struct iter_reader. */
int iter_reader_next(void *reading, const void **records, uint32_t *len);
/*
 * Reads to the end. If that takes long, a thread reads while the caller's thread decodes, and
 * *@took_long is set to true. Returns 0 or -errno.
 */
int iter_reader_all(struct iter_reader *reading, walk_fn fn, void *data, bool *took_long);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading an iterator of ours, whose program writes to a buffer that it shares with us. */
#ifndef BPFREFS_WALKERS_READ_H
#define BPFREFS_WALKERS_READ_H

#include "kernel/prefetch.h"
#include "kernel/bpf_loader.h"

struct reading {
	struct walk_control *control; /* borrowed, as is */
	const char *out;	      /* the buffer */
	int fd;			      /* the iterator's, borrowed */
	unsigned int idle;	      /* reads since the last record */
	bool pending;		      /* the buffer is full of what has not been handed on */
};

/* Prepares what both sides share for a walk from the beginning. */
void reading_begin(struct reading *reading);
/* An ahead_fn, of a struct reading. */
int reading_next(void *reading, const void **records, uint32_t *len);
/*
 * Reads to the end, beside the decoding where it takes long: *@took_long is set to true then.
 * 0 or -errno.
 */
int reading_all(struct reading *reading, walk_fn fn, void *data, bool *took_long);

#endif

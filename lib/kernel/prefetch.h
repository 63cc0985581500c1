/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads in advance of the decoding: a thread lets the kernel fill one buffer after another while the
 * records of the buffers before are decoded. All records are decoded in one thread, in order.
 */
#ifndef BPFREFS_PREFETCH_H
#define BPFREFS_PREFETCH_H

#include "kernel/bpf_loader.h"

/*
 * Reads once. Sets @records, which is valid until the next call, and its length @len in
 * bytes, which may be 0. Returns 1 if there is more to read, 0 at the end, and -errno if
 * the reading failed.
 */
typedef int (*prefetch_fn)(void *data, const void **records, uint32_t *len);

struct prefetch;

/*
 * Starts a thread that calls @read until the end. Returns NULL if there can be no thread;
 * nothing was read then.
 */
struct prefetch *prefetch_begin(prefetch_fn read, void *data);
/*
 * Calls @fn for each record, in order, waits for the thread and frees @prefetch. @soon, which may be
 * NULL, is called for each record a few records earlier. Returns 0 or -errno: the result of the
 * reading, or -ENOMEM if there was no memory for what was read.
 */
int prefetch_end(struct prefetch *prefetch, walk_fn soon, walk_fn fn, void *data);

#endif

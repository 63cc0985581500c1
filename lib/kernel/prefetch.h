/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading ahead: a thread has the kernel fill one buffer after another while what the ones before told
 * is decoded. Decoding itself stays in one thread, in order.
 */
#ifndef BPFREFS_AHEAD_H
#define BPFREFS_AHEAD_H

#include "kernel/bpf_loader.h"

/*
 * Reads once: @records, valid until the next call, and their @len in bytes, which may be 0. 1: there
 * is more; 0: that was the end; -errno: it ended early.
 */
typedef int (*ahead_fn)(void *data, const void **records, uint32_t *len);

struct ahead;

/* Begins a thread that calls @read until it ends. NULL: there can be none, and nothing was read. */
struct ahead *ahead_begin(ahead_fn read, void *data);
/*
 * Hands @fn each record that is read, in order, waits for the end and frees it; @soon, which may be
 * NULL, sees each a few records before. 0 or -errno: how the reading ended, -ENOMEM where there was no
 * room for what it read.
 */
int ahead_end(struct ahead *ahead, walk_fn soon, walk_fn fn, void *data);

#endif

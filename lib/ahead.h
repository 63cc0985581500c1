/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoding beside the walk: while the kernel fills one buffer, a thread decodes the one before. Only
 * where there is more than one: to begin a thread costs more than to decode a few records.
 */
#ifndef BPFREFS_AHEAD_H
#define BPFREFS_AHEAD_H

#include "walkers.h"

struct ahead;

/* Begins a thread that calls @fn for each record it is given, in order. NULL: there can be none. */
struct ahead *ahead_begin(walk_fn fn, void *data);
/* Gives it @len bytes of records, which are copied. */
void ahead_give(struct ahead *ahead, const void *records, uint32_t len);
/* Waits until all have been decoded, and frees it. NULL is allowed. */
void ahead_end(struct ahead *ahead);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Returns memory to the kernel when no request has come for a moment. Not used with keep=auto,
 * whose threads must act within a millisecond and must not wait for the lock of the heap.
 */
#ifndef TRIM_H
#define TRIM_H

#include "fs.h"

struct trim;

/* Returns free memory of the allocator to the kernel now. */
void trim_now(void);
/* Starts the thread. @view must outlive it. Returns 0 or -EAGAIN. */
int trim_start(struct view *view, struct trim **out);
void trim_stop(struct trim *trim); /* @trim may be NULL */
/* Called when something that took memory has ended: a scan, or an open file. @trim may be NULL. */
void trim_touch(struct trim *trim);

#endif

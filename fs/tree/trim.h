/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gives memory back to the kernel when nothing was requested for a moment. Not with keep=auto: the
 * thread that must catch what a loader leaves within a millisecond must not wait for the heap's lock.
 */
#ifndef TRIM_H
#define TRIM_H

#include "fs.h"

struct trim;

/* Gives back at once what the allocator keeps and nothing uses. */
void trim_now(void);
/* Starts the thread. 0 or -EAGAIN. @view must outlive it. */
int trim_start(struct view *view, struct trim **out);
void trim_stop(struct trim *trim); /* NULL is allowed */
/* Something that took memory has ended: a scan, or a file was closed. NULL is allowed. */
void trim_touch(struct trim *trim);

#endif

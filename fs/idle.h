/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gives memory back to the kernel when nobody has asked for a moment. Not with keep=auto: whoever must
 * catch what a loader leaves within a millisecond shall wait for nobody who holds the heap.
 */
#ifndef IDLE_H
#define IDLE_H

#include "fs.h"

struct idle;

/* Gives back at once what the allocator keeps and nobody uses. */
void idle_trim(void);
/* Starts the thread. 0 or -EAGAIN. @view must outlive it. */
int idle_start(struct view *view, struct idle **out);
void idle_stop(struct idle *idle); /* NULL is allowed */
/* Something has ended that took memory: a file was closed. NULL is allowed. */
void idle_touch(struct idle *idle);

#endif

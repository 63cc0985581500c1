/* SPDX-License-Identifier: GPL-2.0-or-later */
/* .bpf/events: each reader gets what has changed since its last read. */
#ifndef EVENTS_H
#define EVENTS_H

#include "fs.h"

/*
 * How requests are answered. Each request is answered once, by reply() or fail(). A poll is woken
 * any number of times, and then dropped. Only interrupted() is called with a lock held.
 */
struct events_calls {
	void (*reply)(void *request, const char *data, size_t size);
	void (*fail)(void *request, int err);
	bool (*interrupted)(void *request);
	void (*wake)(void *poll);
	void (*drop)(void *poll);
};

/* @room: the most bytes of the log of changes, which all readers share. */
struct events *events_new(struct bpfrefs_ctx *ctx, struct view *view,
			  const struct events_calls *calls, size_t room);
/* Reads that wait, and later ones that would wait, fail with ENODEV. */
void events_stop(struct events *events);
/* Called after events_stop(), when all readers are closed. */
void events_free(struct events *events);

/* One open file. */
struct reader;
/*
 * Opens a reader that has seen the present state. -EMFILE if there are too many readers. The
 * limit for users other than root (@others) is half of that for all. Other errors are those of
 * view_get().
 */
int events_open(struct events *events, bool others, struct reader **reader);
void events_close(struct reader *reader);

/*
 * Answers the request with at most @size bytes of the changes, as soon as there are any. With
 * @nonblock, fails with -EAGAIN instead of waiting. A reader whose next change is no longer in
 * the log gets a line that says so, and continues from the present state.
 */
void events_read(struct reader *reader, void *request, size_t size, bool nonblock);
/* Answers the request with -EINTR if it still waits. */
void events_interrupt(struct events *events, void *request);
/*
 * Returns whether a read would not wait. @poll is owned by the callee, or NULL if the caller does
 * not wait. It is woken when a read would no longer wait. It is also woken after every sample,
 * because only a new poll shows that the caller still waits.
 */
bool events_poll(struct reader *reader, void *poll);

#endif

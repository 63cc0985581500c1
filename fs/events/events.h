/* SPDX-License-Identifier: GPL-2.0-or-later */
/* .bpf/events: readers, each of which gets what has changed since its last read. */
#ifndef EVENTS_H
#define EVENTS_H

#include "fs.h"

/*
 * How requests are answered. Each is answered once, by reply() or fail(); a poll is woken any number
 * of times, then dropped. No lock of ours is held, but for interrupted().
 */
struct events_calls {
	void (*reply)(void *request, const char *data, size_t size);
	void (*fail)(void *request, int err);
	bool (*interrupted)(void *request);
	void (*wake)(void *poll);
	void (*drop)(void *poll);
};

/* @room: how many bytes the log of changes may take, which all readers share. */
struct events *events_new(struct view *view, const struct events_calls *calls, size_t room);
/* A read that waits, or would from then on, gets ENODEV. */
void events_stop(struct events *events);
/* After events_stop(), when all readers are closed. */
void events_free(struct events *events);

/* One open file. */
struct reader;
/*
 * The present state counts as seen. -EMFILE where there are too many, for @others than root at half of
 * that; else as view_get().
 */
int events_open(struct events *events, bool others, struct reader **reader);
void events_close(struct reader *reader);

/*
 * Answers the request: with what has changed, at most @size bytes of it, as soon as something has;
 * with -EAGAIN instead of waiting if @nonblock. A reader that has not got a change before it had to
 * leave the log gets a line that says so instead, and goes on from the present state.
 */
void events_read(struct reader *reader, void *request, size_t size, bool nonblock);
/* Answers it with -EINTR if it still waits. */
void events_interrupt(struct events *events, void *request);
/*
 * Would a read not wait? @poll (owned from here on; NULL: nobody waits) is woken when it would not.
 * It is woken for nothing too, once a sample, since only asking again shows that somebody still waits.
 */
bool events_poll(struct reader *reader, void *poll);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The FUSE side of .bpf/events: reads that are answered later, interrupts, and polls. */
#include <fcntl.h>
#include <poll.h>

#include "fuse/ops.h"

static void reply(void *request, const char *data, size_t size)
{
	fuse_reply_buf(request, data, size);
}

static void fail(void *request, int err)
{
	reply_result(request, err);
}

static bool is_interrupted(void *request)
{
	return fuse_req_interrupted(request);
}

static void wake(void *poll)
{
	fuse_lowlevel_notify_poll(poll);
}

static void drop(void *poll)
{
	fuse_pollhandle_destroy(poll);
}

const struct events_calls ops_events_calls = {
	.reply = reply,
	.fail = fail,
	.interrupted = is_interrupted,
	.wake = wake,
	.drop = drop,
};

/* libfuse keeps the request until this function returns, even if another thread replies to it. */
static void on_interrupt(fuse_req_t req, void *data)
{
	events_interrupt(data, req);
}

void op_read_events(const struct fuse_call *call, struct reader *reader)
{
	/*
	 * Registered before the reader waits: the reader either sees the interrupt, or is woken
	 * by it.
	 */
	fuse_req_interrupt_func(call->req, on_interrupt, fs_of(call->req)->events);
	events_read(reader, call->req, call->size, call->fi->flags & O_NONBLOCK);
}

void op_poll(const struct fuse_call *call)
{
	struct reader *reader = is_virtual(call->ino) ? handle_reader(handle_of(call->fi)) : NULL;
	/*
	 * The events that the kernel itself returns for files without a poll operation
	 * (DEFAULT_POLLMASK).
	 */
	unsigned int events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

	if (reader)
		events = events_poll(reader, call->poll) ? POLLIN | POLLRDNORM : 0;
	else if (call->poll)
		fuse_pollhandle_destroy(call->poll);
	fuse_reply_poll(call->req, events);
}

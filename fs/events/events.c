/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Readers of .bpf/events.
 *
 * There is one state, the last that was sampled, and one bounded log of the changes that led to
 * it. A reader is a cursor in that log. While any reader waits, a thread takes a sample at most a
 * second after the last one, and replies to the readers for which the log has changes. So a
 * reader takes little memory, and the text that it has not read to the end. A reader that does
 * not read for long loses changes, and a line says how many.
 *
 * Requests that wait do not block a thread: they are kept here, and the sampling thread replies
 * to them.
 */
#include "events/event_poller.h"

#include <errno.h>

#define READERS_MAX 1024

/* --------------------------------------------------------------- readers --- */

/* Counts a reader that is being opened. While there is one, the last state is kept. */
static int begin_open(struct events *events, bool others)
{
	if (events->stopping)
		return -ENODEV;
	/*
	 * Half of the readers are left to root, so that other users cannot keep root from
	 * reading.
	 */
	if (events->users >= READERS_MAX || (others && events->others >= READERS_MAX / 2))
		return -EMFILE;
	/*
	 * The thread inherits the signal mask of the thread that serves this request, which
	 * blocks signals.
	 */
	if (!events->thread)
		events->thread = g_thread_try_new("events", events_run, events, NULL);
	if (!events->thread)
		return -EAGAIN;
	events->users++;
	events->others += others;
	return 0;
}

static void end_use(struct events *events, bool others)
{
	/* A sample that is being compared needs the last state. */
	g_mutex_lock(&events->sampling);
	g_mutex_lock(&events->lock);
	events->others -= others;
	if (!--events->users)
		event_log_clear(&events->log);
	g_mutex_unlock(&events->lock);
	g_mutex_unlock(&events->sampling);
}

/* Called with the lock held. Adds a reader that has seen the present state. */
static struct reader *add_reader(struct events *events, bool others)
{
	struct reader *reader = g_new0(struct reader, 1);

	reader->events = events;
	reader->others = others;
	reader->cursor = event_log_end(&events->log);
	/* That state has just been sampled. */
	if (!events_are_awaited(events))
		events->due = g_get_monotonic_time() + SAMPLE_US;
	g_ptr_array_add(events->readers, reader);
	return reader;
}

int events_open(struct events *events, bool others, struct reader **reader)
{
	int err;

	g_mutex_lock(&events->lock);
	err = begin_open(events, others);
	g_mutex_unlock(&events->lock);
	if (err)
		return err;
	err = events_sample(events, view_get);
	if (err) {
		end_use(events, others);
		return err;
	}
	g_mutex_lock(&events->lock);
	*reader = add_reader(events, others);
	g_mutex_unlock(&events->lock);
	return 0;
}

void events_close(struct reader *reader)
{
	struct events *events = reader->events;

	/* The kernel releases a file after all its reads have replies. */
	g_mutex_lock(&events->lock);
	g_ptr_array_remove_fast(events->readers, reader);
	g_mutex_unlock(&events->lock);
	end_use(events, reader->others);
	event_text_unref(reader->pending);
	event_poll_unref(events, reader->poll);
	g_free(reader);
}

/* Called with the lock held. Returns false if the reader has to wait. */
static bool answer_now(struct reader *reader, const struct waiting_read *w, bool nonblock,
		       struct answer *answer)
{
	struct events *events = reader->events;

	/* Without a new sample, the changes in the log may have been reverted already. */
	if (nonblock ? event_reader_catch_up(reader) : event_reader_is_ready(reader)) {
		event_reader_take(reader, w->size, answer);
		return true;
	}
	if (nonblock) {
		/* A caller that polls with EPOLLET does not poll again after this EAGAIN. */
		reader->polling = reader->poll != NULL;
		g_cond_signal(&events->work);
		answer->err = -EAGAIN;
		return true;
	}
	/* From here on, with the lock held, events_interrupt() finds the request. */
	if (events->calls->interrupted(w->request)) {
		answer->err = -EINTR;
		return true;
	}
	g_array_append_val(events->waiting, *w);
	g_cond_signal(&events->work);
	return false;
}

void events_read(struct reader *reader, void *request, size_t size, bool nonblock)
{
	struct events *events = reader->events;
	struct waiting_read w = { reader, request, size };
	struct answer answer = { .request = request };
	bool ready;

	g_mutex_lock(&events->lock);
	ready = event_reader_is_ready(reader);
	g_mutex_unlock(&events->lock);
	if (nonblock && !ready)
		answer.err = events_sample(events, view_get);
	if (!answer.err) {
		g_mutex_lock(&events->lock);
		ready = answer_now(reader, &w, nonblock, &answer);
		g_mutex_unlock(&events->lock);
		if (!ready)
			return;
	}
	event_answer(events, &answer);
}

void events_interrupt(struct events *events, void *request)
{
	struct answer answer = { .request = request, .err = -EINTR };
	bool found = false;

	g_mutex_lock(&events->lock);
	for (guint i = 0; !found && i < events->waiting->len; i++) {
		found = g_array_index(events->waiting, struct waiting_read, i).request == request;
		if (found)
			g_array_remove_index(events->waiting, i);
	}
	g_mutex_unlock(&events->lock);
	if (found)
		event_answer(events, &answer);
}

static struct poll *poll_new(void *handle)
{
	struct poll *poll = g_new0(struct poll, 1);

	g_atomic_ref_count_init(&poll->count);
	poll->handle = handle;
	return poll;
}

bool events_poll(struct reader *reader, void *handle)
{
	struct events *events = reader->events;
	struct poll *old = NULL;
	bool ready, due;

	g_mutex_lock(&events->lock);
	due = g_get_monotonic_time() >= events->due;
	/* The last sample is new enough for a caller that does not wait. */
	ready = handle || due ? event_reader_is_ready(reader) : event_reader_catch_up(reader);
	if (handle) {
		old = reader->poll;
		reader->poll = poll_new(handle);
		reader->polling = !ready;
		g_cond_signal(&events->work);
	}
	g_mutex_unlock(&events->lock);
	event_poll_unref(events, old);
	/*
	 * A caller that polls again and again without waiting gets samples as often as other
	 * readers.
	 */
	if (!ready && !handle && due && events_sample(events, view_get) == 0) {
		g_mutex_lock(&events->lock);
		ready = event_reader_catch_up(reader);
		events->due = g_get_monotonic_time() + SAMPLE_US;
		g_mutex_unlock(&events->lock);
	}
	return ready;
}

/* -------------------------------------------------------- begin and end --- */

struct events *events_new(struct bpfrefs_ctx *ctx, struct view *view,
			  const struct events_calls *calls, size_t room)
{
	struct events *events = g_new0(struct events, 1);

	events->ctx = ctx;
	events->view = view;
	events->calls = calls;
	events->readers = g_ptr_array_new();
	events->waiting = g_array_new(FALSE, FALSE, sizeof(struct waiting_read));
	event_log_init(&events->log, room);
	g_mutex_init(&events->sampling);
	g_mutex_init(&events->lock);
	g_cond_init(&events->work);
	return events;
}

void events_stop(struct events *events)
{
	GThread *thread;

	g_mutex_lock(&events->lock);
	events->stopping = true;
	thread = g_steal_pointer(&events->thread);
	g_cond_signal(&events->work);
	g_mutex_unlock(&events->lock);
	if (thread)
		g_thread_join(thread);
	events_end(events);
}

void events_free(struct events *events)
{
	if (!events)
		return;
	event_log_clear(&events->log);
	g_ptr_array_unref(events->readers);
	g_array_unref(events->waiting);
	g_cond_clear(&events->work);
	g_mutex_clear(&events->lock);
	g_mutex_clear(&events->sampling);
	g_free(events);
}

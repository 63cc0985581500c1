/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Readers of .bpf/events.
 *
 * A reader has seen a state, and has perhaps a change pending that it has not read to its end. While
 * anyone waits who has none, a thread takes a snapshot at most a second after the last and tells each
 * what differs from what it has seen. Readers who saw the same share the state and the change, so
 * what is held follows from how many states they are at, and that is bounded; one that never reads is
 * at one state, and one slower than the changes misses what came and went.
 *
 * Requests that wait hold no thread: they are kept here and answered by the thread that looks.
 */
#include "events-look.h"

#include <errno.h>

#define READERS_MAX 1024

/* ---------------------------------------------------------------- readers --- */

/* A reader that has seen @state. The lock is held. */
static int add_reader(struct events *events, bool others, struct state *state, struct reader **out)
{
	struct reader *reader;

	if (events->stopping)
		return -ENODEV;
	/* Half of them are root's, so that nobody else can keep root from reading. */
	if (events->readers->len >= READERS_MAX || (others && events->others >= READERS_MAX / 2))
		return -EMFILE;
	/* Its signals are those of the thread that serves this request: none. */
	if (!events->thread)
		events->thread = g_thread_try_new("events", events_run, events, NULL);
	if (!events->thread)
		return -EAGAIN;
	reader = g_new0(struct reader, 1);
	reader->events = events;
	reader->others = others;
	reader->seen = state_ref(state);
	events->others += others;
	g_ptr_array_add(events->readers, reader);
	/* It has just looked. */
	if (!events_are_awaited(events))
		events->due = g_get_monotonic_time() + LOOK_US;
	*out = reader;
	return 0;
}

int events_open(struct events *events, bool others, struct reader **reader)
{
	struct bpfrefs_snapshot *snap;
	struct state *state;
	int err = events_are_full(events, others ? BYTES_MAX / 2 : BYTES_MAX)
			  ? -ENOMEM
			  : view_get(events->view, &snap);

	if (err)
		return err;
	state = events_state(events, snap);
	bpfrefs_snapshot_unref(snap);
	if (!state)
		return -ENOMEM;
	g_mutex_lock(&events->lock);
	err = add_reader(events, others, state, reader);
	g_mutex_unlock(&events->lock);
	state_unref(state);
	return err;
}

void events_close(struct reader *reader)
{
	struct events *events = reader->events;
	struct state *last = NULL;

	g_mutex_lock(&events->lock);
	g_ptr_array_remove_fast(events->readers, reader);
	events->others -= reader->others;
	if (!events->readers->len)
		last = g_steal_pointer(&events->last);
	g_mutex_unlock(&events->lock);
	/* The kernel releases a file when all its reads are answered. */
	state_unref(last);
	state_unref(reader->seen);
	change_unref(reader->pending);
	poll_unref(events, reader->poll);
	g_free(reader);
}

/* The lock is held. False: it waits. */
static bool answer_now(struct reader *reader, const struct waiting *w, bool nonblock,
		       struct answer *answer)
{
	struct events *events = reader->events;

	if (reader_is_ready(reader)) {
		reader_take(reader, w->size, answer);
		return true;
	}
	if (nonblock) {
		/* Who polls by edges does not ask again after this. */
		reader->polling = reader->poll != NULL;
		g_cond_signal(&events->work);
		answer->err = -EAGAIN;
		return true;
	}
	/* From here on, that is with the lock, events_interrupt() finds it. */
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
	struct waiting w = { reader, request, size };
	struct answer answer = { .request = request };
	bool ready;

	g_mutex_lock(&events->lock);
	ready = reader_is_ready(reader);
	g_mutex_unlock(&events->lock);
	if (nonblock && !ready)
		answer.err = reader_look(reader);
	if (!answer.err) {
		g_mutex_lock(&events->lock);
		ready = answer_now(reader, &w, nonblock, &answer);
		g_mutex_unlock(&events->lock);
		if (!ready)
			return;
	}
	answer_give(events, &answer);
}

void events_interrupt(struct events *events, void *request)
{
	struct answer answer = { .request = request, .err = -EINTR };
	bool found = false;

	g_mutex_lock(&events->lock);
	for (guint i = 0; !found && i < events->waiting->len; i++) {
		found = g_array_index(events->waiting, struct waiting, i).request == request;
		if (found)
			g_array_remove_index(events->waiting, i);
	}
	g_mutex_unlock(&events->lock);
	if (found)
		answer_give(events, &answer);
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
	ready = reader_is_ready(reader);
	due = g_get_monotonic_time() >= events->due;
	if (handle) {
		old = reader->poll;
		reader->poll = poll_new(handle);
		reader->polling = !ready;
		g_cond_signal(&events->work);
	}
	g_mutex_unlock(&events->lock);
	poll_unref(events, old);
	/* Who asks now and then and never waits is told what a look shows, not oftener than others. */
	if (!ready && !handle && due && reader_look(reader) == 0) {
		g_mutex_lock(&events->lock);
		ready = reader_is_ready(reader);
		events->due = g_get_monotonic_time() + LOOK_US;
		g_mutex_unlock(&events->lock);
	}
	return ready;
}

/* -------------------------------------------------------- begin and end --- */

struct events *events_new(struct view *view, const struct events_calls *calls)
{
	struct events *events = g_new0(struct events, 1);

	events->view = view;
	events->calls = calls;
	events->readers = g_ptr_array_new();
	events->waiting = g_array_new(FALSE, FALSE, sizeof(struct waiting));
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
	state_unref(events->last);
	g_ptr_array_unref(events->readers);
	g_array_unref(events->waiting);
	g_cond_clear(&events->work);
	g_mutex_clear(&events->lock);
	g_free(events);
}

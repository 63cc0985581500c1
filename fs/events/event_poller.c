/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Samples the system for the readers of .bpf/events, and replies to those that wait. */
#include "events/event_poller.h"

#include <errno.h>
#include <string.h>

/*
 * The kernel splits a longer read into requests of at least this size, and continues after a full
 * one.
 */
#define PART 4096

/* --------------------------------------------------------------- replies --- */

void event_answer(const struct events *events, const struct answer *answer)
{
	if (answer->text)
		events->calls->reply(answer->request, answer->text->text->str + answer->at,
				     answer->size);
	else
		events->calls->fail(answer->request, answer->err);
	event_text_unref(answer->text);
}

bool event_reader_is_ready(const struct reader *reader)
{
	return reader->pending || reader->error || reader->events->stopping;
}

/* Of the readers with an unread rest of a text, returns the one that got its text first. */
static struct reader *slowest(const struct events *events, bool others)
{
	struct reader *found = NULL;

	for (guint i = 0; i < events->readers->len; i++) {
		struct reader *reader = events->readers->pdata[i];

		/* the newest text exists in any case */
		if (!reader->pending || !reader->pending->size ||
		    reader->pending == events->log.newest || reader->others < others)
			continue;
		if (!found || reader->cursor.next < found->cursor.next)
			found = reader;
	}
	return found;
}

static void lose_pending(struct event_log *log, struct reader *reader)
{
	struct event_text *old = reader->pending;
	const char *unread = old->text->str + reader->at;

	reader->pending =
		event_log_lose(log, &reader->cursor, unread, reader->at && unread[-1] != '\n');
	reader->at = 0;
	event_text_unref(old);
}

/*
 * If texts that are being read take too much memory, the slowest readers lose the rest of theirs.
 * Readers of users other than root come first.
 */
static void bound_texts(struct events *events)
{
	struct event_log *log = &events->log;

	while ((gsize)g_atomic_pointer_get(&log->text_bytes) > TEXT_LOGS * log->room) {
		struct reader *reader = slowest(events, true);

		if (!reader)
			reader = slowest(events, false);
		if (!reader)
			return;
		lose_pending(log, reader);
	}
}

bool event_reader_catch_up(struct reader *reader)
{
	struct events *events = reader->events;

	if (!event_reader_is_ready(reader)) {
		reader->pending = event_log_take(&events->log, &reader->cursor);
		reader->at = 0;
		bound_texts(events);
	}
	return event_reader_is_ready(reader);
}

/*
 * Returns how many bytes one read gets: the whole lines that fit, or a part of a line that does
 * not. A request of PART bytes or more is never filled, because the kernel would then wait for
 * more before it returns this part.
 */
static size_t portion(const char *text, size_t left, size_t size)
{
	size_t most = size < PART ? size : size - 1;
	const char *newline;

	if (left <= most)
		return left;
	newline = memrchr(text, '\n', most);
	return newline ? (size_t)(newline - text) + 1 : most;
}

void event_reader_take(struct reader *reader, size_t size, struct answer *answer)
{
	const GString *text;

	if (!reader->pending) {
		answer->err = reader->error ? reader->error : -ENODEV;
		reader->error = 0;
		return;
	}
	text = reader->pending->text;
	answer->text = event_text_ref(reader->pending);
	answer->at = reader->at;
	answer->size = portion(text->str + reader->at, text->len - reader->at, size);
	reader->at += answer->size;
	if (reader->at == text->len)
		g_clear_pointer(&reader->pending, event_text_unref);
}

static struct poll *poll_ref(struct poll *poll)
{
	g_atomic_ref_count_inc(&poll->count);
	return poll;
}

void event_poll_unref(const struct events *events, struct poll *poll)
{
	if (!poll || !g_atomic_ref_count_dec(&poll->count))
		return;
	events->calls->drop(poll->handle);
	g_free(poll);
}

/* What is done after the lock is dropped. */
struct deferred {
	GArray *answers;  /* struct answer */
	GPtrArray *polls; /* struct poll, owned */
};

static void deferred_init(struct deferred *later)
{
	later->answers = g_array_new(FALSE, TRUE, sizeof(struct answer));
	later->polls = g_ptr_array_new();
}

static void deferred_do(const struct events *events, struct deferred *later)
{
	for (guint i = 0; i < later->answers->len; i++)
		event_answer(events, &g_array_index(later->answers, struct answer, i));
	for (guint i = 0; i < later->polls->len; i++) {
		events->calls->wake(((struct poll *)later->polls->pdata[i])->handle);
		event_poll_unref(events, later->polls->pdata[i]);
	}
	g_array_unref(later->answers);
	g_ptr_array_unref(later->polls);
}

/* --------------------------------------------------------------- samples --- */

/*
 * Adds the difference from the last state to the log. Only the thread that holds "sampling"
 * changes the log.
 */
static void add_change(struct events *events, struct bpfrefs_baseline *now,
		       const struct bpfrefs_snapshot *snap)
{
	struct event_log *log = &events->log;
	struct bpfrefs_change *change;

	change = bpfrefs_change_new(events->ctx, log->last, now, snap, log->number + 1);
	if (!change) {
		bpfrefs_baseline_free(now);
		return;
	}
	g_mutex_lock(&events->lock);
	event_log_append(log, change, now);
	g_mutex_unlock(&events->lock);
}

static int sample_locked(struct events *events, const struct bpfrefs_snapshot *snap)
{
	uint64_t began = bpfrefs_snapshot_stats(snap)->started_ns;
	struct bpfrefs_baseline *now;
	int err;

	/* Another snapshot of that time or later was compared meanwhile. */
	if (events->log.last && events->sampled_ns >= began)
		return 0;
	err = bpfrefs_baseline_new(snap, text_limit(), &now);
	if (err)
		return err;
	events->sampled_ns = began;
	if (events->log.last) {
		add_change(events, now, snap);
	} else {
		g_mutex_lock(&events->lock);
		events->log.last = now;
		g_mutex_unlock(&events->lock);
	}
	return 0;
}

int events_sample(struct events *events,
		  int (*get)(struct view *view, struct bpfrefs_snapshot **snap))
{
	struct bpfrefs_snapshot *snap;
	int err = get(events->view, &snap);

	if (err)
		return err;
	g_mutex_lock(&events->sampling);
	err = sample_locked(events, snap);
	g_mutex_unlock(&events->sampling);
	bpfrefs_snapshot_unref(snap);
	return err;
}

/* Called with the lock. Applies the result of a sample to one reader that waits. */
static bool is_answered(struct reader *reader, int err)
{
	if (!event_reader_catch_up(reader))
		reader->error = err;
	return event_reader_is_ready(reader);
}

static void answer_all(struct events *events, int err, struct deferred *later)
{
	guint kept = 0;

	for (guint i = 0; i < events->waiting->len; i++) {
		struct waiting_read *w = &g_array_index(events->waiting, struct waiting_read, i);
		struct answer answer = { .request = w->request };

		if (!is_answered(w->reader, err)) {
			g_array_index(events->waiting, struct waiting_read, kept++) = *w;
			continue;
		}
		event_reader_take(w->reader, w->size, &answer);
		g_array_append_val(later->answers, answer);
	}
	g_array_set_size(events->waiting, kept);
	for (guint i = 0; i < events->readers->len; i++) {
		struct reader *reader = events->readers->pdata[i];

		if (!reader->polling)
			continue;
		is_answered(reader, err);
		reader->polling = false;
		g_ptr_array_add(later->polls, poll_ref(reader->poll));
	}
}

/* Called with the lock held. Drops it during the scan and the replies, and returns with it held. */
static void sample_and_answer(struct events *events)
{
	struct deferred later;
	int err;

	events->due = g_get_monotonic_time() + SAMPLE_US;
	g_mutex_unlock(&events->lock);
	err = events_sample(events, view_fresh);
	deferred_init(&later);
	g_mutex_lock(&events->lock);
	answer_all(events, err, &later);
	g_mutex_unlock(&events->lock);
	deferred_do(events, &later);
	g_mutex_lock(&events->lock);
}

bool events_are_awaited(const struct events *events)
{
	if (events->waiting->len)
		return true;
	for (guint i = 0; i < events->readers->len; i++)
		if (((const struct reader *)events->readers->pdata[i])->polling)
			return true;
	return false;
}

gpointer events_run(gpointer data)
{
	struct events *events = data;

	g_mutex_lock(&events->lock);
	while (!events->stopping) {
		if (!events_are_awaited(events))
			g_cond_wait(&events->work, &events->lock);
		else if (g_get_monotonic_time() < events->due)
			g_cond_wait_until(&events->work, &events->lock, events->due);
		else
			sample_and_answer(events);
	}
	g_mutex_unlock(&events->lock);
	return NULL;
}

void events_end(struct events *events)
{
	struct deferred later;

	deferred_init(&later);
	g_mutex_lock(&events->lock);
	answer_all(events, 0, &later);
	g_mutex_unlock(&events->lock);
	deferred_do(events, &later);
}

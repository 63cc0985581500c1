/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking for readers of .bpf/events, and answering them. */
#include "events-look.h"

#include <errno.h>
#include <string.h>


/* The kernel asks for a longer read in parts, at least this long, and goes on after a full one. */
#define PART 4096

/* --------------------------------------------------------------- answers --- */

void answer_give(const struct events *events, const struct answer *answer)
{
	if (answer->change)
		events->calls->reply(answer->request, change_text(answer->change)->str + answer->at,
				     answer->size);
	else
		events->calls->fail(answer->request, answer->err);
	change_unref(answer->change);
}

bool reader_is_ready(const struct reader *reader)
{
	return reader->pending || reader->error || reader->events->stopping;
}

/*
 * How much of what is left one read gets: the whole lines that fit, or a part of a line that does not.
 * Never all that the kernel asked for in one part of a longer read, so that it does not wait for more
 * with this in its hands.
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

void reader_take(struct reader *reader, size_t size, struct answer *answer)
{
	const GString *text;

	if (!reader->pending) {
		answer->err = reader->error ? reader->error : -ENODEV;
		reader->error = 0;
		return;
	}
	text = change_text(reader->pending);
	answer->change = change_ref(reader->pending);
	answer->at = reader->at;
	answer->size = portion(text->str + reader->at, text->len - reader->at, size);
	reader->at += answer->size;
	if (reader->at == text->len)
		g_clear_pointer(&reader->pending, change_unref);
}

static struct poll *poll_ref(struct poll *poll)
{
	g_atomic_ref_count_inc(&poll->count);
	return poll;
}

void poll_unref(const struct events *events, struct poll *poll)
{
	if (!poll || !g_atomic_ref_count_dec(&poll->count))
		return;
	events->calls->drop(poll->handle);
	g_free(poll);
}

/* What is done once the lock is given up. */
struct later {
	GArray *answers;  /* struct answer */
	GPtrArray *polls; /* struct poll, owned */
};

static void later_init(struct later *later)
{
	later->answers = g_array_new(FALSE, TRUE, sizeof(struct answer));
	later->polls = g_ptr_array_new();
}

static void later_do(const struct events *events, struct later *later)
{
	for (guint i = 0; i < later->answers->len; i++)
		answer_give(events, &g_array_index(later->answers, struct answer, i));
	for (guint i = 0; i < later->polls->len; i++) {
		events->calls->wake(((struct poll *)later->polls->pdata[i])->handle);
		poll_unref(events, later->polls->pdata[i]);
	}
	g_array_unref(later->answers);
	g_ptr_array_unref(later->polls);
}

/* ---------------------------------------------------------------- looking --- */

struct state *events_state(struct events *events, const struct bpfrefs_snapshot *snap)
{
	struct state *last, *now;

	g_mutex_lock(&events->lock);
	last = events->last ? state_ref(events->last) : NULL;
	g_mutex_unlock(&events->lock);
	if (last && state_is_of(last, snap))
		return last;
	now = state_new(snap, &events->used);
	if (!now) {
		state_unref(last);
		return NULL;
	}
	if (last && state_equal(last, now)) {
		state_unref(now);
		return last;
	}
	state_unref(last);
	g_mutex_lock(&events->lock);
	last = events->last;
	events->last = state_ref(now);
	g_mutex_unlock(&events->lock);
	state_unref(last);
	return now;
}

bool events_are_full(struct events *events, gsize bytes)
{
	return (gsize)g_atomic_pointer_get(&events->used) >= bytes;
}

/* What a look shows to those at the state @then: owned, NULL if nothing. -ENOMEM. */
static int change_from(struct state *then, struct state *now, const struct bpfrefs_snapshot *snap,
		       struct change **change)
{
	*change = NULL;
	if (then == now)
		return 0;
	*change = change_new(then, now, snap);
	if (!*change)
		return -ENOMEM;
	if (!change_text(*change)->len)
		g_clear_pointer(change, change_unref);
	return 0;
}

/* Called with the lock held. */
static void set_pending(struct reader *reader, struct change *change)
{
	reader->pending = change_ref(change);
	reader->at = 0;
	state_unref(reader->seen);
	reader->seen = state_ref(change_seen(change));
}

int reader_look(struct reader *reader)
{
	struct events *events = reader->events;
	struct bpfrefs_snapshot *snap;
	struct state *then, *now;
	struct change *change = NULL;
	int err = events_are_full(events, BYTES_MAX) ? -ENOMEM : view_get(events->view, &snap);

	if (err)
		return err;
	now = events_state(events, snap);
	g_mutex_lock(&events->lock);
	then = state_ref(reader->seen);
	g_mutex_unlock(&events->lock);
	err = now ? change_from(then, now, snap, &change) : -ENOMEM;
	bpfrefs_snapshot_unref(snap);
	g_mutex_lock(&events->lock);
	if (change && !reader->pending && reader->seen == then)
		set_pending(reader, change);
	g_mutex_unlock(&events->lock);
	change_unref(change);
	state_unref(then);
	state_unref(now);
	return err;
}

/* The states that those are at who wait, each with room for its change. The lock is held. */
static GHashTable *states_waited_at(const struct events *events)
{
	GHashTable *states = g_hash_table_new_full(NULL, NULL, (GDestroyNotify)state_unref,
						   (GDestroyNotify)change_unref);

	for (guint i = 0; i < events->waiting->len; i++) {
		const struct waiting *w = &g_array_index(events->waiting, struct waiting, i);

		g_hash_table_insert(states, state_ref(w->reader->seen), NULL);
	}
	for (guint i = 0; i < events->readers->len; i++) {
		const struct reader *reader = events->readers->pdata[i];

		if (reader->polling)
			g_hash_table_insert(states, state_ref(reader->seen), NULL);
	}
	return states;
}

static int find_changes(struct events *events, GHashTable *states)
{
	struct bpfrefs_snapshot *snap;
	GHashTableIter iter;
	struct state *now;
	gpointer then;
	int err = view_fresh(events->view, &snap);

	if (err)
		return err;
	now = events_state(events, snap);
	err = now ? 0 : -ENOMEM;
	g_hash_table_iter_init(&iter, states);
	while (!err && g_hash_table_iter_next(&iter, &then, NULL)) {
		struct change *change;

		err = change_from(then, now, snap, &change);
		g_hash_table_iter_replace(&iter, change);
		if (events_are_full(events, BYTES_MAX))
			err = -ENOMEM;
	}
	state_unref(now);
	bpfrefs_snapshot_unref(snap);
	return err;
}

/* What a look found for one reader who waits. The lock is held. */
static void tell(struct reader *reader, GHashTable *states, int err)
{
	struct change *change = g_hash_table_lookup(states, reader->seen);

	if (reader_is_ready(reader))
		return;
	if (change)
		set_pending(reader, change);
	else
		reader->error = err;
}

static void tell_all(struct events *events, GHashTable *states, int err, struct later *later)
{
	guint kept = 0;

	for (guint i = 0; i < events->waiting->len; i++) {
		struct waiting *w = &g_array_index(events->waiting, struct waiting, i);
		struct answer answer = { .request = w->request };

		tell(w->reader, states, err);
		if (!reader_is_ready(w->reader)) {
			g_array_index(events->waiting, struct waiting, kept++) = *w;
			continue;
		}
		reader_take(w->reader, w->size, &answer);
		g_array_append_val(later->answers, answer);
	}
	g_array_set_size(events->waiting, kept);
	for (guint i = 0; i < events->readers->len; i++) {
		struct reader *reader = events->readers->pdata[i];

		if (!reader->polling)
			continue;
		tell(reader, states, err);
		reader->polling = false;
		g_ptr_array_add(later->polls, poll_ref(reader->poll));
	}
}

/* Called and returns with the lock held, and gives it up for the scan and the answers. */
static void look(struct events *events)
{
	GHashTable *states = states_waited_at(events);
	struct later later;
	int err;

	events->due = g_get_monotonic_time() + LOOK_US;
	g_mutex_unlock(&events->lock);
	err = find_changes(events, states);
	later_init(&later);
	g_mutex_lock(&events->lock);
	tell_all(events, states, err, &later);
	g_mutex_unlock(&events->lock);
	later_do(events, &later);
	g_hash_table_unref(states);
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
			look(events);
	}
	g_mutex_unlock(&events->lock);
	return NULL;
}

void events_end(struct events *events)
{
	g_autoptr(GHashTable) none = g_hash_table_new(NULL, NULL);
	struct later later;

	later_init(&later);
	g_mutex_lock(&events->lock);
	tell_all(events, none, 0, &later);
	g_mutex_unlock(&events->lock);
	later_do(events, &later);
}

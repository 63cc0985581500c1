/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/event_log.h"

#include <inttypes.h>
#include <string.h>

/* --------------------------------------------------------------- texts --- */

struct event_text *event_text_ref(struct event_text *text)
{
	g_atomic_ref_count_inc(&text->count);
	return text;
}

void event_text_unref(struct event_text *text)
{
	if (!text || !g_atomic_ref_count_dec(&text->count))
		return;
	g_atomic_pointer_add(text->bytes, -(gssize)text->size);
	g_string_free(text->text, TRUE);
	g_free(text);
}

/* Takes ownership of @string. @size is what counts against the limit of texts. */
static struct event_text *text_new(struct event_log *log, GString *string, gsize size)
{
	struct event_text *text = g_new0(struct event_text, 1);

	g_atomic_ref_count_init(&text->count);
	text->text = string;
	text->bytes = &log->text_bytes;
	text->size = size;
	g_atomic_pointer_add(text->bytes, (gssize)text->size);
	return text;
}

/* ----------------------------------------------------------------- log --- */

void event_log_init(struct event_log *log, gsize room)
{
	*log = (struct event_log){ .room = room };
	g_queue_init(&log->changes);
}

static void drop_oldest(struct event_log *log)
{
	struct bpfrefs_change *change = g_queue_pop_head(&log->changes);

	log->bytes -= bpfrefs_change_bytes(change);
	bpfrefs_change_free(change);
}

void event_log_clear(struct event_log *log)
{
	while (!g_queue_is_empty(&log->changes))
		drop_oldest(log);
	g_clear_pointer(&log->newest, event_text_unref);
	g_clear_pointer(&log->last, bpfrefs_baseline_free);
}

void event_log_append(struct event_log *log, struct bpfrefs_change *change,
		      struct bpfrefs_baseline *now)
{
	log->number = bpfrefs_change_number(change);
	log->lines += bpfrefs_change_count(change);
	log->bytes += bpfrefs_change_bytes(change);
	g_queue_push_tail(&log->changes, change);
	while (log->bytes > log->room && log->changes.length > 1)
		drop_oldest(log);
	bpfrefs_baseline_free(log->last);
	log->last = now;
}

struct event_cursor event_log_end(const struct event_log *log)
{
	return (struct event_cursor){ log->number + 1, log->number, log->lines };
}

struct event_text *event_log_lose(struct event_log *log, struct event_cursor *cursor,
				  const char *unread, bool in_line)
{
	uint64_t lines = log->lines - cursor->lines;
	GString *string = g_string_new(in_line ? "\n" : NULL);
	const char *end = unread;

	while ((end = strchr(end, '\n'))) {
		lines++;
		end++;
	}
	g_string_append_printf(string, "# lost %" PRIu64 " changes\n", lines);
	*cursor = event_log_end(log);
	return text_new(log, string, 0);
}

/* A bpfrefs_write_fn: the log bounds the changes, so that the text needs no limit. */
static int append(const char *text, size_t length, void *data)
{
	g_string_append_len(data, text, (gssize)length);
	return 0;
}

/* Returns the first change from @number on, or NULL if it is no longer in the log. */
static const GList *changes_from(const struct event_log *log, uint64_t number)
{
	const GList *item = log->changes.tail;

	while (item && bpfrefs_change_number(item->data) > number)
		item = item->prev;
	return item;
}

/* The text of the changes from @first on, owned. */
static struct event_text *text_of(struct event_log *log, const GList *first, uint64_t opened)
{
	g_autoptr(GPtrArray) changes = g_ptr_array_new();
	GString *string = g_string_new(NULL);
	struct event_text *text;
	int per_reader;

	for (; first; first = first->next)
		g_ptr_array_add(changes, first->data);
	per_reader = bpfrefs_changes_to_text((const struct bpfrefs_change *const *)changes->pdata,
					     changes->len, log->last, opened, append, string);
	text = text_new(log, string, sizeof(*text) + string->allocated_len);
	text->is_shared = !per_reader;
	return text;
}

struct event_text *event_log_take(struct event_log *log, struct event_cursor *cursor)
{
	const GList *first = changes_from(log, cursor->next);
	struct event_text *text = log->newest;

	if (cursor->next > log->number)
		return NULL;
	if (!first)
		return event_log_lose(log, cursor, "", false);
	if (!text || !text->is_shared || text->first != cursor->next || text->last != log->number) {
		text = text_of(log, first, cursor->opened);
		text->first = cursor->next;
		text->last = log->number;
		event_text_unref(log->newest);
		log->newest = text;
	}
	cursor->next = log->number + 1;
	cursor->lines = log->lines;
	return text->text->len ? event_text_ref(text) : NULL;
}

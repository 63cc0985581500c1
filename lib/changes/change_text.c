/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The items of a change, and the lines of .bpf/events for a sequence of changes. What one of them added
 * and a later one removed is left out, as is a state that is the same at the end as before.
 */
#include "changes/change.h"

#include <string.h>

/* A sequence of changes, oldest first. */
struct changes {
	const struct bpfrefs_change *const *changes;
	size_t count;
};

/* A line of one of the changes. */
struct merged_line {
	const char *text; /* the text that contains the line */
	const struct line_change *change;
};

/* The first and the last change of one object or class. */
struct merged_object {
	const struct object_change *first, *last;
	const char *text; /* the text that contains the last line */
};

struct merged_gap {
	const struct gap_change *first, *last;
};

/* --------------------------------------------------------------- lines --- */

static int merged_order(gconstpointer a, gconstpointer b)
{
	const struct merged_line *x = a, *y = b;

	return change_line_compare(x->text, &x->change->line, y->text, &y->change->line);
}

/*
 * Returns how a change of a line counts for a reader. A record that was hidden when the reader
 * opened the file counts as added when it is shown again, and counts for nothing when it is
 * removed.
 */
static int weight(const struct line_change *change, uint64_t opened)
{
	bool was_seen = !change->line.hidden || opened < change->line.hidden;

	if (change->sign < 0)
		return was_seen ? -1 : 0;
	return change->line.hidden && was_seen ? 0 : 1;
}

/*
 * "+ map/12 fd ref=1 user=1 file=3 pid=4 comm=x fd=5". @token replaces the token of the line,
 * unless it is NULL.
 */
static void show_changed(GString *out, char sign, const char *text, const struct change_line *line,
			 const char *token)
{
	uint32_t rest = line->token_at + line->token_length;

	text += line->at;
	g_string_append_c(out, sign);
	g_string_append_c(out, ' ');
	g_string_append_len(out, text, token ? line->token_at : line->length);
	if (token) {
		g_string_append(out, token);
		g_string_append_len(out, text + rest, line->length - rest);
	}
	g_string_append_c(out, '\n');
}

/*
 * An added record is shown with its token in the last state, so that equal tokens of such lines
 * mean the same. The token of a record that is hidden by now is unknown.
 */
static void show_new(GString *out, const struct bpfrefs_baseline *last,
		     const struct merged_line *line)
{
	const struct change_line *now = change_baseline_find(last, line->text, &line->change->line);
	bool known = now && !now->hidden;

	if (known)
		show_changed(out, '+', last->text->str, now, NULL);
	else
		show_changed(out, '+', line->text, &line->change->line,
			     line->change->line.token_length ? "?" : NULL);
}

static void show_line_group(GString *out, const struct bpfrefs_baseline *last,
			    const struct merged_line *line, int sum)
{
	for (; sum > 0; sum--)
		show_new(out, last, line);
	for (; sum < 0; sum++)
		show_changed(out, '-', line->text, &line->change->line, NULL);
}

static bool show_lines(GString *out, const struct changes *all, const struct bpfrefs_baseline *last,
		       uint64_t opened)
{
	g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(struct merged_line));
	bool per_reader = false;
	guint next;

	for (size_t n = 0; n < all->count; n++) {
		const struct bpfrefs_change *change = all->changes[n];

		for (guint i = 0; i < change->lines->len; i++) {
			struct merged_line line = { change->text->str,
						    &g_array_index(change->lines,
								   struct line_change, i) };

			per_reader |= line.change->line.hidden != 0;
			g_array_append_val(lines, line);
		}
	}
	if (all->count > 1)
		g_array_sort(lines, merged_order);
	for (guint i = 0; i < lines->len; i = next) {
		const struct merged_line *line = &g_array_index(lines, struct merged_line, i);
		int sum = 0;

		for (next = i;
		     next < lines->len &&
		     merged_order(line, &g_array_index(lines, struct merged_line, next)) == 0;
		     next++)
			sum += weight(g_array_index(lines, struct merged_line, next).change,
				      opened);
		show_line_group(out, last, line, sum);
	}
	return per_reader;
}

/* ------------------------------------------------------------- objects --- */

static int object_order(gconstpointer a, gconstpointer b)
{
	const struct merged_object *x = a, *y = b;

	return bpfrefs_key_compare(x->last->key, y->last->key);
}

/* Returns one entry for each object, unsorted. */
static GArray *merge_objects(const struct changes *all)
{
	g_autoptr(GHashTable) places = g_hash_table_new(NULL, NULL);
	GArray *objects = g_array_new(FALSE, FALSE, sizeof(struct merged_object));

	for (size_t n = 0; n < all->count; n++) {
		const struct bpfrefs_change *change = all->changes[n];

		for (guint i = 0; i < change->objects->len; i++) {
			const struct object_change *one =
				&g_array_index(change->objects, struct object_change, i);
			gpointer key = GSIZE_TO_POINTER((gsize)one->key.id << 5 | one->key.kind);
			guint place = GPOINTER_TO_UINT(g_hash_table_lookup(places, key));
			struct merged_object merged = { one, one, change->text->str };

			if (place) {
				merged.first =
					g_array_index(objects, struct merged_object, place - 1)
						.first;
				g_array_index(objects, struct merged_object, place - 1) = merged;
				continue;
			}
			g_array_append_val(objects, merged);
			g_hash_table_insert(places, key, GUINT_TO_POINTER(objects->len));
		}
	}
	return objects;
}

/* For an object that was freed, the lines with "-" are enough. */
static void show_objects_changed(GString *out, const struct changes *all,
				 const struct bpfrefs_baseline *last)
{
	g_autoptr(GArray) objects = merge_objects(all);

	g_array_sort(objects, object_order);
	for (guint i = 0; i < objects->len; i++) {
		const struct merged_object *one = &g_array_index(objects, struct merged_object, i);

		if (one->first->before == one->last->after ||
		    !change_baseline_has(last, one->last->key))
			continue;
		g_string_append(out, "! ");
		g_string_append_len(out, one->text + one->last->at, one->last->length);
	}
}

/* ---------------------------------------------------------------- gaps --- */

static void show_gaps_changed(GString *out, const struct changes *all,
			      const struct bpfrefs_baseline *last)
{
	g_autofree struct merged_gap *gaps = g_new0(struct merged_gap, last->gaps->len);

	for (size_t n = 0; n < all->count; n++) {
		const struct bpfrefs_change *change = all->changes[n];

		for (guint i = 0; i < change->gaps->len; i++) {
			const struct gap_change *one =
				&g_array_index(change->gaps, struct gap_change, i);

			if (!gaps[one->class].first)
				gaps[one->class].first = one;
			gaps[one->class].last = one;
		}
	}
	for (guint i = 0; i < last->gaps->len; i++) {
		const struct merged_gap *gap = &gaps[i];

		if (gap->last && g_strcmp0(gap->first->before, gap->last->after) != 0)
			g_string_append_printf(out, "# %s: %s\n", gap->last->class_->name,
					       gap->last->after ? gap->last->after : "complete");
	}
}

int bpfrefs_changes_to_text(const struct bpfrefs_change *const *changes, size_t count,
			    const struct bpfrefs_baseline *last, uint64_t opened,
			    bpfrefs_write_fn write, void *data)
{
	const struct changes all = { changes, count };
	struct text_sink sink = sink_begin(write, data);
	bool per_reader = show_lines(sink.out, &all, last, opened);
	int err;

	show_objects_changed(sink.out, &all, last);
	show_gaps_changed(sink.out, &all, last);
	err = sink_end(&sink, 0);
	return err ? err : per_reader;
}

/* --------------------------------------------------------------- items --- */

static int each_line(const struct bpfrefs_change *change, bpfrefs_change_fn fn, void *data)
{
	int stop = 0;

	for (guint i = 0; !stop && i < change->lines->len; i++) {
		const struct line_change *one =
			&g_array_index(change->lines, struct line_change, i);
		struct bpfrefs_change_item item = {
			.size = sizeof(item),
			.type = one->sign > 0 ? BPFREFS_CHANGE_ADDED : BPFREFS_CHANGE_REMOVED,
			.key = one->line.target,
			.class_ = one->line.class_,
			.text = change->text->str + one->line.at,
			.length = one->line.length,
		};

		/* One that a gap hid for a while was not removed, and is not new. */
		if (one->sign < 0 || !one->line.hidden)
			stop = fn(&item, data);
	}
	return stop;
}

static int each_object(const struct bpfrefs_change *change, bpfrefs_change_fn fn, void *data)
{
	int stop = 0;

	for (guint i = 0; !stop && i < change->objects->len; i++) {
		const struct object_change *one =
			&g_array_index(change->objects, struct object_change, i);
		struct bpfrefs_change_item item = {
			.size = sizeof(item),
			.type = BPFREFS_CHANGE_STATE,
			.key = one->key,
			.before = one->before,
			.after = one->after,
			.text = change->text->str + one->at,
			.length = one->length - 1,
		};

		stop = fn(&item, data);
	}
	return stop;
}

int bpfrefs_change_each(const struct bpfrefs_change *change, bpfrefs_change_fn fn, void *data)
{
	int stop = each_line(change, fn, data);

	if (!stop)
		stop = each_object(change, fn, data);
	for (guint i = 0; !stop && i < change->gaps->len; i++) {
		const struct gap_change *one = &g_array_index(change->gaps, struct gap_change, i);
		const char *text = one->after ? one->after : "complete";
		struct bpfrefs_change_item item = {
			.size = sizeof(item),
			.type = BPFREFS_CHANGE_COVERAGE,
			.key.kind = BPFREFS_KIND_NONE,
			.class_ = one->class_,
			.text = text,
			.length = strlen(text),
		};

		stop = fn(&item, data);
	}
	return stop;
}

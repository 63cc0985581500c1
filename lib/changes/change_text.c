/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The items of a change, and the lines of .bpf/events for a sequence of changes. What one of them added
 * and a later one removed is left out, as is a state that is the same at the end as before.
 */
#include "changes/change.h"

#include <string.h>

#include "snapshot/select.h"

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

struct items {
	const struct bpfrefs_change *change;
	struct bpfrefs_change_item item; /* the last one that was returned */
};

static struct bpfrefs_change_item item_of_line(const struct bpfrefs_change *change,
					       const struct line_change *one)
{
	return (struct bpfrefs_change_item){
		.size = sizeof(struct bpfrefs_change_item),
		.type = one->sign > 0 ? BPFREFS_CHANGE_ADDED : BPFREFS_CHANGE_REMOVED,
		.key = one->line.target,
		.class_ = one->line.class_,
		.text = change->text->str + one->line.at,
		.length = one->line.length,
	};
}

static struct bpfrefs_change_item item_of_object(const struct bpfrefs_change *change,
						 const struct object_change *one)
{
	return (struct bpfrefs_change_item){
		.size = sizeof(struct bpfrefs_change_item),
		.type = BPFREFS_CHANGE_STATE,
		.key = one->key,
		.before = one->before,
		.after = one->after,
		.text = change->text->str + one->at,
		.length = one->length - 1,
	};
}

static struct bpfrefs_change_item item_of_gap(const struct gap_change *one)
{
	const char *text = one->after ? one->after : "complete";

	return (struct bpfrefs_change_item){
		.size = sizeof(struct bpfrefs_change_item),
		.type = BPFREFS_CHANGE_COVERAGE,
		.key.kind = BPFREFS_KIND_NONE,
		.class_ = one->class_,
		.text = text,
		.length = strlen(text),
	};
}

static int begin(struct bpfrefs_selection *selection, const void *change)
{
	struct items *items = selection->state = g_new0(struct items, 1);

	items->change = change;
	return 0;
}

static const void *next(struct bpfrefs_selection *selection)
{
	struct items *items = selection->state;
	const struct bpfrefs_change *change = items->change;
	const struct line_change *line;
	size_t at = selection->at++;

	/* One that a gap hid for a while was not removed, and is not new. */
	for (; at < change->lines->len; at = selection->at++) {
		line = &g_array_index(change->lines, struct line_change, at);
		if (line->sign < 0 || !line->line.hidden) {
			items->item = item_of_line(change, line);
			return &items->item;
		}
	}
	at -= change->lines->len;
	if (at < change->objects->len) {
		items->item = item_of_object(
			change, &g_array_index(change->objects, struct object_change, at));
		return &items->item;
	}
	at -= change->objects->len;
	if (at >= change->gaps->len)
		return NULL;
	items->item = item_of_gap(&g_array_index(change->gaps, struct gap_change, at));
	return &items->item;
}

/* Only an item about an object has a kind, only one about its state has that. */
static bool matches(const struct bpfrefs_selection *selection, const void *data)
{
	const struct bpfrefs_change_item *item = data;
	unsigned int states = selection->filter.states;

	if (states && (item->type != BPFREFS_CHANGE_STATE || !(states & 1u << item->after)))
		return false;
	return select_key(selection, item->key) && select_class(selection, item->class_);
}

int bpfrefs_select_changes(const struct bpfrefs_change *change, const struct bpfrefs_filter *filter,
			   struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_CHANGE,
		.members = SELECT_BY_KIND | SELECT_BY_STATE | SELECT_BY_KEY | SELECT_BY_CLASS,
		.begin = begin,
		.next = next,
		.matches = matches,
		.clear = g_free,
	};

	return select_new(&question, NULL, change->classes, filter, change, out);
}

const struct bpfrefs_change_item *bpfrefs_next_change(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_CHANGE);
}

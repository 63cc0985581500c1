/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What snapshots showed, and the difference of two of them.
 *
 * Records are compared without their tokens (file=, share=), which number what one snapshot has
 * and mean nothing outside it. They are shown with them.
 *
 * If a class has a gap, a record that it does not show may exist nonetheless. The record counts
 * as removed only if the class is complete, or has the same gap as when it last showed the
 * record. Until then the record is carried along, hidden, in each following state. A reader who
 * opened the file before that has seen the record, and one who opened it later has not, so a
 * change has the number of the change that hid the record.
 */
#include "changes/change.h"

#include <string.h>

#define LINE(state, i)	 (&g_array_index((state)->lines, struct change_line, i))
#define OBJECT(state, i) (&g_array_index((state)->objects, struct object_in_state, i))
#define GAP(state, i)	 ((char *)(state)->gaps->pdata[i])

static char *gap_ref(char *gap)
{
	return gap ? g_ref_string_acquire(gap) : NULL;
}

static void gap_unref(gpointer gap)
{
	if (gap)
		g_ref_string_release(gap);
}

/* --------------------------------------------------------------- lines --- */

static int part_compare(const char *x, uint32_t x_length, const char *y, uint32_t y_length)
{
	int order = memcmp(x, y, MIN(x_length, y_length));

	if (order)
		return order;
	return x_length < y_length ? -1 : x_length > y_length;
}

int change_line_compare(const char *x, const struct change_line *a, const char *y,
			const struct change_line *b)
{
	uint32_t a_rest = a->token_at + a->token_length, b_rest = b->token_at + b->token_length;
	int order = bpfrefs_key_compare(a->target, b->target);

	if (order)
		return order;
	if (a->class != b->class)
		return a->class < b->class ? -1 : 1;
	order = part_compare(x + a->at, a->token_at, y + b->at, b->token_at);
	if (order)
		return order;
	return part_compare(x + a->at + a_rest, a->length - a_rest, y + b->at + b_rest,
			    b->length - b_rest);
}

static int line_order(gconstpointer a, gconstpointer b, gpointer text)
{
	return change_line_compare(text, a, text, b);
}

/* Finds the token in the line at the end of the text. */
static void find_token(const GString *text, struct change_line *line)
{
	static const char *const keys[] = { " file=", " share=" };

	for (size_t i = 0; i < G_N_ELEMENTS(keys) && !line->token_length; i++) {
		const char *found = strstr(text->str + line->at, keys[i]);
		size_t length;

		if (!found)
			continue;
		found += strlen(keys[i]);
		length = strspn(found, "0123456789");
		if (length) {
			line->token_at = (uint32_t)(found - text->str) - line->at;
			line->token_length = (uint32_t)length;
		}
	}
}

/* A bpfrefs_write_fn: @data is a GString. */
static int append(const char *text, size_t length, void *data)
{
	g_string_append_len(data, text, (gssize)length);
	return 0;
}

static void add_line(struct bpfrefs_baseline *state, const struct bpfrefs_ref *ref)
{
	struct change_line line = { .target = bpfrefs_ref_target(ref),
				    .class_ = bpfrefs_ref_class(ref),
				    .class = (uint32_t)bpfrefs_ref_class_index(ref),
				    .at = (uint32_t)state->text->len };

	bpfrefs_ref_to_record(ref, append, state->text);
	line.length = (uint32_t)state->text->len - line.at - 1;
	find_token(state->text, &line);
	g_array_append_val(state->lines, line);
}

static int add_lines(struct bpfrefs_baseline *state, const struct bpfrefs_snapshot *snap,
		     size_t limit)
{
	const struct bpfrefs_ref *ref;
	int err = 0;

	for (size_t i = 0; !err && (ref = snapshot_ref_at(snap, i)); i++) {
		if (bpfrefs_snapshot_hides_ref(snap, ref))
			continue;
		add_line(state, ref);
		err = state->text->len > limit ? -ENOMEM : 0;
	}
	g_array_sort_with_data(state->lines, line_order, state->text->str);
	return err;
}

const struct change_line *change_baseline_find(const struct bpfrefs_baseline *state,
					       const char *text, const struct change_line *line)
{
	guint low = 0, high = state->lines->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (change_line_compare(state->text->str, LINE(state, middle), text, line) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == state->lines->len ||
	    change_line_compare(state->text->str, LINE(state, low), text, line))
		return NULL;
	return LINE(state, low);
}

/* --------------------------------------------------------------- states --- */

static void line_clear(gpointer data)
{
	gap_unref(((struct change_line *)data)->gap);
}

static void add_gaps(struct bpfrefs_baseline *state, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_class_status *status;

	for (size_t i = 0; (status = snapshot_class(snap, i)); i++) {
		g_autoptr(GString) gap = g_string_new(NULL);

		if (status->coverage != BPFREFS_COVERAGE_COMPLETE)
			bpfrefs_class_status_to_text(status, append, gap);
		g_ptr_array_add(state->gaps, gap->len ? g_ref_string_new(gap->str) : NULL);
	}
}

int bpfrefs_baseline_new(const struct bpfrefs_snapshot *snap, size_t limit,
			 struct bpfrefs_baseline **out)
{
	const struct bpfrefs_object *object;
	struct bpfrefs_baseline *state = g_new0(struct bpfrefs_baseline, 1);
	int err;

	state->text = g_string_new(NULL);
	state->lines = g_array_new(FALSE, FALSE, sizeof(struct change_line));
	g_array_set_clear_func(state->lines, line_clear);
	state->objects = g_array_new(FALSE, FALSE, sizeof(struct object_in_state));
	state->gaps = g_ptr_array_new_with_free_func(gap_unref);
	add_gaps(state, snap);
	/* Places in the text have 32 bits, and hidden lines are added later. */
	err = add_lines(state, snap, MIN(limit ? limit : SIZE_MAX, G_MAXUINT32 / 2));
	for (size_t i = 0; !err && (object = snapshot_object(snap, i)); i++) {
		struct object_in_state one = { object->key, object->state };

		if (!bpfrefs_snapshot_hides(snap, object))
			g_array_append_val(state->objects, one);
	}
	if (err)
		bpfrefs_baseline_free(state);
	else
		*out = state;
	return err;
}

void bpfrefs_baseline_free(struct bpfrefs_baseline *state)
{
	if (!state)
		return;
	g_string_free(state->text, TRUE);
	g_array_unref(state->lines);
	g_array_unref(state->objects);
	g_ptr_array_unref(state->gaps);
	g_free(state);
}

/* Returns the index of the object in the state, or of the next object. */
static guint find_object(const struct bpfrefs_baseline *state, struct bpfrefs_key key)
{
	guint low = 0, high = state->objects->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (bpfrefs_key_compare(OBJECT(state, middle)->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool change_baseline_has(const struct bpfrefs_baseline *state, struct bpfrefs_key key)
{
	guint at = find_object(state, key);

	return at < state->objects->len && bpfrefs_key_compare(OBJECT(state, at)->key, key) == 0;
}

/* -------------------------------------------------------------- changes --- */

static char *gap_when_shown(const struct bpfrefs_baseline *then, const struct change_line *line)
{
	return line->hidden ? line->gap : GAP(then, line->class);
}

/* Returns whether a record that its class no longer shows was removed. */
static bool is_gone(const struct bpfrefs_baseline *then, const struct bpfrefs_baseline *now,
		    const struct change_line *line)
{
	const char *gap = GAP(now, line->class);

	return !gap || g_strcmp0(gap, gap_when_shown(then, line)) == 0;
}

static void add_line_change(struct bpfrefs_change *change, const struct bpfrefs_baseline *state,
			    const struct change_line *line, int sign, uint64_t hidden)
{
	struct line_change one = { .line = *line, .sign = sign };

	one.line.at = (uint32_t)change->text->len;
	one.line.hidden = hidden;
	one.line.gap = NULL;
	g_string_append_len(change->text, state->text->str + line->at, line->length);
	g_array_append_val(change->lines, one);
	change->count += !(sign > 0 && hidden);
}

/* Adds a line that @now gets as a hidden one. */
static void carry(GArray *carried, const struct bpfrefs_baseline *then,
		  const struct change_line *line, uint64_t number)
{
	struct change_line copy = *line;

	copy.gap = gap_ref(gap_when_shown(then, line));
	if (!copy.hidden)
		copy.hidden = number;
	g_array_append_val(carried, copy);
}

static void add_carried(struct bpfrefs_baseline *now, const struct bpfrefs_baseline *then,
			const GArray *carried)
{
	for (guint i = 0; i < carried->len; i++) {
		struct change_line line = g_array_index(carried, struct change_line, i);
		const char *text = then->text->str + line.at;

		line.at = (uint32_t)now->text->len;
		g_string_append_len(now->text, text, line.length);
		g_array_append_val(now->lines, line);
	}
	if (carried->len)
		g_array_sort_with_data(now->lines, line_order, now->text->str);
}

/*
 * Adds the lines that differ to the change, and those that stay hidden or become so to @carried.
 * A line that was hidden before and stays hidden is no change.
 */
static void compare_lines(struct bpfrefs_change *change, const struct bpfrefs_baseline *then,
			  const struct bpfrefs_baseline *now, GArray *carried)
{
	guint i = 0, j = 0;

	while (i < then->lines->len || j < now->lines->len) {
		const struct change_line *old = i < then->lines->len ? LINE(then, i) : NULL;
		const struct change_line *new = j < now->lines->len ? LINE(now, j) : NULL;
		int order = !old   ? 1
			    : !new ? -1
				   : change_line_compare(then->text->str, old, now->text->str, new);

		if (old && order < 0 && is_gone(then, now, old))
			add_line_change(change, then, old, -1, old->hidden);
		else if (old && order < 0)
			carry(carried, then, old, change->number);
		else if (new &&order > 0)
			add_line_change(change, now, new, 1, 0);
		else if (old && new && old->hidden)
			add_line_change(change, now, new, 1, old->hidden);
		i += order <= 0;
		j += order >= 0;
	}
}

/* A new object is treated as if its state had been held before. */
static void compare_objects(struct bpfrefs_ctx *ctx, struct bpfrefs_change *change,
			    const struct bpfrefs_baseline *then, const struct bpfrefs_baseline *now,
			    const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_object *object;

	for (guint j = 0; j < now->objects->len; j++) {
		struct object_change one = { .key = OBJECT(now, j)->key,
					     .before = BPFREFS_STATE_HELD,
					     .after = OBJECT(now, j)->state,
					     .at = (uint32_t)change->text->len };

		if (change_baseline_has(then, one.key))
			one.before = OBJECT(then, find_object(then, one.key))->state;
		if (one.before == one.after)
			continue;
		object = bpfrefs_snapshot_find(snap, one.key);
		bpfrefs_object_to_line(object,
				       ctx ? bpfrefs_memlock(ctx, snap, one.key) : object->memlock,
				       append, change->text);
		one.length = (uint32_t)change->text->len - one.at;
		g_array_append_val(change->objects, one);
	}
	change->count += change->objects->len;
}

static void compare_gaps(struct bpfrefs_change *change, const struct bpfrefs_baseline *then,
			 const struct bpfrefs_baseline *now, const struct bpfrefs_snapshot *snap)
{
	for (guint i = 0; i < now->gaps->len; i++) {
		struct gap_change one = { .class = i };

		if (g_strcmp0(GAP(then, i), GAP(now, i)) == 0)
			continue;
		one.class_ = snapshot_class(snap, i)->class_;
		one.before = gap_ref(GAP(then, i));
		one.after = gap_ref(GAP(now, i));
		g_array_append_val(change->gaps, one);
	}
	change->count += change->gaps->len;
}

static void gap_change_clear(gpointer data)
{
	struct gap_change *change = data;

	gap_unref(change->before);
	gap_unref(change->after);
}

struct bpfrefs_change *bpfrefs_change_new(struct bpfrefs_ctx *ctx,
					  const struct bpfrefs_baseline *then,
					  struct bpfrefs_baseline *now,
					  const struct bpfrefs_snapshot *snap, uint64_t number)
{
	g_autoptr(GArray) carried = g_array_new(FALSE, FALSE, sizeof(struct change_line));
	struct bpfrefs_change *change = g_new0(struct bpfrefs_change, 1);

	change->number = number;
	change->text = g_string_new(NULL);
	change->lines = g_array_new(FALSE, FALSE, sizeof(struct line_change));
	change->objects = g_array_new(FALSE, FALSE, sizeof(struct object_change));
	change->gaps = g_array_new(FALSE, FALSE, sizeof(struct gap_change));
	change->classes = g_array_ref(snap->classes);
	g_array_set_clear_func(change->gaps, gap_change_clear);
	compare_lines(change, then, now, carried);
	compare_objects(ctx, change, then, now, snap);
	compare_gaps(change, then, now, snap);
	add_carried(now, then, carried);
	if (change->count || change->lines->len)
		return change;
	bpfrefs_change_free(change);
	return NULL;
}

void bpfrefs_change_free(struct bpfrefs_change *change)
{
	if (!change)
		return;
	g_string_free(change->text, TRUE);
	g_array_unref(change->lines);
	g_array_unref(change->objects);
	g_array_unref(change->gaps);
	g_array_unref(change->classes);
	g_free(change);
}

size_t bpfrefs_change_bytes(const struct bpfrefs_change *change)
{
	return sizeof(*change) + change->text->allocated_len +
	       change->lines->len * sizeof(struct line_change) +
	       change->objects->len * sizeof(struct object_change) +
	       change->gaps->len * sizeof(struct gap_change);
}

uint64_t bpfrefs_change_number(const struct bpfrefs_change *change)
{
	return change->number;
}

size_t bpfrefs_change_count(const struct bpfrefs_change *change)
{
	return change->count;
}

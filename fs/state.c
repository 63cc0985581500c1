/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * States of the whole system, and how one is told from another.
 *
 * Records are compared without their tokens (file=, share=), which number what a snapshot happens to
 * have, and mean nothing outside it. They are shown with them: among the lines of one change that
 * begin alike, equal tokens mean the same thing.
 *
 * A record that a class with a gap does not show may be there all the same. It is told to be gone only
 * where the class is complete, or has the gap that it had when it showed the record; until then it is
 * carried along as something seen.
 */
#include "state.h"

#include <string.h>

#include "show.h"

/* One record. */
struct line {
	struct bpfrefs_key target;
	uint32_t class;	     /* its place in output order */
	uint32_t token;	     /* 0: it has none */
	uint32_t at, length; /* its text without the token and the newline */
	uint32_t token_at;   /* where the token belongs in it */
};

struct standing {
	struct bpfrefs_key key;
	enum bpfrefs_state state;
};

struct coverage {
	const struct bpfrefs_class *class_;
	char *gap;     /* in words, NULL: complete */
	char *trusted; /* the gap that it had when what it did not show was last held to be gone */
};

struct state {
	gatomicrefcount count;
	gsize *used, size;
	uint64_t started_ns; /* of its snapshot */
	GString *text;
	GArray *lines;	  /* in order */
	GArray *objects;  /* struct standing, in key order */
	GArray *coverage; /* one a class, in output order */
};

struct change {
	gatomicrefcount count;
	gsize *used, size;
	GString *text;
	struct state *seen;
};

#define LINE(state, i)	   (&g_array_index((state)->lines, struct line, i))
#define STANDING(state, i) (&g_array_index((state)->objects, struct standing, i))
#define COVERAGE(state, i) (&g_array_index((state)->coverage, struct coverage, i))

/* --------------------------------------------------------------- lines --- */

static int text_compare(const struct state *x, const struct line *a, const struct state *y,
			const struct line *b)
{
	int order = memcmp(x->text->str + a->at, y->text->str + b->at, MIN(a->length, b->length));

	if (order)
		return order;
	return a->length < b->length ? -1 : a->length > b->length;
}

static int line_compare(const struct state *x, const struct line *a, const struct state *y,
			const struct line *b)
{
	int order = bpfrefs_key_compare(a->target, b->target);

	if (order)
		return order;
	if (a->class != b->class)
		return a->class < b->class ? -1 : 1;
	return text_compare(x, a, y, b);
}

static int in_order(gconstpointer a, gconstpointer b, gpointer data)
{
	return line_compare(data, a, data, b);
}

/* Takes the token out of the line that the text ends with. */
static void cut_token(GString *text, struct line *line)
{
	static const char *const keys[] = { " file=", " share=" };

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		char *found = strstr(text->str + line->at, keys[i]), *end;

		if (!found)
			continue;
		found += strlen(keys[i]);
		line->token = (uint32_t)strtoul(found, &end, 10);
		line->token_at = (uint32_t)(found - text->str) - line->at;
		g_string_erase(text, found - text->str, end - found);
		return;
	}
}

static uint32_t class_index(const struct state *state, const struct bpfrefs_class *class_)
{
	uint32_t i = 0;

	while (i < state->coverage->len && COVERAGE(state, i)->class_ != class_)
		i++;
	return i;
}

static int add_lines(struct state *state, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_ref *ref;
	int err = 0;

	for (size_t i = 0; !err && (ref = bpfrefs_snapshot_ref_at(snap, i)); i++) {
		struct line line = { .target = bpfrefs_ref_target(ref),
				     .class = class_index(state, bpfrefs_ref_class(ref)),
				     .at = (uint32_t)state->text->len };

		show_line(state->text, ref);
		g_string_truncate(state->text, state->text->len - 1);
		cut_token(state->text, &line);
		line.length = (uint32_t)state->text->len - line.at;
		g_array_append_val(state->lines, line);
		err = text_room(state->text);
	}
	g_array_sort_with_data(state->lines, in_order, state);
	return err;
}

/* "+ map/12 fd ref=1 user=1 file=3 pid=4 comm=x fd=5" */
static void tell_line(GString *out, char sign, const struct state *state, const struct line *line)
{
	const char *text = state->text->str + line->at;

	g_string_append_printf(out, "%c ", sign);
	g_string_append_len(out, text, line->token_at);
	if (line->token)
		g_string_append_printf(out, "%u", line->token);
	g_string_append_len(out, text + line->token_at, line->length - line->token_at);
	g_string_append_c(out, '\n');
}

/* --------------------------------------------------------------- states --- */

static void coverage_clear(gpointer data)
{
	struct coverage *coverage = data;

	g_free(coverage->gap);
	g_free(coverage->trusted);
}

static struct state *state_alloc(gsize *used)
{
	struct state *state = g_new0(struct state, 1);

	g_atomic_ref_count_init(&state->count);
	state->used = used;
	state->text = g_string_new(NULL);
	state->lines = g_array_new(FALSE, FALSE, sizeof(struct line));
	state->objects = g_array_new(FALSE, FALSE, sizeof(struct standing));
	state->coverage = g_array_new(FALSE, FALSE, sizeof(struct coverage));
	g_array_set_clear_func(state->coverage, coverage_clear);
	return state;
}

/* It grows no more: what it takes is known. */
static struct state *state_done(struct state *state)
{
	state->size = sizeof(*state) + state->text->allocated_len +
		      state->lines->len * sizeof(struct line) +
		      state->objects->len * sizeof(struct standing) +
		      state->coverage->len * sizeof(struct coverage);
	g_atomic_pointer_add(state->used, (gssize)state->size);
	return state;
}

static void add_coverage(struct state *state, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_class_status *status;

	for (size_t i = 0; (status = bpfrefs_snapshot_class(snap, i)); i++) {
		struct coverage coverage = { .class_ = status->class_ };

		if (status->coverage != BPFREFS_COMPLETE) {
			GString *gap = g_string_new(NULL);

			show_coverage(gap, status);
			coverage.gap = g_string_free(gap, FALSE);
			coverage.trusted = g_strdup(coverage.gap);
		}
		g_array_append_val(state->coverage, coverage);
	}
}

struct state *state_new(const struct bpfrefs_snapshot *snap, gsize *used)
{
	const struct bpfrefs_object *object;
	struct state *state;

	state = state_alloc(used);
	state->started_ns = bpfrefs_snapshot_stats(snap).started_ns;
	add_coverage(state, snap);
	if (add_lines(state, snap)) {
		state_unref(state);
		return NULL;
	}
	for (size_t i = 0; (object = bpfrefs_snapshot_object(snap, i)); i++) {
		struct standing standing = { object->key, object->state };

		g_array_append_val(state->objects, standing);
	}
	return state_done(state);
}

struct state *state_ref(struct state *state)
{
	g_atomic_ref_count_inc(&state->count);
	return state;
}

void state_unref(struct state *state)
{
	if (!state || !g_atomic_ref_count_dec(&state->count))
		return;
	g_atomic_pointer_add(state->used, -(gssize)state->size);
	g_string_free(state->text, TRUE);
	g_array_unref(state->lines);
	g_array_unref(state->objects);
	g_array_unref(state->coverage);
	g_free(state);
}

bool state_is_of(const struct state *state, const struct bpfrefs_snapshot *snap)
{
	return state->started_ns == bpfrefs_snapshot_stats(snap).started_ns;
}

bool state_equal(const struct state *a, const struct state *b)
{
	if (a->lines->len != b->lines->len || a->objects->len != b->objects->len)
		return false;
	for (guint i = 0; i < a->coverage->len; i++)
		if (g_strcmp0(COVERAGE(a, i)->gap, COVERAGE(b, i)->gap) != 0 ||
		    g_strcmp0(COVERAGE(a, i)->trusted, COVERAGE(b, i)->trusted) != 0)
			return false;
	for (guint i = 0; i < a->objects->len; i++)
		if (bpfrefs_key_compare(STANDING(a, i)->key, STANDING(b, i)->key) != 0 ||
		    STANDING(a, i)->state != STANDING(b, i)->state)
			return false;
	for (guint i = 0; i < a->lines->len; i++)
		if (line_compare(a, LINE(a, i), b, LINE(b, i)) != 0)
			return false;
	return true;
}

/* ------------------------------------------------------------ differences --- */

/* Is what the class does not show any more gone? */
static bool is_trusted(const struct state *then, const struct state *now, uint32_t class)
{
	const char *gap = COVERAGE(now, class)->gap;

	return !gap || g_strcmp0(gap, COVERAGE(then, class)->trusted) == 0;
}

/* Tells what differs. Gives the records that are carried along: their places in then. */
static GArray *tell_lines(GString *out, const struct state *then, const struct state *now)
{
	GArray *carried = g_array_new(FALSE, FALSE, sizeof(guint));
	guint i = 0, j = 0;

	while (i < then->lines->len || j < now->lines->len) {
		const struct line *old = i < then->lines->len ? LINE(then, i) : NULL;
		const struct line *new = j < now->lines->len ? LINE(now, j) : NULL;
		int order = !old ? 1 : !new ? -1 : line_compare(then, old, now, new);

		if (old && order < 0 && is_trusted(then, now, old->class))
			tell_line(out, '-', then, old);
		else if (order < 0)
			g_array_append_val(carried, i);
		else if (new && order > 0)
			tell_line(out, '+', now, new);
		i += order <= 0;
		j += order >= 0;
	}
	return carried;
}

/* A new object is held until something else is known of it. */
static void tell_standings(GString *out, const struct state *then, const struct state *now,
			   const struct bpfrefs_snapshot *snap)
{
	guint i = 0;

	for (guint j = 0; j < now->objects->len; j++) {
		const struct standing *standing = STANDING(now, j);
		enum bpfrefs_state before = BPFREFS_HELD;

		while (i < then->objects->len &&
		       bpfrefs_key_compare(STANDING(then, i)->key, standing->key) < 0)
			i++;
		if (i < then->objects->len &&
		    bpfrefs_key_compare(STANDING(then, i)->key, standing->key) == 0)
			before = STANDING(then, i)->state;
		if (before == standing->state)
			continue;
		g_string_append(out, "! ");
		show_object(out, bpfrefs_snapshot_find(snap, standing->key));
	}
}

static void tell_coverage(GString *out, const struct state *then, const struct state *now)
{
	for (guint i = 0; i < now->coverage->len; i++) {
		const char *gap = COVERAGE(now, i)->gap;

		if (g_strcmp0(gap, COVERAGE(then, i)->gap) != 0)
			g_string_append_printf(out, "# %s: %s\n", COVERAGE(now, i)->class_->name,
					       gap ? gap : "complete");
	}
}

/* What is seen then, where some class is not trusted: what it shows, and what is carried along. */
static struct state *carry(const struct state *then, const struct state *now, const GArray *carried)
{
	struct state *seen = state_alloc(now->used);

	seen->started_ns = now->started_ns;
	g_string_append_len(seen->text, now->text->str, (gssize)now->text->len);
	g_array_append_vals(seen->lines, now->lines->data, now->lines->len);
	g_array_append_vals(seen->objects, now->objects->data, now->objects->len);
	for (guint i = 0; i < carried->len; i++) {
		const struct line *old = LINE(then, g_array_index(carried, guint, i));
		struct line line = *old;

		line.at = (uint32_t)seen->text->len;
		g_string_append_len(seen->text, then->text->str + old->at, old->length);
		g_array_append_val(seen->lines, line);
	}
	g_array_sort_with_data(seen->lines, in_order, seen);
	for (guint i = 0; i < now->coverage->len; i++) {
		const struct coverage *new = COVERAGE(now, i);
		struct coverage coverage = {
			.class_ = new->class_,
			.gap = g_strdup(new->gap),
			.trusted = g_strdup(is_trusted(then, now, i) ? new->gap
								     : COVERAGE(then, i)->trusted),
		};

		g_array_append_val(seen->coverage, coverage);
	}
	return state_done(seen);
}

static bool is_all_trusted(const struct state *then, const struct state *now)
{
	for (guint i = 0; i < now->coverage->len; i++)
		if (!is_trusted(then, now, i))
			return false;
	return true;
}

struct change *change_new(struct state *then, struct state *now,
			  const struct bpfrefs_snapshot *snap)
{
	g_autoptr(GArray) carried = NULL;
	struct change *change;

	change = g_new0(struct change, 1);
	g_atomic_ref_count_init(&change->count);
	change->text = g_string_new(NULL);
	carried = tell_lines(change->text, then, now);
	tell_standings(change->text, then, now, snap);
	tell_coverage(change->text, then, now);
	if (!change->text->len)
		change->seen = state_ref(then);
	else if (is_all_trusted(then, now))
		change->seen = state_ref(now);
	else
		change->seen = carry(then, now, carried);
	change->used = now->used;
	change->size = sizeof(*change) + change->text->allocated_len;
	g_atomic_pointer_add(change->used, (gssize)change->size);
	return change;
}

struct change *change_ref(struct change *change)
{
	g_atomic_ref_count_inc(&change->count);
	return change;
}

void change_unref(struct change *change)
{
	if (!change || !g_atomic_ref_count_dec(&change->count))
		return;
	g_atomic_pointer_add(change->used, -(gssize)change->size);
	g_string_free(change->text, TRUE);
	state_unref(change->seen);
	g_free(change);
}

const GString *change_text(const struct change *change)
{
	return change->text;
}

struct state *change_seen(const struct change *change)
{
	return change->seen;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text/sink.h"

#include "kernel/worker.h"

/* How much is collected before it is passed on. */
#define PART_BYTES (64 * 1024)

/* The number of items that takes longer to format than a thread takes to start. */
#define MANY_ITEMS 2000

struct text_sink sink_begin(bpfrefs_write_fn write, void *data)
{
	return (struct text_sink){ write, data, g_string_new(NULL) };
}

static int pass_all(struct text_sink *sink)
{
	int err = sink->out->len ? sink->write(sink->out->str, sink->out->len, sink->data) : 0;

	g_string_truncate(sink->out, 0);
	return err;
}

int sink_pass(struct text_sink *sink)
{
	return sink->write && sink->out->len >= PART_BYTES ? pass_all(sink) : 0;
}

int sink_end(struct text_sink *sink, int err)
{
	if (!err)
		err = pass_all(sink);
	g_string_free(sink->out, TRUE);
	return err;
}

/* --------------------------------------------------------------- items --- */

/* A range of the items, as text. */
struct sink_range {
	const struct sink_items *items;
	size_t first, end;
	struct text_sink *sink;
	int err;
};

static void *write_range(void *data)
{
	struct sink_range *range = data;
	const struct sink_items *items = range->items;

	for (size_t i = range->first; !range->err && i < range->end; i++) {
		items->add(range->sink->out, items->data, i);
		range->err = sink_pass(range->sink);
	}
	return NULL;
}

/* Formats the second half in a worker thread, at the same time as the first one. */
static int write_halves(struct text_sink *sink, const struct sink_items *items)
{
	size_t middle = items->count / 2;
	g_autoptr(GString) more = g_string_sized_new((items->count - middle) * items->mean);
	struct text_sink rest = { .out = more };
	struct sink_range first = { items, 0, middle, sink, 0 };
	struct sink_range second = { items, middle, items->count, &rest, 0 };
	struct worker worker;

	worker_begin(&worker, write_range, &second);
	write_range(&first);
	worker_end(&worker);
	if (!first.err)
		first.err = pass_all(sink);
	return first.err ? first.err : sink->write(more->str, more->len, sink->data);
}

int sink_list(struct text_sink *sink, const struct sink_items *items)
{
	struct sink_range all = { items, 0, items->count, sink, 0 };

	/* that is twice what the second half takes, since texts grow by doubling */
	if (items->count >= MANY_ITEMS && memory_available(items->count * items->mean))
		return write_halves(sink, items);
	write_range(&all);
	return all.err;
}

/* ---------------------------------------------------------------- gaps --- */

static void add_coverage(GString *out, const struct bpfrefs_class_status *status)
{
	const char *error = status->error ? g_strerror(status->error) : NULL;

	g_string_append(out, bpfrefs_coverage_name(status->coverage));
	if (status->coverage == BPFREFS_COMPLETE)
		return;
	g_string_append(out, ": ");
	if (status->coverage == BPFREFS_PARTIAL && status->count) {
		fmt_add_number(out, status->count);
		g_string_append_c(out, ' ');
	}
	fmt_add_text(out, status->what ? status->what : error);
	if (status->what && error)
		g_string_append_printf(out, ": %s", error);
}

int bpfrefs_class_status_to_text(const struct bpfrefs_class_status *status, bpfrefs_write_fn write,
				 void *data)
{
	struct text_sink sink = sink_begin(write, data);

	add_coverage(sink.out, status);
	return sink_end(&sink, 0);
}

void sink_gaps(GString *out, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_class_status *status;

	for (size_t i = 0; (status = bpfrefs_snapshot_class(snap, i)); i++) {
		if (status->coverage == BPFREFS_COMPLETE)
			continue;
		g_string_append_printf(out, "# %s: ", status->class_->name);
		add_coverage(out, status);
		g_string_append_c(out, '\n');
	}
}

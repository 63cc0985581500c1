/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text/sink.h"

/* How much is collected before it is passed on. */
#define PART_BYTES (64 * 1024)

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

int sink_list(struct text_sink *sink, const struct sink_items *items)
{
	bool first = true;
	int err = 0;

	for (size_t i = 0; !err && i < items->count; i++) {
		if (items->hides(items->snap, i))
			continue;
		items->add(sink->out, items->data, i, first);
		first = false;
		err = sink_pass(sink);
	}
	return err;
}

bool sink_hides_object(const struct bpfrefs_snapshot *snap, size_t index)
{
	return bpfrefs_snapshot_hides(snap, snapshot_object(snap, index));
}

bool sink_hides_ref(const struct bpfrefs_snapshot *snap, size_t index)
{
	return bpfrefs_snapshot_hides_ref(snap, snapshot_ref_at(snap, index));
}

bool sink_hides_process(const struct bpfrefs_snapshot *snap, size_t index)
{
	return bpfrefs_snapshot_hides_process(snap, snapshot_process(snap, index)->pid);
}

/* ---------------------------------------------------------------- gaps --- */

static void add_coverage(GString *out, const struct bpfrefs_class_status *status)
{
	const char *error = status->error ? g_strerror(status->error) : NULL;

	g_string_append(out, bpfrefs_coverage_name(status->coverage));
	if (status->coverage == BPFREFS_COVERAGE_COMPLETE)
		return;
	g_string_append(out, ": ");
	if (status->coverage == BPFREFS_COVERAGE_PARTIAL && status->count) {
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

void sink_self(GString *out, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_self *self = bpfrefs_snapshot_self(snap);

	if (self->left_out && self->objects)
		g_string_append_printf(out,
				       "# self: %zu objects of bpfrefs itself (pid %u) left out; "
				       "mount with self=show\n",
				       self->objects, self->pid);
}

int bpfrefs_self_to_text(const struct bpfrefs_snapshot *snap, bpfrefs_write_fn write, void *data)
{
	struct text_sink sink = sink_begin(write, data);

	sink_self(sink.out, snap);
	return sink_end(&sink, 0);
}

void sink_gaps(GString *out, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_class_status *status;

	for (size_t i = 0; (status = snapshot_class(snap, i)); i++) {
		if (status->coverage == BPFREFS_COVERAGE_COMPLETE)
			continue;
		g_string_append_printf(out, "# %s: ", status->class_->name);
		add_coverage(out, status);
		g_string_append_c(out, '\n');
	}
}

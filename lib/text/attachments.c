/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lines of .bpf/attachments: one place where a program runs on each. */
#include "text/sink.h"

static void add_word(GString *out, const char *key, struct bpfrefs_value value)
{
	g_string_append_printf(out, " %s=", key);
	if (value.type == BPFREFS_VALUE_NUM)
		g_string_append_printf(out, "%" G_GUINT64_FORMAT, value.num);
	else
		fmt_add_value(out, value.str);
}

static void add_line(GString *out, const struct bpfrefs_attachment *attachment)
{
	fmt_add_key(out, attachment->prog->key);
	g_string_append(out, " name=");
	fmt_add_value(out, attachment->prog->name);
	g_string_append(out, " link=");
	if (attachment->link.id)
		fmt_add_number(out, attachment->link.id);
	g_string_append_c(out, ' ');
	fmt_add_value(out, attachment->hook_name);
	for (size_t i = 0; attachment->keys[i]; i++)
		add_word(out, attachment->keys[i], attachment->values[i]);
	g_string_append_c(out, '\n');
}

int bpfrefs_snapshot_to_attachments(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
				    bpfrefs_write_fn write, void *data)
{
	struct text_sink sink = sink_begin(write, data);
	const struct bpfrefs_attachment *attachment;
	struct bpfrefs_selection *all;
	int err = bpfrefs_select_attachments(ctx, snap, NULL, &all);

	while (!err && (attachment = bpfrefs_next_attachment(all))) {
		add_line(sink.out, attachment);
		err = sink_pass(&sink);
	}
	bpfrefs_selection_free(all);
	sink_gaps(sink.out, snap);
	return sink_end(&sink, err);
}

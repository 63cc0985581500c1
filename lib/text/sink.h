/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Texts about a snapshot, as bpfrefs(5) describes them, which are passed in parts to a function of
 * the caller. The functions that write them are public: bpfrefs.h has them.
 */
#ifndef BPFREFS_SINK_H
#define BPFREFS_SINK_H

#include "snapshot/index.h"
#include "text/fmt.h"

/* Where a text goes. Its functions append to @out. */
struct text_sink {
	bpfrefs_write_fn write; /* NULL: everything stays in @out */
	void *data;
	GString *out; /* what was not passed on yet */
};

struct text_sink sink_begin(bpfrefs_write_fn write, void *data);
/* Passes on what there is if it is enough for one part. Called between lines. 0 or -errno. */
int sink_pass(struct text_sink *sink);
/* Passes on the rest, unless @err is set, and frees the sink. Returns @err or a new error. */
int sink_end(struct text_sink *sink, int err);

/* Items of one kind that a text lists, such as the references of a snapshot. */
struct sink_items {
	size_t count;
	/* appends item number @index; @first: no other was appended before */
	void (*add)(GString *out, const void *data, size_t index, bool first);
	const void *data;
	/* whether the list leaves out that item: bpfrefs_snapshot_hides() */
	bool (*hides)(const struct bpfrefs_snapshot *snap, size_t index);
	const struct bpfrefs_snapshot *snap;
};

/* The objects of a snapshot, with the memory that is charged for each. */
struct sink_objects {
	const struct bpfrefs_snapshot *snap;
	const uint64_t *memlock;
};

/* Writes all items that are not left out. */
int sink_list(struct text_sink *sink, const struct sink_items *items);
/* For sink_items.hides, of items that are the objects, references or processes of the snapshot. */
bool sink_hides_object(const struct bpfrefs_snapshot *snap, size_t index);
bool sink_hides_ref(const struct bpfrefs_snapshot *snap, size_t index);
bool sink_hides_process(const struct bpfrefs_snapshot *snap, size_t index);

/* Appends "# CLASS: partial: ..." for each class with a gap. */
void sink_gaps(GString *out, const struct bpfrefs_snapshot *snap);
/* Appends the last line of a list, about what it leaves out: bpfrefs_self_to_text(). */
void sink_self(GString *out, const struct bpfrefs_snapshot *snap);

#endif

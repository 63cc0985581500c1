/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/mappings.h"

#include <string.h>

/* A tree that changes where it is being read is read again at most so often. */
#define TORN_MAX 8

/* ------------------------------------------------------- one tree's records --- */

/* One mapping, and what its file is: the records from @first to @end. */
struct mapping {
	uint64_t start;
	const struct walk_mapping *record;
	uint32_t pid;
	const char *comm; /* of 16 bytes */
	size_t first, end;
};

struct mappings {
	GArray *all;	 /* struct mapping */
	GArray *unowned; /* struct mapping: the process is not clear from the record */
	GByteArray *records, *memories;
	walk_fn fn;
	void *data;
};

static void add_mapping(const struct walk_rec *rec, void *data)
{
	const struct walk_mapping *record = walk_record(rec, walk_mapping);
	struct mappings *mappings = data;
	GArray *list = record && record->rec.id ? mappings->all : mappings->unowned;
	struct mapping mapping = { 0 };

	if (!record)
		return;
	mapping.start = record->start;
	mapping.record = record;
	mapping.pid = record->rec.id;
	mapping.comm = record->comm;
	mapping.first = (size_t)((const guint8 *)record - mappings->records->data) + rec->size;
	mapping.end = mapping.first;
	while (mapping.end + sizeof(*rec) <= mappings->records->len) {
		rec = (const void *)(mappings->records->data + mapping.end);
		if (rec->type == WALK_MAPPING || rec->size < sizeof(*rec) ||
		    rec->size > mappings->records->len - mapping.end)
			break;
		mapping.end += rec->size;
	}
	if (mapping.end > mapping.first)
		g_array_append_val(list, mapping);
}

/* Several processes may have the same memory: each has the mapping. */
static void add_process(const struct walk_rec *rec, void *data)
{
	const struct walk_memory *memory = walk_record(rec, walk_memory);
	struct mappings *mappings = data;

	for (guint i = 0; memory && i < mappings->unowned->len; i++) {
		struct mapping mapping = g_array_index(mappings->unowned, struct mapping, i);

		if (mapping.record->mm != memory->mm)
			continue;
		mapping.pid = memory->rec.id;
		mapping.comm = memory->comm;
		g_array_append_val(mappings->all, mapping);
	}
}

static int by_process(gconstpointer a, gconstpointer b)
{
	const struct mapping *one = a, *other = b;

	if (one->pid != other->pid)
		return one->pid < other->pid ? -1 : 1;
	return one->start < other->start ? -1 : one->start > other->start;
}

static int read_memories(struct bpf_loader *walkers, struct mappings *mappings)
{
	struct walk_kept kept = { .bytes = mappings->memories };
	int err;

	if (!mappings->unowned->len)
		return 0;
	err = bpf_loader_iterate(walkers, "walk_memories", object_records_collect, &kept);
	if (err || kept.err)
		return err ? err : kept.err;
	walk_each(kept.bytes->data, kept.bytes->len, add_process, mappings);
	return 0;
}

static void emit(const struct mappings *mappings, const struct mapping *mapping)
{
	struct walk_task task = { .rec = { WALK_TASK, sizeof(task), mapping->pid } };

	memcpy(task.comm, mapping->comm, sizeof(task.comm));
	mappings->fn(&task.rec, mappings->data);
	walk_each(mappings->records->data + mapping->first, mapping->end - mapping->first,
		  mappings->fn, mappings->data);
}

/* Returns -EAGAIN if the tree was never found in order. */
static int read_tree(struct bpf_loader *walkers, uint64_t file, GByteArray *records)
{
	struct walk_control *control = bpf_loader_control(walkers);
	int err;

	for (unsigned int attempt = 0; attempt < TORN_MAX; attempt++) {
		control->inside = file;
		control->inside_at = 0;
		err = object_records_read_all(walkers, "walk_file_mappings", records);
		if (err || control->ended == WALK_DONE)
			return err;
	}
	return -EAGAIN;
}

int mappings_walk_tree(struct bpf_loader *walkers, uint64_t file, walk_fn fn, void *data)
{
	struct mappings mappings = {
		.all = g_array_new(FALSE, FALSE, sizeof(struct mapping)),
		.unowned = g_array_new(FALSE, FALSE, sizeof(struct mapping)),
		.records = g_byte_array_new(),
		.memories = g_byte_array_new(),
		.fn = fn,
		.data = data,
	};
	int err = read_tree(walkers, file, mappings.records);

	if (!err) {
		walk_each(mappings.records->data, mappings.records->len, add_mapping, &mappings);
		err = read_memories(walkers, &mappings);
	}
	if (!err)
		g_array_sort(mappings.all, by_process);
	for (guint i = 0; !err && i < mappings.all->len; i++)
		emit(&mappings, &g_array_index(mappings.all, struct mapping, i));
	g_array_unref(mappings.all);
	g_array_unref(mappings.unowned);
	g_byte_array_unref(mappings.records);
	g_byte_array_unref(mappings.memories);
	return err;
}

/* ---------------------------------------------------------- all of them --- */

int mappings_walk(struct scan *scan, walk_fn fn, void *data)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	uint64_t file = bpf_loader_control(walkers)->kernel_ids.map_file;
	int err = mappings_walk_tree(walkers, file, fn, data);

	if (err == 0 && !scan->ctx->force_mappings)
		return 0;
	if (err && err != -EAGAIN)
		return err;
	return bpf_loader_iterate(walkers, "walk_mappings", fn, data);
}

/* What a ring's or socket's file was found by. */
enum found { FOUND_BY_MAPPING = 1, FOUND_OTHERWISE };

static enum found found_by(struct walk_state *state, uint64_t file, enum found found)
{
	gpointer key = GSIZE_TO_POINTER(file), before;

	if (!state->mapped)
		state->mapped = g_hash_table_new(NULL, NULL);
	before = g_hash_table_lookup(state->mapped, key);
	if (GPOINTER_TO_INT(before) < (int)found)
		g_hash_table_insert(state->mapped, key, GINT_TO_POINTER((int)found));
	return GPOINTER_TO_INT(before);
}

void mappings_found(struct scan *scan, uint64_t file)
{
	found_by(walk_state_of(scan), file, FOUND_BY_MAPPING);
}

int mappings_walk_file(struct scan *scan, uint64_t file, walk_fn fn)
{
	if (found_by(walk_state_of(scan), file, FOUND_OTHERWISE) == FOUND_OTHERWISE)
		return 0;
	return mappings_walk_tree(walk_state_of(scan)->walkers, file, fn, scan);
}

void mappings_clear(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	bool only_mapped = false;
	GHashTableIter iter;
	gpointer found;

	if (state->mapped)
		g_hash_table_iter_init(&iter, state->mapped);
	while (state->mapped && g_hash_table_iter_next(&iter, NULL, &found))
		only_mapped |= GPOINTER_TO_INT(found) == FOUND_BY_MAPPING;
	if (!state->one)
		scan->ctx->force_mappings = only_mapped;
	g_clear_pointer(&state->mapped, g_hash_table_unref);
}

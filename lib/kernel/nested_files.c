/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/nested_files.h"

#include <string.h>

#include "kernel/mappings.h"

/* A socket or ring that changes while it is read is read again at most so often. */
#define TORN_MAX 8

/* A reference that was added, or a file that was queued: each only once. */
struct emitted {
	uint64_t what, where, at;
	uint32_t pid, class;
};

/*
 * The class of a socket or ring, which is read once for each process,
 * whichever class finds it.
 */
#define ANY_CLASS UINT32_MAX

enum { NESTED_FILE_FIELDS(HOLDER_FIELD_INDEX) };

struct nested_files {
	GQueue waiting;		     /* owned struct nested_file */
	GHashTable *seen;	     /* owned struct emitted */
	struct nested_file *current; /* the socket or ring that is being read, else NULL */
};

static guint emitted_hash(gconstpointer data)
{
	const struct emitted *emitted = data;
	uint64_t mixed = emitted->what >> 4;

	mixed = mixed * 31 + emitted->where;
	mixed = mixed * 31 + emitted->at;
	mixed = mixed * 31 + emitted->pid;
	return (guint)(mixed ^ mixed >> 32);
}

static gboolean emitted_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(struct emitted)) == 0;
}

static struct nested_files *nested_files_of(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);

	if (!state->nested_files) {
		state->nested_files = g_new0(struct nested_files, 1);
		g_queue_init(&state->nested_files->waiting);
		state->nested_files->seen =
			g_hash_table_new_full(emitted_hash, emitted_equal, g_free, NULL);
	}
	return state->nested_files;
}

void nested_files_free(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	struct nested_files *nested_files = state->nested_files;

	mappings_clear(scan);
	if (!nested_files)
		return;
	g_queue_clear_full(&nested_files->waiting, g_free);
	g_hash_table_unref(nested_files->seen);
	g_free(nested_files);
	state->nested_files = NULL;
}

/* Returns true for the first call with these values. */
static bool first_time(struct scan *scan, struct emitted emitted)
{
	struct emitted *copy = g_new(struct emitted, 1);

	*copy = emitted;
	return g_hash_table_add(nested_files_of(scan)->seen, copy);
}

uint32_t nested_file_pid(struct scan *scan, const char **comm)
{
	const struct nested_file *by = nested_files_of(scan)->current;

	*comm = by ? by->comm : walk_state_of(scan)->comm;
	return by ? by->pid : walk_state_of(scan)->pid;
}

static void queue_nested(struct scan *scan, const struct walk_held *held)
{
	const struct walk_state *state = walk_state_of(scan);
	struct nested_files *nested_files = nested_files_of(scan);
	struct nested_file *nested = g_new0(struct nested_file, 1);

	if (nested_files->current) {
		*nested = *nested_files->current;
		/* A connection that is not accepted yet is a part of the listening socket. */
		nested->depth += held->kind != WALK_HELD_CONNECTION;
	} else {
		nested->depth = 1;
		nested->pid = state->pid;
		nested->comm = state->comm;
		nested->how = held->how;
		nested->fd = held->at;
	}
	nested->inside = held->inside;
	nested->file = held->file;
	nested->kind = held->kind;
	/* Breadth first: the depth that is shown is then the least one. */
	g_queue_push_tail(&nested_files->waiting, nested);
}

struct line {
	const struct walk_held *held;
	uint32_t token, count;
	nested_file_fill_fn fill;
};

static void add_line(struct scan *scan, struct bpfrefs_key key, const struct line *line)
{
	const char *comm = NULL;
	uint32_t pid = nested_file_pid(scan, &comm);
	struct bpfrefs_ref *ref;

	ref = scan_add(scan, key, line->count, key.kind == BPFREFS_KIND_MAP ? line->count : 0);
	if (!ref)
		return;
	ref_set_pid(ref, pid);
	ref_set_num(ref, NESTED_FILE_FILE, line->token);
	ref_set_num(ref, NESTED_FILE_PID, pid);
	ref_set_static(ref, NESTED_FILE_COMM, comm);
	line->fill(scan, ref, line->held, nested_files_of(scan)->current);
}

static void take_file(struct scan *scan, const struct walk_held *held, nested_file_fill_fn fill)
{
	struct line line = { .held = held, .fill = fill };
	enum bpfrefs_kind kind = BPFREFS_KIND_PROG;

	line.count = scan_file(scan, held->file, &line.token);
	if (held->kind < WALK_HELD_ITER)
		kind = (enum bpfrefs_kind)held->kind;
	add_line(scan, (struct bpfrefs_key){ kind, held->rec.id }, &line);
	/* The file of an iterator holds its program, and the map that it iterates over, if any. */
	if (held->map_id)
		add_line(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, held->map_id }, &line);
}

void nested_file_take(struct scan *scan, const struct walk_held *held, nested_file_fill_fn fill)
{
	const struct nested_file *by = nested_files_of(scan)->current;
	struct emitted emitted = { .what = held->file };
	const char *comm = NULL;

	emitted.pid = nested_file_pid(scan, &comm);
	if (held->kind > WALK_HELD_ITER) {
		emitted.what = held->inside;
		emitted.class = ANY_CLASS;
		if (first_time(scan, emitted))
			queue_nested(scan, held);
		return;
	}
	if (!by && held->how != WALK_HOW_MMAP && held->how != WALK_HOW_AIO)
		return; /* inside a socket or ring, but none is being read: not shown */
	emitted.class = scan->class->id;
	emitted.where = by ? by->inside : 0;
	/*
	 * A process may map a file several times, and a message may have it several times:
	 * that is one reference.
	 */
	if (held->how != WALK_HOW_MMAP && held->how != WALK_HOW_MESSAGE)
		emitted.at = held->at + 1;
	if (first_time(scan, emitted))
		take_file(scan, held, fill);
}

bool nested_file_is_new(struct scan *scan, uint64_t what)
{
	const struct nested_file *by = nested_files_of(scan)->current;
	struct emitted emitted = { .what = what, .class = scan->class->id };

	if (!by)
		return true;
	emitted.where = by->inside;
	emitted.pid = by->pid;
	return first_time(scan, emitted);
}

void nested_file_set_fd(struct bpfrefs_ref *ref, unsigned int index,
			const struct nested_file *nested)
{
	if (nested->how == WALK_HOW_FD)
		ref_set_num(ref, index, nested->fd);
	else if (nested->how == WALK_HOW_MMAP)
		ref_set_static(ref, index, "mmap");
	else if (nested->how == WALK_HOW_AIO)
		ref_set_static(ref, index, "aio");
	else
		ref_set_static(ref, index, "registered");
}

/* ---------------------------------------------------------- the walk --- */

/* The other processes that have this ring mapped: each keeps it. */
static int read_mappings(struct scan *scan, const struct nested_file *nested)
{
	if (nested->how != WALK_HOW_MMAP || nested->depth > 1)
		return mappings_walk_file(scan, nested->file, dispatch_record);
	mappings_found(scan, nested->file);
	return 0;
}

static int read_nested(struct scan *scan, const struct nested_file *nested)
{
	const char *program = nested->kind == WALK_HELD_RING ? "walk_ring" : "walk_queue";
	struct walk_state *state = walk_state_of(scan);
	struct bpf_loader *walkers = state->walkers;
	struct walk_control *control = bpf_loader_control(walkers);
	int err;

	state->pid = nested->pid;
	state->comm = nested->comm;
	control->inside = nested->inside;
	control->inside_fd = nested->how == WALK_HOW_FD ? (uint32_t)nested->fd : WALK_IN_PID;
	for (unsigned int attempt = 0; attempt < TORN_MAX; attempt++) {
		struct walk_calls calls = { 0 };

		control->inside_at = 0;
		do {
			err = bpf_loader_call(walkers, program, dispatch_record, scan);
		} while (!err && object_records_go_on(control, &calls));
		if (err || control->ended == WALK_DONE)
			return err;
	}
	return -EAGAIN;
}

int nested_files_walk(struct scan *scan)
{
	struct nested_files *nested_files = nested_files_of(scan);
	uint32_t deep = 0, busy = 0;
	struct nested_file *nested;
	int err = 0;

	while (!err && (nested = g_queue_pop_head(&nested_files->waiting))) {
		if (nested->kind == WALK_HELD_RING)
			err = read_mappings(scan, nested);
		nested_files->current = nested;
		if (nested->depth > NESTED_DEPTH_MAX)
			deep++;
		else if (!err)
			err = read_nested(scan, nested);
		if (err == -EAGAIN) {
			busy++;
			err = 0;
		}
		nested_files->current = NULL;
		g_free(nested);
	}
	if (deep)
		scan_gap(scan, deep, "sockets or rings nested too deep to be followed", 0);
	if (busy)
		scan_gap(scan, busy, "sockets and rings that changed while they were read", EAGAIN);
	return err;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/nested_files.h"

#include <string.h>

/* How often a carrier is looked into again that changes meanwhile. */
#define TORN_MAX 8

/* A line that was told: what must not be told twice. */
struct told {
	uint64_t what, where, at;
	uint32_t pid, class_index;
};

/* In place of a class: a carrier is looked into once for each process, whoever finds it. */
#define ANY_CLASS UINT32_MAX

struct carriers {
	GQueue waiting;		 /* owned struct carrier */
	GHashTable *seen;	 /* owned struct told */
	struct carrier *current; /* the one being looked into, else NULL */
};

static guint told_hash(gconstpointer data)
{
	const struct told *told = data;
	uint64_t mixed = told->what >> 4;

	mixed = mixed * 31 + told->where;
	mixed = mixed * 31 + told->at;
	mixed = mixed * 31 + told->pid;
	return (guint)(mixed ^ mixed >> 32);
}

static gboolean told_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(struct told)) == 0;
}

static struct carriers *carriers_of(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);

	if (!state->carriers) {
		state->carriers = g_new0(struct carriers, 1);
		g_queue_init(&state->carriers->waiting);
		state->carriers->seen = g_hash_table_new_full(told_hash, told_equal, g_free, NULL);
	}
	return state->carriers;
}

void carriers_free(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	struct carriers *carriers = state->carriers;

	if (!carriers)
		return;
	g_queue_clear_full(&carriers->waiting, g_free);
	g_hash_table_unref(carriers->seen);
	g_free(carriers);
	state->carriers = NULL;
}

/* True the first time. */
static bool first_time(struct scan *scan, struct told told)
{
	struct told *copy = g_new(struct told, 1);

	*copy = told;
	return g_hash_table_add(carriers_of(scan)->seen, copy);
}

uint32_t held_pid(struct scan *scan, const char **comm)
{
	const struct carrier *by = carriers_of(scan)->current;

	*comm = by ? by->comm : walk_state_of(scan)->comm;
	return by ? by->pid : walk_state_of(scan)->pid;
}

static void add_carrier(struct scan *scan, const struct walk_held *held)
{
	const struct walk_state *state = walk_state_of(scan);
	struct carriers *carriers = carriers_of(scan);
	struct carrier *carrier = g_new0(struct carrier, 1);

	if (carriers->current) {
		*carrier = *carriers->current;
		/* a connection is part of the socket that listens */
		carrier->depth += held->kind != WALK_HELD_CONNECTION;
	} else {
		carrier->depth = 1;
		carrier->pid = state->pid;
		carrier->comm = state->comm;
		carrier->how = held->how;
		carrier->fd = held->at;
	}
	carrier->inside = held->inside;
	carrier->kind = held->kind;
	/* breadth first: the least depth is the one that is told */
	g_queue_push_tail(&carriers->waiting, carrier);
}

struct line {
	const struct walk_held *held;
	uint32_t token, count;
	held_fill_fn fill;
};

static void add_line(struct scan *scan, struct bpfrefs_key key, const struct line *line)
{
	const char *comm = NULL;
	uint32_t pid = held_pid(scan, &comm);
	struct bpfrefs_ref *ref;

	ref = scan_add(scan, key, line->count, key.kind == BPFREFS_MAP ? line->count : 0);
	if (!ref)
		return;
	ref_set_pid(ref, pid);
	ref_set_num(ref, HELD_FILE, line->token);
	ref_set_num(ref, HELD_PID, pid);
	ref_set_static(ref, HELD_COMM, comm);
	line->fill(scan, ref, line->held, carriers_of(scan)->current);
}

static void take_file(struct scan *scan, const struct walk_held *held, held_fill_fn fill)
{
	struct line line = { .held = held, .fill = fill };
	enum bpfrefs_kind kind = BPFREFS_PROG;

	line.count = scan_file(scan, held->file, &line.token);
	if (held->kind < WALK_HELD_ITER)
		kind = (enum bpfrefs_kind)held->kind;
	add_line(scan, (struct bpfrefs_key){ kind, held->rec.id }, &line);
	/* an iterator's file holds its program and, if that is a map, its target */
	if (held->map_id)
		add_line(scan, (struct bpfrefs_key){ BPFREFS_MAP, held->map_id }, &line);
}

void held_take(struct scan *scan, const struct walk_held *held, held_fill_fn fill)
{
	const struct carrier *by = carriers_of(scan)->current;
	struct told told = { .what = held->file };
	const char *comm = NULL;

	told.pid = held_pid(scan, &comm);
	if (held->kind > WALK_HELD_ITER) {
		told.what = held->inside;
		told.class_index = ANY_CLASS;
		if (first_time(scan, told))
			add_carrier(scan, held);
		return;
	}
	if (!by && held->how != WALK_HOW_MMAP && held->how != WALK_HOW_AIO)
		return; /* in a carrier, and we are looking into none: none of ours */
	told.class_index = scan->class_index;
	told.where = by ? by->inside : 0;
	/* a process may map a file often, and a message may carry it often: one line */
	if (held->how != WALK_HOW_MMAP && held->how != WALK_HOW_MESSAGE)
		told.at = held->at + 1;
	if (first_time(scan, told))
		take_file(scan, held, fill);
}

bool held_is_new(struct scan *scan, uint64_t what)
{
	const struct carrier *by = carriers_of(scan)->current;
	struct told told = { .what = what, .class_index = scan->class_index };

	if (!by)
		return true;
	told.where = by->inside;
	told.pid = by->pid;
	return first_time(scan, told);
}

void held_set_fd(struct bpfrefs_ref *ref, unsigned int index, const struct carrier *carrier)
{
	if (carrier->how == WALK_HOW_FD)
		ref_set_num(ref, index, carrier->fd);
	else if (carrier->how == WALK_HOW_MMAP)
		ref_set_static(ref, index, "mmap");
	else if (carrier->how == WALK_HOW_AIO)
		ref_set_static(ref, index, "aio");
	else
		ref_set_static(ref, index, "registered");
}

/* -------------------------------------------------------------- the walk --- */

static int look_into(struct scan *scan, const struct carrier *carrier)
{
	const char *program = carrier->kind == WALK_HELD_RING ? "walk_ring" : "walk_queue";
	struct walk_state *state = walk_state_of(scan);
	struct walkers *walkers = state->walkers;
	struct walk_control *control = walkers_control(walkers);
	int err;

	state->pid = carrier->pid;
	state->comm = carrier->comm;
	control->inside = carrier->inside;
	control->inside_fd = carrier->how == WALK_HOW_FD ? (uint32_t)carrier->fd : WALK_IN_PID;
	for (unsigned int attempt = 0; attempt < TORN_MAX; attempt++) {
		control->inside_at = 0;
		do {
			err = walkers_call(walkers, program, walk_dispatch, scan);
		} while (!err && control->ended == WALK_FULL);
		if (err || control->ended == WALK_DONE)
			return err;
	}
	return -EAGAIN;
}

int carriers_walk(struct scan *scan, const char *program)
{
	const struct holder_class *class = scan->class;
	struct carriers *carriers = carriers_of(scan);
	uint32_t deep = 0, busy = 0;
	struct carrier *carrier;
	int err = 0;

	if (program)
		err = walk_program(scan, program);
	while (!err && (carrier = g_queue_pop_head(&carriers->waiting))) {
		carriers->current = carrier;
		if (carrier->depth > CARRIER_DEPTH_MAX)
			deep++;
		else
			err = look_into(scan, carrier);
		if (err == -EAGAIN) {
			busy++;
			err = 0;
		}
		carriers->current = NULL;
		g_free(carrier);
	}
	scan_turn_to(scan, class);
	if (deep)
		scan_gap(scan, deep, "sockets in flight deeper than we look", 0);
	if (busy)
		scan_gap(scan, busy, "sockets and rings", EAGAIN);
	return err;
}

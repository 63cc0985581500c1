/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the programs of the holder classes, leaves out those that cannot emit anything, and passes
 * each record to the class that decodes it.
 */
#include <linux/bpf.h>

#include "kernel/bpf_source.h"
#include "kernel/net_namespaces.h"
#include "kernel/owner_records.h"
#include "kernel/pin_tree.h"
#include "snapshot/cgroup_paths.h"
#include "uapi/newer.h"

static bool is_mappable(const struct walk_map *map)
{
	return map->flags & BPF_F_MMAPABLE || map->type == BPF_MAP_TYPE_RINGBUF ||
	       map->type == BPF_MAP_TYPE_USER_RINGBUF || map->type == NEWER_BPF_MAP_TYPE_ARENA;
}

void dispatch_note(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_map *map = walk_record(rec, walk_map);
	const struct walk_held *held = walk_record(rec, walk_held);
	struct walk_state *state = walk_state_of(scan);

	if (map) {
		if (is_mappable(map))
			state->mappable |= !bpf_loader_own_map(state->walkers, map->rec.id);
	} else if (rec->type >= WALK_HELD && rec->type <= WALK_CARRIED) {
		/*
		 * Holders of one map: messages of sockets and rings can hold a map's file, while a
		 * perf event holds programs only.
		 */
		bool nested = held && held->kind > WALK_HELD_ITER;

		if (state->in_non_fd) {
			state->hidden = true;
			state->non_fd_nested |= nested;
		} else {
			state->carries |= nested || !state->one;
		}
	}
}

/* -------------------------------------------------------- one record --- */

static void set_task(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_task *task = walk_record(rec, walk_task);
	struct walk_state *state = walk_state_of(scan);

	if (!task)
		return;
	state->pid = rec->id;
	state->tid = task->tid;
	state->comm = object_record_name(scan, task->comm, sizeof(task->comm));
	scan_process(scan, state->pid, state->comm);
}

static void set_cgroup(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_in_cgroup *place = walk_record(rec, walk_in_cgroup);

	if (place)
		cgroup_paths_add(scan, rec->id, place->cgroup);
}

void dispatch_gap(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_gap *gap = walk_record(rec, walk_gap);
	const struct holder_class *own_class = scan->class;

	for (unsigned int i = 0; gap && scan->classes[i]; i++) {
		const struct holder_gap *gaps = scan->classes[i]->gaps;

		scan_set_class(scan, scan->classes[i]);
		for (unsigned int j = 0; j < HOLDER_GAPS_MAX && gaps[j].what; j++)
			if (gaps[j].kind == gap->kind)
				scan_gap(scan, 1, gaps[j].what, 0);
	}
	scan_set_class(scan, own_class);
}

void dispatch_decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_state *state = walk_state_of(scan);
	uint64_t takers = rec->type < WALK_TYPES ? state->takers[rec->type] : 0;
	const struct holder_class *own_class = scan->class;

	for (; takers; takers &= takers - 1) {
		const struct holder_class *class = scan->classes[__builtin_ctzll(takers)];
		const struct holder_decoder *row = class->decoders;

		while (row->type != rec->type)
			row++;
		scan_set_class(scan, class);
		if (row->size <= rec->size)
			row->decode(scan, rec);
	}
	scan_set_class(scan, own_class);
}

void dispatch_record(const struct walk_rec *rec, void *data)
{
	struct scan *scan = data;
	const struct walk_state *state = walk_state_of(scan);

	if (scan_failed(scan))
		return;
	if (state->after) {
		object_record_recheck(scan, rec);
		return;
	}
	if (!state->one)
		object_record_add(scan, rec);
	set_task(scan, rec);
	set_cgroup(scan, rec);
	owners_store(scan, rec);
	dispatch_note(scan, rec);
	dispatch_gap(scan, rec);
	dispatch_decode(scan, rec);
}

/*
 * Called a few records before dispatch_record(), to bring the entry that it will look up into the
 * processor's cache.
 */
static void prefetch_record(const struct walk_rec *rec, void *data)
{
	const struct walk_file *file = walk_record(rec, walk_file);

	if (file)
		scan_prefetch_file(data, file->file);
}

/* ------------------------------------------------------ the programs --- */

static struct walk_run *run_of(struct scan *scan, const char *program)
{
	GHashTable *runs = walk_state_of(scan)->runs;
	struct walk_run *run = g_hash_table_lookup(runs, program);

	if (!run) {
		run = g_new0(struct walk_run, 1);
		g_hash_table_insert(runs, (gpointer)program, run);
	}
	return run;
}

static int lack(struct scan *scan, const char *program)
{
	return bpf_loader_lack(walk_state_of(scan)->walkers, program) ? -ENOPKG : 0;
}

int dispatch_program(struct scan *scan, const char *program, bool worth)
{
	struct walk_run *run = run_of(scan, program);

	if (!run->done)
		run->err = worth ? bpf_loader_iterate(walk_state_of(scan)->walkers, program,
						      dispatch_record, scan)
				 : lack(scan, program);
	else if (run->err == -ENOPKG)
		lack(scan, program); /* this class lacks it, too */
	run->done = true;
	return run->err;
}

int dispatch_tasks(struct scan *scan)
{
	return dispatch_program(scan, "walk_tasks", true);
}

/* ------------------------------------ files that have no descriptor --- */

static bool is_non_fd_worth_it(struct scan *scan)
{
	const struct walk_state *state = walk_state_of(scan);

	/*
	 * If the one map cannot be mapped itself, only nested files can hold it
	 * without a descriptor.
	 */
	return state->mappable || state->carries ||
	       (state->one ? scan->ctx->non_fd_nested : scan->ctx->force_full_scan);
}

static int iterate(struct scan *scan, const struct holder_class *class, walk_fn fn, void *data)
{
	if (class->iterate)
		return class->iterate(scan, fn, data);
	return bpf_loader_iterate(walk_state_of(scan)->walkers, class->non_fd, fn, data);
}

/*
 * While the thread runs walk_tasks, runs the programs that are worth running whatever descriptors
 * there are. Their records are kept until dispatch_non_fd(): the records of descriptors come first.
 */
static void walk_non_fd_early(struct scan *scan)
{
	for (unsigned int i = 0; scan->classes[i]; i++) {
		const struct holder_class *class = scan->classes[i];
		struct walk_run *run = &walk_state_of(scan)->non_fd[i];

		if (!class->non_fd || !is_non_fd_worth_it(scan))
			continue;
		run->early.bytes = g_byte_array_new();
		run->err = iterate(scan, class, object_records_collect, &run->early);
	}
}

/* Processes the records that were kept, and returns the result of that run. */
static int dispatch_early(struct scan *scan, struct walk_run *run)
{
	walk_each(run->early.bytes->data, run->early.bytes->len, dispatch_record, scan);
	g_clear_pointer(&run->early.bytes, g_byte_array_unref);
	return run->early.err ? run->early.err : run->err;
}

int dispatch_non_fd(struct scan *scan, const struct holder_class *class)
{
	struct walk_state *state = walk_state_of(scan);
	struct walk_run *run = &state->non_fd[class->id];

	if (run->done)
		return run->err;
	run->done = true;
	if (!run->early.bytes && !is_non_fd_worth_it(scan))
		return run->err = lack(scan, class->non_fd);
	state->in_non_fd = state->non_fd_walked = true;
	run->err = run->early.bytes ? dispatch_early(scan, run)
				    : iterate(scan, class, dispatch_record, scan);
	state->in_non_fd = false;
	return run->err;
}

/* ------------------------------------------------------- all classes --- */

/* Runs the program for at most WALK_LIST_MAX objects. */
static int walk_some(struct scan *scan, const char *program, const struct walk_object *places,
		     guint count)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	struct walk_control *control = bpf_loader_control(walkers);
	struct walk_listed *list = bpf_loader_list(walkers);
	struct walk_calls calls = { 0 };
	int err;

	for (guint i = 0; i < count; i++)
		list[i] = (struct walk_listed){ .address = places[i].address, .id = places[i].id };
	control->listed = count;
	control->list_at = 0;
	control->resume_at = 0;
	do {
		err = bpf_loader_call(walkers, program, dispatch_record, scan);
	} while (!err && object_records_go_on(control, &calls));
	return !err && control->ended == WALK_TORN ? -EAGAIN : err;
}

int dispatch_places(struct scan *scan, const char *program, const GArray *places)
{
	int err = lack(scan, program);
	guint count = places ? places->len : 0;

	for (guint first = 0; !err && first < count; first += WALK_LIST_MAX)
		err = walk_some(scan, program, &g_array_index(places, struct walk_object, first),
				MIN(count - first, (guint)WALK_LIST_MAX));
	return err;
}

static void walk_class(struct scan *scan, const struct holder_class *class)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	g_autofree char *why = NULL;
	int err;

	scan_set_class(scan, class);
	scan_source(scan, "BPF walk");
	bpf_loader_lacked(walkers);
	err = class->walk ? class->walk(scan) : 0;
	if (err == -ENOPKG)
		why = g_strdup_printf("its BPF program does not load on this kernel: %s",
				      bpf_loader_lacked(walkers));
	if (why)
		scan_unavailable(scan, why, 0);
	else if (err)
		scan_gap(scan, 1, "runs of its BPF programs that failed", -err);
}

/* For the holders of one map: returns true if this class can hold a map. */
static bool can_hold(struct scan *scan, const struct holder_class *class)
{
	return !walk_state_of(scan)->one || !class->pub.kinds ||
	       class->pub.kinds & 1u << BPFREFS_KIND_MAP;
}

static void walk_classes_where(struct scan *scan, bool parallel)
{
	for (unsigned int i = 0; scan->classes[i] && !scan_failed(scan); i++)
		if (scan->classes[i]->parallel == parallel && can_hold(scan, scan->classes[i]))
			walk_class(scan, scan->classes[i]);
}

void dispatch_classes(struct scan *scan, struct bpf_loader_walk *tasks)
{
	walk_classes_where(scan, true);
	if (tasks) {
		walk_non_fd_early(scan);
		*run_of(scan, "walk_tasks") = (struct walk_run){
			.done = true,
			.err = bpf_loader_end(tasks, prefetch_record, dispatch_record, scan),
		};
	}
	walk_classes_where(scan, false);
	dispatch_derive(scan, false);
}

void dispatch_derive(struct scan *scan, bool alone)
{
	for (unsigned int i = 0; scan->classes[i] && !scan_failed(scan); i++) {
		if (!scan->classes[i]->derive || !can_hold(scan, scan->classes[i]) ||
		    scan->classes[i]->userspace_only != alone)
			continue;
		scan_set_class(scan, scan->classes[i]);
		scan->classes[i]->derive(scan);
	}
}

/* ---------------------------------------------------------- one scan --- */

void dispatch_begin(struct scan *scan, struct walk_state *state)
{
	state->roots = owners_roots_new();
	state->runs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	for (unsigned int i = 0; scan->classes[i]; i++)
		for (unsigned int j = 0; j < HOLDER_DECODERS_MAX; j++)
			if (scan->classes[i]->decoders[j].decode)
				state->takers[scan->classes[i]->decoders[j].type] |= (uint64_t)1
										     << i;
	scan->source_data = state;
}

void dispatch_end(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);

	if (state->non_fd_walked)
		scan->ctx->non_fd_nested = state->non_fd_nested;
	pin_tree_free(state->pins);
	net_lists_free(state->nets);
	g_hash_table_unref(state->roots);
	g_hash_table_unref(state->runs);
	g_clear_pointer(&state->holds.bytes, g_byte_array_unref);
	for (unsigned int i = 0; i < CLASS_COUNT; i++)
		g_clear_pointer(&state->non_fd[i].early.bytes, g_byte_array_unref);
	scan->source_data = NULL;
}

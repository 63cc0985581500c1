/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the programs of the holder classes, leaves out those that cannot emit anything, and passes
 * each record to the class that decodes it.
 */
#include <linux/bpf.h>
#include <string.h>

#include "kernel/bpf_source.h"
#include "kernel/owner_records.h"
#include "uapi/newer.h"

/*
 * Programs that find files which processes hold without a descriptor. They take longer than
 * all others together, so they are left out if they cannot emit anything new: no map that does
 * not belong to us can be mapped or polled, and no descriptor table has a file that may hold
 * other files (a ring, socket or perf event). If such a file is then the only holder of an
 * object, the object has an unexplained reference; a new unexplained reference makes the next
 * scan run these programs.
 */
static const char *const non_fd_walks[NON_FD_WALKS] = { "walk_mappings", "walk_ring_fds",
							"walk_aio" };

/* Properties of maps: a program is worth running only if a map has the property that it reads. */
enum walk_trait {
	TRAIT_SOCKETS = 1 << 0,
	TRAIT_ASYNC = 1 << 1,
	TRAIT_SPECIAL = 1 << 2,
	TRAIT_EVENTS = 1 << 3,
	TRAIT_STRUCT_OPS = 1 << 4,
};

/* Programs that read inside every map, and the properties without which they emit nothing. */
static const struct {
	const char *program;
	uint32_t traits;
} map_walks[] = {
	{ "walk_sockmaps", TRAIT_SOCKETS },	 { "walk_async", TRAIT_ASYNC },
	{ "walk_kptrs", TRAIT_SPECIAL },	 { "walk_event_slots", TRAIT_EVENTS },
	{ "walk_registered", TRAIT_STRUCT_OPS },
};

static uint32_t traits_of(const struct walk_map *map)
{
	uint32_t traits = 0;

	if (map->type == BPF_MAP_TYPE_SOCKMAP || map->type == BPF_MAP_TYPE_SOCKHASH)
		traits |= TRAIT_SOCKETS;
	if (map->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		traits |= TRAIT_EVENTS;
	if (map->type == BPF_MAP_TYPE_STRUCT_OPS)
		traits |= TRAIT_STRUCT_OPS;
	if (map->async)
		traits |= TRAIT_ASYNC;
	if (map->special)
		traits |= TRAIT_SPECIAL;
	return traits;
}

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
		state->traits |= traits_of(map);
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

void dispatch_record(const struct walk_rec *rec, void *data)
{
	struct scan *scan = data;
	struct walk_state *state = walk_state_of(scan);
	uint64_t takers = rec->type < WALK_TYPES ? state->takers[rec->type] : 0;

	if (scan_failed(scan))
		return;
	if (state->after) {
		object_record_recheck(scan, rec);
		return;
	}
	if (!state->one)
		object_record_add(scan, rec);
	set_task(scan, rec);
	owners_store(scan, rec);
	dispatch_note(scan, rec);
	for (; takers; takers &= takers - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(takers);

		scan_set_class(scan, scan->classes[i]);
		if (scan->classes[i]->decode(scan, rec))
			return;
	}
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

static bool is_worth_it(struct scan *scan, const char *program)
{
	const struct walk_state *state = walk_state_of(scan);

	/*
	 * If the one map cannot be mapped itself, only nested files can hold it
	 * without a descriptor.
	 */
	if (state->in_non_fd && state->one)
		return scan->ctx->non_fd_nested || state->mappable || state->carries;
	if (state->in_non_fd)
		return scan->ctx->force_full_scan || state->mappable || state->carries;
	for (guint i = 0; i < G_N_ELEMENTS(map_walks); i++)
		if (strcmp(map_walks[i].program, program) == 0)
			return state->traits & map_walks[i].traits;
	return true;
}

/*
 * walk_mappings reads every mapping of every process. walk_vmas, if the kernel supports it, reads
 * only those of processes that have changed since, or that had emitted something.
 */
static int iterate(struct scan *scan, const char *program, walk_fn fn, void *data)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	struct walk_control *control = bpf_loader_control(walkers);
	int err;

	if (strcmp(program, "walk_mappings") == 0 && control->vmas != WALK_VMAS_UNABLE) {
		control->vmas_busy = 0;
		err = bpf_loader_iterate(walkers, "walk_vmas", fn, data);
		if (err || control->vmas != WALK_VMAS_ABLE)
			control->vmas = WALK_VMAS_UNABLE;
		else if (!control->vmas_busy)
			return 0;
	}
	return bpf_loader_iterate(walkers, program, fn, data);
}

/* The index of a program in non_fd_walks; NON_FD_WALKS if it is none of them. */
static guint non_fd_index(const char *program)
{
	guint place = 0;

	while (place < NON_FD_WALKS && strcmp(non_fd_walks[place], program) != 0)
		place++;
	return place;
}

/*
 * While the thread runs walk_tasks, runs the programs that are worth running whatever descriptors
 * there are. Their records are kept until dispatch_program(): the records of descriptors come first.
 */
static void walk_non_fd_early(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);

	state->in_non_fd = true;
	for (guint i = 0; i < NON_FD_WALKS; i++) {
		struct walk_kept *kept = &state->early[i];

		if (is_worth_it(scan, non_fd_walks[i])) {
			kept->bytes = g_byte_array_new();
			kept->walked = iterate(scan, non_fd_walks[i], dispatch_collect, kept);
		}
	}
	state->in_non_fd = false;
}

/* Processes the records that were kept, and returns the result of that run. */
static int dispatch_early(struct scan *scan, struct walk_kept *kept)
{
	walk_each(kept->bytes->data, kept->bytes->len, dispatch_record, scan);
	g_clear_pointer(&kept->bytes, g_byte_array_unref);
	return kept->err ? kept->err : kept->walked;
}

int dispatch_program(struct scan *scan, const char *program)
{
	struct walk_state *state = walk_state_of(scan);
	guint place = non_fd_index(program);
	struct walk_kept *early = place < NON_FD_WALKS ? &state->early[place] : NULL;
	bool is_early = early && early->bytes;
	int err;

	state->in_non_fd = place < NON_FD_WALKS;
	if (is_early || is_worth_it(scan, program)) {
		state->non_fd_walked |= state->in_non_fd;
		err = is_early ? dispatch_early(scan, early)
			       : iterate(scan, program, dispatch_record, scan);
	} else {
		/*
		 * A program that is not worth running is no gap, but one that cannot run is,
		 * whether it is worth it or not.
		 */
		err = bpf_loader_lack(state->walkers, program) ? -ENOPKG : 0;
	}
	state->in_non_fd = false;
	return err;
}

/* Runs the program for at most WALK_LIST_MAX objects. */
static int walk_some(struct scan *scan, const char *program, const struct walk_object *places,
		     guint count)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	struct walk_control *control = bpf_loader_control(walkers);
	struct walk_listed *list = bpf_loader_list(walkers);
	int err;

	for (guint i = 0; i < count; i++)
		list[i] = (struct walk_listed){ .address = places[i].address, .id = places[i].id };
	control->listed = count;
	control->list_at = 0;
	control->resume_at = 0;
	do {
		err = bpf_loader_call(walkers, program, dispatch_record, scan);
	} while (!err && control->ended == WALK_FULL);
	return err;
}

int dispatch_places(struct scan *scan, const char *program, const GArray *places)
{
	int err = bpf_loader_lack(walk_state_of(scan)->walkers, program) ? -ENOPKG : 0;
	guint count = places ? places->len : 0;

	for (guint first = 0; !err && first < count; first += WALK_LIST_MAX)
		err = walk_some(scan, program, &g_array_index(places, struct walk_object, first),
				MIN(count - first, (guint)WALK_LIST_MAX));
	return err;
}

/* Runs the programs of one class, except those that have already run for another class. */
static void walk_class(struct scan *scan, const struct holder_class *class, GHashTable *results)
{
	int err = 0;

	if (class->walk) {
		scan_set_class(scan, class);
		err = class->walk(scan);
	}
	for (guint i = 0; class->walks && class->walks[i] && !err; i++) {
		const char *program = class->walks[i];

		if (!g_hash_table_contains(results, program)) {
			err = dispatch_program(scan, program);
			g_hash_table_insert(results, (gpointer)program, GINT_TO_POINTER(err));
		}
		err = GPOINTER_TO_INT(g_hash_table_lookup(results, program));
	}
	scan_set_class(scan, class);
	scan_source(scan, "BPF walk");
	if (err == -ENOPKG)
		scan_unavailable(scan, "its BPF program does not load on this kernel", 0);
	else if (err)
		scan_gap(scan, 1, "runs of its BPF programs that failed", -err);
}

/* For the holders of one map: returns true if this class can hold a map. */
static bool can_hold(struct scan *scan, const struct holder_class *class)
{
	return !walk_state_of(scan)->one || !class->pub.kinds ||
	       class->pub.kinds & 1u << BPFREFS_MAP;
}

static void walk_classes_where(struct scan *scan, bool parallel, GHashTable *results)
{
	for (unsigned int i = 0; scan->classes[i] && !scan_failed(scan); i++)
		if (scan->classes[i]->parallel == parallel && can_hold(scan, scan->classes[i]))
			walk_class(scan, scan->classes[i], results);
}

void dispatch_classes(struct scan *scan, struct bpf_loader_walk *tasks)
{
	GHashTable *results = g_hash_table_new(g_str_hash, g_str_equal);

	walk_classes_where(scan, true, results);
	if (tasks) {
		walk_non_fd_early(scan);
		g_hash_table_insert(results, (gpointer) "walk_tasks",
				    GINT_TO_POINTER(bpf_loader_end(tasks, prefetch_record,
								   dispatch_record, scan)));
	}
	walk_classes_where(scan, false, results);
	g_hash_table_unref(results);
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

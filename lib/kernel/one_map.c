/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collects the holders of one map only: the programs skip what holds other objects, and classes
 * that cannot hold a map do not run. bpfrefs_snapshot_take_one() uses the result only if it
 * explains both counters of the map completely, and takes a full snapshot otherwise.
 */
#include <linux/bpf.h>

#include "kernel/nested_files.h"
#include "kernel/object_cache.h"
#include "kernel/owner_records.h"

/*
 * Maps can be held by descriptors, pins, programs, links and other maps, whose references the
 * counters include. Two types of maps are held by sockets too, where no counter shows whether all
 * holders were found.
 */
static bool is_supported(const struct walk_map *map)
{
	return map->type != BPF_MAP_TYPE_XSKMAP && map->type != BPF_MAP_TYPE_STRUCT_OPS;
}

static const char *name_of_holder(struct scan *scan, struct bpfrefs_key holder)
{
	const struct walk_rec *rec;

	if (holder.kind == BPFREFS_KIND_LINK)
		return "";
	rec = object_cache_find(scan->ctx->object_cache, holder);
	if (rec && rec->type == WALK_MAP)
		return object_record_name(scan, ((const struct walk_map *)(const void *)rec)->name,
					  sizeof(((struct walk_map *)0)->name));
	if (rec && rec->type == WALK_PROG)
		return object_record_name(scan, ((const struct walk_prog *)(const void *)rec)->name,
					  sizeof(((struct walk_prog *)0)->name));
	walk_state_of(scan)->unnamed = true;
	return NULL;
}

static void add_outer_map(const struct walk_rec *rec, void *data)
{
	dispatch_decode(data, rec);
}

static void dispatch_link(const struct walk_rec *rec, void *data)
{
	struct scan *scan = data;

	object_cache_link(scan->ctx->object_cache, rec);
	dispatch_record(rec, scan);
}

/*
 * On most systems no link holds a map. To walk over all links again would take long
 * compared with the rest.
 */
static int walk_links(struct scan *scan)
{
	struct object_cache *cache = scan->ctx->object_cache;
	int err;

	if (object_cache_links_hold_no_map(cache))
		return 0;
	object_cache_links_begin(cache);
	err = bpf_loader_iterate(walk_state_of(scan)->walkers, "walk_links", dispatch_link, scan);
	if (!err)
		object_cache_links_end(cache);
	return err;
}

static int walk_one(struct scan *scan, const struct walk_one_map *one)
{
	struct walk_state *state = walk_state_of(scan);
	struct walk_control *control = bpf_loader_control(state->walkers);
	struct walk_one_map after;
	int err;

	object_record_add(scan, &one->map.rec);
	dispatch_note(scan, &one->map.rec);
	object_cache_each(scan->ctx->object_cache, BPFREFS_KIND_MAP, add_outer_map, scan);
	control->filter_map = one->map.address;
	control->uses = 0;
	owners_prepare(scan);
	err = walk_links(scan);
	if (!err) {
		dispatch_classes(scan, NULL);
		dispatch_derive(scan, true);
	}
	control->filter_map = 0;
	if (!err)
		err = object_record_read_map(scan->ctx, one->map.rec.id, &after);
	if (err)
		return err;
	state->after = true;
	object_record_recheck(scan, &after.map.rec);
	return state->unnamed ? -EAGAIN : 0;
}

static void cache_record(const struct walk_rec *rec, void *cache)
{
	object_cache_note(cache, rec);
}

int one_map_collect(struct scan *scan, struct bpfrefs_key key)
{
	struct bpfrefs_ctx *ctx = scan->ctx;
	struct walk_state state = { .walkers = ctx->source_data };
	struct walk_one_map one;
	int err;

	if (key.kind != BPFREFS_KIND_MAP)
		return -EAGAIN;
	/* This takes much less time than to collect everything that holds the objects. */
	err = object_cache_is_outdated(ctx->object_cache)
		      ? object_records_read(ctx, cache_record, ctx->object_cache)
		      : 0;
	if (!err)
		err = object_record_read_map(ctx, key.id, &one);
	if (err)
		return err;
	if (!is_supported(&one.map))
		return -EAGAIN;
	state.one = &one.map;
	dispatch_begin(scan, &state);
	scan->name_of = name_of_holder;
	err = walk_one(scan, &one);
	nested_files_free(scan);
	dispatch_end(scan);
	return err;
}

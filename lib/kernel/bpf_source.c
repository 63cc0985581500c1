/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The BPF source. A scan reads the counters of all objects, then their holders, and then the
 * counters again: an object whose counters differ is marked as changing. Each counter is read
 * without the reference that the reading itself takes.
 */
#include <string.h>

#include "kernel/bpf_source.h"
#include "kernel/mount_cache.h"
#include "kernel/nested_files.h"
#include "kernel/object_cache.h"
#include "kernel/owner_records.h"
#include "kernel/pin_tree.h"
#include "kernel/pipeline.h"
#include "kernel/socket_holders.h"
#include "procfs/procfs.h"
#include "uapi/info.h"
#include "uapi/syscalls.h"

static struct bpf_loader *load(const struct bpfrefs_ctx *ctx, char **why, int *err)
{
	struct bpf_loader *walkers = NULL;

	*err = bpf_loader_load(ctx, &walkers, why);
	if (!*err)
		*err = kernel_ids_probe(walkers, why);
	if (!*err)
		return walkers;
	bpf_loader_free(walkers);
	return NULL;
}

static int source_open(struct bpfrefs_ctx *ctx, char **why)
{
	int err;

	ctx->source_data = load(ctx, why, &err);
	if (!err)
		ctx->object_cache = object_cache_new();
	return err;
}

/*
 * A module was loaded (such as cls_bpf, tun or nf_tables). Only programs that are relocated with
 * its BTF can read its structures. If the new load fails, the old programs stay, and the classes
 * that need the module report the gap.
 */
static void reload_outdated(struct bpfrefs_ctx *ctx)
{
	g_autofree char *why = NULL;
	struct bpf_loader *walkers;
	int err;

	if (!bpf_loader_outdated(ctx->source_data))
		return;
	ctx_log(ctx, BPFREFS_LOG_INFO,
		"a kernel module was loaded: the BPF programs are loaded again");
	walkers = load(ctx, &why, &err);
	if (!walkers) {
		ctx_log(ctx, BPFREFS_LOG_WARNING, "what needs that module stays incomplete: %s",
			why ? why : g_strerror(-err));
		return;
	}
	bpf_loader_free(ctx->source_data);
	ctx->source_data = walkers;
}

static void source_close(struct bpfrefs_ctx *ctx)
{
	bpf_loader_free(ctx->source_data);
	ctx->source_data = NULL;
	g_clear_pointer(&ctx->object_cache, object_cache_free);
	g_clear_pointer(&ctx->mount_cache, mount_cache_free);
}

static int source_next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start,
			  uint32_t *id)
{
	(void)ctx;
	return syscall_next_id(kind, start, id);
}

/* -------------------------------------------------------- one object --- */

static int source_map_usercnt(struct bpfrefs_ctx *ctx, uint32_t id, uint64_t *usercnt)
{
	struct walk_one_map one;
	int err = object_record_read_map(ctx, id, &one);

	if (!err)
		*usercnt = (uint64_t)one.map.usercnt;
	return err;
}

static int source_mounted(struct bpfrefs_ctx *ctx, uint32_t major, uint32_t minor, uint32_t *mounts,
			  uint32_t *covered)
{
	struct walk_control *control = bpf_loader_control(ctx->source_data);
	int err;

	control->mounted_dev = major << 20 | minor; /* MKDEV() */
	err = bpf_loader_call(ctx->source_data, "walk_mounted", NULL, NULL);
	if (!err && control->ended != WALK_DONE)
		err = -EAGAIN;
	*mounts = control->mounted;
	*covered = control->mounted_on;
	return err;
}

static void fill_map_info(struct bpfrefs_info *info, const struct walk_map *map)
{
	struct map_facts facts = {
		.type = map->type,
		.id = map->rec.id,
		.key_size = map->key_size,
		.value_size = map->value_size,
		.max_entries = map->max_entries,
		.map_flags = map->flags,
		.ifindex = map->ifindex,
		.btf_vmlinux_value_type_id = map->btf_vmlinux_value_type_id,
		.netns_dev = map->netns_dev,
		.netns_ino = map->netns_ino,
		.btf_id = map->btf_id,
		.btf_key_type_id = map->btf_key_type_id,
		.btf_value_type_id = map->btf_value_type_id,
		.btf_vmlinux_id = map->btf_vmlinux_id,
		.map_extra = map->map_extra,
	};

	memcpy(facts.name, map->name, sizeof(facts.name));
	info_map(info, &facts);
}

static int source_info(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **info)
{
	bpfrefs_autofd fd = -1;
	struct walk_one_map one;
	int err;

	if (key.kind == BPFREFS_KIND_MAP) {
		err = object_record_read_map(ctx, key.id, &one);
		if (err)
			return err;
		*info = info_new();
		fill_map_info(*info, &one.map);
		return 0;
	}
	fd = syscall_open_id(key.kind, key.id);
	if (fd < 0)
		return fd;
	return uapi_info_read(fd, key.kind, info);
}

static void take_location(const struct walk_rec *rec, void *data)
{
	const struct walk_location *found = walk_record(rec, walk_location);
	struct idmap *locations = data;
	struct link_location *location;

	if (!found || idmap_get(locations, rec->id))
		return;
	location = g_new0(struct link_location, 1);
	location->netns = found->netns;
	location->ifindex = found->ifindex;
	location->position = found->position;
	location->cpu = found->cpu;
	location->pid = found->pid;
	location->detached = found->detached;
	memcpy(location->ifname, found->ifname, sizeof(found->ifname));
	memcpy(location->function, found->function, sizeof(found->function));
	if (!idmap_set(locations, rec->id, location))
		g_free(location);
}

static int source_link_locations(struct bpfrefs_ctx *ctx, uint32_t id, struct idmap *locations)
{
	struct walk_control *control = bpf_loader_control(ctx->source_data);
	int err;

	control->filter_id = id;
	err = bpf_loader_iterate(ctx->source_data, "walk_link_locations", take_location, locations);
	control->filter_id = 0;
	return err;
}

/* -------------------------------------------------------------- BTFs --- */

static int add_btfs(struct scan *scan)
{
	uint32_t id = 0;
	int err;

	while ((err = syscall_next_id(BPFREFS_KIND_BTF, id, &id)) == 0)
		scan_object_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_BTF, id });
	return err == -ENOENT ? 0 : err;
}

struct own_btf {
	struct scan *scan;
	struct walk_btf record;
};

static void without_own(const struct walk_rec *rec, void *data)
{
	const struct walk_btf *btf = walk_record(rec, walk_btf);
	struct own_btf *own = data;

	if (!btf)
		return;
	own->record = *btf;
	own->record.refcnt--; /* the reference of the descriptor through which it is read */
	dispatch_record(&own->record.rec, own->scan);
}

/*
 * Reads the counter of a BTF that no map and no program led to. No iterator over BTFs exists, so
 * the program reads it through a descriptor of ours.
 */
static void read_btf(struct scan *scan, struct bpfrefs_object *object)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	bpfrefs_autofd fd = syscall_open_id(BPFREFS_KIND_BTF, object->key.id);
	struct own_btf own = { .scan = scan };

	if (fd < 0) {
		object->changing = true; /* it has just been freed */
		return;
	}
	bpf_loader_control(walkers)->peek_fd = (uint32_t)fd;
	if (bpf_loader_call(walkers, "walk_peek_prog", without_own, &own))
		object->changing = true;
	else
		object_cache_note(scan->ctx->object_cache, &own.record.rec);
}

static void read_btfs(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	GPtrArray *objects = scan->snap->objects;

	for (guint i = 0; i < objects->len; i++) {
		struct bpfrefs_object *object = g_ptr_array_index(objects, i);
		bool is_read = state->after ? object_inner(object)->seen
					    : object->refcnt != BPFREFS_UNKNOWN;

		if (object->key.kind == BPFREFS_KIND_BTF && !is_read)
			read_btf(scan, object);
	}
}

/* -------------------------------------------------------- collecting --- */

static void cache_object(const struct walk_rec *rec, void *data)
{
	const struct scan *scan = data;

	object_cache_note(scan->ctx->object_cache, rec);
	dispatch_record(rec, data);
}

/* Reads the current counters of all objects. */
struct counters {
	struct scan *scan;
	struct walk_kept links; /* the records of all links */
	int err;
};

/*
 * It is a pipeline_fn that reads no records. It may run in a thread: it uses only the object cache,
 * and nothing else of the scan.
 */
static int read_cached(void *data, const void **records, uint32_t *len)
{
	struct scan *scan = data;

	(void)records;
	(void)len;
	return object_cache_read(scan->ctx->object_cache, walk_state_of(scan)->walkers);
}

/* Reads links and BTFs, once maps and programs have been read from the cache or by iterators. */
static int read_rest(struct counters *counters)
{
	struct scan *scan = counters->scan;
	struct walk_state *state = walk_state_of(scan);

	if (!counters->err)
		counters->err = bpf_loader_iterate(state->walkers, "walk_links",
						   object_records_collect, &counters->links);
	if (!counters->err)
		counters->err = counters->links.err;
	if (counters->err)
		return counters->err;
	if (!state->objects_read)
		object_cache_each(scan->ctx->object_cache, BPFREFS_KIND_BTF, dispatch_record, scan);
	read_btfs(scan);
	return scan_failed(scan);
}

static int read_before(struct counters *counters)
{
	struct scan *scan = counters->scan;
	struct walk_state *state = walk_state_of(scan);

	state->objects_read = object_cache_is_outdated(scan->ctx->object_cache);
	if (state->objects_read)
		counters->err = object_records_read(scan->ctx, cache_object, scan);
	else
		counters->err = object_cache_read(scan->ctx->object_cache, state->walkers);
	return read_rest(counters);
}

/*
 * Objects that are newer than the first reading are left out. The classes whose derive() runs no
 * program do so meanwhile.
 */
static int read_after(struct counters *counters, bool parallel)
{
	struct walk_state *state = walk_state_of(counters->scan);
	struct pipeline *reading = pipeline_begin(read_cached, counters->scan, parallel);

	g_byte_array_set_size(counters->links.bytes, 0);
	dispatch_derive(counters->scan, true);
	counters->err = pipeline_end(reading, NULL, dispatch_record, NULL);
	owners_derive(counters->scan);
	state->after = true;
	state->objects_read = false;
	return read_rest(counters);
}

static void dispatch_objects(struct scan *scan, const struct walk_kept *links)
{
	if (!walk_state_of(scan)->objects_read) {
		object_cache_each(scan->ctx->object_cache, BPFREFS_KIND_MAP, dispatch_record, scan);
		object_cache_each(scan->ctx->object_cache, BPFREFS_KIND_PROG, dispatch_record,
				  scan);
	}
	walk_each(links->bytes->data, links->bytes->len, dispatch_record, scan);
}

/* Objects that the second reading did not meet have been freed. */
static void mark_freed(struct scan *scan)
{
	for (guint i = 0; i < scan->snap->objects->len; i++) {
		struct bpfrefs_object *object = g_ptr_array_index(scan->snap->objects, i);

		if (!object_inner(object)->seen)
			object->changing = true;
	}
}

/* The holders are collected between the two readings of the counters. */
static int collect(struct scan *scan)
{
	g_autoptr(GByteArray) links = g_byte_array_new();
	struct counters counters = { .scan = scan, .links.bytes = links };
	struct bpf_loader_walk *tasks;
	bool parallel;
	int err = add_btfs(scan);

	if (!err)
		err = read_before(&counters);
	if (err)
		return err;
	socket_holder_prepare(scan);
	owners_prepare(scan);
	tasks = bpf_loader_begin(walk_state_of(scan)->walkers);
	parallel = tasks != NULL;
	dispatch_objects(scan, &counters.links);
	dispatch_classes(scan, tasks);
	err = read_after(&counters, parallel);
	if (!err)
		dispatch_objects(scan, &counters.links);
	return err;
}

static int source_collect(struct scan *scan)
{
	struct walk_state state = { 0 };
	int err;

	reload_outdated(scan->ctx);
	state.walkers = scan->ctx->source_data;
	bpf_loader_prepare(state.walkers);
	dispatch_begin(scan, &state);
	err = collect(scan);
	if (!err)
		mark_freed(scan);
	scan->ctx->force_full_scan = state.hidden;
	nested_files_free(scan);
	dispatch_end(scan);
	return err;
}

const struct source source_bpf = {
	.id = BPFREFS_SOURCE_BPF,
	.open = source_open,
	.close = source_close,
	.next_id = source_next_id,
	.info = source_info,
	.link_locations = source_link_locations,
	.map_payer = payer_read,
	.memlock = proc_memlock,
	.map_usercnt = source_map_usercnt,
	.mounted = source_mounted,
	.collect = source_collect,
	.collect_one = one_map_collect,
};

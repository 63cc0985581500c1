/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adds the objects in the BPF source's records to the snapshot, and compares their counters,
 * which are read twice.
 */
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#include "kernel/bpf_source.h"
#include "kernel/object_cache.h"

static const char *type_name(struct scan *scan, enum bpfrefs_enum what, uint32_t type)
{
	const char *name = bpfrefs_enum_name(what, type);
	char number[16];

	if (name)
		return name;
	g_snprintf(number, sizeof(number), "%u", type);
	return scan_str(scan, number);
}

const char *object_record_name(struct scan *scan, const char *name, size_t size)
{
	char copy[65];

	size = MIN(size, sizeof(copy) - 1);
	memcpy(copy, name, size);
	copy[size] = '\0';
	return scan_str(scan, copy);
}

/* The key and the two counters of a record that describes an object. */
static bool counters_of(const struct walk_rec *rec, struct bpfrefs_key *key, uint64_t *refcnt,
			uint64_t *usercnt)
{
	const struct walk_map *map = walk_record(rec, walk_map);
	const struct walk_prog *prog = walk_record(rec, walk_prog);
	const struct walk_link *link = walk_record(rec, walk_link);
	const struct walk_btf *btf = walk_record(rec, walk_btf);
	enum bpfrefs_kind kind = BPFREFS_KIND_NONE;
	int64_t count = 0;

	if (rec->type > WALK_BTF)
		return false;
	*usercnt = 0;
	if (map) {
		kind = BPFREFS_KIND_MAP;
		count = map->refcnt;
		*usercnt = (uint64_t)map->usercnt;
	} else if (prog) {
		kind = BPFREFS_KIND_PROG;
		count = prog->refcnt;
	} else if (link) {
		kind = BPFREFS_KIND_LINK;
		count = link->refcnt;
	} else if (btf) {
		kind = BPFREFS_KIND_BTF;
		count = btf->refcnt;
	}
	*refcnt = (uint64_t)count;
	*key = (struct bpfrefs_key){ kind, rec->id };
	return kind != BPFREFS_KIND_NONE && rec->id != 0;
}

/* The memory of a program array: bpf_map_memory_footprint() before Linux 6.4. */
static uint64_t prog_array_memlock(const struct walk_map *map)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), slots = map->max_entries;
	const uint64_t entry = sizeof(uint32_t) + sizeof(uint32_t);

	return map->memlock ? map->memlock : (slots * entry + page - 1) / page * page;
}

static void fill_object(struct scan *scan, struct bpfrefs_object *object,
			const struct walk_rec *rec)
{
	const struct walk_map *map = walk_record(rec, walk_map);
	const struct walk_prog *prog = walk_record(rec, walk_prog);
	const struct walk_link *link = walk_record(rec, walk_link);
	const struct walk_btf *btf = walk_record(rec, walk_btf);

	if (map) {
		object->name = object_record_name(scan, map->name, sizeof(map->name));
		object->type_number = map->type;
		object->type = type_name(scan, BPFREFS_ENUM_MAP_TYPE, map->type);
		object->max_entries = map->max_entries;
		if (map->type == BPF_MAP_TYPE_PROG_ARRAY)
			object->memlock = prog_array_memlock(map);
		object->user_state = map->type == BPF_MAP_TYPE_PROG_ARRAY ||
				     map->type == BPF_MAP_TYPE_SOCKMAP ||
				     map->type == BPF_MAP_TYPE_SOCKHASH || map->async;
	} else if (prog) {
		object->name = object_record_name(scan, prog->name, sizeof(prog->name));
		object->type_number = prog->type;
		object->type = type_name(scan, BPFREFS_ENUM_PROG_TYPE, prog->type);
	} else if (link) {
		object->name = "";
		object->type_number = link->type;
		object->type = type_name(scan, BPFREFS_ENUM_LINK_TYPE, link->type);
	} else if (btf) {
		object->name = object_record_name(scan, btf->name, sizeof(btf->name));
		object->type_number = btf->kernel;
		object->type = btf->kernel ? "kernel" : "user";
	}
}

void object_record_add(struct scan *scan, const struct walk_rec *rec)
{
	struct bpfrefs_object *object;
	struct bpfrefs_key key;
	uint64_t refcnt, usercnt;

	if (!counters_of(rec, &key, &refcnt, &usercnt))
		return;
	object = scan_object_add(scan, key);
	if (!object->type)
		fill_object(scan, object, rec);
	/*
	 * A BTF is emitted once for each object that leads to it: the counters must be
	 * the same each time.
	 */
	if (object->refcnt != BPFREFS_UNKNOWN && object->refcnt != refcnt)
		object->changing = true;
	object->refcnt = refcnt;
	object->usercnt = usercnt;
}

/*
 * The object of a record of the second reading. The records come in the same order as in the first
 * reading, except that freed objects are missing, so it is mostly the next one.
 */
static struct bpfrefs_object *counted(struct scan *scan, struct bpfrefs_key key)
{
	struct walk_state *state = walk_state_of(scan);
	const GPtrArray *objects = scan->snap->objects;
	struct bpfrefs_object *object = NULL;

	if (state->recounted < objects->len)
		object = g_ptr_array_index(objects, state->recounted);
	if (!object || bpfrefs_key_compare(object->key, key) != 0)
		object = scan_object(scan, key);
	if (object)
		state->recounted = object_inner(object)->index + 1;
	return object;
}

void object_record_recheck(struct scan *scan, const struct walk_rec *rec)
{
	struct bpfrefs_object *object;
	struct bpfrefs_key key;
	uint64_t refcnt, usercnt;

	if (!counters_of(rec, &key, &refcnt, &usercnt))
		return;
	object = counted(scan, key);
	if (!object)
		return; /* newer than this snapshot */
	if (object->refcnt != refcnt || object->usercnt != usercnt)
		object->changing = true;
	object_inner(object)->seen = true;
}

/* ---------------------------------------------- reading objects again --- */

static void take_map(const struct walk_rec *rec, void *data)
{
	const struct walk_map *map = walk_record(rec, walk_map);
	struct walk_one_map *one = data;

	if (!map)
		return;
	one->map = *map;
	one->found = true;
}

int object_record_read_map(struct bpfrefs_ctx *ctx, uint32_t id, struct walk_one_map *one)
{
	struct walk_control *control = bpf_loader_control(ctx->source_data);
	int err;

	one->found = false;
	err = object_cache_read_map(ctx->object_cache, ctx->source_data, id, take_map, one);
	if (err != -ENOENT)
		return err;
	control->filter_id = id;
	err = bpf_loader_iterate(ctx->source_data, "walk_maps", take_map, one);
	control->filter_id = 0;
	if (err)
		return err;
	return one->found ? 0 : -ENOENT;
}

/* The BTFs are emitted with the objects that lead to them. */
int object_records_read(struct bpfrefs_ctx *ctx, walk_fn note, void *data)
{
	int err;

	object_cache_begin(ctx->object_cache);
	err = bpf_loader_iterate(ctx->source_data, "walk_maps", note, data);
	if (!err)
		err = bpf_loader_iterate(ctx->source_data, "walk_progs", note, data);
	if (!err)
		object_cache_end(ctx->object_cache);
	return err;
}

void object_records_collect(const struct walk_rec *rec, void *data)
{
	struct walk_kept *kept = data;

	if (!kept->err && !memory_can_grow(kept->bytes->len, rec->size))
		kept->err = -ENOMEM;
	if (!kept->err)
		g_byte_array_append(kept->bytes, (const void *)rec, rec->size);
}

/* Calls for one object: a GiB of records. */
#define CALLS_MAX 4096

bool object_records_go_on(struct walk_control *control, struct walk_calls *calls)
{
	if (control->ended != WALK_FULL)
		return false;
	calls->count = calls->list_at == control->list_at ? calls->count + 1 : 0;
	calls->list_at = control->list_at;
	if (calls->count < CALLS_MAX)
		return true;
	control->ended = WALK_TORN;
	return false;
}

int object_records_append(struct bpf_loader *walkers, const char *program, GByteArray *records)
{
	struct walk_control *control = bpf_loader_control(walkers);
	struct walk_calls calls = { 0 };
	struct walk_kept kept = { .bytes = records };
	int err;

	do {
		err = bpf_loader_call(walkers, program, object_records_collect, &kept);
		err = err ? err : kept.err;
	} while (!err && object_records_go_on(control, &calls));
	return err;
}

int object_records_read_all(struct bpf_loader *walkers, const char *program, GByteArray *records)
{
	g_byte_array_set_size(records, 0);
	return object_records_append(walkers, program, records);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Programs held by callbacks in the values of maps. A timer or work queue holds its program from
 * the moment that the callback is set, armed or not (__bpf_async_set_callback()), task work until
 * it has run (bpf_task_work_schedule()).
 */
#include "bpf/htab.bpf.h"

/* The offsets in a value; negative if the value has none. There is at most one of each. */
struct value_offsets {
	__s32 timer, wq, task_work;
};

struct values {
	__u64 base, at, stopped; /* the values, or the buckets */
	__u32 map, count, size, key_size;
	struct value_offsets places;
};

/* The most edges that one value needs. */
#define VALUE_EDGES 3
#define VALUE_ROOM  (VALUE_EDGES * sizeof(struct walk_edge))

static __always_inline struct bpf_prog *callback_prog(__u64 callback, __u32 via)
{
	struct bpf_task_work_ctx *work = (void *)callback;
	struct bpf_hrtimer *timer = (void *)callback;
	struct bpf_async_cb *async = (void *)callback;

	if (via == WALK_VIA_TASK_WORK)
		return bpf_core_field_exists(work->prog) ? BPF_CORE_READ(work, prog) : NULL;
	if (bpf_core_field_exists(async->prog))
		return BPF_CORE_READ(async, prog);
	return BPF_CORE_READ(timer, prog);
}

/*
 * Emits what the callback at @place holds. The callback is a pointer, alone or first in a
 * structure. @key is the address of a hash element's key and @size its size; or @key is 0 and @size
 * an array's index.
 */
int walk_callback(__u64 place, __u32 map, __u32 via, __u64 key, __u32 size)
{
	struct bpf_prog *prog = NULL;
	__u64 callback = walk_pointer(place);

	if (callback)
		prog = callback_prog(callback, via);
	if (prog)
		walk_keyed_edge(map, WALK_KIND_PROG, walk_prog_id(prog), via, key, size);
	return 0;
}

static __always_inline void emit_value(const struct value_offsets *places, __u64 value, __u32 map,
				       __u64 key, __u32 size)
{
	if (places->timer >= 0)
		walk_callback(value + places->timer, map, WALK_VIA_TIMER, key, size);
	if (places->wq >= 0)
		walk_callback(value + places->wq, map, WALK_VIA_WQ, key, size);
	if (places->task_work >= 0)
		walk_callback(value + places->task_work, map, WALK_VIA_TASK_WORK, key, size);
}

static int array_step(__u32 index, struct values *values)
{
	__u64 at = values->at + index;

	if (walk_full(VALUE_ROOM))
		values->stopped = at + 1;
	else
		emit_value(&values->places, values->base + at * values->size, values->map, 0, at);
	return values->stopped ? 1 : 0;
}

struct value_chain {
	__u64 node;
	__u32 map, key_size;
	struct value_offsets places;
};

static int chain_step(__u32 index, struct value_chain *chain)
{
	__u64 key;

	if (htab_ends(chain->node))
		return 1;
	key = htab_key(chain->node);
	emit_value(&chain->places, htab_value(key, chain->key_size), chain->map, key,
		   chain->key_size);
	chain->node = htab_next(chain->node);
	return 0;
}

static int bucket_step(__u32 index, struct values *values)
{
	__u64 at = values->at + index;
	struct value_chain chain = {
		.map = values->map,
		.key_size = values->key_size,
		.places = values->places,
	};

	if (walk_full(CHAIN_ROOM(VALUE_EDGES))) {
		values->stopped = at + 1;
		return 1;
	}
	chain.node = htab_first(values->base, at);
	if (htab_ends(chain.node))
		return 0;
	bpf_loop(CHAIN_MAX, chain_step, &chain, 0);
	if (!htab_ends(chain.node))
		walk_emit_gap(WALK_GAP_BUCKET);
	return 0;
}

/* Returns false if the values of this map have no callbacks. */
static __always_inline bool find_places(struct value_offsets *places, struct bpf_map *map)
{
	struct btf_record *record;
	__u32 mask;

	places->timer = places->wq = places->task_work = -1;
	if (bpf_core_field_exists(map->timer_off)) {
		places->timer = BPF_CORE_READ(map, timer_off);
		return places->timer >= 0;
	}
	record = BPF_CORE_READ(map, record);
	mask = BPF_CORE_READ(record, field_mask); /* the mask of NULL or of an ERR_PTR reads as 0 */
	if (mask & walk_field_bit(BPF_TIMER))
		places->timer = BPF_CORE_READ(record, timer_off);
	if (bpf_core_field_exists(record->wq_off) && (mask & walk_field_bit(BPF_WORKQUEUE)))
		places->wq = BPF_CORE_READ(record, wq_off);
	if (bpf_core_field_exists(record->task_work_off) && (mask & walk_field_bit(BPF_TASK_WORK)))
		places->task_work = BPF_CORE_READ(record, task_work_off);
	return places->timer >= 0 || places->wq >= 0 || places->task_work >= 0;
}

SEC("iter/bpf_map")
int walk_async(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct values values = {};
	__u32 rounds = 0;
	__u64 address;

	if (!map || !find_places(&values.places, map))
		return 0;
	address = walk_scalar(ctx->map);
	values.map = map->id;
	values.key_size = map->key_size;
	values.at = walk_begin(values.map);
	if (map->map_type == BPF_MAP_TYPE_ARRAY) {
		struct bpf_array *array = (void *)address;

		values.base = address + bpf_core_field_offset(struct bpf_array, value);
		values.size = BPF_CORE_READ(array, elem_size);
		values.count = map->max_entries;
		rounds = walk_rounds(values.at, values.count);
		bpf_loop(rounds, array_step, &values, 0);
	} else if (map->map_type == BPF_MAP_TYPE_HASH || map->map_type == BPF_MAP_TYPE_LRU_HASH) {
		struct bpf_htab *htab = (void *)address;

		values.base = (__u64)BPF_CORE_READ(htab, buckets);
		values.count = BPF_CORE_READ(htab, n_buckets);
		rounds = walk_rounds(values.at, values.count);
		bpf_loop(rounds, bucket_step, &values, 0);
	} else {
		walk_emit_gap(WALK_GAP_VALUES);
	}
	if (!values.stopped && values.at + rounds < values.count)
		values.stopped = values.at + rounds + 1;
	if (values.stopped)
		return walk_later(values.map, values.stopped - 1);
	walk_done();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

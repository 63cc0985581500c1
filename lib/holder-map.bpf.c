// SPDX-License-Identifier: GPL-2.0
/*
 * What maps hold in their slots: programs in program arrays (prog_fd_array_get_ptr()), inner maps in
 * maps of maps (bpf_map_fd_get_ptr(), which takes no user reference).
 */
#include "walk.bpf.h"

struct bpf_array {
	struct bpf_map map;
	void *ptrs[0];
} __pai;

struct hlist_nulls_node {
	struct hlist_nulls_node *next;
} __pai;

struct hlist_nulls_head {
	struct hlist_nulls_node *first;
} __pai;

struct bucket {
	struct hlist_nulls_head head;
} __pai;

struct bpf_htab {
	struct bucket *buckets;
	__u32 n_buckets;
} __pai;

struct htab_elem {
	struct hlist_nulls_node hash_node;
	char key[0];
} __pai;

struct slots {
	__u64 base; /* of the slots, or of the buckets */
	__u64 at, stopped;
	__u32 map, count;
	__u32 key_size;
	__u32 prog; /* slots hold programs, else maps */
};

#define STEP	  32
#define STEP_ROOM (STEP * sizeof(struct walk_edge))

/* The most elements of one bucket that are followed, and the room they need. */
#define CHAIN_MAX  64
#define CHAIN_ROOM (CHAIN_MAX * (sizeof(struct walk_edge) + WALK_KEY_MAX))

struct held {
	__u64 ptrs[STEP];
	__u32 map, first, prog;
};

static int slot_step(__u32 index, struct held *held)
{
	__u64 object = index < STEP ? held->ptrs[index & (STEP - 1)] : 0;
	__u32 id;

	if (!object)
		return 0;
	if (held->prog)
		id = walk_prog_id((void *)object);
	else
		id = BPF_CORE_READ((struct bpf_map *)object, id);
	walk_edge(held->map, WALK_KIND_MAP, id, held->prog ? WALK_KIND_PROG : WALK_KIND_MAP,
		  held->prog ? WALK_VIA_SLOT : WALK_VIA_INNER, held->first + index);
	return 0;
}

/* Most slots are empty: 32 are fetched at once and looked at one by one only if any is not. */
static __always_inline void tell_slots(struct slots *slots, __u64 step)
{
	struct held held = { .map = slots->map, .first = step * STEP, .prog = slots->prog };
	__u64 size = (slots->count - step * STEP) * sizeof(held.ptrs[0]);
	__u64 any = 0;

	if (size > sizeof(held.ptrs))
		size = sizeof(held.ptrs);
	bpf_probe_read_kernel(held.ptrs, size, (void *)(slots->base + step * sizeof(held.ptrs)));
#pragma clang loop unroll(full)
	for (int i = 0; i < STEP; i++)
		any |= held.ptrs[i];
	if (any)
		bpf_loop(STEP, slot_step, &held, 0);
}

static int array_step(__u32 index, struct slots *slots)
{
	__u64 step = slots->at + index;

	if (walk_full(STEP_ROOM))
		slots->stopped = step + 1;
	else
		tell_slots(slots, step);
	return slots->stopped ? 1 : 0;
}

/* Tells one element of a hash of maps, with its key. Global, so that the verifier checks it once. */
int walk_element(__u64 elem, __u32 map, __u32 key_size)
{
	__u64 key = elem + bpf_core_field_offset(struct htab_elem, key);
	struct walk_edge *edge = walk_room();
	__u64 told = key_size;
	struct bpf_map *inner = NULL;

	bpf_probe_read_kernel(&inner, sizeof(inner), (void *)(key + ((key_size + 7) & ~7u)));
	if (!edge || !inner)
		return 0;
	edge->holder = WALK_KIND_MAP;
	edge->target = WALK_KIND_MAP;
	edge->via = WALK_VIA_INNER;
	edge->pad = 0;
	edge->target_id = BPF_CORE_READ(inner, id);
	edge->slot = 0;
	edge->key_size = key_size;
	/* bounded where it is used: before 6.3 the verifier loses a bound that clang took elsewhere */
	barrier_var(told);
	if (told > WALK_KEY_MAX)
		told = WALK_KEY_MAX;
	bpf_probe_read_kernel(edge->key, told, (void *)key);
	walk_emit(&edge->rec, WALK_EDGE, sizeof(*edge) + ((told + 7) & ~7ul), map);
	return 0;
}

static __always_inline void tell_gap(__u32 map, __u32 kind)
{
	struct walk_gap *gap = walk_room();

	if (!gap)
		return;
	gap->kind = kind;
	gap->pad = 0;
	walk_emit(&gap->rec, WALK_GAP, sizeof(*gap), map);
}

struct chain {
	__u64 node;
	__u32 map, key_size;
};

static int chain_step(__u32 index, struct chain *chain)
{
	struct hlist_nulls_node *node = (void *)chain->node;

	/* the list ends in an odd value that names its bucket, or in memory zeroed meanwhile */
	if (!chain->node || chain->node & 1)
		return 1;
	walk_element(chain->node - bpf_core_field_offset(struct htab_elem, hash_node), chain->map,
		     chain->key_size);
	chain->node = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

static __always_inline void tell_bucket(struct slots *slots, __u64 bucket)
{
	struct bucket *b = (void *)(slots->base + bucket * bpf_core_type_size(struct bucket));
	struct chain chain = { .map = slots->map, .key_size = slots->key_size };

	chain.node = (__u64)BPF_CORE_READ(b, head.first);
	bpf_loop(CHAIN_MAX, chain_step, &chain, 0);
	if (chain.node && !(chain.node & 1))
		tell_gap(slots->map, WALK_GAP_BUCKET);
}

static int hash_step(__u32 index, struct slots *slots)
{
	__u64 bucket = slots->at + index;

	if (walk_full(CHAIN_ROOM))
		slots->stopped = bucket + 1;
	else
		tell_bucket(slots, bucket);
	return slots->stopped ? 1 : 0;
}

SEC("iter/bpf_map")
int walk_slots(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct slots slots = {};
	__u64 address, steps;

	if (!map)
		return 0;
	slots.prog = map->map_type == BPF_MAP_TYPE_PROG_ARRAY;
	if (!slots.prog && map->map_type != BPF_MAP_TYPE_ARRAY_OF_MAPS &&
	    map->map_type != BPF_MAP_TYPE_HASH_OF_MAPS)
		return 0;
	address = walk_scalar(ctx->map);
	slots.map = map->id;
	slots.at = walk_begin(slots.map);
	if (map->map_type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		struct bpf_htab *htab = (void *)address;

		slots.base = (__u64)BPF_CORE_READ(htab, buckets);
		slots.key_size = map->key_size;
		steps = BPF_CORE_READ(htab, n_buckets);
		if (slots.at < steps)
			bpf_loop(steps - slots.at, hash_step, &slots, 0);
	} else {
		slots.base = address + bpf_core_field_offset(struct bpf_array, ptrs);
		slots.count = map->max_entries;
		steps = ((__u64)slots.count + STEP - 1) / STEP;
		if (slots.at < steps)
			bpf_loop(steps - slots.at, array_step, &slots, 0);
	}
	if (slots.stopped)
		return walk_later(slots.map, slots.stopped - 1);
	walk_done();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

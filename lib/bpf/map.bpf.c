// SPDX-License-Identifier: GPL-2.0
/*
 * What maps hold in their slots and entries, one reference each: programs in program arrays
 * (prog_fd_array_get_ptr()); inner maps in maps of maps (bpf_map_fd_get_ptr(), which takes no user
 * reference); programs in the entries of devmaps (__dev_map_alloc_node()) and cpumaps
 * (__cpu_map_load_bpf_program()); the map itself, once for each AF_XDP socket in an xskmap
 * (xsk_map_inc()); members of struct_ops maps, through links that have no id
 * (bpf_struct_ops_map_update_elem()); programs of sockmaps and sockhashes (sock_map_prog_update()).
 */
#include "bpf/htab.bpf.h"

struct map_slots {
	__u64 base; /* of the slots, or of the buckets */
	__u64 at, stopped;
	__u32 map, count;
	__u32 key_size;
	__u32 via;
	__u32 hop; /* the program's offset in what a slot points to; 0: that is the program */
};

#define STEP	  32
#define STEP_ROOM (STEP * sizeof(struct walk_edge))

struct held {
	__u64 ptrs[STEP];
	__u64 base;
	__u32 map, first, via, hop;
};

static __always_inline void emit_xsk(const struct held *held, __u32 index)
{
	struct walk_xsk *out = walk_room();

	if (!out)
		return;
	out->slot = held->first + index;
	out->pad = 0;
	out->entry = held->base + out->slot * sizeof(held->ptrs[0]);
	walk_emit(&out->rec, WALK_XSK, sizeof(*out), held->map);
}

static int slot_step(__u32 index, struct held *held)
{
	__u64 object = index < STEP ? held->ptrs[index & (STEP - 1)] : 0;
	__u32 kind = WALK_KIND_PROG;

	if (object && held->hop)
		bpf_probe_read_kernel(&object, sizeof(object), (void *)(object + held->hop));
	if (!object)
		return 0;
	if (held->via == WALK_VIA_XSK) {
		emit_xsk(held, index);
		return 0;
	}
	if (held->via == WALK_VIA_INNER)
		kind = WALK_KIND_MAP;
	walk_edge(held->map, WALK_KIND_MAP, walk_id(object, kind), kind, held->via,
		  held->first + index);
	return 0;
}

/* Most slots are empty: 32 are read at once, and each of them is looked at only if one is not 0. */
static __always_inline void emit_slots(struct map_slots *slots, __u64 step)
{
	struct held held = {
		.base = slots->base,
		.map = slots->map,
		.first = step * STEP,
		.via = slots->via,
		.hop = slots->hop,
	};
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

static int array_step(__u32 index, struct map_slots *slots)
{
	__u64 step = slots->at + index;

	if (walk_full(STEP_ROOM))
		slots->stopped = step + 1;
	else
		emit_slots(slots, step);
	return slots->stopped ? 1 : 0;
}

/*
 * Emits one element of a hash of maps, with its key. This is global, so that the verifier checks it
 * once.
 */
int walk_element(__u64 key, __u32 map, __u32 key_size)
{
	struct bpf_map *inner = NULL;

	bpf_probe_read_kernel(&inner, sizeof(inner), (void *)htab_value(key, key_size));
	if (inner)
		walk_keyed_edge(map, WALK_KIND_MAP, BPF_CORE_READ(inner, id), WALK_VIA_INNER, key,
				key_size);
	return 0;
}

struct slot_chain {
	__u64 node;
	__u32 map, key_size;
};

static int chain_step(__u32 index, struct slot_chain *chain)
{
	if (htab_ends(chain->node))
		return 1;
	walk_element(htab_key(chain->node), chain->map, chain->key_size);
	chain->node = htab_next(chain->node);
	return 0;
}

static __always_inline void emit_bucket(struct map_slots *slots, __u64 bucket)
{
	struct slot_chain chain = { .map = slots->map, .key_size = slots->key_size };

	chain.node = htab_first(slots->base, bucket);
	bpf_loop(CHAIN_MAX, chain_step, &chain, 0);
	if (!htab_ends(chain.node))
		walk_emit_gap(WALK_GAP_BUCKET);
}

static int device_step(__u32 index, struct slot_chain *chain)
{
	struct hlist_node *node = (void *)chain->node;
	struct bpf_dtab_netdev *entry;
	struct bpf_prog *prog;

	if (!node)
		return 1;
	entry = (void *)(chain->node - bpf_core_field_offset(struct bpf_dtab_netdev, index_hlist));
	prog = BPF_CORE_READ(entry, xdp_prog);
	if (prog)
		walk_edge(chain->map, WALK_KIND_MAP, walk_prog_id(prog), WALK_KIND_PROG,
			  WALK_VIA_ENTRY, BPF_CORE_READ(entry, idx));
	chain->node = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

static __always_inline void emit_devices(struct map_slots *slots, __u64 bucket)
{
	struct hlist_head *head = (void *)(slots->base + bucket * sizeof(void *));
	struct slot_chain chain = { .map = slots->map };

	chain.node = (__u64)BPF_CORE_READ(head, first);
	if (!chain.node)
		return;
	bpf_loop(CHAIN_MAX, device_step, &chain, 0);
	if (chain.node)
		walk_emit_gap(WALK_GAP_BUCKET);
}

static int hash_step(__u32 index, struct map_slots *slots)
{
	__u64 bucket = slots->at + index;

	if (walk_full(CHAIN_ROOM(1)))
		slots->stopped = bucket + 1;
	else if (slots->via == WALK_VIA_INNER)
		emit_bucket(slots, bucket);
	else
		emit_devices(slots, bucket);
	return slots->stopped ? 1 : 0;
}

/* ------------------------------------------------ where a map's slots are --- */

static __always_inline void find_hash(struct map_slots *slots, __u64 map, __u32 type)
{
	struct bpf_htab *htab = (void *)map;
	struct bpf_dtab *devices = (void *)map;

	if (type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		slots->via = WALK_VIA_INNER;
		slots->base = (__u64)BPF_CORE_READ(htab, buckets);
		slots->count = BPF_CORE_READ(htab, n_buckets);
	} else {
		slots->via = WALK_VIA_ENTRY;
		slots->base = (__u64)BPF_CORE_READ(devices, dev_index_head);
		slots->count = BPF_CORE_READ(devices, n_buckets);
	}
}

static __always_inline __u32 count_members(__u64 map)
{
	struct bpf_struct_ops_map *ops = (void *)map;

	if (bpf_core_field_exists(ops->funcs_cnt))
		return BPF_CORE_READ(ops, funcs_cnt);
	if (bpf_core_field_exists(ops->links_cnt))
		return BPF_CORE_READ(ops, links_cnt);
	if (bpf_core_field_exists(ops->st_ops))
		return BPF_CORE_READ(ops, st_ops, type, info) & 0xffff; /* BTF_INFO_VLEN() */
	return 0;
}

static __always_inline void find_array(struct map_slots *slots, __u64 map, __u32 type)
{
	struct bpf_cpu_map *cpus = (void *)map;
	struct bpf_dtab *devices = (void *)map;
	struct bpf_struct_ops_map *ops = (void *)map;
	struct xsk_map *xsks = (void *)map;

	/*
	 * without CONFIG_XDP_SOCKETS or CONFIG_BPF_JIT the kernel lacks such maps and their types
	 */
	slots->via = WALK_VIA_ENTRY;
	if (type == BPF_MAP_TYPE_DEVMAP) {
		slots->base = (__u64)BPF_CORE_READ(devices, netdev_map);
		slots->hop = bpf_core_field_offset(struct bpf_dtab_netdev, xdp_prog);
	} else if (type == BPF_MAP_TYPE_CPUMAP) {
		slots->base = (__u64)BPF_CORE_READ(cpus, cpu_map);
		slots->hop = bpf_core_field_offset(struct bpf_cpu_map_entry, prog);
	} else if (type == BPF_MAP_TYPE_XSKMAP && bpf_core_field_exists(xsks->xsk_map)) {
		slots->via = WALK_VIA_XSK;
		slots->base = map + bpf_core_field_offset(struct xsk_map, xsk_map);
	} else if (type == BPF_MAP_TYPE_STRUCT_OPS && bpf_core_field_exists(ops->links)) {
		slots->via = WALK_VIA_STRUCT_OPS;
		slots->base = (__u64)BPF_CORE_READ(ops, links);
		slots->hop = bpf_core_field_offset(struct bpf_link, prog);
		slots->count = count_members(map);
	} else {
		slots->via = type == BPF_MAP_TYPE_PROG_ARRAY ? WALK_VIA_SLOT : WALK_VIA_INNER;
		slots->base = map + bpf_core_field_offset(struct bpf_array, ptrs);
	}
}

#define has_slots(type)                                                               \
	((type) == BPF_MAP_TYPE_PROG_ARRAY || (type) == BPF_MAP_TYPE_ARRAY_OF_MAPS || \
	 (type) == BPF_MAP_TYPE_DEVMAP || (type) == BPF_MAP_TYPE_CPUMAP ||            \
	 (type) == BPF_MAP_TYPE_XSKMAP || (type) == BPF_MAP_TYPE_STRUCT_OPS)
#define has_buckets(type) \
	((type) == BPF_MAP_TYPE_HASH_OF_MAPS || (type) == BPF_MAP_TYPE_DEVMAP_HASH)

/*
 * Emits what is in the slots of one map, from walk.resume_at on. Where walk.ended becomes
 * WALK_FULL, walk.resume_at says where to continue. This is global, so that it is verified once and
 * not for each state of the loop over maps.
 */
int walk_slots_of(__u64 address, __u32 id)
{
	struct bpf_map *map = (void *)address;
	__u32 type = BPF_CORE_READ(map, map_type), rounds;
	struct map_slots slots = {};
	__u64 steps;

	/* it was freed, see walk_counts */
	if (BPF_CORE_READ(map, id) != id || BPF_CORE_READ(map, refcnt.counter) <= 0)
		return 0;
	if (!has_slots(type) && !has_buckets(type))
		return 0;
	slots.map = id;
	slots.key_size = BPF_CORE_READ(map, key_size);
	slots.count = BPF_CORE_READ(map, max_entries);
	slots.at = walk.resume_at;
	if (has_buckets(type)) {
		find_hash(&slots, address, type);
		steps = slots.count;
		rounds = walk_rounds(slots.at, steps);
		bpf_loop(rounds, hash_step, &slots, 0);
	} else {
		find_array(&slots, address, type);
		steps = ((__u64)slots.count + STEP - 1) / STEP;
		rounds = walk_rounds(slots.at, steps);
		bpf_loop(rounds, array_step, &slots, 0);
	}
	if (!slots.stopped && slots.at + rounds < steps)
		slots.stopped = slots.at + rounds + 1;
	if (slots.stopped) {
		walk.ended = WALK_FULL;
		walk.resume_at = slots.stopped - 1;
	}
	return 0;
}

static int map_step(__u32 index, void *data)
{
	return walk_listed_step(walk_slots_of);
}

/*
 * Emits what is in the slots of the maps in walk_list, from walk.list_at on. This is no iterator,
 * since most maps have no slots, and lib knows which do (kernel/object_cache.c).
 */
SEC("syscall")
int walk_slots(void *ctx)
{
	return walk_all_listed(map_step);
}

/* ------------------------------------------------------------- sockmaps --- */

/* The slot is 1 if a link attached the program. */
#define emit_attached(id, progs, member, via)                                                  \
	do {                                                                                   \
		struct bpf_prog *prog_ = BPF_CORE_READ(progs, member);                         \
		__u32 linked_ = bpf_core_field_exists((progs)->member##_link) &&               \
				BPF_CORE_READ(progs, member##_link);                           \
                                                                                               \
		if (prog_)                                                                     \
			walk_edge(id, WALK_KIND_MAP, walk_prog_id(prog_), WALK_KIND_PROG, via, \
				  linked_);                                                    \
	} while (0)

SEC("iter/bpf_map")
int walk_sockmaps(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct sk_psock_progs *progs;
	__u64 at;

	if (!map ||
	    (map->map_type != BPF_MAP_TYPE_SOCKMAP && map->map_type != BPF_MAP_TYPE_SOCKHASH))
		return 0;
	if (walk_full(4 * sizeof(struct walk_edge)))
		return WALK_AGAIN;
	at = map->map_type == BPF_MAP_TYPE_SOCKMAP ? bpf_core_field_offset(struct bpf_stab, progs)
						   : bpf_core_field_offset(struct bpf_shtab, progs);
	progs = (void *)(walk_scalar(ctx->map) + at);
	emit_attached(map->id, progs, msg_parser, WALK_VIA_MSG_PARSER);
	emit_attached(map->id, progs, stream_parser, WALK_VIA_STREAM_PARSER);
	emit_attached(map->id, progs, stream_verdict, WALK_VIA_STREAM_VERDICT);
	emit_attached(map->id, progs, skb_verdict, WALK_VIA_SKB_VERDICT);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

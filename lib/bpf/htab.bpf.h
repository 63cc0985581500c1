/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Walks over the elements of maps: in parts where the map is long, and through hash maps (struct
 * bpf_htab), which are read without the locks of their buckets.
 */
#ifndef WALK_HTAB_BPF_H
#define WALK_HTAB_BPF_H

#include "bpf/walk.bpf.h"

/*
 * So many elements of a long array or table are read by one call: an iterator's program cannot be
 * interrupted on every kernel, and bpf_loop() runs 8 million rounds at most (BPF_MAX_LOOPS).
 */
#define ROUNDS_MAX (1u << 18)

static __always_inline __u32 walk_rounds(__u64 at, __u64 count)
{
	if (at >= count)
		return 0;
	return count - at < ROUNDS_MAX ? count - at : ROUNDS_MAX;
}

/* The most elements of one bucket that are followed, and the room their keys need. */
#define CHAIN_MAX     64
#define CHAIN_ROOM(n) (CHAIN_MAX * (n) * (sizeof(struct walk_edge) + WALK_KEY_MAX))

static __always_inline __u64 htab_first(__u64 buckets, __u64 index)
{
	return walk_pointer(buckets + index * bpf_core_type_size(struct bucket) +
			    bpf_core_field_offset(struct bucket, head.first));
}

/*
 * The list of a bucket ends in an odd value, which is the bucket's number, or in memory that was
 * zeroed during the walk.
 */
static __always_inline bool htab_ends(__u64 node)
{
	return !node || node & 1;
}

static __always_inline __u64 htab_next(__u64 node)
{
	return walk_pointer(node + bpf_core_field_offset(struct hlist_nulls_node, next));
}

static __always_inline __u64 htab_key(__u64 node)
{
	return node - bpf_core_field_offset(struct htab_elem, hash_node) +
	       bpf_core_field_offset(struct htab_elem, key);
}

static __always_inline __u64 htab_value(__u64 key, __u32 key_size)
{
	return key + ((key_size + 7) & ~7u);
}

/*
 * Emits what a map's element holds. @key is the address of its key and @size the size of that; or
 * @key is 0 and @size the element's index.
 */
static __always_inline void walk_keyed_edge(__u32 map, __u32 target, __u32 target_id, __u32 via,
					    __u64 key, __u32 size)
{
	struct walk_edge *edge = walk_room();
	__u64 length = key ? size : 0;

	/*
	 * else clang compares another copy of it, and the verifier of 6.1 does not see the bound of
	 * this one
	 */
	barrier_var(length);
	if (length > WALK_KEY_MAX)
		length = WALK_KEY_MAX;
	if (!edge)
		return;
	edge->holder = WALK_KIND_MAP;
	edge->target = target;
	edge->via = via;
	edge->pad = 0;
	edge->target_id = target_id;
	edge->slot = key ? 0 : size;
	edge->key_size = key ? size : 0;
	bpf_probe_read_kernel(edge->key, length, (void *)key);
	walk_emit(&edge->rec, WALK_EDGE, sizeof(*edge) + ((length + 7) & ~7ull), map);
}

#endif

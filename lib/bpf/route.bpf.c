// SPDX-License-Identifier: GPL-2.0
/*
 * Routing tables, and the programs of lightweight tunnels in the routes of IPv4 (bpf_parse_prog()).
 * A program belongs to a nexthop of the route's fib_info. The tables are tries (fib_trie.c) with
 * pointers to the parent, so that the walk needs no stack and can stop anywhere.
 */
#include "bpf/lwtunnel.bpf.h"

/* --------------------------------------------------------------- tables --- */

/* How many buckets the hashes of tables have: 256 with policy routing. */
#define V4_BUCKETS (bpf_core_field_exists(((struct netns_ipv4 *)0)->rules_ops) ? 256 : 2)
#define V6_BUCKETS (bpf_core_field_exists(((struct netns_ipv6 *)0)->fib6_rules_ops) ? 256 : 1)

static __always_inline bool emit_fib(struct hlist_node *node, bool v6)
{
	struct fib6_table *tb6 = (void *)node - bpf_core_field_offset(struct fib6_table, tb6_hlist);
	struct fib_table *tb4 = (void *)node - bpf_core_field_offset(struct fib_table, tb_hlist);
	struct walk_fib *out = walk_room();

	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	out->v6 = v6;
	out->table = v6 ? (__u64)tb6 : (__u64)tb4;
	out->id = v6 ? BPF_CORE_READ(tb6, tb6_id) : BPF_CORE_READ(tb4, tb_id);
	walk_emit(&out->rec, WALK_FIB, sizeof(*out), 0);
	return true;
}

/* at[0]: the next bucket, first of IPv4, then of IPv6; at[1]: the node in the bucket before. */
static __always_inline int fib_step(void)
{
	struct hlist_node *node = (void *)walk.net.at[1], *self = NULL;
	struct net *net = (void *)walk.net.net;
	__u32 bucket = walk.net.at[0];
	struct hlist_head *hash;

	if (node) {
		bpf_probe_read_kernel(&self, sizeof(self), BPF_CORE_READ(node, pprev));
		if (self != node)
			walk.ended = WALK_TORN;
		else if (emit_fib(node, bucket > V4_BUCKETS))
			walk.net.at[1] = (__u64)BPF_CORE_READ(node, next);
		return walk.ended != WALK_DONE ? 1 : 0;
	}
	if (bucket >= V4_BUCKETS + V6_BUCKETS)
		return 1;
	if (bucket < V4_BUCKETS) {
		hash = BPF_CORE_READ(net, ipv4.fib_table_hash);
	} else {
		hash = BPF_CORE_READ(net, ipv6.fib_table_hash);
		bucket -= V4_BUCKETS;
	}
	if (hash)
		bpf_probe_read_kernel(&walk.net.at[1], sizeof(walk.net.at[1]), hash + bucket);
	walk.net.at[0]++;
	return 0;
}

/* Emits the routing tables of a namespace. */
NET_PROGRAM(walk_fibs, net_is_there, fib_step)

/* ----------------------------------------------------------------- IPv4 --- */

/* The most nexthops of one route. */
#define NEXTHOPS_MAX 1024

struct hops {
	__u64 info;
	__u32 count, key, prefix, metric;
};

static int hop_step(__u32 index, struct hops *hops)
{
	struct walk_route *out;

	if (index >= hops->count)
		return 1;
	out = nexthop_record((void *)hops->info + bpf_core_field_offset(struct fib_info, fib_nh) +
			     index * bpf_core_type_size(struct fib_nh) +
			     bpf_core_field_offset(struct fib_nh, nh_common));
	if (!out)
		return 0;
	out->table = walk.net.arg;
	out->prefix = hops->prefix;
	out->metric = hops->metric;
	out->hops = hops->count;
	*(__u32 *)out->dst = hops->key;
	walk_emit(&out->rec, WALK_ROUTE, sizeof(*out), 0);
	return 0;
}

/*
 * Emits a route in the leaf at[3]. Tables 254 and 255 may share one trie: only the routes of the
 * requested table are emitted.
 */
static __always_inline void emit_alias(struct fib_alias *alias)
{
	struct key_vector *leaf = (void *)walk.net.at[3];
	struct fib_info *info = BPF_CORE_READ(alias, fa_info);
	struct hops hops = { (__u64)info };

	if (BPF_CORE_READ(alias, tb_id) != walk.net.arg || BPF_CORE_READ(info, nh))
		return;
	hops.count = BPF_CORE_READ(info, fib_nhs);
	if (hops.count > NEXTHOPS_MAX) {
		walk.net.missed++;
		return;
	}
	if (walk_full(hops.count * sizeof(struct walk_route))) {
		walk.ended = WALK_FULL;
		return;
	}
	hops.key = BPF_CORE_READ(leaf, key);
	hops.metric = BPF_CORE_READ(info, fib_priority);
	hops.prefix = 32 - BPF_CORE_READ(alias, fa_slen);
	bpf_loop(NEXTHOPS_MAX, hop_step, &hops, 0);
}

static __always_inline struct key_vector *parent_of(struct key_vector *node)
{
	struct tnode *tnode = (void *)node - bpf_core_field_offset(struct tnode, kv);

	return BPF_CORE_READ(tnode, parent);
}

/* Goes from an inner node whose children are done to its parent; false: it was the root. */
static __always_inline bool trie_up(struct key_vector *node)
{
	struct key_vector *parent;
	__u64 differs;

	if (BPF_CORE_READ(node, pos) >= 32)
		return false;
	parent = parent_of(node);
	differs = BPF_CORE_READ(node, key) ^ BPF_CORE_READ(parent, key);
	walk.net.at[0] = (__u64)parent;
	walk.net.at[1] = (differs >> (BPF_CORE_READ(parent, pos) & 63)) + 1;
	return true;
}

/* at[0]: an inner node; at[1]: its next child; at[2]: a route of the leaf at[3]. */
static __always_inline int trie_step(void)
{
	struct hlist_node *alias = (void *)walk.net.at[2], *self = NULL;
	struct key_vector *node = (void *)walk.net.at[0], *child = NULL;

	if (alias) {
		bpf_probe_read_kernel(&self, sizeof(self), BPF_CORE_READ(alias, pprev));
		if (self != alias)
			walk.ended = WALK_TORN;
		else
			emit_alias((void *)alias -
				   bpf_core_field_offset(struct fib_alias, fa_list));
		if (walk.ended == WALK_DONE)
			walk.net.at[2] = (__u64)BPF_CORE_READ(alias, next);
		return walk.ended != WALK_DONE ? 1 : 0;
	}
	if (walk.net.at[1] >= 1ULL << (BPF_CORE_READ(node, bits) & 63))
		return trie_up(node) ? 0 : 1;
	bpf_probe_read_kernel(&child, sizeof(child),
			      (void *)node + bpf_core_field_offset(struct key_vector, leaf) +
				      walk.net.at[1] * sizeof(child));
	walk.net.at[1]++;
	if (!child)
		return 0;
	if (parent_of(child) != node) {
		walk.ended = WALK_TORN;
		return 1;
	}
	if (BPF_CORE_READ(child, bits)) {
		walk.net.at[0] = (__u64)child;
		walk.net.at[1] = 0;
	} else {
		walk.net.at[3] = (__u64)child;
		walk.net.at[2] = (__u64)BPF_CORE_READ(child, leaf.first);
	}
	return 0;
}

static __always_inline bool fib4_begin(void)
{
	struct fib_table *table = (void *)walk.net.object;

	if (!net_is_there())
		return false;
	walk.net.gone = BPF_CORE_READ(table, tb_id) != walk.net.arg;
	if (!walk.net.gone && !walk.net.at[0])
		walk.net.at[0] = (__u64)BPF_CORE_READ(table, tb_data) +
				 bpf_core_field_offset(struct trie, kv);
	return !walk.net.gone;
}

/* Emits the routes with programs of the IPv4 table walk.net.object, whose id is walk.net.arg. */
NET_PROGRAM(walk_fib4, fib4_begin, trie_step)

char LICENSE[] SEC("license") = "GPL";

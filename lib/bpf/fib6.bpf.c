// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of lightweight tunnels in routes of IPv6 (bpf_parse_prog(), and parse_nla_bpf() of
 * seg6local) and in nexthop objects. Both are trees with pointers to the parent, so that the walk
 * needs no stack.
 */
#include "bpf/lwtunnel.bpf.h"

#define RTN_RTINFO 0x0004

static __always_inline void emit_route6(struct fib6_info *route)
{
	struct walk_route *out;

	if (BPF_CORE_READ(route, nh))
		return;
	out = nexthop_record((void *)route + bpf_core_field_offset(struct fib6_info, fib6_nh) +
			     bpf_core_field_offset(struct fib6_nh, nh_common));
	if (!out)
		return;
	out->table = walk.net.arg;
	out->v6 = 1;
	out->prefix = BPF_CORE_READ(route, fib6_dst.plen);
	out->metric = BPF_CORE_READ(route, fib6_metric);
	out->hops = BPF_CORE_READ(route, fib6_nsiblings) + 1;
	bpf_probe_read_kernel(out->dst, sizeof(out->dst),
			      (void *)route + bpf_core_field_offset(struct fib6_info, fib6_dst));
	walk_emit(&out->rec, WALK_ROUTE, sizeof(*out), 0);
}

/*
 * One step in a tree with up to three children a node: from the parent to the first child, from a
 * child to the next one, from the last child to the parent. It is global, so that it is verified
 * once.
 */
__attribute__((noinline)) int walk_tree_go(__u64 node, __u64 parent, __u64 left, __u64 right,
					   __u64 third)
{
	__u64 prev = walk.net.at[1], next = parent;

	if (prev == parent)
		next = left ? left : right ? right : third ? third : parent;
	else if (prev == left)
		next = right ? right : third ? third : parent;
	else if (prev == right)
		next = third ? third : parent;
	else if (prev != third)
		walk.ended = WALK_TORN; /* the tree was changed during the walk */
	walk.net.at[1] = node;
	walk.net.at[0] = next;
	return 0;
}

/* at[0]: a node; at[1]: the node visited before; at[2]: a route of the node at[0]. */
static __always_inline int tree6_step(void)
{
	struct fib6_node *node = (void *)walk.net.at[0];
	struct fib6_info *route = (void *)walk.net.at[2];
	__u64 parent, third = 0;

	if (route) {
		emit_route6(route);
		if (walk.ended == WALK_DONE)
			walk.net.at[2] = (__u64)BPF_CORE_READ(route, fib6_next);
		return walk.ended != WALK_DONE ? 1 : 0;
	}
	if (!node)
		return 1;
	parent = (__u64)BPF_CORE_READ(node, parent);
	if (bpf_core_field_exists(node->subtree))
		third = (__u64)BPF_CORE_READ(node, subtree);
	if (walk.net.at[1] == parent && BPF_CORE_READ(node, fn_flags) & RTN_RTINFO)
		walk.net.at[2] = (__u64)BPF_CORE_READ(node, leaf);
	walk_tree_go((__u64)node, parent, (__u64)BPF_CORE_READ(node, left),
		     (__u64)BPF_CORE_READ(node, right), third);
	return walk.ended != WALK_DONE ? 1 : 0;
}

static __always_inline bool fib6_begin(void)
{
	struct fib6_table *table = (void *)walk.net.object;

	if (!net_is_there())
		return false;
	walk.net.gone = BPF_CORE_READ(table, tb6_id) != walk.net.arg;
	if (!walk.net.at[0] && !walk.net.at[1])
		walk.net.at[0] =
			walk.net.object + bpf_core_field_offset(struct fib6_table, tb6_root);
	return !walk.net.gone;
}

/* Emits the routes with programs of the IPv6 table walk.net.object, whose id is walk.net.arg. */
NET_PROGRAM(walk_fib6, fib6_begin, tree6_step)

static __always_inline void emit_nexthop(struct nexthop *nexthop)
{
	struct walk_route *out;
	struct nh_info *info;

	if (BPF_CORE_READ(nexthop, is_group))
		return;
	info = BPF_CORE_READ(nexthop, nh_info);
	out = nexthop_record((void *)info + bpf_core_field_offset(struct nh_info, fib_nhc));
	if (!out)
		return;
	out->nexthop = BPF_CORE_READ(nexthop, id);
	walk_emit(&out->rec, WALK_ROUTE, sizeof(*out), 0);
}

static __always_inline int nexthop_step(void)
{
	struct rb_node *node = (void *)walk.net.at[0];
	__u64 parent;

	if (!node)
		return 1;
	parent = BPF_CORE_READ(node, __rb_parent_color) & ~3ULL;
	if (walk.net.at[1] == parent)
		emit_nexthop((void *)node - bpf_core_field_offset(struct nexthop, rb_node));
	if (walk.ended != WALK_DONE)
		return 1;
	walk_tree_go((__u64)node, parent, (__u64)BPF_CORE_READ(node, rb_left),
		     (__u64)BPF_CORE_READ(node, rb_right), 0);
	return walk.ended != WALK_DONE ? 1 : 0;
}

static __always_inline bool nexthops_begin(void)
{
	struct net *net = (void *)walk.net.net;

	if (!net_is_there())
		return false;
	if (!walk.net.at[0] && !walk.net.at[1])
		walk.net.at[0] = (__u64)BPF_CORE_READ(net, nexthop.rb_root.rb_node);
	return true;
}

/* Emits the nexthop objects with programs of a namespace. */
NET_PROGRAM(walk_nexthops, nexthops_begin, nexthop_step)

char LICENSE[] SEC("license") = "GPL";

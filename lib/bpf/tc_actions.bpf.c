// SPDX-License-Identifier: GPL-2.0
/*
 * The actions of kind "bpf" of one network namespace. Each holds its program (tcf_bpf_init()),
 * whether filters are bound to it or not. They are in a tree by index (an IDR), which is found
 * through the data that act_bpf has for the namespace.
 */
#include "bpf/net.bpf.h"

#define NODE_SLOTS (bpf_core_field_size(struct xa_node, slots) / sizeof(void *))

/* The tags in the lowest bits of an entry of a tree. Small internal entries are no nodes. */
#define ENTRY_TAGS     3UL
#define ENTRY_INTERNAL 2UL
#define ENTRY_NODES    4096UL
#define ENTRY_ERRORS   (-4095UL)

/*
 * Finds the data that act_bpf has for the namespace, recognized by its consistency. Sets at[0] and
 * at[3].
 */
static int find_step(__u32 index, struct net_generic **gen)
{
	struct tc_action_net *tn = NULL;
	const struct tc_action_ops *ops;
	struct tcf_idrinfo *info;
	char kind[4] = {};

	bpf_probe_read_kernel(&tn, sizeof(tn), (void *)*gen + index * sizeof(tn));
	if (!tn)
		return 0;
	info = BPF_CORE_READ(tn, idrinfo);
	ops = BPF_CORE_READ(tn, ops);
	if (!info || !ops || (__u64)BPF_CORE_READ(info, net) != walk.net.net ||
	    BPF_CORE_READ(ops, net_id) != index)
		return 0;
	bpf_probe_read_kernel(kind, sizeof(kind),
			      (void *)ops + bpf_core_field_offset(struct tc_action_ops, kind));
	if (kind[0] != 'b' || kind[1] != 'p' || kind[2] != 'f' || kind[3])
		return 0;
	walk.net.at[0] = (__u64)info;
	walk.net.at[3] = (__u64)ops;
	return 1;
}

static __always_inline bool emit_action(struct tc_action *action)
{
	struct walk_action *out = walk_room();

	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	if ((__u64)BPF_CORE_READ(action, idrinfo) != walk.net.at[0] ||
	    (__u64)BPF_CORE_READ(action, ops) != walk.net.at[3]) {
		walk.ended = WALK_TORN;
		return false;
	}
	out->index = BPF_CORE_READ(action, tcfa_index);
	out->pad = 0;
	/* classic programs have no id */
	walk_emit(&out->rec, WALK_ACTION, sizeof(*out),
		  walk_prog_id(BPF_CORE_READ((struct tcf_bpf *)action, filter)));
	return true;
}

static __always_inline struct xarray *tree(void)
{
	return (void *)walk.net.at[0] + bpf_core_field_offset(struct tcf_idrinfo, action_idr) +
	       bpf_core_field_offset(struct idr, idr_rt);
}

/*
 * Takes an entry that is not empty: goes down, or emits the action. False: the walk is not past the
 * entry yet.
 */
static __always_inline bool enter(__u64 entry)
{
	if ((entry & ENTRY_TAGS) == ENTRY_INTERNAL) {
		if (entry < ENTRY_NODES)
			walk.ended = WALK_TORN; /* it is being replaced: RADIX_TREE_RETRY */
		walk.net.at[2] = entry & ~ENTRY_TAGS;
		return false;
	}
	/* an index can be reserved for an action that is being created: ERR_PTR(-EBUSY) */
	return entry >= ENTRY_ERRORS || emit_action((void *)entry);
}

/*
 * How many bits of the place are below this node. A node of another tree was freed during the walk.
 */
static __always_inline __u32 shift_of(struct xa_node *node)
{
	__u8 shift = BPF_CORE_READ(node, shift);

	if (BPF_CORE_READ(node, array) != tree() || shift > 58)
		walk.ended = WALK_TORN;
	return shift & 63;
}

/* Goes to the root. Returns 1 at the end, where the next place is beyond all that the tree has. */
static __always_inline int root_step(void)
{
	__u64 entry = (__u64)BPF_CORE_READ(tree(), xa_head);
	__u32 shift;

	if (!entry || enter(entry)) /* there is none, or a single one at place 0 */
		return 1;
	if (walk.ended != WALK_DONE)
		return 1;
	shift = shift_of((void *)walk.net.at[2]);
	return walk.ended != WALK_DONE || walk.net.at[1] >> shift >= NODE_SLOTS ? 1 : 0;
}

/*
 * at[1]: the next place in the tree; at[2]: a node on the path to it, 0: go down from the root.
 * That is done after each node, so that a tree that grows or shrinks during the walk is still
 * walked by its places.
 */
static __always_inline int action_step(void)
{
	struct xa_node *node = (void *)walk.net.at[2];
	__u64 entry = 0, at = walk.net.at[1];
	__u32 shift, slot;

	if (!bpf_core_type_exists(struct tcf_bpf))
		return 1; /* actions_begin() says so */
	if (!node)
		return root_step();
	shift = shift_of(node);
	if (walk.ended != WALK_DONE)
		return 1;
	slot = (at >> shift) & (NODE_SLOTS - 1);
	bpf_probe_read_kernel(&entry, sizeof(entry),
			      (void *)node + bpf_core_field_offset(struct xa_node, slots) +
				      slot * sizeof(entry));
	if (!entry || enter(entry)) {
		walk.net.at[1] = ((at >> shift) + 1) << shift;
		if (slot == NODE_SLOTS - 1)
			walk.net.at[2] = 0;
	}
	return walk.ended != WALK_DONE ? 1 : 0;
}

static __always_inline bool actions_begin(void)
{
	struct net *net = (void *)walk.net.net;
	struct net_generic *gen;
	__u32 count;

	/* without this type the kernel has no actions (CONFIG_NET_CLS_ACT) */
	if (!net_is_there() || !bpf_core_type_exists(struct tc_action_net))
		return false;
	gen = BPF_CORE_READ(net, gen);
	count = BPF_CORE_READ(gen, s.len);
	if (!walk.net.at[0])
		bpf_loop(count < GENERIC_MAX ? count : GENERIC_MAX, find_step, &gen, 0);
	if (!walk.net.at[0] || !BPF_CORE_READ(tree(), xa_head))
		return false;
	if (!bpf_core_type_exists(struct tcf_bpf)) {
		walk.net.missed++; /* its module was loaded after our programs */
		return false;
	}
	return true;
}

/* Emits the actions of kind "bpf" of the namespace walk.net.net. */
NET_PROGRAM(walk_actions, actions_begin, action_step)

char LICENSE[] SEC("license") = "GPL";

/* SPDX-License-Identifier: GPL-2.0 */
/* Walks over network namespaces: steps that check what they follow. */
#ifndef WALK_NET_BPF_H
#define WALK_NET_BPF_H

#include "bpf/walk.bpf.h"

#define STEPS_MAX (1 << 20)

#define GENERIC_MAX 1024 /* far more than a kernel has */

#define NETDEV_ALIGN 32

/* The private data of the device's driver. */
static __always_inline void *driver_data_of(void *dev)
{
	if (bpf_core_field_exists(((struct net_device *)0)->priv))
		return dev + bpf_core_field_offset(struct net_device, priv);
	return dev + ((bpf_core_type_size(struct net_device) + NETDEV_ALIGN - 1) &
		      ~(__u32)(NETDEV_ALIGN - 1));
}

/* Does the neighbour of this list node point back to it? */
static __always_inline bool node_fits(struct list_head *node)
{
	struct list_head *next = BPF_CORE_READ(node, next);

	return next && BPF_CORE_READ(next, prev) == node;
}

/* Does the requested namespace still exist? walk.net.gone says so. */
static __always_inline bool net_is_there(void)
{
	struct net *net = (void *)walk.net.net;

	walk.ended = WALK_DONE;
	walk.net.gone = BPF_CORE_READ(net, ns.inum) != walk.net.inum ||
			!node_fits((void *)net + bpf_core_field_offset(struct net, list));
	return !walk.net.gone;
}

/*
 * Takes the next node of a list, up to its head. False: the list was changed, so the walk must
 * start again.
 */
static __always_inline bool list_go(struct list_head *node, __u64 *next)
{
	struct list_head *after = BPF_CORE_READ(node, next);

	if (!after || BPF_CORE_READ(after, prev) != node) {
		walk.ended = WALK_TORN;
		return false;
	}
	*next = (__u64)after;
	return true;
}

/*
 * Runs a step again and again, from walk.net.at on. A step returns 1 at the end, or where it sets
 * walk.ended. A walk that reaches the bound is continued like one whose buffer was full.
 */
#define run_steps(step)                                                                         \
	({                                                                                      \
		if (bpf_loop(STEPS_MAX, step, NULL, 0) == STEPS_MAX && walk.ended == WALK_DONE) \
			walk.ended = WALK_FULL;                                                 \
	})

#endif

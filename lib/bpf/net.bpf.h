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

extern struct walk_in_net walk_net_list[WALK_NETS_MAX]; /* xdp.bpf.c */

/* Does the requested namespace still exist? walk.net.gone says so. */
static __always_inline bool net_is_there(void)
{
	struct net *net = (void *)walk.net.net;

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

/* Says that the records of the current object follow. Returns false if there is no room. */
static __always_inline bool net_mark(void)
{
	struct walk_start *out = walk_room();

	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	walk_emit(&out->rec, WALK_START, sizeof(*out), walk.list_at);
	return true;
}

static __always_inline bool net_begin(void)
{
	const struct walk_in_net *in = &walk_net_list[walk.list_at & (WALK_NETS_MAX - 1)];

	if (walk.list_at >= walk.listed || !net_mark())
		return false;
	walk.net.net = in->net;
	walk.net.object = in->object;
	walk.net.inum = in->inum;
	walk.net.arg = in->arg;
	__builtin_memset(walk.net.at, 0, sizeof(walk.net.at));
	walk.net.gone = walk.net.number = walk.net.hook = 0;
	walk.net.chain[0] = '\0';
	walk.net.begun = 1;
	return true;
}

static __always_inline int net_end(void)
{
	if (walk.ended != WALK_DONE || (walk.net.gone && !net_mark()))
		return 1;
	walk.net.begun = walk.net.checked = 0;
	walk.list_at++;
	return 0;
}

/*
 * One step of a program that walks over the objects in walk_net_list. For each object @begin finds where to
 * start, unless walk.net.at has it already, and returns false if there is nothing to walk over. Then
 * @step runs again and again. It returns 1 at the end, or where it sets walk.ended.
 */
static __always_inline int net_go(bool (*begin)(void), int (*step)(void))
{
	if (!walk.net.checked) {
		if (!walk.net.begun && !net_begin())
			return 1;
		walk.net.checked = 1;
		return begin() ? walk.ended != WALK_DONE : net_end();
	}
	return step() ? net_end() : 0;
}

/*
 * Runs @step, which calls net_go(), from walk.net on. A walk that reaches the bound is continued like
 * one whose buffer was full.
 */
static __always_inline int net_go_on(int (*step)(__u32 index, void *ctx))
{
	if (bpf_loop(STEPS_MAX, step, NULL, 0) == STEPS_MAX && walk.ended == WALK_DONE)
		walk.ended = WALK_FULL;
	return 0;
}

/*
 * The program @name of these two functions. Where the kernel does not have what they read, @exists is 0
 * after relocation: the verifier then sees neither of them.
 */
#define NET_PROGRAM_IF(exists, name, begin, step)         \
	static int name##_go(__u32 index, void *ctx)      \
	{                                                 \
		return net_go(begin, step);               \
	}                                                 \
                                                          \
	SEC("syscall")                                    \
	int name(void *ctx)                               \
	{                                                 \
		walk.ended = WALK_DONE;                   \
		walk.net.checked = 0;                     \
		return exists ? net_go_on(name##_go) : 0; \
	}

#define NET_PROGRAM(name, begin, step) NET_PROGRAM_IF(1, name, begin, step)

/* For programs that emit everything when they begin. */
static __always_inline int net_no_step(void)
{
	return 1;
}

#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * The congestion control that a network namespace gives to new sockets, which it holds as a socket
 * does (tcp_set_default_congestion_control(), tcp_sk_init()).
 */
#include "bpf/net.bpf.h"
#include "bpf/struct_ops.bpf.h"

static __always_inline bool default_begin(void)
{
	struct net *net = (struct net *)walk.net.net;
	const struct tcp_congestion_ops *ops = BPF_CORE_READ(net, ipv4.tcp_congestion_control);
	struct bpf_map *map = ops ? map_of_ops(ops, BPF_CORE_READ(ops, owner)) : NULL;
	struct walk_sock *out = walk_room();

	if (!net_is_there() || !map)
		return false;
	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	__builtin_memset(out, 0, sizeof(*out));
	out->use.what = (__u64)&net->ipv4.tcp_congestion_control;
	out->use.fd = WALK_NO_FD;
	out->use.use = WALK_USE_STRUCT_OPS;
	out->use.count = 1;
	out->netns = walk.net.inum;
	walk_emit(&out->use.rec, WALK_SOCK, sizeof(*out), BPF_CORE_READ(map, id));
	return false;
}

NET_PROGRAM(walk_default_ops, default_begin, net_no_step)

char LICENSE[] SEC("license") = "GPL";

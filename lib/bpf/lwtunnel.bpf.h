/* SPDX-License-Identifier: GPL-2.0 */
/* Nexthops of all kinds: each may have a lightweight tunnel, and that may have programs. */
#ifndef WALK_LWT_BPF_H
#define WALK_LWT_BPF_H

#include <linux/lwtunnel.h>

#include "bpf/net.bpf.h"

static __always_inline bool read_programs(struct walk_route *out, struct lwtunnel_state *lwt)
{
	void *data = (void *)lwt + bpf_core_field_offset(struct lwtunnel_state, data);
	struct seg6_local_lwt *seg6 = data;
	__u16 type = BPF_CORE_READ(lwt, type);
	struct bpf_lwt *bpf = data;

	out->prog[WALK_LWT_IN] = out->prog[WALK_LWT_OUT] = 0;
	out->prog[WALK_LWT_XMIT] = out->prog[WALK_LWT_SEG6] = 0;
	if (type == LWTUNNEL_ENCAP_BPF && bpf_core_field_exists(bpf->xmit)) {
		out->prog[WALK_LWT_IN] = walk_prog_id(BPF_CORE_READ(bpf, in.prog));
		out->prog[WALK_LWT_OUT] = walk_prog_id(BPF_CORE_READ(bpf, out.prog));
		out->prog[WALK_LWT_XMIT] = walk_prog_id(BPF_CORE_READ(bpf, xmit.prog));
		return true;
	}
	if (type == LWTUNNEL_ENCAP_SEG6_LOCAL && bpf_core_field_exists(seg6->bpf)) {
		out->prog[WALK_LWT_SEG6] = walk_prog_id(BPF_CORE_READ(seg6, bpf.prog));
		return true;
	}
	return false;
}

/*
 * Begins the record of a nexthop. NULL: it has no program; or the buffer is full, and walk.ended
 * says so.
 */
static __always_inline struct walk_route *nexthop_record(struct fib_nh_common *nexthop)
{
	struct lwtunnel_state *lwt = BPF_CORE_READ(nexthop, nhc_lwtstate);
	struct walk_route *out = walk_room();

	if (!lwt)
		return NULL;
	if (!out) {
		walk.ended = WALK_FULL;
		return NULL;
	}
	if (!read_programs(out, lwt))
		return NULL;
	out->lwt = (__u64)lwt;
	out->table = out->nexthop = out->v6 = out->prefix = out->metric = out->hops = 0;
	__builtin_memset(out->dst, 0, sizeof(out->dst));
	__builtin_memset(out->ifname, 0, sizeof(out->ifname));
	bpf_probe_read_kernel(out->ifname, sizeof(out->ifname),
			      (void *)BPF_CORE_READ(nexthop, nhc_dev) +
				      bpf_core_field_offset(struct net_device, name));
	return out;
}

#endif

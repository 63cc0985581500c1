/* SPDX-License-Identifier: GPL-2.0 */
/* Matches of kind xt_bpf, which iptables and nftables have in common. */
#ifndef WALK_NF_BPF_H
#define WALK_NF_BPF_H

#include "bpf/net.bpf.h"

/* Is it xt_bpf, in the revision that takes a program of bpf(2)? */
static __always_inline bool is_xt_bpf(struct xt_match *match)
{
	char name[4] = {};

	bpf_probe_read_kernel(name, sizeof(name),
			      (void *)match + bpf_core_field_offset(struct xt_match, name));
	return name[0] == 'b' && name[1] == 'p' && name[2] == 'f' && !name[3] &&
	       BPF_CORE_READ(match, revision) == 1;
}

static __always_inline __u32 xt_bpf_program(void *info)
{
	return walk_prog_id(BPF_CORE_READ((struct xt_bpf_info_v1 *)info, filter));
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* For programs that look for what keeps namespaces and instances of bpffs: fragments of structures. */
#ifndef WALK_OWNER_BPF_H
#define WALK_OWNER_BPF_H

#include "bpf/net.bpf.h"

static __always_inline __u64 mnt_common(struct mnt_namespace *ns)
{
	return ns ? (__u64)ns + bpf_core_field_offset(struct mnt_namespace, ns) : 0;
}

static __always_inline __u64 net_common(struct net *net)
{
	return net ? (__u64)net + bpf_core_field_offset(struct net, ns) : 0;
}

static __always_inline __u32 common_inum(__u64 common)
{
	return common ? BPF_CORE_READ((struct ns_common *)common, inum) : 0;
}

/* A mount namespace that nobody can enter: fsmount() and open_tree() make such. */
static __always_inline bool is_anonymous(struct mnt_namespace *ns)
{
	__u32 inum = BPF_CORE_READ(ns, ns.inum);

	return inum == MNT_NS_ANON_INO || inum == 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* Fragments of netfilter's structures that several walks read. */
#ifndef WALK_NF_BPF_H
#define WALK_NF_BPF_H

#include "bpf/net.bpf.h"

enum nf_hook_ops_type { NF_HOOK_OP_UNDEFINED, NF_HOOK_OP_NF_TABLES };

struct nf_hook_ops {
	void *priv;
	__u8 pf;
	int priority;
} __pai;

struct xt_table_info {
	unsigned int size;
	unsigned int hook_entry[5];
	unsigned char entries[0];
} __pai;

struct xt_table {
	struct list_head list;
	unsigned int valid_hooks;
	struct xt_table_info *private;
	struct nf_hook_ops *ops; /* 5.16 */
	__u8 af;
	char name[32];
} __pai;

struct xt_match {
	char name[29];
	__u8 revision;
} __pai;

struct xt_bpf_info_v1 {
	struct bpf_prog *filter;
} __pai;

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

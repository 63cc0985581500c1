// SPDX-License-Identifier: GPL-2.0
/*
 * The cls_bpf filters of one block of tc. tcf_block.chain_list leads to its chains, each chain to a
 * list of classifiers by priority, each classifier of kind "bpf" to its filters, which hold their
 * programs (cls_bpf_prog_from_efd()).
 */
#include "bpf/net.bpf.h"

static __always_inline bool is_bpf(struct tcf_proto *tp)
{
	char kind[4] = {};

	bpf_probe_read_kernel(kind, sizeof(kind),
			      (void *)BPF_CORE_READ(tp, ops) +
				      bpf_core_field_offset(struct tcf_proto_ops, kind));
	return kind[0] == 'b' && kind[1] == 'p' && kind[2] == 'f' && !kind[3];
}

static __always_inline bool emit_filter(struct tcf_proto *tp, struct cls_bpf_prog *filter)
{
	struct walk_filter *out = walk_room();

	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	out->filter = (__u64)filter;
	out->block_index = BPF_CORE_READ(tp, chain, block, index);
	out->chain = BPF_CORE_READ(tp, chain, index);
	out->priority = BPF_CORE_READ(tp, prio) >> 16; /* as in tcmsg.tcm_info */
	out->handle = BPF_CORE_READ(filter, handle);
	/* classic programs have no id */
	walk_emit(&out->rec, WALK_FILTER, sizeof(*out),
		  walk_prog_id(BPF_CORE_READ(filter, filter)));
	return true;
}

/* Emits a filter at at[2], of the classifier at[1]. */
static __always_inline void filter_step(struct tcf_proto *tp, struct list_head *node)
{
	struct cls_bpf_head *head = BPF_CORE_READ(tp, root);
	struct cls_bpf_prog *filter =
		(void *)node - bpf_core_field_offset(struct cls_bpf_prog, link);

	if ((void *)node == (void *)head + bpf_core_field_offset(struct cls_bpf_head, plist)) {
		walk.net.at[1] = (__u64)BPF_CORE_READ(tp, next);
		walk.net.at[2] = 0;
	} else if (emit_filter(tp, filter)) {
		list_go(node, &walk.net.at[2]);
	}
}

/* Takes a classifier at at[1], of the chain before at[0]: enters it, or goes on to the next. */
static __always_inline void proto_step(struct tcf_proto *tp)
{
	struct tcf_block *block = (void *)walk.net.object;
	struct cls_bpf_head *head;

	if (BPF_CORE_READ(tp, chain, block) != block) {
		walk.ended = WALK_TORN;
		return;
	}
	if (is_bpf(tp)) {
		if (bpf_core_type_exists(struct cls_bpf_head)) {
			head = BPF_CORE_READ(tp, root);
			walk.net.at[2] = (__u64)BPF_CORE_READ(head, plist.next);
			return;
		}
		walk.net.missed++; /* its module was loaded after our programs */
	}
	walk.net.at[1] = (__u64)BPF_CORE_READ(tp, next);
}

/*
 * at[0]: a chain; at[1]: a classifier of the chain before it; at[2]: a filter of that classifier.
 */
static __always_inline int block_step(void)
{
	struct list_head *node = (void *)walk.net.at[0];
	struct tcf_proto *tp = (void *)walk.net.at[1];
	struct tcf_chain *chain;

	if (walk.net.at[2] && bpf_core_type_exists(struct cls_bpf_head)) {
		filter_step(tp, (void *)walk.net.at[2]);
	} else if (tp) {
		proto_step(tp);
	} else {
		if (walk.net.at[0] ==
		    walk.net.object + bpf_core_field_offset(struct tcf_block, chain_list))
			return 1;
		chain = (void *)node - bpf_core_field_offset(struct tcf_chain, list);
		walk.net.at[1] = (__u64)BPF_CORE_READ(chain, filter_chain);
		list_go(node, &walk.net.at[0]);
	}
	return walk.ended != WALK_DONE ? 1 : 0;
}

static __always_inline bool block_begin(void)
{
	struct tcf_block *block = (void *)walk.net.object;

	if (!net_is_there())
		return false;
	walk.net.gone = (__u64)BPF_CORE_READ(block, net) != walk.net.net;
	if (!walk.net.gone && !walk.net.at[0])
		walk.net.at[0] = (__u64)BPF_CORE_READ(block, chain_list.next);
	return !walk.net.gone;
}

/* Emits the filters of the block walk.net.object. */
NET_PROGRAM_IF(bpf_core_field_exists(((struct tcf_block *)0)->chain_list), walk_block, block_begin,
	       block_step)

char LICENSE[] SEC("license") = "GPL";

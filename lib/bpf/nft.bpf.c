// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of one table of nftables that match by xt_bpf, as iptables-nft makes them
 * (nft_match_large_init()). A table has chains, a chain has rules, and a rule has expressions one
 * behind the other. Also the tables of a namespace that no hook leads to.
 */
#include "bpf/netfilter.bpf.h"

static __always_inline bool is_match(const struct nft_expr_ops *ops)
{
	char name[8] = {};

	bpf_probe_read_kernel(name, 6, BPF_CORE_READ(ops, type, name));
	return name[0] == 'm' && name[1] == 'a' && name[2] == 't' && name[3] == 'c' &&
	       name[4] == 'h' && !name[5];
}

static __always_inline struct nft_rule *rule_at(__u64 node)
{
	return (void *)node - bpf_core_field_offset(struct nft_rule, list);
}

static __always_inline struct nft_chain *chain_at(__u64 node)
{
	return (void *)node - bpf_core_field_offset(struct nft_chain, list);
}

static __always_inline bool emit_rule(struct nft_rule *rule, void *info)
{
	struct nft_chain *chain = chain_at(walk.net.at[3]);
	struct walk_rule *out;

	if (!bpf_core_type_exists(struct xt_bpf_info_v1)) {
		walk.net.missed++; /* its module was loaded after our programs */
		return true;
	}
	out = walk_room();
	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	__builtin_memset(out, 0, sizeof(*out));
	out->handle = BPF_CORE_READ_BITFIELD_PROBED(rule, handle);
	out->hook = WALK_CHAIN_USER;
	bpf_probe_read_kernel_str(out->chain, sizeof(out->chain), BPF_CORE_READ(chain, name));
	walk_emit(&out->rec, WALK_RULE, sizeof(*out), xt_bpf_program(info));
	return true;
}

/* The expression at at[2] in the rule. */
static __always_inline void expr_step(struct nft_rule *rule)
{
	struct nft_expr *expr =
		(void *)rule + bpf_core_field_offset(struct nft_rule, data) + walk.net.at[2];
	struct nft_xt_match_priv *priv =
		(void *)expr + bpf_core_field_offset(struct nft_expr, data);
	const struct nft_expr_ops *ops = BPF_CORE_READ(expr, ops);
	__u32 size = BPF_CORE_READ(ops, size);

	if (size < bpf_core_type_size(struct nft_expr)) {
		walk.ended = WALK_TORN;
		return;
	}
	if (bpf_core_type_exists(struct nft_xt_match_priv) && is_match(ops) &&
	    is_xt_bpf(BPF_CORE_READ(ops, data)) && !emit_rule(rule, BPF_CORE_READ(priv, info)))
		return;
	walk.net.at[2] += size;
}

/*
 * at[0]: the next chain; at[1]: a rule of the chain at[3], 0: none; at[2]: the offset of an
 * expression in the rule.
 */
static __always_inline int nft_step(void)
{
	struct list_head *node = (void *)walk.net.at[0];
	struct nft_chain *chain = chain_at(walk.net.at[0]);
	struct nft_rule *rule;

	if (!walk.net.at[1]) {
		if (walk.net.at[0] ==
		    walk.net.object + bpf_core_field_offset(struct nft_table, chains))
			return 1;
		if ((__u64)BPF_CORE_READ(chain, table) != walk.net.object) {
			walk.ended = WALK_TORN;
			return 1;
		}
		walk.net.at[1] = (__u64)BPF_CORE_READ(chain, rules.next);
		walk.net.at[3] = walk.net.at[0];
		return list_go(node, &walk.net.at[0]) ? 0 : 1;
	}
	if (walk.net.at[1] ==
	    (__u64)chain_at(walk.net.at[3]) + bpf_core_field_offset(struct nft_chain, rules)) {
		walk.net.at[1] = 0;
		return 0;
	}
	rule = rule_at(walk.net.at[1]);
	if (walk.net.at[2] < BPF_CORE_READ_BITFIELD_PROBED(rule, dlen)) {
		expr_step(rule);
		return walk.ended != WALK_DONE ? 1 : 0;
	}
	walk.net.at[2] = 0;
	return list_go((void *)walk.net.at[1], &walk.net.at[1]) ? 0 : 1;
}

static __always_inline bool nft_begin(void)
{
	struct nft_table *table = (void *)walk.net.object;

	if (!net_is_there())
		return false;
	walk.net.gone = !node_fits((void *)table + bpf_core_field_offset(struct nft_table, list));
	if (!walk.net.gone && !walk.net.at[0])
		walk.net.at[0] = (__u64)BPF_CORE_READ(table, chains.next);
	return !walk.net.gone;
}

/* Emits the rules with programs of the table walk.net.object. */
NET_PROGRAM_IF(bpf_core_type_exists(struct nft_table), walk_nft, nft_begin, nft_step)

/* --------------------------------------------------------- all tables --- */

struct nft_search {
	__u64 gen, node;
	__u32 found;
};

static int hook_step(__u32 index, struct nft_search *search)
{
	__u64 pernet = 0;

	bpf_probe_read_kernel(&pernet, sizeof(pernet),
			      (void *)search->gen + index * sizeof(pernet));
	if (!pernet ||
	    pernet + bpf_core_field_offset(struct nftables_pernet, tables) != search->node)
		return 0;
	search->found = index;
	return 1;
}

static __always_inline __u32 nft_search_init(struct net *net, struct nft_search *search)
{
	struct net_generic *gen = BPF_CORE_READ(net, gen);
	__u32 count = BPF_CORE_READ(gen, s.len);

	search->gen = (__u64)gen;
	return count < GENERIC_MAX ? count : GENERIC_MAX;
}

/*
 * at[0]: a node of the list of tables. Its head is not in a table, but in what nftables has for the
 * namespace.
 */
static __always_inline int head_step(void)
{
	struct nft_search search = { .node = walk.net.at[0] };
	__u32 count = nft_search_init((void *)walk.net.net, &search);
	struct walk_ruleset *out;

	bpf_loop(count, hook_step, &search, 0);
	if (!search.found)
		return list_go((void *)walk.net.at[0], &walk.net.at[0]) &&
				       walk.net.at[0] != walk.net.at[1]
			       ? 0
			       : 1;
	out = walk_room();
	if (!out) {
		walk.ended = WALK_FULL;
		return 1;
	}
	__builtin_memset(out, 0, sizeof(*out));
	walk_emit(&out->rec, WALK_RULESET, sizeof(*out), search.found);
	return 1;
}

static __always_inline bool head_begin(void)
{
	struct nft_table *table = (void *)walk.net.object;

	if (!net_is_there())
		return false;
	walk.net.at[0] = (__u64)table + bpf_core_field_offset(struct nft_table, list);
	walk.net.at[1] = walk.net.at[0];
	walk.net.gone = !node_fits((void *)walk.net.at[0]);
	return !walk.net.gone;
}

/* Emits, as the id of a record, the number by which a namespace leads to its tables of nftables. */
NET_PROGRAM_IF(bpf_core_type_exists(struct nftables_pernet), walk_nft_head, head_begin, head_step)

/* at[0]: a table; at[1]: the list's head. */
static __always_inline int table_step(void)
{
	struct list_head *node = (void *)walk.net.at[0];
	struct nft_table *table = (void *)node - bpf_core_field_offset(struct nft_table, list);
	struct walk_ruleset *out = walk_room();

	if (walk.net.at[0] == walk.net.at[1])
		return 1;
	if (!out) {
		walk.ended = WALK_FULL;
		return 1;
	}
	__builtin_memset(out, 0, sizeof(*out));
	out->table = (__u64)table;
	out->family = BPF_CORE_READ_BITFIELD_PROBED(table, family);
	out->nft = 1;
	bpf_probe_read_kernel_str(out->name, sizeof(out->name), BPF_CORE_READ(table, name));
	walk_emit(&out->rec, WALK_RULESET, sizeof(*out), 0);
	return list_go(node, &walk.net.at[0]) ? 0 : 1;
}

static __always_inline bool tables_begin(void)
{
	struct nft_search search = {};
	struct list_head *head = NULL;

	if (!net_is_there())
		return false;
	if (walk.net.arg >= nft_search_init((void *)walk.net.net, &search))
		return false;
	bpf_probe_read_kernel(&head, sizeof(head),
			      (void *)search.gen + walk.net.arg * sizeof(head));
	if (!head)
		return false;
	head = (void *)head + bpf_core_field_offset(struct nftables_pernet, tables);
	walk.net.at[1] = (__u64)head;
	if (!walk.net.at[0])
		walk.net.at[0] = (__u64)BPF_CORE_READ(head, next);
	return true;
}

/* Emits all tables of nftables of a namespace; walk.net.arg is the number from walk_nft_head. */
NET_PROGRAM_IF(bpf_core_type_exists(struct nftables_pernet), walk_nft_tables, tables_begin,
	       table_step)

char LICENSE[] SEC("license") = "GPL";

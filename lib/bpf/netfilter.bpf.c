// SPDX-License-Identifier: GPL-2.0
/*
 * The tables of netfilter rules in a namespace, found by the hooks that they have registered: a
 * hook's priv is the table for iptables, and the base chain for nftables. It is accepted only if it
 * leads back to that very hook. The hooks of NAT are one level deeper.
 */
#include "bpf/netfilter.bpf.h"

#define HOOKS_MAX 1024 /* MAX_HOOK_COUNT */
#define PLACES	  18

/* NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC: IPv6 has the same. */
#define PRIORITY_NAT 100

static __always_inline struct walk_ruleset *ruleset_room(__u64 table, __u32 family, __u32 nft)
{
	struct walk_ruleset *out = walk_room();

	if (!out) {
		walk.ended = WALK_FULL;
		return NULL;
	}
	__builtin_memset(out, 0, sizeof(*out));
	out->table = table;
	out->family = family;
	out->nft = nft;
	return out;
}

/*
 * Is @ops among the hooks of the table? The table of NAT has none of its own, only those that it
 * gave to NAT.
 */
static __always_inline bool has_hook(struct xt_table *table, struct nf_hook_ops *ops)
{
	__u64 first = (__u64)BPF_CORE_READ(table, ops), here = (__u64)ops;
	char name[4] = {};

	if (first)
		return here >= first && here < first + 5 * bpf_core_type_size(struct nf_hook_ops);
	bpf_probe_read_kernel(name, sizeof(name),
			      (void *)table + bpf_core_field_offset(struct xt_table, name));
	return name[0] == 'n' && name[1] == 'a' && name[2] == 't' && !name[3] &&
	       BPF_CORE_READ(table, af) == BPF_CORE_READ(ops, pf) &&
	       node_fits((void *)table + bpf_core_field_offset(struct xt_table, list));
}

static __always_inline void emit_xt(struct nf_hook_ops *ops, struct xt_table *table)
{
	struct walk_ruleset *out;

	if (!has_hook(table, ops))
		return;
	out = ruleset_room((__u64)table, BPF_CORE_READ(table, af), 0);
	if (!out)
		return;
	bpf_probe_read_kernel_str(out->name, sizeof(out->name),
				  (void *)table + bpf_core_field_offset(struct xt_table, name));
	walk_emit(&out->rec, WALK_RULESET, sizeof(*out), 0);
}

static __always_inline void emit_nft(struct nf_hook_ops *ops, struct nft_chain *chain)
{
	struct nft_base_chain *base =
		(void *)chain - bpf_core_field_offset(struct nft_base_chain, chain);
	struct walk_ruleset *out;
	struct nft_table *table;

	if ((void *)base + bpf_core_field_offset(struct nft_base_chain, ops) != (void *)ops)
		return;
	table = BPF_CORE_READ(chain, table);
	out = ruleset_room((__u64)table, BPF_CORE_READ(ops, pf), 1);
	if (!out)
		return;
	bpf_probe_read_kernel_str(out->name, sizeof(out->name), BPF_CORE_READ(table, name));
	walk_emit(&out->rec, WALK_RULESET, sizeof(*out), 0);
}

/* The hook at an index of @entries, or NULL. */
static __always_inline struct nf_hook_ops *hook_at(struct nf_hook_entries *entries, __u64 index)
{
	struct nf_hook_ops *ops = NULL;
	__u32 count = entries ? BPF_CORE_READ(entries, num_hook_entries) : 0;

	if (index >= count || count > HOOKS_MAX)
		return NULL;
	bpf_probe_read_kernel(
		&ops, sizeof(ops),
		(void *)entries + bpf_core_field_offset(struct nf_hook_entries, hooks) +
			count * bpf_core_type_size(struct nf_hook_entry) + index * sizeof(ops));
	return ops;
}

/* The hooks that NAT calls for one of its own, or NULL. */
static __always_inline struct nf_hook_entries *behind_nat(struct nf_hook_ops *ops)
{
	struct nf_nat_lookup_hook_priv *priv = BPF_CORE_READ(ops, priv);
	int priority = BPF_CORE_READ(ops, priority);

	if (!bpf_core_type_exists(struct nf_nat_lookup_hook_priv) || !priv ||
	    (priority != PRIORITY_NAT && priority != -PRIORITY_NAT))
		return NULL;
	return BPF_CORE_READ(priv, entries);
}

/* Emits the table that a hook belongs to. Returns the hooks that NAT calls for it. */
static __always_inline struct nf_hook_entries *emit_hook(struct nf_hook_ops *ops)
{
	struct nf_hook_ops *typed = (void *)ops;
	__u32 type = BPF_CORE_READ_BITFIELD_PROBED(typed, hook_ops_type);
	void *priv = BPF_CORE_READ(ops, priv);
	struct nf_hook_entries *behind;

	if (type == NF_HOOK_OP_NF_TABLES) {
		if (bpf_core_type_exists(struct nft_base_chain))
			emit_nft(ops, priv);
		else
			walk.net.missed++; /* its module was loaded after our programs */
		return NULL;
	}
	if (type != NF_HOOK_OP_UNDEFINED || !priv)
		return NULL;
	behind = behind_nat(ops);
	if (bpf_core_field_exists(((struct xt_table *)0)->ops))
		emit_xt(ops, priv);
	else if (!behind)
		walk.net.missed++; /* perhaps a table, whose module was loaded after our programs */
	return behind;
}

static __always_inline struct nf_hook_entries *hook_entries_at(__u64 place)
{
	struct netns_nf *nf = (void *)walk.net.net + bpf_core_field_offset(struct net, nf);
	struct nf_hook_entries *entries = NULL;
	void *hooks = NULL;

	if (place < 5) {
		hooks = (void *)nf + bpf_core_field_offset(struct netns_nf, hooks_ipv4);
	} else if (place < 10) {
		hooks = (void *)nf + bpf_core_field_offset(struct netns_nf, hooks_ipv6);
		place -= 5;
	} else if (place < 13) {
		if (bpf_core_field_exists(nf->hooks_arp))
			hooks = (void *)nf + bpf_core_field_offset(struct netns_nf, hooks_arp);
		place -= 10;
	} else {
		if (bpf_core_field_exists(nf->hooks_bridge))
			hooks = (void *)nf + bpf_core_field_offset(struct netns_nf, hooks_bridge);
		place -= 13;
	}
	if (hooks)
		bpf_probe_read_kernel(&entries, sizeof(entries), hooks + place * sizeof(entries));
	return entries;
}

/*
 * at[0]: a place; at[1]: a hook there; at[2]: the hooks of NAT for the hook before; at[3]: the
 * index in these.
 */
static __always_inline int hook_step(void)
{
	struct nf_hook_entries *nat = (void *)walk.net.at[2], *behind;
	struct nf_hook_ops *ops;

	if (nat) {
		ops = hook_at(nat, walk.net.at[3]);
		if (ops)
			emit_hook(ops);
		else
			walk.net.at[2] = 0;
		if (walk.ended == WALK_DONE)
			walk.net.at[3]++;
		return walk.ended != WALK_DONE ? 1 : 0;
	}
	if (walk.net.at[0] >= PLACES)
		return 1;
	ops = hook_at(hook_entries_at(walk.net.at[0]), walk.net.at[1]);
	if (!ops) {
		walk.net.at[0]++;
		walk.net.at[1] = 0;
		return 0;
	}
	behind = emit_hook(ops);
	if (walk.ended != WALK_DONE)
		return 1;
	walk.net.at[1]++;
	walk.net.at[2] = (__u64)behind;
	walk.net.at[3] = 0;
	return 0;
}

/* Emits the tables of a namespace that have hooks, each once for each of its hooks. */
NET_PROGRAM(walk_rulesets, net_is_there, hook_step)

char LICENSE[] SEC("license") = "GPL";

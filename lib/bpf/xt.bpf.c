// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of one table of iptables, ip6tables or arptables that match by xt_bpf
 * (bpf_mt_check_v1()). A rule is followed by its matches, then by its target, then by the next
 * rule.
 */
#include <linux/netfilter.h>

#include "bpf/netfilter.bpf.h"

/*
 * Sizes of the UAPI: of struct xt_entry_match and struct xt_entry_target, and the offset of the
 * pointer in them.
 */
#define ENTRY_HEAD 32
#define ENTRY_KIND 8
#define CHAIN_NAME 30

struct xt_rule {
	__u16 target, next;
	__u32 elems;
};

#define read_entry(entry, type, address)                                                \
	({                                                                              \
		(entry)->target = BPF_CORE_READ((struct type *)address, target_offset); \
		(entry)->next = BPF_CORE_READ((struct type *)address, next_offset);     \
		(entry)->elems = bpf_core_field_offset(struct type, elems);             \
	})

static __always_inline void entry_of(struct xt_rule *entry, void *address)
{
	if (walk.net.arg == NFPROTO_IPV6)
		read_entry(entry, ip6t_entry, address);
	else if (walk.net.arg == NFPROTO_ARP)
		read_entry(entry, arpt_entry, address);
	else
		read_entry(entry, ipt_entry, address);
}

/*
 * A user's chain begins with an entry whose target is ERROR, and which has the name of the chain.
 */
static __always_inline void enter_user_chain(void *target)
{
	struct xt_target *kind = NULL;
	char name[8] = {};

	bpf_probe_read_kernel(&kind, sizeof(kind), target + ENTRY_KIND);
	bpf_probe_read_kernel(name, 6,
			      (void *)kind + bpf_core_field_offset(struct xt_target, name));
	if (name[0] != 'E' || name[1] != 'R' || name[2] != 'R' || name[3] != 'O' ||
	    name[4] != 'R' || name[5])
		return;
	bpf_probe_read_kernel_str(walk.net.chain, CHAIN_NAME, target + ENTRY_HEAD);
	walk.net.hook = WALK_CHAIN_USER;
	walk.net.number = 0;
}

/* Enters the chain that begins here, if one does, and counts the rules in it. */
static __always_inline void enter_entry(struct xt_table_info *info, void *table, __u32 at,
					void *target)
{
	__u32 hooks = BPF_CORE_READ((struct xt_table *)table, valid_hooks), begin = 0;

	walk.net.number++;
	enter_user_chain(target);
	for (int hook = 0; hook < 5; hook++) {
		bpf_probe_read_kernel(
			&begin, sizeof(begin),
			(void *)info + bpf_core_field_offset(struct xt_table_info, hook_entry) +
				hook * sizeof(begin));
		if (hooks >> hook & 1 && begin == at) {
			walk.net.hook = hook;
			walk.net.number = 1;
		}
	}
}

static __always_inline bool emit_match(void *address)
{
	struct xt_match *match = NULL;
	struct walk_rule *out;

	bpf_probe_read_kernel(&match, sizeof(match), address + ENTRY_KIND);
	if (!is_xt_bpf(match))
		return true;
	if (!bpf_core_type_exists(struct xt_bpf_info_v1)) {
		walk.net.missed++; /* its module was loaded after our programs */
		return true;
	}
	out = walk_room();
	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	out->handle = 0;
	out->number = walk.net.number;
	out->hook = walk.net.hook;
	__builtin_memcpy(out->chain, walk.net.chain, sizeof(out->chain));
	walk_emit(&out->rec, WALK_RULE, sizeof(*out), xt_bpf_program(address + ENTRY_HEAD));
	return true;
}

/*
 * at[0]: the offset of a rule; at[1]: the offset of a match in it, 0: not begun; at[2]: the rules.
 */
static __always_inline int xt_step(void)
{
	struct xt_table_info *info = (void *)walk.net.at[2];
	void *entries = (void *)info + bpf_core_field_offset(struct xt_table_info, entries);
	void *address = entries + walk.net.at[0];
	struct xt_rule entry = {};
	__u16 size = 0;

	if (walk.net.at[0] >= BPF_CORE_READ(info, size))
		return 1;
	entry_of(&entry, address);
	if (!walk.net.at[1]) {
		enter_entry(info, (void *)walk.net.object, walk.net.at[0], address + entry.target);
		walk.net.at[1] = entry.elems;
		return 0;
	}
	if (walk.net.at[1] < entry.target) {
		bpf_probe_read_kernel(&size, sizeof(size), address + walk.net.at[1]);
		if (size < ENTRY_HEAD)
			walk.ended = WALK_TORN;
		else if (emit_match(address + walk.net.at[1]))
			walk.net.at[1] += size;
		return walk.ended != WALK_DONE ? 1 : 0;
	}
	if (entry.next < entry.elems) {
		walk.ended = WALK_TORN;
		return 1;
	}
	walk.net.at[0] += entry.next;
	walk.net.at[1] = 0;
	return 0;
}

static __always_inline bool xt_begin(void)
{
	struct xt_table *table = (void *)walk.net.object;

	if (!net_is_there())
		return false;
	walk.net.gone = BPF_CORE_READ(table, af) != walk.net.arg ||
			!node_fits((void *)table + bpf_core_field_offset(struct xt_table, list));
	if (!walk.net.gone && !walk.net.at[2])
		walk.net.at[2] = (__u64)BPF_CORE_READ(table, private);
	return !walk.net.gone;
}

/*
 * If the table was replaced by another set of rules during the walk, what was read may have been freed.
 */
static __always_inline int checked_step(void)
{
	struct xt_table *table = (void *)walk.net.object;

	if (!xt_step())
		return 0;
	if ((__u64)BPF_CORE_READ(table, private) != walk.net.at[2])
		walk.ended = WALK_TORN;
	return 1;
}

/* Emits the rules with programs of the table walk.net.object of the family walk.net.arg. */
NET_PROGRAM_IF(bpf_core_type_exists(struct xt_table), walk_xt, xt_begin, checked_step)

char LICENSE[] SEC("license") = "GPL";

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules of iptables and similar tools that match by a program. The match xt_bpf holds its program
 * from the insertion of the rule to its removal (bpf_mt_check_v1()), in the old tables and in those
 * of nftables that iptables-nft makes (nft_compat). Netfilter links are shown by class link.
 *
 * Tables are found by their hooks. A table of nftables may have no hook, and is then never run.
 * Such tables are found if any table of nftables in any namespace has a hook: that leads to the
 * list of all of them.
 */
#include <linux/netfilter.h>

#include "holders/holders.h"
#include "kernel/net_namespaces.h"
#include "snapshot/index.h"

#define FIELDS(X)              \
	X(NF_NETNS, "netns")   \
	X(NF_FAMILY, "family") \
	X(NF_TABLE, "table")   \
	X(NF_CHAIN, "chain")   \
	X(NF_RULE, "rule")     \
	X(NF_HANDLE, "handle") \
	X(NF_VIA, "via")
HOLDER_FIELDS(FIELDS);

/* What is known of all namespaces. */
struct rules {
	const struct walk_ruleset *ruleset; /* the one whose rules are being read */
	GHashTable *seen; /* addresses of tables: each is emitted once for each of its hooks */
	/*
	 * The id by which net_generic() finds the nftables tables of a namespace; 0
	 * until it was read.
	 */
	uint32_t number;
};

static const char *family_name(uint32_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_NETDEV:
		return "netdev";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_IPV6:
		return "ip6";
	default:
		return NULL;
	}
}

/* The chain of a hook as the tool of the family names it, or @named for a chain of the user's. */
static const char *chain_name(uint32_t family, uint32_t hook, const char *named)
{
	static const char *const ip[] = { "PREROUTING", "INPUT", "FORWARD", "OUTPUT",
					  "POSTROUTING" };
	static const char *const arp[] = { "INPUT", "OUTPUT", "FORWARD" };

	if (family == NFPROTO_ARP)
		return hook < G_N_ELEMENTS(arp) ? arp[hook] : named;
	return hook < G_N_ELEMENTS(ip) ? ip[hook] : named;
}

static int one_rule(struct scan *scan, const struct net_object *object, const struct walk_rec *rec,
		    void *data)
{
	const struct walk_rule *rule = walk_record(rec, walk_rule);
	struct bpfrefs_key prog = { BPFREFS_KIND_PROG, rec->id };
	const struct rules *rules = data;
	const struct walk_ruleset *ruleset = rules->ruleset;
	char named[sizeof(rule->chain) + 1] = "", table[sizeof(ruleset->name) + 1] = "";
	struct bpfrefs_ref *ref;

	/* classic BPF programs have no id */
	ref = rule && prog.id ? scan_add(scan, prog, 1, 0) : NULL;
	if (!ref)
		return 0;
	memcpy(named, rule->chain, sizeof(rule->chain));
	memcpy(table, ruleset->name, sizeof(ruleset->name));
	ref_set_num(ref, NF_NETNS, object->net->inum);
	owner_set_ref(ref, net_owner(scan, object->net));
	ref_set_static(ref, NF_FAMILY, family_name(ruleset->family));
	ref_set_str(scan, ref, NF_TABLE, table);
	ref_set_str(scan, ref, NF_CHAIN, chain_name(ruleset->family, rule->hook, named));
	if (ruleset->nft)
		ref_set_num(ref, NF_HANDLE, rule->handle);
	else
		ref_set_num(ref, NF_RULE, rule->number);
	ref_set_via(ref, NF_VIA, ruleset->nft ? WALK_VIA_NFT_COMPAT : WALK_VIA_XT_BPF);
	return 0;
}

static int read_number(struct scan *scan, const struct net_object *object,
		       const struct walk_rec *rec, void *data)
{
	struct rules *rules = data;

	(void)scan;
	(void)object;
	rules->number = rec->id;
	return 0;
}

static int one_ruleset(struct scan *scan, const struct net_object *object,
		       const struct walk_rec *rec, void *data)
{
	const struct walk_ruleset *ruleset = walk_record(rec, walk_ruleset);
	struct net_object table = { .net = object->net };
	struct rules *rules = data;
	int err = 0;

	if (!ruleset || !g_hash_table_add(rules->seen, GSIZE_TO_POINTER(ruleset->table)))
		return 0;
	rules->ruleset = ruleset;
	table.address = ruleset->table;
	if (ruleset->nft && !rules->number)
		err = net_walk_object(scan, "walk_nft_head", table, read_number, rules);
	table.arg = ruleset->family;
	if (!err)
		err = net_walk_object(scan, ruleset->nft ? "walk_nft" : "walk_xt", table, one_rule,
				      rules);
	return err;
}

static int walk(struct scan *scan)
{
	struct rules rules = { 0 };
	int err;

	if (!net_loaded(scan, NET_TYPE(SOCKET_FILTER)))
		return 0;
	rules.seen = g_hash_table_new(NULL, NULL);
	err = net_walk_all(scan, "walk_rulesets", 0, one_ruleset, &rules);
	if (!err && rules.number)
		err = net_walk_all(scan, "walk_nft_tables", rules.number, one_ruleset, &rules);
	g_hash_table_unref(rules.seen);
	return err;
}

static void remove_by_handle(struct removal *removal, const struct bpfrefs_ref *ref)
{
	static const unsigned int names[] = { NF_FAMILY, NF_TABLE, NF_CHAIN };
	bool plain = true;

	removal_words(removal, "nft", "delete", "rule", NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct bpfrefs_value name = bpfrefs_ref_value(ref, names[i]);

		plain = plain && removal_is_plain(name) &&
			strlen(name.str) < sizeof(((struct walk_rule *)NULL)->chain) - 1;
		removal_field(removal, ref, names[i]);
	}
	removal_word(removal, "handle");
	removal_field(removal, ref, NF_HANDLE);
	if (!plain)
		removal_suggest(removal,
				"nft cannot write a name of its family, table or chain, or it is"
				" longer than bpfrefs has read");
}

static bool is_same(const struct bpfrefs_ref *a, const struct bpfrefs_ref *b, unsigned int field)
{
	struct bpfrefs_value x = bpfrefs_ref_value(a, field), y = bpfrefs_ref_value(b, field);

	if (x.type != y.type)
		return false;
	if (x.type == BPFREFS_VALUE_STR)
		return strcmp(x.str, y.str) == 0;
	return x.num == y.num;
}

static bool is_same_table(const struct bpfrefs_ref *a, const struct bpfrefs_ref *b)
{
	return a->class == b->class && a->via == b->via && is_same(a, b, NF_NETNS) &&
	       is_same(a, b, NF_FAMILY) && is_same(a, b, NF_TABLE);
}

static void remove_by_number(struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value chain = bpfrefs_ref_value(ref, NF_CHAIN);
	g_autofree char *line = NULL;

	if (!removal_is_plain(chain))
		removal_suggest(removal, "iptables-restore cannot read the name of its chain");
	line = g_strdup_printf("-D %s %" G_GUINT64_FORMAT,
			       chain.type == BPFREFS_VALUE_STR ? chain.str : "CHAIN",
			       bpfrefs_ref_value(ref, NF_RULE).num);
	removal_word(removal, line);
}

/*
 * A table is replaced as a whole, for which the kernel opens the program of each remaining rule by its path
 * again (bpf_mt_check_v1()). That path may be no more, so all rules with the program are removed in one
 * step; the last one first, since removing one changes the numbers of those behind it.
 */
static void remove_rules(struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct ref_range rules = index_holders(removal->snap, ref->target);
	struct bpfrefs_value table = bpfrefs_ref_value(ref, NF_TABLE);
	g_autofree char *line =
		g_strconcat("*", table.type == BPFREFS_VALUE_STR ? table.str : "TABLE", NULL);

	removal_word(removal, line);
	for (size_t i = rules.end; i > rules.at; i--) {
		const struct bpfrefs_ref *other = snapshot_ref_at(removal->snap, i - 1);

		if (is_same_table(ref, other))
			remove_by_number(removal, other);
	}
	removal_word(removal, "COMMIT");
}

static bool is_first_of_table(const struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct ref_range rules = index_holders(removal->snap, ref->target);
	const struct bpfrefs_ref *first;

	while ((first = ref_range_next(&rules)) && !is_same_table(ref, first))
		continue;
	return first == ref;
}

static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value family = bpfrefs_ref_value(ref, NF_FAMILY);
	g_autofree char *restore = NULL;

	removal_in_netns(removal, ref, NF_NETNS);
	if (ref->via == WALK_VIA_NFT_COMPAT) {
		remove_by_handle(removal, ref);
		return;
	}
	if (!is_first_of_table(removal, ref)) {
		removal_set(removal, REMOVAL_FOLLOWS, "");
		return;
	}
	restore = g_strdup_printf("printf \"%%s\\n\" \"$@\" | %stables-legacy-restore --noflush",
				  family.type != BPFREFS_VALUE_STR	    ? "IP"
				  : family.str == family_name(NFPROTO_IPV6) ? "ip6"
				  : family.str == family_name(NFPROTO_IPV4) ? "ip"
									    : "arp");
	removal_words(removal, "sh", "-c", restore, "sh", NULL);
	remove_rules(removal, ref);
}

const struct holder_class holder_netfilter = {
	.pub = { HOLDER_PUB("netfilter"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_NETFILTER,
	.hook = BPFREFS_HOOK_NETFILTER,
	.removes = removes,
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

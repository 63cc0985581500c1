/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A flow dissector attached to a network namespace without a link. net.bpf.progs holds the program
 * (netns_bpf_prog_attach()). sk_lookup programs can be attached by links only.
 */
#include "holders/holders.h"
#include "kernel/net_namespaces.h"

#define FIELDS(X) X(NETNS_NETNS, "netns") X(NETNS_ATTACH_TYPE, "attach_type")
HOLDER_FIELDS(FIELDS);

static void dissector(struct scan *scan, const struct walk_net *net)
{
	struct bpfrefs_key prog = { BPFREFS_KIND_PROG, net->flow_dissector };
	struct bpfrefs_ref *ref = prog.id ? scan_add(scan, prog, 1, 0) : NULL;

	if (!ref)
		return;
	ref_set_num(ref, NETNS_NETNS, net->inum);
	ref_set_static(ref, NETNS_ATTACH_TYPE, "flow_dissector");
	owner_set_ref(ref, net_owner(scan, net));
}

static int walk(struct scan *scan)
{
	const GArray *nets;
	int err;

	if (!net_loaded(scan, NET_TYPE(FLOW_DISSECTOR)))
		return 0;
	err = net_list(scan, &nets);
	if (err)
		return err;
	for (guint i = 0; i < nets->len; i++)
		dissector(scan, net_at(nets, i)->net);
	return 0;
}

static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	removal_in_netns(removal, ref, NETNS_NETNS);
	removal_words(removal, "bpftool", "prog", "detach", NULL);
	removal_id(removal, ref->target);
	removal_field(removal, ref, NETNS_ATTACH_TYPE);
}

const struct holder_class holder_netns = {
	.pub = { HOLDER_PUB("netns"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_NETNS,
	.hook = BPFREFS_HOOK_NETNS,
	.removes = removes,
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs attached to the tcx hooks of a device without a link. Each position holds its program
 * once (tcx_prog_attach(), bpf_mprog_attach()). A program attached by a link is held by the link.
 */
#include "holders/holders.h"
#include "kernel/net_namespaces.h"

HOLDER_FIELDS(NETDEV_MPROG_FIELDS);

static uint64_t entry_of(const struct walk_netdev *dev, unsigned int side)
{
	return dev->tcx[side];
}

static int walk(struct scan *scan)
{
	static const char *const attach_types[NETDEV_SIDES] = { "tcx_ingress", "tcx_egress" };

	return netdev_mprogs(scan, attach_types, entry_of);
}

/* bpftool (since 7.5) detaches whatever program is the last one. */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value position = bpfrefs_ref_value(ref, NETDEV_POSITION);
	struct bpfrefs_value count = bpfrefs_ref_value(ref, NETDEV_COUNT);

	removal_in_netns(removal, ref, NETDEV_NETNS);
	removal_words(removal, "bpftool", "net", "detach", NULL);
	removal_field(removal, ref, NETDEV_ATTACH_TYPE);
	removal_word(removal, "dev");
	removal_field(removal, ref, NETDEV_IFNAME);
	if (count.type != BPFREFS_VALUE_NUM || position.num + 1 != count.num)
		removal_suggest(removal,
				"bpftool detaches the last program, and others are behind this"
				" one: detach those first");
}

const struct holder_class holder_tcx = {
	.pub = { HOLDER_PUB("tcx"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_TCX,
	.hook = BPFREFS_HOOK_TCX,
	.removes = removes,
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

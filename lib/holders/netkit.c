/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs attached to a netkit device without a link. Each position holds its program once
 * (netkit_prog_attach(), bpf_mprog_attach()). A program attached by a link is held by the link.
 */
#include "holders/holders.h"
#include "kernel/net_namespaces.h"

HOLDER_FIELDS(NETDEV_MPROG_FIELDS);

/* A device has only the entry of its own side. */
static uint64_t entry_of(const struct walk_netdev *dev, unsigned int side)
{
	return side == (dev->netkit_primary ? 0 : 1) ? dev->netkit : 0;
}

static int walk(struct scan *scan)
{
	static const char *const attach_types[NETDEV_SIDES] = { "netkit_primary", "netkit_peer" };

	return netdev_mprogs(scan, attach_types, entry_of);
}

static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	removal_in_netns(removal, ref, NETDEV_NETNS);
	removal_words(removal, "ip", "link", "del", "dev", NULL);
	removal_field(removal, ref, NETDEV_IFNAME);
	removal_suggest(removal, "no tool detaches a program of netkit: it ends with its device");
}

const struct holder_class holder_netkit = {
	.pub = { HOLDER_PUB("netkit"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_NETKIT,
	.hook = BPFREFS_HOOK_NETKIT,
	.removes = removes,
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

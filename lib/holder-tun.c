/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tun and tap devices: the programs of TUNSETSTEERINGEBPF and TUNSETFILTEREBPF (tun_set_ebpf()),
 * one of each for a device, whichever of its queues' files is held. A persistent device is a root
 * itself.
 */
#include "holders.h"
#include "net.h"
#include "use.h"

enum { TUN_IFNAME = USE_OWN, TUN_IFINDEX, TUN_NETNS, TUN_VIA };

static const char *const keys[] = { USE_KEYS, "ifname", "ifindex", "netns", "via", NULL };
static const char *const walks[] = { "walk_tasks", NULL };

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_tun *tun = walk_record(rec, WALK_TUN, struct walk_tun);
	const struct walk_gap *gap = walk_record(rec, WALK_GAP, struct walk_gap);
	char ifname[sizeof(tun->ifname) + 1] = "";
	struct bpfrefs_ref *ref;

	if (gap && gap->kind == WALK_GAP_TUN) {
		scan_gap(scan, 1, "devices of a driver that was loaded after bpfrefs", 0);
		return true;
	}
	if (!tun)
		return false;
	ref = use_add(scan, &tun->use);
	if (!ref)
		return true;
	memcpy(ifname, tun->ifname, sizeof(tun->ifname));
	ref_set_str(scan, ref, TUN_IFNAME, ifname);
	ref_set_num(ref, TUN_IFINDEX, tun->ifindex);
	ref_set_num(ref, TUN_NETNS, tun->netns);
	ref_set_static(ref, TUN_VIA, tun->use.use == WALK_USE_STEERING ? "steering" : "filter");
	return true;
}

static void take(const struct walk_rec *rec, void *scan)
{
	decode(scan, rec);
}

static int device(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev,
		  void *data)
{
	(void)data;
	return net_walk_object(scan, "walk_tun_device", (struct net_object){ net, dev->dev, 0 },
			       take, scan);
}

static int walk(struct scan *scan)
{
	walk_knows(scan, WALK_OTHER_TUN);
	if (!net_loaded(scan, NET_TYPE(SOCKET_FILTER)))
		return 0;
	return netdev_each(scan, device, NULL);
}

static int proc(struct scan *scan)
{
	scan_unavailable(scan, "procfs does not tell what a tun device holds", 0);
	return 0;
}

const struct holder_class holder_tun = {
	.pub = { "tun", keys, 1u << BPFREFS_PROG },
	.walks = walks,
	.walk = walk,
	.takes = WALK_BIT(WALK_TUN) | WALK_BIT(WALK_GAP),
	.decode = decode,
	.proc = proc,
};

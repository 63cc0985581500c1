/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tun and tap devices hold the programs of TUNSETSTEERINGEBPF and TUNSETFILTEREBPF
 * (tun_set_ebpf()), one of each for a device with any number of queues. A persistent device stays
 * without open files, so it is a root.
 */
#include "holders/holders.h"
#include "kernel/net_namespaces.h"
#include "kernel/socket_holders.h"

enum { TUN_IFNAME = SOCKET_HOLDER_OWN, TUN_IFINDEX, TUN_NETNS, TUN_VIA };

static const char *const keys[] = { SOCKET_HOLDER_KEYS, "ifname", "ifindex", "netns", "via", NULL };
static const char *const walks[] = { "walk_tasks", NULL };

/* Without IFF_PERSIST a device is removed when its last file is closed (__tun_detach()). */
static bool take_file(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_tun_file *file = walk_record(rec, walk_tun_file);

	if (!file)
		return false;
	scan_owner_hold(scan, (struct owner_hold){ .owner = scan_owner(scan, OWNER_TUN, file->tun),
						   .by = OWNER_NONE,
						   .pid = walk_state_of(scan)->pid,
						   .how = OWNER_BY_FD,
						   .detail = file->fd });
	return true;
}

/* Returns NULL if the record is not about a program, or the program has been freed meanwhile. */
static struct bpfrefs_ref *take_program(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_tun *tun = walk_record(rec, walk_tun);
	char ifname[sizeof(tun->ifname) + 1] = "";
	struct bpfrefs_ref *ref = tun ? socket_holder_add(scan, &tun->use) : NULL;

	if (!ref)
		return NULL;
	memcpy(ifname, tun->ifname, sizeof(tun->ifname));
	ref_set_str(scan, ref, TUN_IFNAME, ifname);
	ref_set_num(ref, TUN_IFINDEX, tun->ifindex);
	ref_set_num(ref, TUN_NETNS, tun->netns);
	ref_set_via(ref, TUN_VIA,
		    tun->use.use == WALK_USE_STEERING ? WALK_VIA_STEERING : WALK_VIA_FILTER);
	return ref;
}

static bool take_gap(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_gap *gap = walk_record(rec, walk_gap);

	if (!gap || gap->kind != WALK_GAP_TUN)
		return false;
	scan_gap(scan, 1, "devices of a driver that was loaded after bpfrefs", 0);
	return true;
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	if (rec->type != WALK_TUN)
		return take_gap(scan, rec) || take_file(scan, rec);
	take_program(scan, rec);
	return true;
}

struct device {
	struct scan *scan;
	const struct walk_net *net;
	const struct walk_netdev *dev;
};

static void take(const struct walk_rec *rec, void *data)
{
	const struct device *device = data;
	struct bpfrefs_ref *ref = take_program(device->scan, rec);

	if (ref)
		ref_set_owner(ref, netdev_owner(device->scan, device->net, device->dev));
	else
		take_gap(device->scan, rec);
}

static int device(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev,
		  void *data)
{
	struct device device = { scan, net, dev };

	(void)data;
	return net_walk_object(scan, "walk_tun_device", (struct net_object){ net, dev->dev, 0 },
			       take, &device);
}

static int walk(struct scan *scan)
{
	kernel_ids_has(scan, WALK_OTHER_TUN);
	if (!net_loaded(scan, NET_TYPE(SOCKET_FILTER)))
		return 0;
	return netdev_each(scan, device, NULL);
}

static int proc(struct scan *scan)
{
	scan_unavailable(scan, "procfs does not show what a tun device holds", 0);
	return 0;
}

const struct holder_class holder_tun = {
	.pub = { "tun", keys, 1u << BPFREFS_PROG },
	.id = CLASS_TUN,
	.walks = walks,
	.walk = walk,
	.takes = WALK_BIT(WALK_TUN) | WALK_BIT(WALK_TUN_FILE) | WALK_BIT(WALK_GAP),
	.decode = decode,
	.proc = proc,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tun and tap devices hold the programs of TUNSETSTEERINGEBPF and TUNSETFILTEREBPF
 * (tun_set_ebpf()), one of each for a device with any number of queues. A persistent device stays
 * without open files, so it is a root.
 */
#include "holders/holders.h"
#include "kernel/net_namespaces.h"
#include "kernel/socket_holders.h"

#define FIELDS(X)                 \
	SOCKET_HOLDER_FIELDS(X)   \
	X(TUN_IFNAME, "ifname")   \
	X(TUN_IFINDEX, "ifindex") \
	X(TUN_NETNS, "netns")     \
	X(TUN_VIA, "via")
HOLDER_FIELDS(FIELDS);

/* Without IFF_PERSIST a device is removed when its last file is closed (__tun_detach()). */
static void decode_file(struct scan *scan, const void *record)
{
	const struct walk_tun_file *file = record;

	owner_add_hold(scan, (struct owner_hold){ .owner = owner_add(scan, OWNER_TUN, file->tun),
						  .by = OWNER_NONE,
						  .pid = walk_state_of(scan)->pid,
						  .how = OWNER_BY_FD,
						  .detail = file->fd });
}

/* Returns NULL if the program has been freed meanwhile. */
static struct bpfrefs_ref *add_program(struct scan *scan, const struct walk_tun *tun)
{
	char ifname[sizeof(tun->ifname) + 1] = "";
	struct bpfrefs_ref *ref = socket_holder_add(scan, &tun->use);

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

static void decode(struct scan *scan, const void *record)
{
	add_program(scan, record);
}

static int take(struct scan *scan, const struct net_object *device, const struct walk_rec *rec,
		void *data)
{
	const struct walk_tun *tun = walk_record(rec, walk_tun);
	struct bpfrefs_ref *ref = tun ? add_program(scan, tun) : NULL;

	(void)data;
	if (ref)
		owner_set_ref(ref, netdev_owner(scan, device->net, device->dev));
	dispatch_gap(scan, rec);
	return 0;
}

static int walk(struct scan *scan)
{
	int err = 0;

	kernel_ids_has(scan, WALK_OTHER_TUN);
	if (net_loaded(scan, NET_TYPE(SOCKET_FILTER)))
		err = netdev_walk_all(scan, "walk_tun_device", 0, take, NULL);
	return err ? err : dispatch_tasks(scan);
}

/* Only a process that has the device open can change its programs. */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	if (ref->pid)
		return;
	removal_in_netns(removal, ref, TUN_NETNS);
	removal_words(removal, "ip", "link", "del", "dev", NULL);
	removal_field(removal, ref, TUN_IFNAME);
}

const struct holder_class holder_tun = {
	.pub = { HOLDER_PUB("tun"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_TUN,
	.hook = BPFREFS_HOOK_TUN,
	.hook_words = { [SOCKET_HOLDER_SHARE] = "" },
	.hook_shared = true,
	.removes = removes,
	.walk = walk,
	.decoders = { DECODER(walk_tun, decode), DECODER(walk_tun_file, decode_file) },
	.gaps = { { WALK_GAP_TUN, "devices of a driver that was loaded after bpfrefs" } },
	.proc_gap = "procfs does not show what a tun device holds",
};

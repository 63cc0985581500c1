/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks over all network namespaces, including those that no process is in. The walks read kernel
 * memory, and enter no namespace.
 */
#include "kernel/net_namespaces.h"

#include <string.h>

/* A list that changes while it is read is read again at most so often. */
#define TORN_MAX 8

bool net_loaded(struct scan *scan, uint64_t types)
{
	return walk_state_of(scan)->prog_types & types;
}

/*
 * @at is what to walk over. What the program cannot follow, and a list that changes
 * each time, is a gap.
 */
static int walk_records(struct scan *scan, const char *program, const struct walk_net_at *at,
			GByteArray *records)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	struct walk_control *control = bpf_loader_control(walkers);

	control->ended = WALK_TORN;
	for (unsigned int i = 0; i < TORN_MAX && control->ended == WALK_TORN; i++) {
		int err;

		control->net = *at;
		err = object_records_read_all(walkers, program, records);
		if (err)
			return err;
		if (control->net.gone) {
			g_byte_array_set_size(records, 0);
			return 0;
		}
	}
	if (control->net.missed)
		scan_gap(scan, control->net.missed, "structures that cannot be followed", 0);
	if (control->ended == WALK_TORN) {
		g_byte_array_set_size(records, 0);
		scan_gap(scan, 1, "lists that changed whenever they were read", EAGAIN);
	}
	return 0;
}

int net_walk_object(struct scan *scan, const char *program, struct net_object object, walk_fn fn,
		    void *data)
{
	struct walk_net_at at = {
		.net = object.net->net,
		.inum = object.net->inum,
		.object = object.address,
		.arg = object.arg,
	};
	g_autoptr(GByteArray) records = g_byte_array_new();
	int err = walk_records(scan, program, &at, records);

	if (!err)
		walk_each(records->data, records->len, fn, data);
	return err;
}

/* --------------------------------------------- namespaces and devices --- */

struct each {
	struct scan *scan;
	const struct walk_net *net;
	net_fn fn;
	netdev_fn dev_fn;
	void *data;
	int err;
};

static void one_net(const struct walk_rec *rec, void *data)
{
	const struct walk_net *net = walk_record(rec, walk_net);
	struct each *each = data;

	if (net && !each->err)
		each->err = each->fn(each->scan, net, each->data);
}

int net_each(struct scan *scan, net_fn fn, void *data)
{
	struct each each = { .scan = scan, .fn = fn, .data = data };
	g_autoptr(GByteArray) records = g_byte_array_new();
	struct walk_net_at at = { 0 };
	int err = walk_records(scan, "walk_nets", &at, records);

	if (err)
		return err;
	walk_each(records->data, records->len, one_net, &each);
	return each.err;
}

static void one_device(const struct walk_rec *rec, void *data)
{
	const struct walk_netdev *dev = walk_record(rec, walk_netdev);
	struct each *each = data;

	if (dev && !each->err)
		each->err = each->dev_fn(each->scan, each->net, dev, each->data);
}

static int devices_of(struct scan *scan, const struct walk_net *net, void *data)
{
	struct each *each = data;
	int err;

	each->net = net;
	err = net_walk_object(scan, "walk_netdevs", (struct net_object){ net, 0, 0 }, one_device,
			      each);
	return err ? err : each->err;
}

int netdev_each(struct scan *scan, netdev_fn fn, void *data)
{
	struct each each = { .scan = scan, .dev_fn = fn, .data = data };

	return net_each(scan, devices_of, &each);
}

uint32_t net_owner(struct scan *scan, const struct walk_net *net)
{
	return net->initial ? OWNER_NONE : owner_add(scan, OWNER_NET_NS, net->inum);
}

static void held_by(struct scan *scan, uint32_t owner, uint32_t by, enum owner_how how)
{
	if (by != OWNER_NONE)
		owner_add_hold(scan, (struct owner_hold){ .owner = owner, .by = by, .how = how });
}

uint32_t netdev_owner(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev)
{
	uint32_t owner;

	if (dev->returns)
		return OWNER_NONE;
	if (!dev->tun && !dev->also_net[0])
		return net_owner(scan, net);
	owner = owner_find(scan, OWNER_NETDEV, dev->dev);
	if (owner != OWNER_NONE)
		return owner;
	owner = owner_add(scan, OWNER_NETDEV, dev->dev);
	held_by(scan, owner, net_owner(scan, net), OWNER_BY_MEMBER);
	if (dev->tun)
		held_by(scan, owner, owner_add(scan, OWNER_TUN, dev->tun), OWNER_BY_FD);
	for (unsigned int i = 0; i < WALK_ALSO_NETS && dev->also_net[i]; i++)
		held_by(scan, owner, owner_add(scan, OWNER_NET_NS, dev->also_net[i]),
			OWNER_BY_MEMBER);
	return owner;
}

enum { NETDEV_MPROG_FIELDS(HOLDER_FIELD_INDEX) };

void netdev_fields(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_net *net,
		   const struct walk_netdev *dev)
{
	char name[sizeof(dev->name) + 1] = "";

	memcpy(name, dev->name, sizeof(dev->name));
	ref_set_str(scan, ref, NETDEV_IFNAME, name);
	ref_set_num(ref, NETDEV_IFINDEX, dev->ifindex);
	ref_set_num(ref, NETDEV_NETNS, net->inum);
	owner_set_ref(ref, netdev_owner(scan, net, dev));
}

/* ---------------------------------------------------- tcx and netkit --- */

struct mprogs {
	struct scan *scan;
	const struct walk_net *net;
	const struct walk_netdev *dev;
	const char *attach_type;
};

static void one_mprog(const struct walk_rec *rec, void *data)
{
	const struct walk_mprog *mprog = walk_record(rec, walk_mprog);
	struct mprogs *mprogs = data;
	struct bpfrefs_ref *ref;

	if (!mprog || mprog->linked)
		return; /* It is held by a link, which is a holder of its own. */
	ref = scan_add(mprogs->scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, rec->id }, 1, 0);
	if (!ref)
		return;
	netdev_fields(mprogs->scan, ref, mprogs->net, mprogs->dev);
	ref_set_static(ref, NETDEV_ATTACH_TYPE, mprogs->attach_type);
	ref_set_num(ref, NETDEV_POSITION, mprog->position);
	ref_set_num(ref, NETDEV_COUNT, mprog->count);
}

int netdev_mprogs(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev,
		  uint64_t entry, const char *attach_type)
{
	struct mprogs mprogs = { scan, net, dev, attach_type };

	if (!entry)
		return 0;
	return net_walk_object(scan, "walk_mprogs", (struct net_object){ net, entry, 0 }, one_mprog,
			       &mprogs);
}

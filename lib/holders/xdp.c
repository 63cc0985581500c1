/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XDP programs of devices. dev_xdp_install() takes a reference for the driver (in generic mode, for
 * net_device.xdp_prog), and dev_xdp_attach() stores another one in net_device.xdp_state, unless a
 * link attached the program: then the link has that reference. bpf_prog_change_xdp() adds the
 * program to the dispatcher, which all devices share. The dispatcher has one more reference for any
 * number of devices and modes, but none for programs that run in hardware
 * (bpf_dispatcher_change_prog()).
 *
 * Without kernel symbols the dispatcher cannot be found, so its references are inferred. A driver
 * may take further references. Those of virtio_net and bonding are counted; those of drivers that
 * take one for each queue (mlx4, mlx5) stay unexplained.
 */
#include "holders/holders.h"
#include "kernel/net_namespaces.h"

#define DISPATCHER_MAX 48 /* BPF_DISPATCHER_MAX */
#define MODE_DRIVER    1
#define MODE_HARDWARE  2

#define FIELDS(X) NETDEV_FIELDS(X) X(XDP_MODE, "mode") X(XDP_LINK, "link")
HOLDER_FIELDS(FIELDS);

/* bpftool's names, in the order of enum bpf_xdp_mode. */
static const char *const modes[WALK_XDP_MODES] = { "generic", "driver", "offload" };

/*
 * What is in the dispatcher: a program and a link that attached it, or 0 if it is attached to at
 * least one device without a link.
 */
struct dispatched {
	GHashTable *links;
};

/* The dispatcher has the program as long as one of these devices has it without a link. */
static void add_device(struct scan *scan, uint32_t prog, uint32_t device)
{
	struct owner_hold hold = { .owner = owner_add(scan, OWNER_XDP, prog), .by = device };

	hold.how = device == OWNER_NONE ? OWNER_BY_KERNEL : OWNER_BY_MEMBER;
	owner_add_hold(scan, hold);
}

static void dispatch(struct dispatched *dispatched, uint32_t prog, uint32_t link)
{
	gpointer id = GUINT_TO_POINTER(prog);

	if (!link || !g_hash_table_contains(dispatched->links, id))
		g_hash_table_insert(dispatched->links, id, GUINT_TO_POINTER(link));
}

/* A program that a link attached is detached with the link: the link is its holder. */
static void held_by_link(struct bpfrefs_ref *ref, uint32_t link)
{
	if (!link)
		return;
	ref->holder = (struct bpfrefs_key){ BPFREFS_KIND_LINK, link };
	ref->via = WALK_VIA_LINK;
	ref_set_num(ref, XDP_LINK, link);
}

static void add_programs(struct scan *scan, const struct net_object *device,
			 struct dispatched *dispatched)
{
	const struct walk_netdev *dev = device->dev;

	for (unsigned int mode = 0; mode < WALK_XDP_MODES; mode++) {
		struct bpfrefs_key prog = { BPFREFS_KIND_PROG, dev->xdp_prog[mode] };
		uint32_t link = dev->xdp_link[mode];
		uint32_t count = (link ? 1 : 2) + (mode == MODE_DRIVER ? dev->driver_more : 0);
		struct bpfrefs_ref *ref = prog.id ? scan_add(scan, prog, count, 0) : NULL;

		if (!ref)
			continue;
		netdev_fields(scan, ref, device);
		ref_set_static(ref, XDP_MODE, modes[mode]);
		held_by_link(ref, link);
		if (mode == MODE_HARDWARE)
			continue;
		dispatch(dispatched, prog.id, link);
		if (!link)
			add_device(scan, prog.id, netdev_owner(scan, device->net, dev));
	}
}

static void add_dispatched(struct scan *scan, const struct dispatched *dispatched)
{
	guint count = g_hash_table_size(dispatched->links);
	GHashTableIter iter;
	gpointer id, link;

	/* A full dispatcher accepts no more programs, and which ones came too late is not known. */
	if (count > DISPATCHER_MAX) {
		scan_gap(scan, count, "programs in a full dispatcher", 0);
		return;
	}
	g_hash_table_iter_init(&iter, dispatched->links);
	while (g_hash_table_iter_next(&iter, &id, &link)) {
		struct bpfrefs_key prog = { BPFREFS_KIND_PROG, GPOINTER_TO_UINT(id) };
		struct bpfrefs_ref *ref = scan_add(scan, prog, 1, 0);

		if (!ref)
			continue;
		ref_set_static(ref, XDP_MODE, "dispatcher");
		held_by_link(ref, GPOINTER_TO_UINT(link));
		if (!link)
			owner_set_ref(ref, owner_find(scan, OWNER_XDP, prog.id));
	}
}

static int walk(struct scan *scan)
{
	struct dispatched dispatched;
	const GArray *devices;
	int err;

	if (!net_loaded(scan, NET_TYPE(XDP)))
		return 0;
	err = netdev_list(scan, &devices);
	if (err)
		return err;
	dispatched.links = g_hash_table_new(NULL, NULL);
	for (guint i = 0; i < devices->len; i++)
		add_programs(scan, net_at(devices, i), &dispatched);
	add_dispatched(scan, &dispatched);
	g_hash_table_unref(dispatched.links);
	return 0;
}

/* The dispatcher, which has no device, runs the programs of the devices. */
static bool runs(const struct bpfrefs_ref *ref)
{
	return bpfrefs_ref_value(ref, NETDEV_IFNAME).type != BPFREFS_VALUE_ABSENT;
}

/* The dispatcher releases the program with the last device. */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	static const char *const words[WALK_XDP_MODES] = { "xdpgeneric", "xdpdrv", "xdpoffload" };
	struct bpfrefs_value mode = bpfrefs_ref_value(ref, XDP_MODE);

	if (ref->holder.kind != BPFREFS_KIND_NONE)
		return;
	removal_set(removal, REMOVAL_FOLLOWS, "");
	for (size_t i = 0; i < WALK_XDP_MODES; i++) {
		if (mode.str != modes[i])
			continue;
		removal_set(removal, REMOVAL_COMMAND, "");
		removal_in_netns(removal, ref, NETDEV_NETNS);
		removal_words(removal, "ip", "link", "set", "dev", NULL);
		removal_field(removal, ref, NETDEV_IFNAME);
		removal_words(removal, words[i], "off", NULL);
	}
}

const struct holder_class holder_xdp = {
	.pub = { HOLDER_PUB("xdp"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_XDP,
	.hook = BPFREFS_HOOK_XDP,
	.runs = runs,
	.removes = removes,
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

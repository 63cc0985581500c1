// SPDX-License-Identifier: GPL-2.0
/*
 * Every network namespace, with or without processes, and the devices in each. What a device holds
 * by one pointer is emitted with it: XDP programs (dev_xdp_install()), and the entries of tcx and
 * netkit.
 */
#include <linux/if_tun.h>

#include "bpf/net.bpf.h"
#include "bpf/struct_ops.bpf.h"

#define LOOPBACK 1 /* LOOPBACK_IFINDEX */

static __always_inline void *net_ops(struct net *net)
{
	return (void *)BPF_CORE_READ(net, ns.ops);
}

/*
 * The initial one was the first to be put into the list (preinit_net(), setup_net()), and no other is
 * ever before it: what it follows is the list's bare head.
 */
static __always_inline bool is_initial(struct net *net)
{
	struct list_head *before = BPF_CORE_READ(net, list.prev);
	struct net *other = (void *)before - bpf_core_field_offset(struct net, list);

	return net_ops(other) != net_ops(net);
}

static __always_inline bool emit_net(struct net *net)
{
	struct walk_net *out = walk_room();

	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	out->net = (__u64)net;
	out->inum = BPF_CORE_READ(net, ns.inum);
	out->flow_dissector = walk_prog_id(BPF_CORE_READ(net, bpf.progs[0]));
	out->initial = is_initial(net);
	out->pad = 0;
	walk_emit(&out->rec, WALK_NET, sizeof(*out), 0);
	return true;
}

/* at[0]: the list node; at[1]: the first node, at which the walk has come around the list. */
static int net_step(__u32 index, void *ctx)
{
	struct list_head *node = (void *)walk.net.at[0];
	struct net *net = (void *)node - bpf_core_field_offset(struct net, list);
	struct net *own = (void *)walk.net.at[1] - bpf_core_field_offset(struct net, list);

	/* the head of the list is not in a namespace */
	if (net_ops(net) == net_ops(own) && !emit_net(net))
		return 1;
	if (!list_go(node, &walk.net.at[0]))
		return 1;
	return walk.net.at[0] == walk.net.at[1] ? 1 : 0;
}

/* Emits all namespaces, beginning with our own. */
SEC("syscall")
int walk_nets(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *own = BPF_CORE_READ(task, nsproxy, net_ns);

	walk.ended = WALK_DONE;
	walk.net.at[1] = (__u64)own + bpf_core_field_offset(struct net, list);
	if (!walk.net.at[0])
		walk.net.at[0] = walk.net.at[1];
	run_steps(net_step);
	return 0;
}

/* -------------------------------------------------------------- devices --- */

#define emit_xdp(out, dev, mode)                                                              \
	({                                                                                    \
		struct bpf_xdp_link *__link = BPF_CORE_READ(dev, xdp_state[mode].link);       \
                                                                                              \
		out->xdp_link[mode] = 0;                                                      \
		if (__link) {                                                                 \
			out->xdp_prog[mode] = walk_prog_id(BPF_CORE_READ(__link, link.prog)); \
			out->xdp_link[mode] = BPF_CORE_READ(__link, link.id);                 \
		} else {                                                                      \
			out->xdp_prog[mode] =                                                 \
				walk_prog_id(BPF_CORE_READ(dev, xdp_state[mode].prog));       \
		}                                                                             \
	})

static __always_inline __u64 kind_of(void *dev)
{
	__u64 kind = 0;

	bpf_probe_read_kernel_str(&kind, sizeof(kind),
				  BPF_CORE_READ((struct net_device *)dev, rtnl_link_ops, kind));
	return kind;
}

static __always_inline void emit_netkit(struct walk_netdev *out, void *dev)
{
	struct netkit *netkit = driver_data_of(dev);

	if (!bpf_core_type_exists(struct netkit) ||
	    kind_of(dev) != NAME('n', 'e', 't', 'k', 'i', 't', 0, 0))
		return;
	out->netkit = (__u64)BPF_CORE_READ(netkit, active);
	out->netkit_primary = BPF_CORE_READ(netkit, primary);
}

/*
 * How often a driver holds its program beyond once: for each pair of queues but the first
 * (virtnet_xdp_set()), for each device that is bonded (bond_xdp_set()).
 */
static __always_inline __u32 held_more(void *dev)
{
	struct virtnet_info *virtio = driver_data_of(dev);
	struct bonding *bond = driver_data_of(dev);
	__u64 name[2] = {};

	if (bpf_core_field_exists(bond->xdp_prog) &&
	    kind_of(dev) == NAME('b', 'o', 'n', 'd', 0, 0, 0, 0))
		return BPF_CORE_READ(bond, xdp_prog) ? BPF_CORE_READ(bond, slave_cnt) : 0;
	if (!bpf_core_field_exists(virtio->max_queue_pairs))
		return 0;
	bpf_probe_read_kernel_str(
		name, sizeof(name),
		BPF_CORE_READ((struct net_device *)dev, dev.parent, driver, name));
	if (name[0] != NAME('v', 'i', 'r', 't', 'i', 'o', '_', 'n') ||
	    name[1] != NAME('e', 't', 0, 0, 0, 0, 0, 0))
		return 0;
	return BPF_CORE_READ(virtio, max_queue_pairs) - 1;
}

/* A device of another namespace, with which this one goes. */
static __always_inline void emit_also(struct walk_netdev *out, struct net_device *other)
{
	struct net *net = other ? BPF_CORE_READ(other, nd_net.net) : NULL;

	if (!net || (__u64)net == walk.net.net)
		return;
	out->also_net = BPF_CORE_READ(net, ns.inum);
	out->also_initial = is_initial(net);
}

static __always_inline void emit_tun(struct walk_netdev *out, void *dev)
{
	struct tun_struct *tun = driver_data_of(dev);

	if (bpf_core_type_exists(struct tun_struct) &&
	    kind_of(dev) == NAME('t', 'u', 'n', 0, 0, 0, 0, 0) &&
	    (void *)BPF_CORE_READ(tun, dev) == dev && !(BPF_CORE_READ(tun, flags) & IFF_PERSIST))
		out->tun = (__u64)tun;
}

/* Kinds that the kernel removes with the device below them (NETDEV_UNREGISTER). */
static __always_inline bool is_stacked(__u64 kind)
{
	return kind == NAME('v', 'l', 'a', 'n', 0, 0, 0, 0) ||
	       kind == NAME('m', 'a', 'c', 'v', 'l', 'a', 'n', 0) ||
	       kind == NAME('m', 'a', 'c', 'v', 't', 'a', 'p', 0) ||
	       kind == NAME('i', 'p', 'v', 'l', 'a', 'n', 0, 0) ||
	       kind == NAME('i', 'p', 'v', 't', 'a', 'p', 0, 0) ||
	       kind == NAME('m', 'a', 'c', 's', 'e', 'c', 0, 0);
}

static __always_inline void emit_below(struct walk_netdev *out, void *dev)
{
	struct list_head *head = dev + bpf_core_field_offset(struct net_device, adj_list.lower);
	struct list_head *first = BPF_CORE_READ(head, next);
	struct net_device *below;

	if (!first || first == head)
		return;
	below = BPF_CORE_READ(
		(struct netdev_adjacent *)((void *)first -
					   bpf_core_field_offset(struct netdev_adjacent, list)),
		dev);
	emit_also(out, below);
	emit_tun(out, below);
}

/* Besides its own namespace, what a device is removed with. */
static __always_inline void emit_lasting(struct walk_netdev *out, void *dev)
{
	struct rtnl_link_ops *ops = (void *)BPF_CORE_READ((struct net_device *)dev, rtnl_link_ops);
	struct netkit *netkit = driver_data_of(dev);
	struct veth_priv *veth = driver_data_of(dev);
	__u64 kind = kind_of(dev);

	out->tun = 0;
	out->also_net = out->also_initial = 0;
	out->returns = ops ? BPF_CORE_READ(ops, netns_refund) : out->ifindex != LOOPBACK;
	emit_tun(out, dev);
	if (bpf_core_type_exists(struct veth_priv) && kind == NAME('v', 'e', 't', 'h', 0, 0, 0, 0))
		emit_also(out, BPF_CORE_READ(veth, peer));
	else if (bpf_core_type_exists(struct netkit) &&
		 kind == NAME('n', 'e', 't', 'k', 'i', 't', 0, 0))
		emit_also(out, BPF_CORE_READ(netkit, peer));
	else if (is_stacked(kind))
		emit_below(out, dev);
}

static __always_inline bool emit_device(void *address)
{
	struct net_device *dev = address;
	struct walk_netdev *out = walk_room();

	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	out->dev = (__u64)address;
	out->ifindex = BPF_CORE_READ((struct net_device *)address, ifindex);
	out->tcx[0] = out->tcx[1] = out->netkit = 0;
	out->netkit_primary = 0;
	if (bpf_core_field_exists(dev->tcx_ingress)) {
		out->tcx[0] = (__u64)BPF_CORE_READ(dev, tcx_ingress);
		out->tcx[1] = (__u64)BPF_CORE_READ(dev, tcx_egress);
	}
	emit_netkit(out, address);
	emit_xdp(out, dev, 0);
	emit_xdp(out, dev, 1);
	emit_xdp(out, dev, 2);
	out->driver_more = out->xdp_prog[1] ? held_more(address) : 0;
	emit_lasting(out, address);
	bpf_probe_read_kernel(out->name, sizeof(out->name),
			      address + bpf_core_field_offset(struct net_device, name));
	walk_emit(&out->rec, WALK_NETDEV, sizeof(*out), 0);
	return true;
}

/* at[0]: the list node. */
static int device_step(__u32 index, void *ctx)
{
	struct list_head *node = (void *)walk.net.at[0];
	void *dev = (void *)node - bpf_core_field_offset(struct net_device, dev_list);

	if (walk.net.at[0] == walk.net.net + bpf_core_field_offset(struct net, dev_base_head))
		return 1;
	if ((__u64)BPF_CORE_READ((struct net_device *)dev, nd_net.net) != walk.net.net) {
		walk.ended = WALK_TORN; /* it was just moved to another namespace */
		return 1;
	}
	if (!emit_device(dev))
		return 1;
	return list_go(node, &walk.net.at[0]) ? 0 : 1;
}

/* Emits the devices of a namespace. */
SEC("syscall")
int walk_netdevs(void *ctx)
{
	struct net *net = (void *)walk.net.net;

	if (!net_is_there())
		return 0;
	if (!walk.net.at[0])
		walk.net.at[0] = (__u64)BPF_CORE_READ(net, dev_base_head.next);
	run_steps(device_step);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

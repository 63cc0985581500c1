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

struct walk_in_net walk_net_list[WALK_NETS_MAX];

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
static __always_inline int net_step(void)
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

static __always_inline bool nets_begin(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *own = BPF_CORE_READ(task, nsproxy, net_ns);

	walk.net.at[1] = (__u64)own + bpf_core_field_offset(struct net, list);
	if (!walk.net.at[0])
		walk.net.at[0] = walk.net.at[1];
	return true;
}

/* Emits all namespaces, beginning with our own: the only object in walk_net_list is zeroed. */
NET_PROGRAM(walk_nets, nets_begin, net_step)

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

/* ------------------------------------------ what a device is removed with --- */

/* Of the device whose record is made, and the device at hand: that one, then those below it. */
struct {
	__u64 at, tun;
	__u32 nets[WALK_ALSO_NETS];
	__u32 count;
} walk_lasting;

/* The depth to which devices can be stacked: MAX_NEST_DEV. */
#define NEST_MAX 8

static __always_inline void removed_with(struct net *net)
{
	__u32 count = walk_lasting.count;

	if (!net || (__u64)net == walk.net.net || is_initial(net) || count >= WALK_ALSO_NETS)
		return;
	/* Linux 6.1 wants to see the mask, which the compiler would leave out. */
	barrier_var(count);
	walk_lasting.nets[count & (WALK_ALSO_NETS - 1)] = BPF_CORE_READ(net, ns.inum);
	walk_lasting.count = count + 1;
}

/* It moves to the initial namespace when its own is removed. */
static __always_inline bool returns(struct net_device *dev)
{
	struct rtnl_link_ops *ops = (void *)BPF_CORE_READ(dev, rtnl_link_ops);

	return ops ? BPF_CORE_READ(ops, netns_refund) : BPF_CORE_READ(dev, ifindex) != LOOPBACK;
}

#define IS(kind, a, b, c, d, e, f, g) ((kind) == NAME(a, b, c, d, e, f, g, 0))

#define NET_OF(type) \
	(bpf_core_type_exists(struct type) ? BPF_CORE_READ((struct type *)private, net) : NULL)

/* The namespace in which a tunnel was made: it is removed with that too, wherever it was moved. */
static __always_inline struct net *tunnel_net(void *private, __u64 kind)
{
	if (IS(kind, 'v', 'x', 'l', 'a', 'n', 0, 0))
		return NET_OF(vxlan_dev);
	if (IS(kind, 'g', 'e', 'n', 'e', 'v', 'e', 0))
		return NET_OF(geneve_dev);
	if (IS(kind, 'g', 'r', 'e', 0, 0, 0, 0) || IS(kind, 'g', 'r', 'e', 't', 'a', 'p', 0) ||
	    IS(kind, 'e', 'r', 's', 'p', 'a', 'n', 0) || IS(kind, 'i', 'p', 'i', 'p', 0, 0, 0) ||
	    IS(kind, 's', 'i', 't', 0, 0, 0, 0) || IS(kind, 'v', 't', 'i', 0, 0, 0, 0))
		return NET_OF(ip_tunnel);
	if (IS(kind, 'i', 'p', '6', 't', 'n', 'l', 0) ||
	    IS(kind, 'i', 'p', '6', 'g', 'r', 'e', 0) ||
	    IS(kind, 'i', 'p', '6', 'g', 'r', 'e', 't') ||
	    IS(kind, 'i', 'p', '6', 'e', 'r', 's', 'p') || IS(kind, 'v', 't', 'i', '6', 0, 0, 0))
		return NET_OF(ip6_tnl);
	if (IS(kind, 'x', 'f', 'r', 'm', 0, 0, 0))
		return NET_OF(xfrm_if);
	return NULL;
}

/* The other end of a pair, which is removed with this one. */
static __always_inline struct net *peer_net(void *private, __u64 kind)
{
	struct veth_priv *veth = private;
	struct netkit *netkit = private;

	if (bpf_core_type_exists(struct veth_priv) && IS(kind, 'v', 'e', 't', 'h', 0, 0, 0))
		return BPF_CORE_READ(veth, peer, nd_net.net);
	if (bpf_core_type_exists(struct netkit) && IS(kind, 'n', 'e', 't', 'k', 'i', 't', 0))
		return BPF_CORE_READ(netkit, peer, nd_net.net);
	return NULL;
}

static __always_inline void take_tun(void *dev, __u64 kind)
{
	struct tun_struct *tun = driver_data_of(dev);

	if (bpf_core_type_exists(struct tun_struct) && IS(kind, 't', 'u', 'n', 0, 0, 0, 0) &&
	    (void *)BPF_CORE_READ(tun, dev) == dev && !(BPF_CORE_READ(tun, flags) & IFF_PERSIST))
		walk_lasting.tun = (__u64)tun;
}

/* Kinds that the kernel removes with the device below them (NETDEV_UNREGISTER). */
static __always_inline bool is_stacked(__u64 kind)
{
	return IS(kind, 'v', 'l', 'a', 'n', 0, 0, 0) ||
	       IS(kind, 'm', 'a', 'c', 'v', 'l', 'a', 'n') ||
	       IS(kind, 'm', 'a', 'c', 'v', 't', 'a', 'p') ||
	       IS(kind, 'i', 'p', 'v', 'l', 'a', 'n', 0) ||
	       IS(kind, 'i', 'p', 'v', 't', 'a', 'p', 0) ||
	       IS(kind, 'm', 'a', 'c', 's', 'e', 'c', 0) || IS(kind, 'v', 'x', 'l', 'a', 'n', 0, 0);
}

static __always_inline __u64 below(void *dev)
{
	struct list_head *head = dev + bpf_core_field_offset(struct net_device, adj_list.lower);
	struct list_head *first = BPF_CORE_READ(head, next);

	if (!first || first == head)
		return 0;
	return (__u64)BPF_CORE_READ(
		(struct netdev_adjacent *)((void *)first -
					   bpf_core_field_offset(struct netdev_adjacent, list)),
		dev);
}

static int lasting_step(__u32 index, void *ctx)
{
	void *dev = (void *)walk_lasting.at;
	__u64 kind = kind_of(dev);

	if (index && !returns(dev))
		removed_with(BPF_CORE_READ((struct net_device *)dev, nd_net.net));
	take_tun(dev, kind);
	removed_with(peer_net(driver_data_of(dev), kind));
	removed_with(tunnel_net(driver_data_of(dev), kind));
	walk_lasting.at = is_stacked(kind) ? below(dev) : 0;
	return !walk_lasting.at;
}

/* Finds out, besides its own namespace, what a device is removed with. Global: it is verified once. */
int walk_find_lasting(__u64 dev)
{
	__builtin_memset(&walk_lasting, 0, sizeof(walk_lasting));
	walk_lasting.at = dev;
	bpf_loop(NEST_MAX, lasting_step, NULL, 0);
	return 0;
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
	walk_find_lasting(out->dev);
	out->tun = walk_lasting.tun;
	__builtin_memcpy(out->also_net, walk_lasting.nets, sizeof(out->also_net));
	out->returns = returns(address);
	bpf_probe_read_kernel(out->name, sizeof(out->name),
			      address + bpf_core_field_offset(struct net_device, name));
	walk_emit(&out->rec, WALK_NETDEV, sizeof(*out), 0);
	return true;
}

/* at[0]: the list node. */
static __always_inline int device_step(void)
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

static __always_inline bool devices_begin(void)
{
	struct net *net = (void *)walk.net.net;

	if (!net_is_there())
		return false;
	if (!walk.net.at[0])
		walk.net.at[0] = (__u64)BPF_CORE_READ(net, dev_base_head.next);
	return true;
}

/* Emits the devices of a namespace. */
NET_PROGRAM(walk_netdevs, devices_begin, device_step)

char LICENSE[] SEC("license") = "GPL";

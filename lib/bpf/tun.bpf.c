// SPDX-License-Identifier: GPL-2.0
/*
 * Steering and filter programs of tun devices: __tun_set_ebpf() keeps one reference for each in a
 * tun_prog. They are found by the files, where all queues of a device lead to the same two, and by
 * the devices, of which persistent ones need no file.
 *
 * The driver is a module in many kernels. Its types do not exist before it is loaded, which is
 * tested first; if it is loaded after our programs, what it holds is a gap.
 */
#include <linux/if_tun.h>

#include "bpf/net.bpf.h"

/* This is a global function, so that the verifier checks it once. */
int walk_emit_tun(__u64 address, __u64 tun_prog, __u32 use, __u32 fd)
{
	struct net_device *dev;
	struct walk_tun *out;
	__u32 id;

	if (!bpf_core_type_exists(struct tun_struct))
		return 0;
	dev = BPF_CORE_READ((struct tun_struct *)address, dev);
	id = walk_prog_id(BPF_CORE_READ((struct tun_prog *)tun_prog, prog));
	if (!id)
		return 0;
	if (fd != WALK_NO_FD)
		walk_emit_task();
	out = walk_room();
	if (!out)
		return 0;
	__builtin_memset(out, 0, sizeof(*out));
	out->use.what = tun_prog;
	out->use.fd = fd;
	out->use.use = use;
	out->use.count = 1;
	out->ifindex = BPF_CORE_READ(dev, ifindex);
	out->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	BPF_CORE_READ_INTO(&out->ifname, dev, name);
	walk_emit(&out->use.rec, WALK_TUN, sizeof(*out), id);
	return 0;
}

static __always_inline void emit_programs(struct tun_struct *tun, __u32 fd)
{
	struct tun_prog *steering = BPF_CORE_READ(tun, steering_prog);
	struct tun_prog *filter = BPF_CORE_READ(tun, filter_prog);

	if (steering)
		walk_emit_tun((__u64)tun, (__u64)steering, WALK_USE_STEERING, fd);
	if (filter)
		walk_emit_tun((__u64)tun, (__u64)filter, WALK_USE_TUN_FILTER, fd);
}

int walk_use_tun(__u64 file, __u32 fd)
{
	struct tun_file *tfile = (struct tun_file *)file;
	struct walk_tun_file *out;
	struct tun_struct *tun;

	if (!bpf_core_type_exists(struct tun_file)) {
		walk_emit_gap(WALK_GAP_TUN);
		return 0;
	}
	tun = BPF_CORE_READ(tfile, tun);
	if (!tun)
		tun = BPF_CORE_READ(tfile, detached);
	if (!tun)
		return 0;
	emit_programs(tun, fd);
	walk_emit_task();
	out = walk_room();
	if (!out)
		return 0;
	out->tun = (__u64)tun;
	out->fd = fd;
	out->pad = 0;
	walk_emit(&out->rec, WALK_TUN_FILE, sizeof(*out), 0);
	return 0;
}

/* netdev_priv() */
static __always_inline void *netdev_private(struct net_device *dev)
{
	__u32 size = bpf_core_type_size(struct net_device);

	if (bpf_core_field_exists(dev->priv))
		return (void *)dev + bpf_core_field_offset(struct net_device, priv);
	return (void *)dev + ((size + 31) & ~31u);
}

static __always_inline bool is_tun(struct net_device *dev)
{
	char kind[4] = {};

	bpf_probe_read_kernel(kind, sizeof(kind), BPF_CORE_READ(dev, rtnl_link_ops, kind));
	return kind[0] == 't' && kind[1] == 'u' && kind[2] == 'n' && !kind[3];
}

static __always_inline bool device_begin(void)
{
	struct net_device *dev = (void *)walk.net.object;
	struct tun_struct *tun;

	if (!net_is_there())
		return false;
	walk.net.gone = (__u64)BPF_CORE_READ(dev, nd_net.net) != walk.net.net;
	if (walk.net.gone || !is_tun(dev))
		return false;
	if (walk_full(WALK_USE_ROOM)) {
		walk.ended = WALK_FULL;
	} else if (!bpf_core_type_exists(struct tun_struct)) {
		walk_emit_gap(WALK_GAP_TUN);
	} else {
		tun = netdev_private(dev);
		if (BPF_CORE_READ(tun, dev) == dev && BPF_CORE_READ(tun, flags) & IFF_PERSIST)
			emit_programs(tun, WALK_NO_FD);
	}
	return false;
}

/* Emits the programs of one device: a persistent one holds them with or without a file. */
NET_PROGRAM(walk_tun_device, device_begin, net_no_step)

char LICENSE[] SEC("license") = "GPL";

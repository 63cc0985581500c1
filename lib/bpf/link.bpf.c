// SPDX-License-Identifier: GPL-2.0
/*
 * Where links are attached, as far as struct bpf_link_info does not show it: the namespace and name
 * of a device, the place in the order of programs, the process of a perf event, the function of a
 * tracing link. It runs only when somebody reads that.
 */
#include "bpf/net.bpf.h"
#include "uapi/newer.h"

/* ------------------------------------------------- devices and namespaces --- */

/* The device of a link, NULL if it has none: it is no such link, or its device was removed. */
static __always_inline struct net_device *device_of(__u64 address, __u32 type)
{
	struct netkit_link *netkit = (void *)address;
	struct bpf_xdp_link *xdp = (void *)address;
	struct tcx_link *tcx = (void *)address;

	if (type == BPF_LINK_TYPE_XDP && bpf_core_field_exists(xdp->dev))
		return BPF_CORE_READ(xdp, dev);
	if (type == NEWER_BPF_LINK_TYPE_TCX && bpf_core_field_exists(tcx->dev))
		return BPF_CORE_READ(tcx, dev);
	if (type == NEWER_BPF_LINK_TYPE_NETKIT && bpf_core_field_exists(netkit->dev))
		return BPF_CORE_READ(netkit, dev);
	return NULL;
}

struct position {
	struct bpf_mprog_bundle *bundle;
	__u64 link;
	__s32 found;
};

static int position_step(__u32 index, struct position *position)
{
	struct bpf_mprog_cp *side = (void *)position->bundle +
				    bpf_core_field_offset(struct bpf_mprog_bundle, cp_items) +
				    index * bpf_core_type_size(struct bpf_mprog_cp);

	if ((__u64)BPF_CORE_READ(side, link) != position->link)
		return 0;
	position->found = index;
	return 1;
}

/* The position of a link in an entry, -1 if it is not there. */
static __always_inline __s32 position_in(struct bpf_mprog_entry *entry, __u64 link)
{
	struct position position = { .link = link, .found = -1 };

	if (!entry)
		return -1;
	position.bundle = BPF_CORE_READ(entry, parent);
	bpf_loop(BPF_MPROG_MAX, position_step, &position, 0);
	return position.found;
}

static __always_inline __s32 position_of(struct net_device *dev, __u64 link, __u32 type)
{
	struct netkit *netkit = driver_data_of(dev);
	__s32 found = -1;

	if (!bpf_core_type_exists(struct bpf_mprog_entry))
		return -1;
	if (type == NEWER_BPF_LINK_TYPE_NETKIT && bpf_core_type_exists(struct netkit))
		return position_in(BPF_CORE_READ(netkit, active), link);
	if (type != NEWER_BPF_LINK_TYPE_TCX || !bpf_core_field_exists(dev->tcx_ingress))
		return -1;
	found = position_in(BPF_CORE_READ(dev, tcx_ingress), link);
	return found >= 0 ? found : position_in(BPF_CORE_READ(dev, tcx_egress), link);
}

/*
 * A link forgets its device before the device is freed (bpf_xdp_link, tcx_link and netkit_link set
 * dev to NULL when it is unregistered), so what was read is the device's if the link still has it.
 */
static __always_inline void locate_device(struct walk_location *out, __u64 link, __u32 type)
{
	struct net_device *dev = device_of(link, type);

	if (!dev)
		return;
	out->ifindex = BPF_CORE_READ(dev, ifindex);
	out->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	out->position = position_of(dev, link, type);
	bpf_probe_read_kernel(out->ifname, sizeof(out->ifname),
			      (void *)dev + bpf_core_field_offset(struct net_device, name));
	if (device_of(link, type) != dev)
		out->ifindex = out->netns = 0;
}

static __always_inline void locate_net(struct walk_location *out, __u64 link, __u32 type)
{
	struct bpf_netns_link *netns = (void *)link;
	struct bpf_nf_link *netfilter = (void *)link;

	if (type == BPF_LINK_TYPE_NETNS && bpf_core_field_exists(netns->net))
		out->netns = BPF_CORE_READ(netns, net, ns.inum);
	if (type != NEWER_BPF_LINK_TYPE_NETFILTER || !bpf_core_field_exists(netfilter->net))
		return;
	out->netns = BPF_CORE_READ(netfilter, net, ns.inum);
	out->detached = BPF_CORE_READ(netfilter, dead);
}

/* ----------------------------------------------------------------- tracing --- */

static __always_inline void locate_event(struct walk_location *out, __u64 link, __u32 type)
{
	struct bpf_perf_link *perf = (void *)link;
	struct perf_event *event;
	struct task_struct *task;

	if (type != BPF_LINK_TYPE_PERF_EVENT || !bpf_core_type_exists(struct bpf_perf_link))
		return;
	event = BPF_CORE_READ(perf, perf_file, private_data);
	out->cpu = BPF_CORE_READ(event, cpu);
	task = BPF_CORE_READ(event, hw.target);
	if (task)
		out->pid = BPF_CORE_READ(task, tgid);
}

/*
 * The verifier stored the name when the program was loaded (check_attach_btf_id()), that of a
 * tracepoint without its prefix. A program may have been attached to another target than it was
 * loaded for (bpf_tracing_prog_attach()): the name is left out then.
 */
static __always_inline void locate_function(struct walk_location *out, __u64 link, __u32 type)
{
	struct bpf_tracing_link *tracing = (void *)link;
	struct bpf_link *common = (void *)link;
	struct bpf_prog_aux *aux;

	if (type != BPF_LINK_TYPE_TRACING || !bpf_core_type_exists(struct bpf_tracing_link))
		return;
	aux = BPF_CORE_READ(common, prog, aux);
	/* The highest bit says that the target is no program. */
	if ((BPF_CORE_READ(tracing, trampoline, key) & 0x7fffffff) ==
	    BPF_CORE_READ(aux, attach_btf_id))
		bpf_probe_read_kernel_str(out->function, sizeof(out->function),
					  BPF_CORE_READ(aux, attach_func_name));
}

/* Emits where each link, or the one of walk.filter_id, is attached. */
SEC("iter/bpf_link")
int walk_link_locations(struct bpf_iter__bpf_link *ctx)
{
	struct bpf_link *link = ctx->link;
	struct walk_location *out;
	__u64 address;
	__u32 type;

	if (!link || (walk.filter_id && link->id != walk.filter_id))
		return 0;
	out = walk_room();
	if (!out)
		return WALK_AGAIN;
	__builtin_memset(out, 0, sizeof(*out));
	out->position = out->cpu = -1;
	address = walk_scalar(ctx->link);
	type = link->type;
	locate_device(out, address, type);
	locate_net(out, address, type);
	locate_event(out, address, type);
	locate_function(out, address, type);
	walk_emit(&out->rec, WALK_LOCATION, sizeof(*out), link->id);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

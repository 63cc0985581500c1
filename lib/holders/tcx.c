/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs attached to the tcx hooks of a device without a link. Each position holds its program
 * once (tcx_prog_attach(), bpf_mprog_attach()). A program attached by a link is held by the link.
 */
#include "holders/holders.h"
#include "kernel/net_namespaces.h"

HOLDER_FIELDS(NETDEV_MPROG_FIELDS);

static int device(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev,
		  void *data)
{
	int err = netdev_mprogs(scan, net, dev, dev->tcx[0], "tcx_ingress");

	(void)data;
	return err ? err : netdev_mprogs(scan, net, dev, dev->tcx[1], "tcx_egress");
}

static int walk(struct scan *scan)
{
	return net_loaded(scan, NET_TYPE(SCHED_CLS)) ? netdev_each(scan, device, NULL) : 0;
}

const struct holder_class holder_tcx = {
	.pub = { "tcx", keys, 1u << BPFREFS_KIND_PROG },
	.id = CLASS_TCX,
	.hook = "tcx",
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

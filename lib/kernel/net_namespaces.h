/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks over network namespaces, for the classes of what is attached in them (BPF source only). */
#ifndef BPFREFS_NET_H
#define BPFREFS_NET_H

#include <linux/bpf.h>

#include "snapshot/owner.h"
#include "kernel/bpf_source.h"

/*
 * Is any program of these types in this snapshot? @types: a bit for each. What is not loaded is
 * attached nowhere.
 */
bool net_loaded(struct scan *scan, uint64_t types);
#define NET_TYPE(name) ((uint64_t)1 << BPF_PROG_TYPE_##name)

/* What to walk over: a namespace, or something in it; @arg is the program's. */
struct net_object {
	const struct walk_net *net;
	uint64_t address;
	uint32_t arg;
};

/*
 * Walks over one thing of one namespace, and hands on its records when all are there. A list that
 * changed meanwhile is walked again; one that always does is a gap. What has gone has no records.
 */
int net_walk_object(struct scan *scan, const char *program, struct net_object object, walk_fn fn,
		    void *data);

/* A namespace; or a device and its namespace. Valid during the call only. */
typedef int (*net_fn)(struct scan *scan, const struct walk_net *net, void *data);
typedef int (*netdev_fn)(struct scan *scan, const struct walk_net *net,
			 const struct walk_netdev *dev, void *data);

/* Calls @fn for each until one returns an error, which it returns. */
int net_each(struct scan *scan, net_fn fn, void *data);
int netdev_each(struct scan *scan, netdev_fn fn, void *data);

/*
 * What lasts as long as a namespace, and as a device: OWNER_NONE where that stays. A device goes with
 * its namespace, and with its files or its peer's namespace, whichever is first.
 */
uint32_t net_owner(struct scan *scan, const struct walk_net *net);
uint32_t netdev_owner(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev);

/* Sets the fields ifname, ifindex, netns: 0, 1, 2; and the device as what it lasts as long as. */
void netdev_fields(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_net *net,
		   const struct walk_netdev *dev);

/* The programs of an entry of tcx or netkit: keys ifname, ifindex, netns, attach_type, position. */
int netdev_mprogs(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev,
		  uint64_t entry, const char *attach_type);

/* For classes' procfs side: nothing can be learnt. */
int net_proc(struct scan *scan);

#endif

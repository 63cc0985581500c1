/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks over all network namespaces, for the holder classes of what is attached in them. Only the
 * BPF source has them.
 */
#ifndef BPFREFS_NET_NAMESPACES_H
#define BPFREFS_NET_NAMESPACES_H

#include <linux/bpf.h>

#include "kernel/bpf_source.h"
#include "snapshot/owner.h"

/*
 * Returns true if a program of one of these types is loaded. @types has the NET_TYPE() bit of each.
 */
bool net_loaded(struct scan *scan, uint64_t types);
#define NET_TYPE(name) ((uint64_t)1 << BPF_PROG_TYPE_##name)

/*
 * What a program walks over: a namespace, or the object at @address in it; @arg is
 * passed to the program.
 */
struct net_object {
	const struct walk_net *net;
	uint64_t address;
	uint32_t arg;
};

/*
 * Runs a program over one object of a namespace, and calls @fn for each record when all are there.
 * A list that changed meanwhile is read again; if it changes each time, that is a gap. If the
 * object has been freed, there are no records.
 */
int net_walk_object(struct scan *scan, const char *program, struct net_object object, walk_fn fn,
		    void *data);

/*
 * Called for a namespace, or for a device and its namespace. The pointers are valid
 * during the call only.
 */
typedef int (*net_fn)(struct scan *scan, const struct walk_net *net, void *data);
typedef int (*netdev_fn)(struct scan *scan, const struct walk_net *net,
			 const struct walk_netdev *dev, void *data);

/* Calls @fn for each namespace or device until it returns an error, which is returned. */
int net_each(struct scan *scan, net_fn fn, void *data);
int netdev_each(struct scan *scan, netdev_fn fn, void *data);

/*
 * The owner of what is attached in a namespace or to a device; OWNER_NONE if that is not freed with
 * any process. A device is removed with its network namespace, with its open files, or with the
 * namespace of its peer, whichever is first.
 */
uint32_t net_owner(struct scan *scan, const struct walk_net *net);
uint32_t netdev_owner(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev);

/* The first fields of what is attached to a device, and all fields of tcx and netkit. */
#define NETDEV_FIELDS(X)             \
	X(NETDEV_IFNAME, "ifname")   \
	X(NETDEV_IFINDEX, "ifindex") \
	X(NETDEV_NETNS, "netns")
#define NETDEV_MPROG_FIELDS(X)               \
	NETDEV_FIELDS(X)                     \
	X(NETDEV_ATTACH_TYPE, "attach_type") \
	X(NETDEV_POSITION, "position")       \
	X(NETDEV_COUNT, "count")

/* Sets NETDEV_FIELDS of a reference, and makes the device its owner. */
void netdev_fields(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_net *net,
		   const struct walk_netdev *dev);

/* Adds the programs of a tcx or netkit entry. */
int netdev_mprogs(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev,
		  uint64_t entry, const char *attach_type);

/* The procfs half of these classes. */
#define NET_PROC_GAP "only the BPF source can read all network namespaces"

#endif

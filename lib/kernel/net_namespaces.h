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
 * What a program walks over: a namespace, or the object at @address in it; @arg is passed to the
 * program. @dev, which may be NULL, is the device that it belongs to.
 */
struct net_object {
	const struct walk_net *net;
	const struct walk_netdev *dev;
	uint64_t address;
	uint32_t arg;
};

/* Called for each record of an object. Returns 0 or a negative errno, at which the walk ends. */
typedef int (*net_record_fn)(struct scan *scan, const struct net_object *object,
			     const struct walk_rec *rec, void *data);

/*
 * Run a program over one object, all namespaces, or all devices, and call @fn for each record when all
 * are there; the programs of many objects are run together. A list that changed meanwhile is read again; if
 * it changes each time, that is a gap. Of an object that has been freed there are no records.
 */
int net_walk_object(struct scan *scan, const char *program, struct net_object object,
		    net_record_fn fn, void *data);
int net_walk_all(struct scan *scan, const char *program, uint32_t arg, net_record_fn fn,
		 void *data);
int netdev_walk_all(struct scan *scan, const char *program, uint32_t arg, net_record_fn fn,
		    void *data);

/*
 * The namespaces (without a device), and the devices, with their namespaces and addresses: arrays of
 * struct net_object, read once in a scan and valid as long as it. Return 0 or a negative errno.
 */
int net_list(struct scan *scan, const GArray **nets);
int netdev_list(struct scan *scan, const GArray **devices);
static inline const struct net_object *net_at(const GArray *list, guint index)
{
	return &g_array_index(list, struct net_object, index);
}

/* Frees what the two have read. */
struct net_lists;
void net_lists_free(struct net_lists *lists);

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
void netdev_fields(struct scan *scan, struct bpfrefs_ref *ref, const struct net_object *device);

/*
 * Adds the programs of tcx or netkit of all devices. A device has two entries of programs at most, one
 * for each of @attach_types, of which @entry_of returns the address, or 0.
 */
#define NETDEV_SIDES 2
int netdev_mprogs(struct scan *scan, const char *const attach_types[NETDEV_SIDES],
		  uint64_t (*entry_of)(const struct walk_netdev *dev, unsigned int side));

/* The procfs half of these classes. */
#define NET_PROC_GAP "only the BPF source can read all network namespaces"

#endif

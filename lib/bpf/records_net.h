/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records of walks over network namespaces, for both sides, as in walk.h, which has the common
 * part. These walks are called by lib for one namespace, device, qdisc or table after another, each
 * of which they check first, since it may have gone meanwhile.
 */
#ifndef BPFREFS_WALK_NET_H
#define BPFREFS_WALK_NET_H

/* Types of records: never seen by walk_dispatch(), so apart from enum walk_type. */
enum walk_net_type {
	WALK_NET = 128, /* a network namespace */
	WALK_NETDEV,	/* a device of the namespace */
	WALK_MPROG,	/* a program of a tcx or netkit entry */
	WALK_QDISC,	/* a qdisc of a device */
	WALK_CLASS,	/* a class of a qdisc */
	WALK_FILTER,	/* a cls_bpf filter of a block */
	WALK_FIB,	/* a routing table */
	WALK_ROUTE,	/* a route or nexthop object with programs */
	WALK_RULESET,	/* a table of netfilter rules */
	WALK_RULE,	/* a rule with a program */
	WALK_ACTION,	/* an action of tc of kind "bpf" */
	WALK_BACKLOG,	/* a qdisc that has packets */
};

struct walk_net {
	struct walk_rec rec;
	__u64 net;
	__u32 inum;
	__u32 flow_dissector; /* its program, 0: none, or by a link */
	__u32 initial, pad;   /* the one that is there from the start, and stays */
};

#define WALK_XDP_MODES 3 /* generic (skb), driver, hardware */

struct walk_netdev {
	struct walk_rec rec;
	__u64 dev;
	__u64 tcx[2]; /* struct bpf_mprog_entry: ingress, egress */
	__u64 netkit; /* the same of a netkit device */
	__u32 netkit_primary;
	__u32 ifindex;
	__u32 xdp_prog[WALK_XDP_MODES];
	__u32 xdp_link[WALK_XDP_MODES]; /* that attached it, 0: none */
	__u32 driver_more;		/* references of the driver's beyond one */
	/* it does not go with its namespace, but back to the initial one (default_device_exit_net()) */
	__u32 returns;
	/* the tun_struct of a tun device that is not persistent: it goes with the last of its files */
	__u64 tun;
	/*
	 * Another namespace with which it goes: that of its peer (veth_dellink(), netkit_del_link()), or of
	 * the device below it (vlan_device_event() and the like); 0: none, or the same.
	 */
	__u32 also_net, also_initial;
	char name[16];
};

struct walk_mprog {
	struct walk_rec rec; /* the program */
	__u32 position, linked;
};

struct walk_qdisc {
	struct walk_rec rec;
	__u64 qdisc;
	__u64 block[2];	     /* of filters; a clsact has one for each direction */
	__u64 classes;	     /* struct Qdisc_class_hash of classes that have blocks */
	__u32 class_block;   /* where in a class the block is, from its hash node */
	__u32 handle, sides; /* sides: enum walk_qdisc_sides */
	__u32 unknown;	     /* it may have filters, and we do not know where */
	__u32 ops_map;	     /* the struct_ops map that it is of, 0: none */
	__u32 parent;
};

enum walk_qdisc_sides { WALK_QDISC_ROOT, WALK_QDISC_INGRESS, WALK_QDISC_CLSACT };

struct walk_class {
	struct walk_rec rec;
	__u64 block;
	__u32 classid, pad;
};

struct walk_filter {
	struct walk_rec rec; /* the program */
	__u64 filter;
	__u32 block_index; /* not 0: a block that devices share */
	__u32 chain, priority, handle;
};

struct walk_action {
	struct walk_rec rec; /* the program */
	__u32 index, pad;
};

/* Where a qdisc keeps packets, besides in its own lists. */
enum walk_packets {
	WALK_PACKETS_LIST, /* nowhere, or in its children alone */
	WALK_PACKETS_BANDS, /* pfifo_fast */
	WALK_PACKETS_FLOWS, /* fq_codel */
	WALK_PACKETS_HTB,
	WALK_PACKETS_NETEM,
	WALK_PACKETS_UNKNOWN,
};

struct walk_backlog {
	struct walk_rec rec;
	__u64 qdisc;
	__u32 kind, pad; /* enum walk_packets */
};

struct walk_fib {
	struct walk_rec rec;
	__u64 table;
	__u32 id, v6;
};

/* Where in struct lwtunnel_state a program stands. */
enum walk_lwt_hook { WALK_LWT_IN, WALK_LWT_OUT, WALK_LWT_XMIT, WALK_LWT_SEG6, WALK_LWT_HOOKS };

struct walk_route {
	struct walk_rec rec;
	__u64 lwt;
	__u32 prog[WALK_LWT_HOOKS];
	__u32 table;   /* 0: a nexthop object */
	__u32 nexthop; /* a nexthop object's id */
	__u32 v6, prefix;
	__u8 dst[16]; /* IPv4: a number of four bytes */
	char ifname[16];
};

/* Families of netfilter: enum nfproto. */
enum {
	WALK_NF_INET = 1,
	WALK_NF_IPV4,
	WALK_NF_ARP,
	WALK_NF_NETDEV = 5,
	WALK_NF_BRIDGE = 7,
	WALK_NF_IPV6 = 10
};

struct walk_ruleset {
	struct walk_rec rec;
	__u64 table;
	__u32 family, nft; /* nft: a table of nftables, else of iptables */
	char name[32];
};

#define WALK_CHAIN_USER 5 /* not a hook's chain: it has a name */

struct walk_rule {
	struct walk_rec rec; /* the program */
	__u64 handle;	     /* nftables */
	__u32 number, hook;  /* iptables: from 1 in the chain */
	char chain[32];
};

#define WALK_NET_CURSOR 4

/* What to walk over, and how far it has come. */
struct walk_net_at {
	__u64 net, object;
	__u32 inum, arg;
	__u32 gone;   /* what was to be walked over is no more */
	__u32 missed; /* things that could not be followed */
	__u64 at[WALK_NET_CURSOR];
	__u32 number, hook; /* a rule's, and its chain */
	char chain[32];
};

#endif

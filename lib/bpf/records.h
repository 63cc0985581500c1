/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records that programs write and lib reads, for both sides. Each begins with struct walk_rec,
 * and its size is a multiple of 8. Kernel addresses in them are identities only and never leave
 * lib.
 */
#ifndef BPFREFS_RECORDS_H
#define BPFREFS_RECORDS_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/*
 * The size of the output buffer. Where a walk fills it, lib reads the records and continues the
 * walk.
 */
#define WALK_OUT_SIZE (256 * 1024)
/* No single record is larger. */
#define WALK_REC_MAX 512

/*
 * The types of records, each with its structure. The enumerations, the checks of sizes and
 * walk_record() follow from this list.
 */
#define WALK_RECORDS(X)                                                                            \
	X(WALK_MAP, walk_map)	    /* an object's counters and facts */                           \
	X(WALK_PROG, walk_prog)	    /* the same */                                                 \
	X(WALK_LINK, walk_link)	    /* the same */                                                 \
	X(WALK_BTF, walk_btf)	    /* the same */                                                 \
	X(WALK_EDGE, walk_edge)	    /* an object holds another */                                  \
	X(WALK_TASK, walk_task)	    /* a process whose descriptors follow */                       \
	X(WALK_FILE, walk_file)	    /* a descriptor of an object */                                \
	X(WALK_ITER, walk_iter)	    /* a descriptor of an iterator */                              \
	X(WALK_NS, walk_ns)	    /* the namespaces and root directory of a process or thread */ \
	X(WALK_SB, walk_sb)	    /* an instance of bpffs */                                     \
	X(WALK_MOUNT, walk_mount)   /* a mount of the instance before */                           \
	X(WALK_INODE, walk_inode)   /* an inode of bpffs: a pin or a directory */                  \
	X(WALK_DENTRY, walk_dentry) /* a name of the inode before */                               \
	X(WALK_PINNED_ITER, walk_pinned_iter) /* the program of an iterator link that is pinned */ \
	X(WALK_GAP, walk_gap)		      /* something that could not be followed */           \
	X(WALK_HELD, walk_held)	      /* a file that something other than a descriptor holds */    \
	X(WALK_SOCK, walk_sock)	      /* what a socket holds */                                    \
	X(WALK_TUN, walk_tun)	      /* what a tun device holds */                                \
	X(WALK_EVENT, walk_event)     /* what a perf event holds */                                \
	X(WALK_CARRIED, walk_carried) /* a socket, perf event or tun without a descriptor */       \
	X(WALK_MAPPED, walk_mapped)   /* a socket that has been mapped */                          \
	X(WALK_MAPPING, walk_mapping) /* the mapping of the file that follows */                   \
	X(WALK_MEMORY, walk_memory)   /* the memory of a process */                                \
	X(WALK_CGROUP, walk_cgroup)   /* a cgroup, or one above a cgroup with programs */          \
	X(WALK_CGROUP_PROG, walk_cgroup_prog) /* a program attached to the cgroup before */        \
	X(WALK_STRUCT_OPS, walk_struct_ops)   /* a struct_ops map that is registered */            \
	X(WALK_XSK, walk_xsk)		  /* a slot of an xskmap that an AF_XDP socket is in */    \
	X(WALK_HOLD, walk_hold)		  /* a process keeps a namespace or a mount of bpffs */    \
	X(WALK_NS_MOUNT, walk_ns_mount)	  /* a mount of a namespace's file */                      \
	X(WALK_TUN_FILE, walk_tun_file)	  /* a descriptor of a tun device */                       \
	X(WALK_IN_CGROUP, walk_in_cgroup) /* where the process before is */

/*
 * Records of the walks over network namespaces. lib runs these walks for one namespace, device,
 * qdisc or table after another and decodes their records itself, and so it does with those of links'
 * places and maps' payers: dispatch_record() never gets them.
 */
#define WALK_NET_RECORDS(X)                                                           \
	X(WALK_NET, walk_net)		/* a network namespace */                     \
	X(WALK_NETDEV, walk_netdev)	/* a device of the namespace */               \
	X(WALK_MPROG, walk_mprog)	/* a program of a tcx or netkit entry */      \
	X(WALK_QDISC, walk_qdisc)	/* a qdisc of a device */                     \
	X(WALK_CLASS, walk_class)	/* a class of a qdisc */                      \
	X(WALK_FILTER, walk_filter)	/* a cls_bpf filter of a block */             \
	X(WALK_FIB, walk_fib)		/* a routing table */                         \
	X(WALK_ROUTE, walk_route)	/* a route or nexthop object with programs */ \
	X(WALK_RULESET, walk_ruleset)	/* a table of netfilter rules */              \
	X(WALK_RULE, walk_rule)		/* a rule with a program */                   \
	X(WALK_ACTION, walk_action)	/* an action of tc of kind "bpf" */           \
	X(WALK_BACKLOG, walk_backlog)	/* a qdisc that has packets */                \
	X(WALK_LOCATION, walk_location) /* where a link is attached */                \
	X(WALK_PAYER, walk_payer)	/* a cgroup that pays for a map */            \
	X(WALK_START, walk_start)	/* the records of the next object follow */

#define WALK_ENUM(type, structure) type,
enum walk_type { WALK_NO_TYPE, WALK_RECORDS(WALK_ENUM) WALK_TYPES };
enum walk_net_type { WALK_NO_NET_TYPE = 127, WALK_NET_RECORDS(WALK_ENUM) };
#undef WALK_ENUM

struct walk_rec {
	__u16 type; /* enum walk_type or walk_net_type */
	__u16 size; /* of the whole record */
	__u32 id;   /* the object that it is about; of an edge, the holder; of a task, the tgid */
};

/* Kinds as in enum bpfrefs_kind. */
enum { WALK_KIND_MAP, WALK_KIND_PROG, WALK_KIND_LINK, WALK_KIND_BTF };

struct walk_map {
	struct walk_rec rec;
	__u64 address;
	__s64 refcnt, usercnt; /* without the iterator's own reference */
	__u64 map_extra, netns_dev, netns_ino;
	__u64 memlock; /* program arrays: its memory; 0: as before Linux 6.4 */
	__u32 type, key_size, value_size, max_entries, flags, ifindex;
	__u32 btf_id, btf_key_type_id, btf_value_type_id, btf_vmlinux_value_type_id;
	__u32 btf_vmlinux_id; /* struct_ops: the BTF of its type */
	__u32 inner_btf_id;   /* of a map of maps' template */
	__u32 special; /* its values, or its template's, have special fields: kptrs, timers ... */
	__u32 async;   /* its values have timers, work queues or task work */
	char name[16];
};

struct walk_prog {
	struct walk_rec rec;
	__u64 address;
	__s64 refcnt;
	__u32 type, btf_id, attach_btf_id;
	__u32 used; /* how many maps it uses; see lib/kernel/object_cache.c */
	/* that of its function, if the kernel's own name for the program is cut */
	char name[64];
};

struct walk_link {
	struct walk_rec rec;
	__s64 refcnt;
	__u32 type, prog_id;
	__u32 map_id;	/* the map that it holds, 0: none */
	__u32 map_user; /* with a user reference */
	__u32 target;	/* the program that it is attached to, 0: none */
	__u32 pad;
};

struct walk_btf {
	struct walk_rec rec;
	__s64 refcnt;
	__u64 address;
	__u32 kernel;
	__u32 metas; /* structures with special fields */
	char name[64];
};

/*
 * How a holder holds: the `via` of a record and of a reference. lib/snapshot/ref.c has the words.
 * Programs write only the first ones.
 */
enum walk_via {
	WALK_VIA_USED_MAPS,
	WALK_VIA_USED_BTFS,
	WALK_VIA_KFUNC_BTF,
	WALK_VIA_SLOT,
	WALK_VIA_INNER,
	WALK_VIA_KPTR,
	WALK_VIA_TEMPLATE_KPTR,
	WALK_VIA_ENTRY, /* of a devmap or cpumap */
	WALK_VIA_XSK,	/* an AF_XDP socket in an xskmap: the map itself */
	WALK_VIA_STRUCT_OPS,
	WALK_VIA_MSG_PARSER,
	WALK_VIA_STREAM_PARSER,
	WALK_VIA_STREAM_VERDICT,
	WALK_VIA_SKB_VERDICT,
	WALK_VIA_TIMER,
	WALK_VIA_WQ,
	WALK_VIA_TASK_WORK,
	WALK_VIA_TARGET,
	WALK_VIA_ST_OPS_ASSOC,
	WALK_VIA_ARENA, /* of a registered sched_ext_ops_cid */
	WALK_VIA_FUNC_INFO,
	WALK_VIA_ATTACH_BTF,
	WALK_VIA_BTF,
	WALK_VIA_TEMPLATE,
	WALK_VIA_PROG,
	WALK_VIA_LINK_TARGET, /* the program that a link is attached to */
	WALK_VIA_LINK,
	WALK_VIA_EVENT_ARRAY,
	WALK_VIA_INHERITED,
	WALK_VIA_FILTER,
	WALK_VIA_PSOCK,
	WALK_VIA_KCM,
	WALK_VIA_XSKMAP,
	WALK_VIA_STEERING,
	WALK_VIA_ACCEPT,
	WALK_VIA_QUEUE,
	WALK_VIA_LWT_IN,
	WALK_VIA_LWT_OUT,
	WALK_VIA_LWT_XMIT,
	WALK_VIA_SEG6LOCAL,
	WALK_VIA_NFT_COMPAT,
	WALK_VIA_XT_BPF,
	WALK_VIA_DEFAULT_QDISC,
	WALK_VIA_COUNT,
	WALK_VIA_NONE = WALK_VIA_COUNT,
};

/* The longest key of a hash of maps that is emitted whole. */
#define WALK_KEY_MAX 256

struct walk_edge {
	struct walk_rec rec;
	__u8 holder, target; /* kinds */
	__u8 via;	     /* enum walk_via */
	__u8 pad;
	__u32 target_id;
	__u32 slot;	/* where key_size is 0; of a program of a sockmap: 1 if by a link */
	__u32 key_size; /* of a hash of maps: the key follows, at most WALK_KEY_MAX bytes */
	__u8 key[];
};

struct walk_task {
	struct walk_rec rec;
	__u32 tid; /* 0: the thread group leader's table */
	__u32 pad;
	char comm[16]; /* of the leader */
};

struct walk_in_cgroup {
	struct walk_rec rec; /* of the process, by its tgid */
	__u64 cgroup;	     /* of the v2 hierarchy, by its id: that of the thread group leader */
};

struct walk_file {
	struct walk_rec rec;
	__u64 file;
	__u32 fd;
	__u32 kind;
};

struct walk_iter {
	struct walk_rec rec; /* the program */
	__u64 file;
	__u32 fd;
	__u32 map_id; /* 0: no map target */
	char target[32];
};

struct walk_sb {
	struct walk_rec rec; /* id 0 */
	__u64 sb;
	__u32 major, minor;
};

/* Before 6.18 it is 0. */
#define MNT_NS_ANON_INO 0xEFFFFFF7u

struct walk_mount {
	struct walk_rec rec;
	__u64 mount, ns; /* the struct mount, the struct mnt_namespace that it is in */
	/*
	 * A hash that changes with everything that mountinfo shows of this mount: its namespace, all
	 * mounts and unmounts there, and the names of the directories above. 0: could not be read.
	 */
	__u64 version;
	__u32 mnt_ns; /* 0: the mount is detached: in no namespace, or in an anonymous one */
	__u32 pad;
};

struct walk_inode {
	struct walk_rec rec; /* the pinned object, 0 for a directory */
	__u64 sb, inode, ino;
	__s64 mtime;
	__u32 kind; /* of the pinned object; WALK_KIND_DIR for a directory */
	__u32 nlink, uid, gid, mode;
	__u32 pad;
};

#define WALK_KIND_DIR 4

/* Those that the kernel loads for itself may be in no table of ids: only a pin leads to them. */
struct walk_pinned_iter {
	struct walk_rec rec; /* the link */
	__u64 prog;	     /* its address */
	__u32 prog_id, attach_btf_id, btf_id, pad;
};

struct walk_dentry {
	struct walk_rec rec;
	__u64 dentry, parent;
	__u32 hashed; /* still reachable by this name */
	__u32 len;
	char name[]; /* with its NUL */
};

/* What such a file is: that of a BPF object, by its kind; or one that may hold files itself. */
enum {
	WALK_HELD_ITER = 4,   /* an iterator's */
	WALK_HELD_SOCKET,     /* of AF_UNIX */
	WALK_HELD_CONNECTION, /* a connection that was not accepted yet: a socket without a file */
	WALK_HELD_RING,
	WALK_HELD_OTHER,
};

/* How it is held. The last three belong to the socket or ring that is being read. */
enum walk_how {
	WALK_HOW_FD,	  /* a descriptor, of a socket or a ring only */
	WALK_HOW_RING_FD, /* a ring that a task has registered (IORING_REGISTER_RING_FDS) */
	WALK_HOW_MMAP,
	WALK_HOW_AIO,
	WALK_HOW_MESSAGE,
	WALK_HOW_SLOT,
	WALK_HOW_REQUEST,
};

struct walk_held {
	struct walk_rec rec; /* the object; of an iterator, the program */
	__u64 file;
	__u64 inside;  /* the struct sock, or the struct io_ring_ctx */
	__u64 at, end; /* descriptor, slot, request's kind or address; mapping: from, to */
	__u32 kind, how;
	__u32 map_id; /* an iterator's target, 0: none */
	__u32 pad;
};

/* A struct_ops map that is registered. */
struct walk_struct_ops {
	struct walk_rec rec;
	char ops[32];	     /* its type */
	char algorithm[128]; /* its own name, where its type has any */
	__u32 held, pad;     /* held: the map is held by that, not by a link */
};

struct walk_xsk {
	struct walk_rec rec; /* the map */
	__u64 entry;	     /* the slot's address */
	__u32 slot, pad;
};

/* What a walk could not follow, and how often. */
enum walk_gap_kind {
	WALK_GAP_BUCKET,   /* a hash bucket that changed during the walk */
	WALK_GAP_VALUES,   /* values with callbacks, in a type of map without a walk */
	WALK_GAP_MESSAGES, /* a socket's queue that is longer than the walk follows */
	WALK_GAP_RING,	   /* requests of a ring that are more than the walk follows */
	WALK_GAP_AIO,
	WALK_GAP_ACCEPT, /* a queue of connections not yet accepted */
	WALK_GAP_PACKET, /* a packet socket, or a tun, whose module was loaded after our programs */
	WALK_GAP_TUN,
	WALK_GAP_KCM,	   /* connections of a KCM socket */
	WALK_GAP_CHILDREN, /* the inherited events of an event */
	WALK_GAP_COUNT,
};

struct walk_gap {
	struct walk_rec rec;
	__u32 kind, pad;
};

/* By what a holder that is no BPF object holds one. */
enum walk_use_kind {
	WALK_USE_FILTER,
	WALK_USE_PSOCK,
	WALK_USE_XSKMAP,     /* the object is a map */
	WALK_USE_STRUCT_OPS, /* the object is a map */
	WALK_USE_KCM,
	WALK_USE_REUSEPORT,
	WALK_USE_FANOUT,
	WALK_USE_STEERING,
	WALK_USE_TUN_FILTER,
	WALK_USE_EVENT,
	WALK_USE_INHERITED,
};

#define WALK_NO_FD  (~0u) /* held by no process in particular */
#define WALK_IN_PID (~1u) /* held by that process, but not by a descriptor */

struct walk_carried {
	struct walk_rec rec;
	__u64 file;
	__u32 other, how;
};

struct walk_mapped {
	struct walk_rec rec; /* id 0 */
	__u64 file;
};

/* The mapping of what follows, up to the next such record. */
struct walk_mapping {
	struct walk_rec
		rec; /* a tgid, 0: several processes may have this memory, or it is unknown */
	__u64 mm, start;
	char comm[16];
};

struct walk_memory {
	struct walk_rec rec; /* a tgid */
	__u64 mm;
	char comm[16];
};

/* The beginning of the records of such holders. */
struct walk_use {
	struct walk_rec rec; /* the object */
	__u64 what;	     /* what holds it; it counts once, on however many paths it is found */
	__u32 fd;	     /* of the last process in the output, WALK_NO_FD or WALK_IN_PID */
	__u32 use;	     /* enum walk_use_kind */
	__u32 count, pad;
};

/* A socket is in one sockmap as a rule, or in two. */
#define WALK_PSOCK_MAPS 4

/* The longest path of a unix socket. */
#define WALK_LOCAL_MAX 112

struct walk_sock {
	struct walk_use use;
	__u16 family, type, protocol, port;
	__u32 netns;
	__u32 group;   /* of a fanout */
	__u32 ifindex; /* of a fanout's device, 0: any */
	__u32 local_len;
	char ifname[16];
	/* of a psock: the maps that the socket is in, which keep what they gave to it; 0: no more */
	__u32 maps[WALK_PSOCK_MAPS], more_maps, pad;
	char local[WALK_LOCAL_MAX]; /* address, or path with its NUL or NULs */
};

struct walk_tun {
	struct walk_use use;
	__u32 netns, ifindex;
	char ifname[16];
};

struct walk_tun_file {
	struct walk_rec rec; /* id 0 */
	__u64 tun;	     /* the struct tun_struct */
	__u32 fd, pad;
};

/* How an event is reached that is not reached by a descriptor. */
struct walk_event {
	struct walk_use use;
	__u64 config;
	__u32 type;
	__u32 holder_kind, holder; /* the array or link that keeps it; id 0: none */
	__u32 slot;
	char pmu[16], system[32], name[64];
};

/* Files that are not of BPF objects but may lead to some. A kernel need not have all of them. */
enum walk_other {
	WALK_OTHER_SOCKET,
	WALK_OTHER_RING, /* io_uring */
	WALK_OTHER_PERF,
	WALK_OTHER_TUN,
	WALK_OTHERS,
};

struct walk_cgroup {
	struct walk_rec rec;  /* id 0 */
	__u64 cgroup, parent; /* 0: it is the root */
	__u64 id;
	__u32 dying, pad;
	char name[256];
};

struct walk_cgroup_prog {
	struct walk_rec rec; /* the program */
	__u64 entry, cgroup;
	__u32 type; /* enum bpf_attach_type plus 1, 0: not known */
	__u32 flags;
	__u32 linked;
	__u32 hook, hook_btf; /* lsm_cgroup: the function that it attaches to */
	__u32 pad;
};

/* ------------------------------ what keeps namespaces and instances of bpffs --- */

/*
 * Of tasks in the kernel's own namespaces only where the root directory is another one than that of
 * the task before; of all others each process, and each thread that has others than its process.
 */
struct walk_ns {
	struct walk_rec rec;		/* a tgid */
	__u64 nsproxy;			/* 0: the kernel's own */
	__u64 mnt, net;			/* their struct ns_common */
	__u64 root_mnt, root;		/* the root directory: its mount and dentry */
	__u32 mnt_ns, net_ns, tid, pad; /* tid 0: the thread group leader */
	char comm[16];
};

/* What a process or thread keeps, which is no object of BPF. */
enum walk_hold_how {
	WALK_HOLD_CWD,	  /* a mount of bpffs, by its working directory */
	WALK_HOLD_ROOT,	  /* and by its root directory */
	WALK_HOLD_DIR,	  /* and by a file opened there */
	WALK_HOLD_TREE,	  /* all mounts of an anonymous mount namespace */
	WALK_HOLD_MNT_NS, /* a mount namespace, by its file in nsfs */
	WALK_HOLD_NET_NS,
	WALK_HOLD_MOUNTINFO, /* a mount namespace, by an open /proc/PID/mountinfo */
	WALK_HOLD_SOCKET,    /* a network namespace, by a socket in it */
};

struct walk_hold {
	struct walk_rec rec; /* a tgid */
	__u64 what;	     /* the struct file, sock or fs_struct: counts once */
	__u64 where;	     /* the struct mount, mnt_namespace (TREE) or ns_common */
	__u32 how, fd, tid;
	__u32 inum; /* of a namespace */
	char comm[16];
};

struct walk_ns_mount {
	struct walk_rec rec; /* id 0 */
	__u64 common;	     /* the namespace's struct ns_common */
	__u64 in;	     /* the struct mnt_namespace that the mount is in, 0: none */
	__u32 inum, is_net;
	__u32 in_ns, pad; /* 0: anonymous, or none */
};

/* -------------------------------------------------- network namespaces --- */

/*
 * The id is the number of the object in walk_net_list. A second record with the same number means that those
 * behind the first are not valid: the object was removed, or its list changed.
 */
struct walk_start {
	struct walk_rec rec;
};

struct walk_net {
	struct walk_rec rec;
	__u64 net;
	__u32 inum;
	__u32 flow_dissector; /* its program, 0: none, or by a link */
	__u32 initial, pad;   /* the one that is there from the start, and stays */
};

#define WALK_XDP_MODES 3 /* generic (skb), driver, hardware */

/* A power of two. Each of at most 8 devices (MAX_NEST_DEV) could add two, but not in any real setup. */
#define WALK_ALSO_NETS 8

struct walk_netdev {
	struct walk_rec rec;
	__u64 dev;
	__u64 tcx[2]; /* struct bpf_mprog_entry: ingress, egress */
	__u64 netkit; /* the same of a netkit device */
	__u32 netkit_primary;
	__u32 ifindex;
	__u32 xdp_prog[WALK_XDP_MODES];
	__u32 xdp_link[WALK_XDP_MODES]; /* the link that attached it, 0: none */
	__u32 driver_more;		/* references that the driver has beyond one */
	/* it is not removed with its namespace, but returns to the initial one (default_device_exit_net()) */
	__u32 returns;
	/* the tun_struct of a tun device that is not persistent: it is removed with the last of its files */
	__u64 tun;
	/*
	 * Other namespaces with which it is removed, 0 at the end: that of its peer (veth_dellink(),
	 * netkit_del_link()), that in which a tunnel was made (vxlan_destroy_tunnels() and the like), and
	 * those of the devices below it (vlan_device_event() and the like) with what these are removed
	 * with. The initial one is left out.
	 */
	__u32 also_net[WALK_ALSO_NETS];
	char name[16];
};

/* What struct bpf_link_info does not have. Only members that apply to the type are not 0 or -1. */
struct walk_location {
	struct walk_rec rec; /* the link */
	__u32 netns, ifindex;
	__s32 position; /* in the tcx or netkit entry of its device */
	__s32 cpu;	/* of a perf event */
	__u32 pid;	/* of a perf event: the process that it is for, 0: every one */
	__u32 detached; /* of a netfilter link: it was detached */
	char ifname[16];
	char function[128]; /* of a tracing link: the function or tracepoint */
};

/* The memory cgroup that pays for a map, or a cgroup above it. */
struct walk_payer {
	struct walk_rec rec; /* the map */
	__u32 dying;	     /* the one that pays was removed, or is being removed */
	__u32 above;	     /* there is a cgroup above this one */
	char name[256];
};

struct walk_mprog {
	struct walk_rec rec; /* the program */
	__u32 position, linked;
	__u32 count, pad; /* of all programs of the entry */
};

struct walk_qdisc {
	struct walk_rec rec;
	__u64 qdisc;
	__u64 block[2];	     /* of filters; a clsact has one for each direction */
	__u64 classes;	     /* struct Qdisc_class_hash of classes that have blocks */
	__u32 class_block;   /* the offset of the block in a class, from its hash node */
	__u32 handle, sides; /* sides: enum walk_qdisc_sides */
	__u32 unknown;	     /* it may have filters, but the place is not known */
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
	__u32 block_index; /* not 0: a block that several devices share */
	__u32 chain, priority, handle;
};

struct walk_action {
	struct walk_rec rec; /* the program */
	__u32 index, pad;
};

/* Where a qdisc keeps packets, besides in its own lists. */
enum walk_packets {
	WALK_PACKETS_LIST,  /* nowhere, or in its children alone */
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

/* Where in struct lwtunnel_state a program is. */
enum walk_lwt_hook { WALK_LWT_IN, WALK_LWT_OUT, WALK_LWT_XMIT, WALK_LWT_SEG6, WALK_LWT_HOOKS };

struct walk_route {
	struct walk_rec rec;
	__u64 lwt;
	__u32 prog[WALK_LWT_HOOKS];
	__u32 table;   /* 0: a nexthop object */
	__u32 nexthop; /* a nexthop object's id */
	__u32 v6, prefix;
	__u32 metric, hops; /* hops: how many nexthops the route has */
	__u8 dst[16];	    /* IPv4: a number of four bytes */
	char ifname[16];
};

struct walk_ruleset {
	struct walk_rec rec;
	__u64 table;
	__u32 family, nft; /* family: NFPROTO_*; nft: a table of nftables, else of iptables */
	char name[32];
};

#define WALK_CHAIN_USER 5 /* not a hook's chain: it has a name */

struct walk_rule {
	struct walk_rec rec; /* the program */
	__u64 handle;	     /* nftables */
	__u32 number, hook;  /* iptables: from 1 in the chain */
	char chain[32];
};

/* ----------------------------------------------------- about the list --- */

/* NOLINTNEXTLINE(bugprone-macro-parentheses): an enumerator takes no parentheses */
#define WALK_TYPE_OF(type, structure) WALK_TYPE_OF_##structure = (type),
enum { WALK_RECORDS(WALK_TYPE_OF) WALK_NET_RECORDS(WALK_TYPE_OF) };
#undef WALK_TYPE_OF

/* Records follow each other in the buffer, so each must keep the next one aligned. */
#define WALK_CHECK(type, structure)                                    \
	_Static_assert(sizeof(struct structure) % 8 == 0, #structure); \
	_Static_assert(sizeof(struct structure) <= WALK_REC_MAX, #structure);
WALK_RECORDS(WALK_CHECK)
WALK_NET_RECORDS(WALK_CHECK)
#undef WALK_CHECK

/* ---------------------------------------------- not in the output --- */

/* Addresses found by descriptors of our own. They are the same until the kernel is booted again. */
struct walk_kernel_ids {
	__u64 release[4];		 /* f_op->release of each kind's files */
	__u64 iter_release;		 /* of iterators' files */
	__u64 inode_ops[3];		 /* i_op of pinned maps, programs, links */
	__u64 bpffs;			 /* the file_system_type */
	__u64 map_file;			 /* the struct file of a map of our own */
	__u64 other[WALK_OTHERS];	 /* f_op->release of these files; 0: not found */
	__u32 other_errors[WALK_OTHERS]; /* and why not: errno, or 0: this kernel has none */
	/* what owners.bpf.c needs; 0: not found out */
	__u64 path_ops, dir_ops,
		ns_file_ops;	      /* f_op of O_PATH files, of directories, of nsfs's files */
	__u64 mounts_release;	      /* f_op->release of /proc/PID/mountinfo's files */
	__u64 nsfs;		      /* its only super block */
	__u64 mnt_ns_ops, net_ns_ops; /* ns_common.ops */
	__u64 init_nsproxy, init_mnt, init_net; /* the kernel's own namespaces: ns_common */
	__u64 cpu_array;			/* the struct bpf_array of walk_cpu */
	__u32 init_mnt_ns, init_net_ns;		/* their inode numbers */
	__u32 unmount_mode, pad;		/* FMODE_NEED_UNMOUNT */
};

/* What walk_peek_prog reads of one descriptor of the calling process. */
struct walk_peek {
	__u64 release, private_data, inode_ops, fs_type;
	__u64 file, ops;
	__u64 sb, ns_ops; /* by walk_peek_owner */
	__u32 mode, pad;
};

/* An object that was seen before, and where it is. walk_counts fills in the counters. */
struct walk_listed {
	__u64 address;
	__u32 id, kind;
	__s64 refcnt;  /* below 1: it was freed */
	__s64 usercnt; /* of a program: how many maps it uses, and perhaps WALK_ASSOC */
};

/*
 * What walk_owner_counts reads, by walk_listed.kind. Each answer is in refcnt, -1 where it is no more.
 * A mount: @usercnt is its super block before, the mounts on it after. A namespace: @id is its inode
 * number, @usercnt the references to its file's dentry after. A super block: its mounts and the like.
 */
enum walk_count_kind { WALK_COUNT_MOUNT, WALK_COUNT_NS, WALK_COUNT_SB };

/* It is associated with a struct_ops map. */
#define WALK_ASSOC (1ll << 32)

#define WALK_LIST_MAX 4096 /* a power of two */

/* How a walk ended. */
enum walk_end {
	WALK_DONE,
	WALK_FULL, /* the buffer is full: read the records and continue */
	WALK_TORN, /* the list changed during the walk: start again */
	WALK_NONE, /* this kernel has nothing of the kind */
};

/* The most attach types of cgroups: a power of two. */
#define WALK_CGROUP_TYPES 64

/* How far a walk over cgroups has come (cgroup.bpf.c). */
struct walk_cgroups {
	__u64 at; /* the cgroup, 0: not begun, or done */
	__u64 up, entry;
	__u32 phase, type;
	__u64 lists[WALK_CGROUP_TYPES];
	__u32 types[WALK_CGROUP_TYPES]; /* filled by walk_cgroup_types */
};

/*
 * The kernel's types that its objects may be cast to (bpf_rdonly_cast()). A read is then a plain
 * load with an exception entry, which takes a fifth of the time of bpf_probe_read_kernel().
 */
#define WALK_CAST_TYPES(X) \
	X(file)            \
	X(bpf_map)         \
	X(bpf_prog)        \
	X(bpf_link)        \
	X(btf)             \
	X(socket)          \
	X(sock) X(inode) X(task_struct) X(files_struct) X(fs_struct) X(nsproxy) X(list_head)

#define WALK_CAST_ENUM(name) WALK_CAST_##name,
enum walk_cast { WALK_CAST_TYPES(WALK_CAST_ENUM) WALK_CASTS };

/*
 * For the programs alone: a mapping, and what would be different if it were removed, and put into the
 * tree of mappings in another place.
 */
struct walk_vma {
	__u64 mm, file, start, end, pgoff;
	__u64 seq; /* of changes of its process's memory */
};

/* For the programs alone: the process, and its descriptor table, that are being read. */
struct walk_table {
	__u64 fds, open; /* the addresses of its arrays */
	__u64 steps;	 /* of WALK_STEP descriptors each */
	__u32 pid, tgid;
	__u32 emitted;
	char comm[16];
};

#define WALK_NET_CURSOR 4

#define WALK_NETS_MAX 1024

/*
 * One of the objects that a program walks over: what is at @object in a namespace, or the namespace
 * itself. @arg is an argument of the program.
 */
struct walk_in_net {
	__u64 net, object;
	__u32 inum, arg;
};

/* Where a walk over network namespaces is. */
struct walk_net_at {
	__u64 net, object; /* those of the object in walk_net_list, and so are inum and arg */
	__u32 inum, arg;
	/* the object was begun; since the program began it was seen that it is still there */
	__u32 begun, checked;
	__u32 gone;   /* what was to be walked over was removed */
	__u32 missed; /* things that could not be followed */
	__u64 at[WALK_NET_CURSOR];
	__u32 number, hook; /* a rule's, and its chain */
	char chain[32];
};

/* What lib and the programs exchange besides records. Walks run one at a time. */
struct walk_control {
	struct walk_kernel_ids kernel_ids;
	/* the bytes of records in the buffer; lib sets it to 0 when it has read them */
	__u32 len;
	/* the only map that walk_maps emits, 0: all; our programs that hold themselves running */
	__u32 filter_id, self_prog, counts_prog, pad;
	/* the address of the only map whose holders are emitted, 0: all */
	__u64 filter_map;
	/* the number of objects in walk_list or walk_net_list, and where a program continues in it */
	__u32 listed, list_at;
	/* the descriptor of the iterator that runs a walk of tasks: it exists only for the walk */
	__u32 self_pid, self_fd;
	/* tasks: the namespaces and the root directory that were emitted last */
	__u64 last_nsproxy, last_root;
	/* not 0: emit the directories of tasks, for a bpffs that lib does not see */
	__u32 dirs, pad2;
	/* mounts of nsfs: where to continue */
	__u64 mount_at;
	/* the descriptor of the calling process that is to be read; enum walk_end */
	__u32 peek_fd, ended;
	/* the object whose records did not all fit, and where to continue in it */
	__u64 resume_key, resume_at;
	/* bpffs: the instance, the inode in it, and its name, to begin with; 0: the first */
	__u64 sb_at, inode_at, name_at;
	/* walk_mounted: the device of a filesystem, its mounts, those of them with a mount on them */
	__u32 mounted_dev, mounted, mounted_on, pad_mounted;
	/* the BTF whose structures are to be read, and where to continue in it */
	__u64 btf_at;
	__u32 btf_id, meta_at;
	/*
	 * the socket or ring to be read, or the file whose mappings are, and where to continue in it
	 */
	__u64 inside, inside_at;
	/* the descriptor that leads there, or WALK_IN_PID */
	__u32 inside_fd, pad_fd;
	/* the file whose programs are to be emitted, and what it is: enum walk_other */
	__u64 use_file;
	__u32 use_other;
	/* a bit for each enum walk_other: something is loaded that such a file may hold */
	__u32 uses;
	struct walk_peek peeked;
	struct walk_net_at net; /* network namespaces */
	struct walk_cgroups cgroups;
};

#endif

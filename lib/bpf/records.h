/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records that BPF walkers write and lib reads: defined once, for both sides. Each begins with
 * struct walk_rec; sizes are multiples of 8. Kernel addresses in them are identities only and never
 * leave lib.
 */
#ifndef BPFREFS_WALK_H
#define BPFREFS_WALK_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* Room for the records of one pass; a walk that fills it is drained and goes on. */
#define WALK_OUT_SIZE (256 * 1024)
/* No single record is larger. */
#define WALK_REC_MAX 512

enum walk_type {
	WALK_MAP = 1, /* an object's counters and facts */
	WALK_PROG,
	WALK_LINK,
	WALK_BTF,
	WALK_EDGE,	  /* an object holds another */
	WALK_TASK,	  /* a process whose descriptors follow */
	WALK_FILE,	  /* a descriptor of an object */
	WALK_ITER,	  /* a descriptor of an iterator */
	WALK_NS,	  /* the namespaces and the root directory of a process or thread */
	WALK_SB,	  /* an instance of bpffs */
	WALK_MOUNT,	  /* a mount of the instance just told */
	WALK_INODE,	  /* an inode of bpffs: a pin or a directory */
	WALK_DENTRY,	  /* a name of the inode just told */
	WALK_PINNED_ITER, /* the program of an iterator link that is pinned */
	WALK_GAP,	  /* something that could not be followed */
	WALK_HELD,	  /* a file that something other than a descriptor holds */
	WALK_SOCK,	  /* what a socket holds */
	WALK_TUN,	  /* what a tun device holds */
	WALK_EVENT,	  /* what a perf event holds */
	WALK_CARRIED, /* a socket, perf event or tun file that no descriptor of its process is */
	WALK_CGROUP,  /* a cgroup on the way to one with programs */
	WALK_CGROUP_PROG, /* a program attached to the cgroup just told */
	WALK_STRUCT_OPS,  /* a struct_ops map that is registered */
	WALK_XSK,	  /* a slot of an xskmap that an AF_XDP socket is in */
	WALK_HOLD,	  /* a process keeps a namespace or a mount of bpffs */
	WALK_NS_MOUNT,	  /* a mount of a namespace's file */
	WALK_TUN_FILE,	  /* a descriptor of a tun device */
	WALK_TYPES,
};

struct walk_rec {
	__u16 type; /* enum walk_type */
	__u16 size; /* of the whole record */
	__u32 id;   /* of the object that it is about; edges: of the holder; tasks: tgid */
};

/* Kinds as in enum bpfrefs_kind. */
enum { WALK_KIND_MAP, WALK_KIND_PROG, WALK_KIND_LINK, WALK_KIND_BTF };

struct walk_map {
	struct walk_rec rec;
	__u64 address;
	__s64 refcnt, usercnt; /* without the iterator's own reference */
	__u64 map_extra, netns_dev, netns_ino;
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
	__u32 used; /* how many maps it uses; see lib/known.c */
	char name[16];
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

/* How a holder holds: the `via` of a record. */
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
	WALK_VIA_COUNT,
};

/* Longest key of a hash of maps that is told whole. */
#define WALK_KEY_MAX 256

struct walk_edge {
	struct walk_rec rec;
	__u8 holder, target; /* kinds */
	__u8 via;	     /* enum walk_via */
	__u8 pad;
	__u32 target_id;
	__u32 slot;	/* where key_size is 0 */
	__u32 key_size; /* of a hash of maps: the key follows, at most WALK_KEY_MAX bytes */
	__u8 key[];
};

struct walk_task {
	struct walk_rec rec;
	__u32 tid; /* 0: the thread group leader's table */
	__u32 pad;
	char comm[16]; /* of the leader */
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
	__u32 mnt_ns;	 /* 0: none, or an anonymous one: it is detached */
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

/* What such a file is: one of a BPF object, by its kind; or one that may hold files in its turn. */
enum {
	WALK_HELD_ITER = 4,   /* an iterator's */
	WALK_HELD_SOCKET,     /* of AF_UNIX */
	WALK_HELD_CONNECTION, /* one that nobody has accepted: a socket without a file */
	WALK_HELD_RING,
	WALK_HELD_OTHER,
};

/* How it is held. The last three are told of the socket or ring that is being looked into. */
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
	WALK_GAP_BUCKET,   /* a hash bucket that changed under us */
	WALK_GAP_VALUES,   /* values with callbacks, in a type of map that is not known */
	WALK_GAP_MESSAGES, /* a socket's queue that is longer than we follow */
	WALK_GAP_RING,	   /* requests of a ring that are more than we follow */
	WALK_GAP_AIO,
	WALK_GAP_ACCEPT, /* a queue of connections not yet accepted */
	WALK_GAP_PACKET, /* a packet socket, or a tun, whose module came after our programs */
	WALK_GAP_TUN,
	WALK_GAP_KCM,	   /* connections of a KCM socket */
	WALK_GAP_CHILDREN, /* the inherited events of an event */
	WALK_GAP_COUNT,
};

struct walk_gap {
	struct walk_rec rec;
	__u32 kind, pad;
};

/* By what something that is no BPF object holds one. */
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
#define WALK_IN_PID (~1u) /* by that process, otherwise */

struct walk_carried {
	struct walk_rec rec;
	__u64 file;
	__u32 other, pad;
};

/* The beginning of the records of such holders. */
struct walk_use {
	struct walk_rec rec; /* the object */
	__u64 what;	     /* what holds it: counts once, however many ways lead there */
	__u32 fd;	     /* of the process told last, WALK_NO_FD or WALK_IN_PID */
	__u32 use;	     /* enum walk_use_kind */
	__u32 count, pad;
};

/* A socket is in one sockmap as a rule, or in two. */
#define WALK_PSOCK_MAPS 4

/* As long as a unix socket's path. */
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

/* Files of no BPF object that lead to some; a kernel need not have them all. */
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

/* Learnt from descriptors of our own; the same for the kernel's whole life. */
struct walk_known {
	__u64 release[4];	     /* f_op->release of each kind's files */
	__u64 iter_release;	     /* of iterators' files */
	__u64 inode_ops[3];	     /* i_op of pinned maps, programs, links */
	__u64 bpffs;		     /* the file_system_type */
	__u64 other[WALK_OTHERS];    /* f_op->release of these files; 0: not learnt */
	__u32 unlearnt[WALK_OTHERS]; /* and why not: errno, or 0: this kernel has none */
	/* what walk-owner.bpf.c needs; 0: not found out */
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

/* What the peek program says of one descriptor of the calling process. */
struct walk_peek {
	__u64 release, private_data, inode_ops, fs_type;
	__u64 file, ops;
	__u64 sb, ns_ops; /* by walk_peek_owner */
	__u32 mode, pad;
};

/* An object that is known: where it is. What is asked for is filled in by walk_counts. */
struct walk_listed {
	__u64 address;
	__u32 id, kind;
	__s64 refcnt;  /* below 1: it is gone */
	__s64 usercnt; /* of a program: how many maps it uses, and perhaps WALK_ASSOC */
};

/* It is associated with a struct_ops map. */
#define WALK_ASSOC (1ll << 32)

#define WALK_LIST_MAX 4096 /* a power of two */

/* How a walk over bpffs ended. */
enum walk_end {
	WALK_DONE,
	WALK_FULL, /* drain, then go on */
	WALK_TORN, /* the list changed under us: begin this instance again */
};

/* Attach types of cgroups, at most: a power of two. */
#define WALK_CGROUP_TYPES 64

/* Where a walk over cgroups is (holder-cgroup.bpf.c). */
struct walk_cgroups {
	__u64 at; /* the cgroup, 0: begin, or done */
	__u64 up, entry;
	__u32 phase, type;
	__u64 lists[WALK_CGROUP_TYPES];
	__u32 types[WALK_CGROUP_TYPES]; /* filled by walk_cgroup_types */
};

/*
 * The kernel's types that its objects may be cast to (bpf_rdonly_cast()): a read is then a plain load
 * with an exception entry, and takes a fifth of bpf_probe_read_kernel()'s time.
 */
#define WALK_CAST_TYPES(X) \
	X(file) X(bpf_map) X(bpf_prog) X(bpf_link) X(btf) X(socket) X(sock) X(inode)

#define WALK_CAST_ENUM(name) WALK_CAST_##name,
enum walk_cast { WALK_CAST_TYPES(WALK_CAST_ENUM) WALK_CASTS };

/* The BPF side's own: the process, and the table of its descriptors, at work. */
struct walk_table {
	__u64 fds, open; /* addresses of its arrays */
	__u32 pid, tgid;
	__u32 told;
	char comm[16];
};

#include "bpf/records_owner.h"
#include "bpf/records_net.h"

/* Can walk_vmas do what walk_mappings does? */
enum { WALK_VMAS_UNTRIED, WALK_VMAS_ABLE, WALK_VMAS_UNABLE };

/* What the two sides say to each other, beside the records. Walks run one at a time. */
struct walk_control {
	struct walk_known known;
	/* bytes of records in the buffer; lib sets it to 0 when it has read them */
	__u32 len;
	/* objects: not 0, tell this map alone; our programs that tell programs, and hold themselves then */
	__u32 only_id, self_prog, counts_prog, pad;
	/* not 0: the address of the one map whose holders are looked for; what else is held is left out */
	__u64 only;
	/* objects in walk_list, and where walk_slots goes on in it */
	__u32 listed, list_at;
	/* the iterator that runs a walk of tasks is a descriptor too, but holds only for the walk */
	__u32 self_pid, self_fd;
	/* tasks: the namespaces and root directory emitted last */
	__u64 last_nsproxy, last_root;
	/* not 0: directories of tasks are of interest, for a bpffs that we do not see */
	__u32 dirs, pad2;
	/* mounts of nsfs: where to go on */
	__u64 mount_at;
	__u32 vmas, vmas_busy; /* WALK_VMAS_*; not 0: a process could not be looked at just now */
	/* which descriptor of the calling process to look at; a mark that a walk ended early */
	__u32 peek_fd, ended;
	/* the object whose records did not all fit, and where it goes on */
	__u64 resume_key, resume_at;
	/* bpffs: the instance, the inode in it, and its name, to begin with; 0: the first */
	__u64 sb_at, inode_at, name_at;
	/* a btf's structures: which btf, and how far */
	__u64 btf_at;
	__u32 btf_id, meta_at;
	/* the socket or ring to look into, and how far */
	__u64 inside, inside_at;
	/* the descriptor that leads there, or WALK_IN_PID */
	__u32 inside_fd, pad_fd;
	/* a file to be looked into, and what it is: enum walk_other */
	__u64 use_file;
	__u32 use_other;
	/* a bit for each enum walk_other: something is loaded that such a file may hold */
	__u32 uses;
	struct walk_peek peeked;
	struct walk_net_at net; /* network namespaces */
	struct walk_cgroups cgroups;
};

#endif

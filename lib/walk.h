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
	WALK_EDGE,   /* an object holds another */
	WALK_TASK,   /* a process whose descriptors follow */
	WALK_FILE,   /* a descriptor of an object */
	WALK_ITER,   /* a descriptor of an iterator */
	WALK_NS,     /* a process in another mount namespace than the process before it */
	WALK_SB,     /* an instance of bpffs */
	WALK_MOUNT,  /* a mount of the instance just told */
	WALK_INODE,  /* an inode of bpffs: a pin or a directory */
	WALK_DENTRY, /* a name of the inode just told */
	WALK_GAP,    /* something that could not be followed */
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
	__s64 refcnt, usercnt; /* without the iterator's own reference */
	__u64 map_extra, netns_dev, netns_ino;
	__u32 type, key_size, value_size, max_entries, flags, ifindex;
	__u32 btf_id, btf_key_type_id, btf_value_type_id, btf_vmlinux_value_type_id;
	__u32 btf_vmlinux_id; /* struct_ops: the BTF of its type */
	__u32 inner_btf_id;   /* of a map of maps' template */
	__u32 pad;
	__u32 async; /* its values have timers, work queues or task work */
	char name[16];
};

struct walk_prog {
	struct walk_rec rec;
	__s64 refcnt;
	__u32 type, btf_id, attach_btf_id, pad;
	char name[16];
};

struct walk_link {
	struct walk_rec rec;
	__s64 refcnt;
	__u32 type, prog_id;
	__u32 map_id;	/* the map that it holds, 0: none */
	__u32 map_user; /* with a user reference */
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

struct walk_ns {
	struct walk_rec rec; /* a tgid */
	__u32 mnt_ns, pad;
};

struct walk_sb {
	struct walk_rec rec; /* id 0 */
	__u64 sb;
	__u32 major, minor;
};

struct walk_mount {
	struct walk_rec rec;
	__u32 mnt_ns; /* 0: none, or an anonymous one: it is detached */
	__u32 pad;
};

struct walk_inode {
	struct walk_rec rec; /* the pinned object, 0 for a directory */
	__u64 sb, inode, ino;
	__s64 mtime;
	__u32 kind; /* of the pinned object; WALK_KIND_DIR for a directory */
	__u32 nlink, uid, mode;
};

#define WALK_KIND_DIR 4

struct walk_dentry {
	struct walk_rec rec;
	__u64 dentry, parent;
	__u32 hashed; /* still reachable by this name */
	__u32 len;
	char name[]; /* with its NUL */
};

/* What a walk could not follow, and how often. */
enum walk_gap_kind {
	WALK_GAP_BUCKET, /* a hash bucket that changed under us */
	WALK_GAP_COUNT,
};

struct walk_gap {
	struct walk_rec rec;
	__u32 kind, pad;
};

/* Learnt from descriptors of our own; the same for the kernel's whole life. */
struct walk_known {
	__u64 release[4];   /* f_op->release of each kind's files */
	__u64 iter_release; /* of iterators' files */
	__u64 inode_ops[3]; /* i_op of pinned maps, programs, links */
	__u64 bpffs;	    /* the file_system_type */
};

/* What the peek program says of one descriptor of the calling process. */
struct walk_peek {
	__u64 release, private_data, inode_ops, fs_type;
};

/* How a walk over bpffs ended. */
enum walk_end {
	WALK_DONE,
	WALK_FULL, /* drain, then go on */
	WALK_TORN, /* the list changed under us: begin this instance again */
};

/* What the two sides say to each other, beside the records. Walks run one at a time. */
struct walk_control {
	struct walk_known known;
	/* bytes of records in the buffer; lib sets it to 0 when it has read them */
	__u32 len;
	/* objects: not 0, tell this map alone; our program that iterates programs */
	__u32 only_id, self_prog;
	/* the iterator that runs a walk of tasks is a descriptor too, but holds only for the walk */
	__u32 self_pid, self_fd;
	/* tasks: the mount namespace told last */
	__u32 last_ns;
	/* which descriptor of the calling process to look at; a mark that a walk ended early */
	__u32 peek_fd, ended;
	/* the object whose records did not all fit, and where it goes on */
	__u64 resume_key, resume_at;
	/* bpffs: the instance, the inode in it, and its name, to begin with; 0: the first */
	__u64 sb_at, inode_at, name_at;
	/* a btf's structures: which btf, and how far */
	__u64 btf_at;
	__u32 btf_id, meta_at;
	struct walk_peek peeked;
};

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records of what keeps namespaces and instances of bpffs alive, for both sides, as in walk.h, which
 * has the common part.
 */
#ifndef BPFREFS_WALK_HOLD_H
#define BPFREFS_WALK_HOLD_H

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

/*
 * What walk_owner_counts reads, by walk_listed.kind. Each answer is in refcnt, -1 where it is no more.
 * A mount: @usercnt is its super block before, the mounts on it after. A namespace: @id is its inode
 * number, @usercnt the references to its file's dentry after. A super block: its mounts and the like.
 */
enum walk_count_kind { WALK_COUNT_MOUNT, WALK_COUNT_NS, WALK_COUNT_SB };

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* For programs that look for what keeps namespaces and instances of bpffs: fragments of structures. */
#ifndef WALK_OWNER_BPF_H
#define WALK_OWNER_BPF_H

#include "bpf/net.bpf.h"

struct dentry;

struct file_system_type;

struct super_block {
	struct file_system_type *s_type;
	struct {
		int counter;
	} s_active;
	struct list_head s_mounts; /* until 6.16 */
} __pai;

struct lockref {
	union {
		struct {
			int count;
		};
	};
} __pai;

struct inode {
	void *i_private;
} __pai;

struct dentry {
	struct inode *d_inode;
	struct lockref d_lockref;
} __pai;

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
} __pai;

struct mnt_pcp {
	int mnt_count;
} __pai;

struct mount {
	struct vfsmount mnt;
	struct mnt_pcp *mnt_pcp;
	struct mnt_namespace *mnt_ns;
	struct list_head mnt_instance; /* until 6.16 */
	struct list_head mnt_mounts;
} __pai;

struct mount___up { /* on kernels for a single processor */
	int mnt_count;
} __pai;

/* 6.17 made super_block.s_mounts a singly linked list through the mounts themselves. */
struct mount___617 {
	struct mount___617 *mnt_next_for_sb;
} __pai;

struct super_block___617 {
	struct mount___617 *s_mounts;
} __pai;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} __pai;

struct fs_struct {
	struct path root, pwd;
} __pai;

struct ns_common___owner {
	struct dentry *stashed; /* 6.9 */
	const struct proc_ns_operations *ops;
	unsigned int inum;
	refcount_t count;    /* until 6.17 */
	refcount_t __ns_ref; /* 6.18 */
} __pai;

struct ns_common___stash {
	atomic64_t stashed; /* until 6.8: the dentry */
} __pai;

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
} __pai;

struct task_struct {
	int pid, tgid;
	struct nsproxy *nsproxy;
	struct fs_struct *fs;
} __pai;

struct file {
	unsigned int f_mode;
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
} __pai;

struct proc_mounts {
	struct mnt_namespace *ns;
} __pai;

struct sock_common {
	unsigned char skc_net_refcnt : 1;
	possible_net_t skc_net;
} __pai;

struct sock {
	struct sock_common __sk_common;
} __pai;

struct socket {
	struct sock *sk;
} __pai;

struct tun_file {
	struct sock sk;
} __pai;

struct bpf_array {
	void *pptrs[0];
} __pai;

static __always_inline __u64 mnt_common(struct mnt_namespace *ns)
{
	return ns ? (__u64)ns + bpf_core_field_offset(struct mnt_namespace, ns) : 0;
}

static __always_inline __u64 net_common(struct net *net)
{
	return net ? (__u64)net + bpf_core_field_offset(struct net, ns) : 0;
}

static __always_inline __u32 common_inum(__u64 common)
{
	return common ? BPF_CORE_READ((struct ns_common___owner *)common, inum) : 0;
}

/* A mount namespace that nobody can enter: fsmount() and open_tree() make such. */
static __always_inline bool is_anonymous(struct mnt_namespace *ns)
{
	__u32 inum = BPF_CORE_READ(ns, ns.inum);

	return inum == MNT_NS_ANON_INO || inum == 0;
}

#endif

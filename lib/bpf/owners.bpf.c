// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps mount namespaces, network namespaces and instances of bpffs alive (lib/kernel/owner_records.c).
 *
 * A namespace is held by each nsproxy that points to it (copy_namespaces()), by the inode of its file
 * in nsfs, once however many descriptors and bind mounts there are (path_from_stashed(), before 6.9
 * __ns_get_path()), a mount namespace by each open /proc/PID/mountinfo (mounts_open_common()), a
 * network namespace by each socket that counts (sk_net_refcnt, sk_alloc()). An instance of bpffs is
 * held by its mounts, and a mount by its namespace and by each path in use on it: files, working and
 * root directories (path_get()).
 */
#include "bpf/owners.bpf.h"

/* ---------------------------------------------------------------- tasks --- */

/* The process of walk_table keeps something; its command name is in the record: it may keep no object. */
static __always_inline void emit_hold(__u64 what, __u64 where, __u32 how, __u32 fd, __u32 inum)
{
	struct walk_hold *out = walk_room();

	if (!out)
		return;
	out->what = what;
	out->where = where;
	out->how = how;
	out->fd = fd;
	out->tid = walk_table.pid == walk_table.tgid ? 0 : walk_table.pid;
	out->inum = inum;
	__builtin_memcpy(out->comm, walk_table.comm, sizeof(out->comm));
	walk_emit(&out->rec, WALK_HOLD, sizeof(*out), walk_table.tgid);
}

static __always_inline __u64 mount_of(struct vfsmount *mnt)
{
	return (__u64)mnt - bpf_core_field_offset(struct mount, mnt);
}

static __always_inline bool is_bpffs(struct vfsmount *mnt)
{
	return mnt && (__u64)BPF_CORE_READ(mnt, mnt_sb, s_type) == walk.kernel_ids.bpffs;
}

/* Emits which mounts of bpffs the directories of the task of walk_table keep. Global: see there. */
int walk_emit_dirs(__u64 address)
{
	struct fs_struct *fs = BPF_CORE_READ((struct task_struct *)address, fs);
	struct vfsmount *root = BPF_CORE_READ(fs, root.mnt);
	struct vfsmount *pwd = BPF_CORE_READ(fs, pwd.mnt);

	if (is_bpffs(root))
		emit_hold((__u64)fs, mount_of(root), WALK_HOLD_ROOT, 0, 0);
	if (is_bpffs(pwd))
		emit_hold((__u64)fs, mount_of(pwd), WALK_HOLD_CWD, 0, 0);
	return 0;
}

/* ---------------------------------------------------------------- files --- */

static __always_inline void emit_namespace_file(struct file *file, struct inode *inode, __u32 fd)
{
	__u64 common = (__u64)BPF_CORE_READ(inode, i_private);
	__u64 ops = (__u64)BPF_CORE_READ((struct ns_common *)common, ops);

	if (ops == walk.kernel_ids.mnt_ns_ops && common != walk.kernel_ids.init_mnt)
		emit_hold((__u64)file, common, WALK_HOLD_MNT_NS, fd, common_inum(common));
	else if (ops == walk.kernel_ids.net_ns_ops && common != walk.kernel_ids.init_net)
		emit_hold((__u64)file, common, WALK_HOLD_NET_NS, fd, common_inum(common));
}

/* What is opened on a mount: it keeps the mount; the file of fsmount() or open_tree() all the tree. */
static __always_inline void emit_path(struct file *file, __u32 fd, bool is_path)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	__u64 sb = (__u64)BPF_CORE_READ(mnt, mnt_sb);
	struct mnt_namespace *ns;

	if (sb == walk.kernel_ids.nsfs)
		emit_namespace_file(file, BPF_CORE_READ(file, f_inode), fd);
	else if (is_bpffs(mnt))
		emit_hold((__u64)file, mount_of(mnt), WALK_HOLD_DIR, fd, 0);
	if (!is_path || !(BPF_CORE_READ(file, f_mode) & walk.kernel_ids.unmount_mode))
		return;
	ns = BPF_CORE_READ((struct mount *)mount_of(mnt), mnt_ns);
	if (ns && is_anonymous(ns))
		emit_hold((__u64)file, (__u64)ns, WALK_HOLD_TREE, fd, 0);
}

static __always_inline void emit_mountinfo(struct file *file, __u32 fd)
{
	struct seq_file *seq = BPF_CORE_READ(file, private_data);
	struct proc_mounts *mounts = BPF_CORE_READ(seq, private);
	__u64 common = mnt_common(BPF_CORE_READ(mounts, ns));

	if (common && common != walk.kernel_ids.init_mnt)
		emit_hold((__u64)file, common, WALK_HOLD_MOUNTINFO, fd, common_inum(common));
}

/* Emits what a file keeps that is none of a BPF object. Global: see walk_table. */
int walk_emit_file(__u64 address, __u32 fd)
{
	struct file *file = (struct file *)address;
	__u64 release = walk_release(address), ops = walk_ops(address);

	if (release && release == walk.kernel_ids.mounts_release)
		emit_mountinfo(file, fd);
	else if (ops == walk.kernel_ids.ns_file_ops)
		emit_namespace_file(file, BPF_CORE_READ(file, f_inode), fd);
	else if (ops == walk.kernel_ids.path_ops || ops == walk.kernel_ids.dir_ops ||
		 release == walk.kernel_ids.iter_release)
		emit_path(file, fd, ops == walk.kernel_ids.path_ops);
	return 0;
}

/* Emits that a socket, or the socket of a tun file, keeps its network namespace. Global, as above. */
int walk_emit_member(__u64 address, __u32 fd, __u32 other)
{
	struct sock *sk = (struct sock *)walk_private(address);
	__u64 common;

	if (other == WALK_OTHER_SOCKET)
		sk = (struct sock *)walk_sock(address);
	else if (bpf_core_field_exists(((struct tun_file *)0)->sk))
		sk = (void *)sk + bpf_core_field_offset(struct tun_file, sk);
	else
		return 0;
	if (!sk)
		return 0;
	common = net_common(BPF_CORE_READ(sk, __sk_common.skc_net.net));
	if (common && common != walk.kernel_ids.init_net &&
	    BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_net_refcnt))
		emit_hold((__u64)sk, common, WALK_HOLD_SOCKET, fd, common_inum(common));
	return 0;
}

/* -------------------------------------------------------------- kernel ids -- */

#define ANCESTORS_MAX 4096

struct ancestors {
	__u64 task;
};

static int ancestor_step(__u32 index, struct ancestors *ancestors)
{
	struct task_struct *task = (void *)ancestors->task;
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);

	if (!parent || parent == task)
		return 1;
	ancestors->task = (__u64)parent;
	return 0;
}

/* The kernel's own namespaces: those of the first task, which every process descends from. */
SEC("syscall")
int walk_init_namespaces(void *ctx)
{
	struct ancestors ancestors = { bpf_get_current_task() };
	struct task_struct *task;
	struct nsproxy *nsproxy;

	bpf_loop(ANCESTORS_MAX, ancestor_step, &ancestors, 0);
	task = (void *)ancestors.task;
	if (BPF_CORE_READ(task, pid) != 0)
		return 0;
	nsproxy = BPF_CORE_READ(task, nsproxy);
	walk.kernel_ids.init_nsproxy = (__u64)nsproxy;
	walk.kernel_ids.init_mnt = mnt_common(BPF_CORE_READ(nsproxy, mnt_ns));
	walk.kernel_ids.init_net = net_common(BPF_CORE_READ(nsproxy, net_ns));
	walk.kernel_ids.init_mnt_ns = common_inum(walk.kernel_ids.init_mnt);
	walk.kernel_ids.init_net_ns = common_inum(walk.kernel_ids.init_net);
	return 0;
}

/* Reads more of the descriptor that walk_peek_prog read last. */
SEC("syscall")
int walk_peek_owner(void *ctx)
{
	struct file *file = (struct file *)walk.peeked.file;
	__u64 common = (__u64)BPF_CORE_READ(file, f_inode, i_private);

	walk.peeked.mode = BPF_CORE_READ(file, f_mode);
	walk.peeked.sb = (__u64)BPF_CORE_READ(file, f_path.mnt, mnt_sb);
	walk.peeked.ns_ops = (__u64)BPF_CORE_READ((struct ns_common *)common, ops);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

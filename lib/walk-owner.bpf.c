// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps mount namespaces, network namespaces and instances of bpffs alive (lib/walk-owner.c).
 *
 * A namespace is held by each nsproxy that points to it (copy_namespaces()), by the inode of its file
 * in nsfs, once however many descriptors and bind mounts there are (path_from_stashed(), before 6.9
 * __ns_get_path()), a mount namespace by each open /proc/PID/mountinfo (mounts_open_common()), a
 * network namespace by each socket that counts (sk_net_refcnt, sk_alloc()). An instance of bpffs is
 * held by its mounts, and a mount by its namespace and by each path in use on it: files, working and
 * root directories (path_get()).
 */
#include "walk-net.bpf.h"

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
	struct dentry *stashed; /* a number before 6.9 */
	const struct proc_ns_operations *ops;
	unsigned int inum;
	refcount_t count;    /* until 6.17 */
	refcount_t __ns_ref; /* 6.18 */
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
	return mnt && (__u64)BPF_CORE_READ(mnt, mnt_sb, s_type) == walk.known.bpffs;
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

/* A mount namespace that nobody can enter: fsmount() and open_tree() make such. */
static __always_inline bool is_anonymous(struct mnt_namespace *ns)
{
	__u32 inum = BPF_CORE_READ(ns, ns.inum);

	return inum == MNT_NS_ANON_INO || inum == 0;
}

static __always_inline void emit_namespace_file(struct file *file, struct inode *inode, __u32 fd)
{
	__u64 common = (__u64)BPF_CORE_READ(inode, i_private);
	__u64 ops = (__u64)BPF_CORE_READ((struct ns_common___owner *)common, ops);

	if (ops == walk.known.mnt_ns_ops && common != walk.known.init_mnt)
		emit_hold((__u64)file, common, WALK_HOLD_MNT_NS, fd, common_inum(common));
	else if (ops == walk.known.net_ns_ops && common != walk.known.init_net)
		emit_hold((__u64)file, common, WALK_HOLD_NET_NS, fd, common_inum(common));
}

/* What is opened on a mount: it keeps the mount; the file of fsmount() or open_tree() all the tree. */
static __always_inline void emit_path(struct file *file, __u32 fd, bool is_path)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	__u64 sb = (__u64)BPF_CORE_READ(mnt, mnt_sb);
	struct mnt_namespace *ns;

	if (sb == walk.known.nsfs)
		emit_namespace_file(file, BPF_CORE_READ(file, f_inode), fd);
	else if (is_bpffs(mnt))
		emit_hold((__u64)file, mount_of(mnt), WALK_HOLD_DIR, fd, 0);
	if (!is_path || !(BPF_CORE_READ(file, f_mode) & walk.known.unmount_mode))
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

	if (common && common != walk.known.init_mnt)
		emit_hold((__u64)file, common, WALK_HOLD_MOUNTINFO, fd, common_inum(common));
}

/* Emits what a file keeps that is none of a BPF object. Global: see walk_table. */
int walk_emit_file(__u64 address, __u32 fd)
{
	struct file *file = (struct file *)address;
	__u64 release = walk_release(address), ops = walk_ops(address);

	if (release && release == walk.known.mounts_release)
		emit_mountinfo(file, fd);
	else if (ops == walk.known.ns_file_ops)
		emit_namespace_file(file, BPF_CORE_READ(file, f_inode), fd);
	else if (ops == walk.known.path_ops || ops == walk.known.dir_ops ||
		 release == walk.known.iter_release)
		emit_path(file, fd, ops == walk.known.path_ops);
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
	if (common && common != walk.known.init_net &&
	    BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_net_refcnt))
		emit_hold((__u64)sk, common, WALK_HOLD_SOCKET, fd, common_inum(common));
	return 0;
}

/* ---------------------------------------------- mounts of namespaces' files --- */

#define NS_MOUNTS_MAX (1 << 20)

static __always_inline void emit_ns_mount(struct mount *mount)
{
	__u64 common = (__u64)BPF_CORE_READ(mount, mnt.mnt_root, d_inode, i_private);
	__u64 ops = (__u64)BPF_CORE_READ((struct ns_common___owner *)common, ops);
	struct mnt_namespace *ns = BPF_CORE_READ(mount, mnt_ns);
	struct walk_ns_mount *out;

	if (!ops || (ops != walk.known.mnt_ns_ops && ops != walk.known.net_ns_ops))
		return;
	out = walk_room();
	if (!out)
		return;
	out->common = common;
	out->is_net = ops == walk.known.net_ns_ops;
	out->inum = common_inum(common);
	out->in = (__u64)ns;
	out->in_ns = ns && !is_anonymous(ns) ? BPF_CORE_READ(ns, ns.inum) : 0;
	out->pad = 0;
	walk_emit(&out->rec, WALK_NS_MOUNT, sizeof(*out), 0);
}

static int ns_mount_step(__u32 index, void *unused)
{
	struct mount *mount = (struct mount *)walk.mount_at;

	if (!mount)
		return 1;
	if (walk_full(sizeof(struct walk_ns_mount))) {
		walk.ended = WALK_FULL;
		return 1;
	}
	if ((__u64)BPF_CORE_READ(mount, mnt.mnt_sb) != walk.known.nsfs) {
		walk.ended = WALK_TORN;
		return 1;
	}
	emit_ns_mount(mount);
	if (bpf_core_field_exists(((struct mount___617 *)0)->mnt_next_for_sb)) {
		walk.mount_at = (__u64)BPF_CORE_READ((struct mount___617 *)mount, mnt_next_for_sb);
	} else {
		struct list_head *next = BPF_CORE_READ(mount, mnt_instance.next);
		__u64 head =
			walk.known.nsfs + bpf_core_field_offset(struct super_block, s_mounts);

		walk.mount_at =
			(__u64)next == head
				? 0
				: (__u64)next - bpf_core_field_offset(struct mount, mnt_instance);
	}
	return 0;
}

/* Emits the mounts of mount and network namespaces' files from walk.mount_at on; 0: the first. */
SEC("syscall")
int walk_ns_mounts(void *ctx)
{
	struct super_block *sb = (struct super_block *)walk.known.nsfs;

	walk.ended = WALK_DONE;
	if (walk.mount_at) {
		/* where the last call ended */
	} else if (bpf_core_field_exists(((struct mount___617 *)0)->mnt_next_for_sb)) {
		walk.mount_at = (__u64)BPF_CORE_READ((struct super_block___617 *)sb, s_mounts);
	} else {
		struct list_head *first = BPF_CORE_READ(sb, s_mounts.next);

		if ((__u64)first != (__u64)sb + bpf_core_field_offset(struct super_block, s_mounts))
			walk.mount_at = (__u64)first -
					bpf_core_field_offset(struct mount, mnt_instance);
	}
	bpf_loop(NS_MOUNTS_MAX, ns_mount_step, NULL, 0);
	return 0;
}

/* --------------------------------------------------------------- counts --- */

/* One variable for each processor: where its part of a per-CPU allocation is can be seen by it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} walk_cpu SEC(".maps");

#define CPUS_MAX 65536
#define CHILDREN_MAX 65536

struct counting {
	__u64 mount; /* or, of its children, the list's next */
	__u64 head;
	__s64 count;
};

/* The launderer of pointers that the verifier knows. */
volatile __u64 walk_owner_number;

static int cpu_step(__u32 cpu, struct counting *counting)
{
	struct mount *mount = (struct mount *)counting->mount;
	struct bpf_array *array = (struct bpf_array *)walk.known.cpu_array;
	struct mnt_pcp *here;
	__u64 base = 0, *value;
	__u32 zero = 0;

	value = bpf_map_lookup_percpu_elem(&walk_cpu, &zero, cpu);
	if (!value)
		return 1;
	walk_owner_number = (__u64)value;
	bpf_probe_read_kernel(&base, sizeof(base),
			      (void *)array + bpf_core_field_offset(struct bpf_array, pptrs));
	here = (struct mnt_pcp *)((__u64)BPF_CORE_READ(mount, mnt_pcp) + walk_owner_number - base);
	counting->count += BPF_CORE_READ(here, mnt_count);
	return 0;
}

/* mnt_get_count() */
static __always_inline __s64 mount_count(struct mount *mount)
{
	struct counting counting = { .mount = (__u64)mount };

	if (bpf_core_field_exists(((struct mount___up *)0)->mnt_count))
		return BPF_CORE_READ((struct mount___up *)mount, mnt_count);
	bpf_loop(CPUS_MAX, cpu_step, &counting, 0);
	return counting.count;
}

static int child_step(__u32 index, struct counting *counting)
{
	struct list_head *node = (struct list_head *)counting->mount;

	if (!node || (__u64)node == counting->head)
		return 1;
	counting->count++;
	counting->mount = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

/* Mounts on a mount: each of them holds it (mnt_set_mountpoint()). */
static __always_inline __s64 mount_children(struct mount *mount)
{
	struct counting counting = {
		.mount = (__u64)BPF_CORE_READ(mount, mnt_mounts.next),
		.head = (__u64)mount + bpf_core_field_offset(struct mount, mnt_mounts),
	};

	bpf_loop(CHILDREN_MAX, child_step, &counting, 0);
	return counting.count;
}

static __always_inline __s64 namespace_count(struct ns_common___owner *ns)
{
	if (bpf_core_field_exists(ns->__ns_ref))
		return BPF_CORE_READ(ns, __ns_ref.refs.counter);
	return BPF_CORE_READ(ns, count.refs.counter);
}

static int owner_step(__u32 index, void *unused)
{
	struct walk_listed *listed = &walk_list[index & (WALK_LIST_MAX - 1)];
	__u64 address = listed->address, of = (__u64)listed->usercnt;

	listed->refcnt = -1;
	listed->usercnt = 0;
	if (listed->kind == WALK_COUNT_MOUNT) {
		struct mount *mount = (struct mount *)address;

		if ((__u64)BPF_CORE_READ(mount, mnt.mnt_sb) != of)
			return 0;
		listed->refcnt = mount_count(mount);
		listed->usercnt = mount_children(mount);
	} else if (listed->kind == WALK_COUNT_NS) {
		struct ns_common___owner *ns = (struct ns_common___owner *)address;
		struct dentry *stashed = BPF_CORE_READ(ns, stashed);

		if (BPF_CORE_READ(ns, inum) != listed->id)
			return 0;
		listed->refcnt = namespace_count(ns);
		if (stashed)
			listed->usercnt = BPF_CORE_READ(stashed, d_lockref.count);
	} else {
		struct super_block *sb = (struct super_block *)address;

		if ((__u64)BPF_CORE_READ(sb, s_type) == walk.known.bpffs)
			listed->refcnt = BPF_CORE_READ(sb, s_active.counter);
	}
	return 0;
}

/* Reads the reference counters of walk.listed mounts, namespaces and super blocks in walk_list. */
SEC("syscall")
int walk_owner_counts(void *ctx)
{
	bpf_loop(walk.listed, owner_step, NULL, 0);
	return 0;
}

/* -------------------------------------------------------------- learning --- */

struct task_struct___init {
	int pid;
	struct task_struct___init *real_parent;
	struct nsproxy *nsproxy;
} __pai;

#define ANCESTORS_MAX 4096

struct ancestors {
	__u64 task;
};

static int ancestor_step(__u32 index, struct ancestors *ancestors)
{
	struct task_struct___init *task = (void *)ancestors->task;
	struct task_struct___init *parent = BPF_CORE_READ(task, real_parent);

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
	struct task_struct___init *task;
	struct nsproxy *nsproxy;

	bpf_loop(ANCESTORS_MAX, ancestor_step, &ancestors, 0);
	task = (void *)ancestors.task;
	if (BPF_CORE_READ(task, pid) != 0)
		return 0;
	nsproxy = BPF_CORE_READ(task, nsproxy);
	walk.known.init_nsproxy = (__u64)nsproxy;
	walk.known.init_mnt = mnt_common(BPF_CORE_READ(nsproxy, mnt_ns));
	walk.known.init_net = net_common(BPF_CORE_READ(nsproxy, net_ns));
	walk.known.init_mnt_ns = common_inum(walk.known.init_mnt);
	walk.known.init_net_ns = common_inum(walk.known.init_net);
	return 0;
}

/* More of the descriptor that walk_peek_prog looked at last. */
SEC("syscall")
int walk_peek_owner(void *ctx)
{
	struct file *file = (struct file *)walk.peeked.file;
	__u64 common = (__u64)BPF_CORE_READ(file, f_inode, i_private);

	walk.peeked.mode = BPF_CORE_READ(file, f_mode);
	walk.peeked.sb = (__u64)BPF_CORE_READ(file, f_path.mnt, mnt_sb);
	walk.peeked.ns_ops = (__u64)BPF_CORE_READ((struct ns_common___owner *)common, ops);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

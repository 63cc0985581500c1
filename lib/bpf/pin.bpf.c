// SPDX-License-Identifier: GPL-2.0
/*
 * Every instance of bpffs, wherever it is mounted: file_system_type.fs_supers leads to all super
 * blocks, super_block.s_inodes to all inodes of one, unlinked ones included. A pinned inode holds
 * its object until it is evicted (bpf_mkobj_ops(), bpf_free_inode()).
 *
 * These lists are read without their locks. Each step is checked by the pointer back; where that
 * does not match, the walk ends as torn and the caller starts the instance again.
 */
#include "bpf/walk.bpf.h"

#define SUPERS_MAX 65536
#define MOUNTS_MAX 4096 /* of one instance */
#define STEPS_MAX  (1 << 23)

/* fsmount() and open_tree() make mount namespaces that nobody can enter. */
static __always_inline void emit_mount(__u64 mount, struct mnt_namespace *ns)
{
	__u32 inum = ns ? BPF_CORE_READ(ns, ns.inum) : 0;
	bool attached = inum && inum != MNT_NS_ANON_INO;
	__u64 version = attached ? walk_mount_version(mount) : 0;
	struct walk_mount *out = walk_room();

	if (!out)
		return;
	out->mount = mount;
	out->ns = (__u64)ns;
	out->version = version;
	out->mnt_ns = attached ? inum : 0;
	out->pad = 0;
	walk_emit(&out->rec, WALK_MOUNT, sizeof(*out), 0);
}

struct mounts {
	__u64 next; /* a mount, or until 6.16 a list node */
	__u64 end;
};

static __always_inline struct mounts mounts_of(struct super_block *sb)
{
	struct mounts mounts = {};

	if (bpf_core_field_exists(((struct mount *)0)->mnt_next_for_sb)) {
		mounts.next = (__u64)BPF_CORE_READ((struct super_block___617 *)sb, s_mounts);
	} else {
		mounts.end = (__u64)sb + bpf_core_field_offset(struct super_block, s_mounts);
		mounts.next = (__u64)BPF_CORE_READ(sb, s_mounts.next);
	}
	return mounts;
}

/* The next mount, or NULL at the end. */
static __always_inline struct mount *next_mount(struct mounts *mounts)
{
	struct mount *mount = (void *)mounts->next;

	if (!mounts->next || mounts->next == mounts->end)
		return NULL;
	if (bpf_core_field_exists(mount->mnt_next_for_sb)) {
		mounts->next = (__u64)BPF_CORE_READ(mount, mnt_next_for_sb);
	} else {
		mount = (void *)mount - bpf_core_field_offset(struct mount, mnt_instance);
		mounts->next = (__u64)BPF_CORE_READ(mount, mnt_instance.next);
	}
	return mount;
}

static int mount_step(__u32 index, struct mounts *mounts)
{
	struct mount *mount = next_mount(mounts);

	if (!mount)
		return 1;
	emit_mount((__u64)mount, BPF_CORE_READ(mount, mnt_ns));
	return 0;
}

static __always_inline void emit_super(struct super_block *sb)
{
	struct walk_sb *out = walk_room();
	struct mounts mounts = mounts_of(sb);
	__u32 dev = BPF_CORE_READ(sb, s_dev);

	if (!out)
		return;
	out->sb = (__u64)sb;
	out->major = dev >> 20;
	out->minor = dev & 0xfffff;
	walk_emit(&out->rec, WALK_SB, sizeof(*out), 0);
	bpf_loop(MOUNTS_MAX, mount_step, &mounts, 0);
}

struct supers {
	__u64 next; /* super_block.s_instances */
};

static int super_step(__u32 index, struct supers *supers)
{
	struct hlist_node *node = (void *)supers->next, **back, *self = NULL;

	if (!node)
		return 1;
	back = BPF_CORE_READ(node, pprev);
	bpf_probe_read_kernel(&self, sizeof(self), back);
	if (self != node)
		walk.ended = WALK_TORN;
	else if (walk_full(MOUNTS_MAX * sizeof(struct walk_mount)))
		walk.ended = WALK_FULL;
	if (walk.ended != WALK_DONE)
		return 1;
	emit_super((void *)node - bpf_core_field_offset(struct super_block, s_instances));
	supers->next = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

/*
 * Emits the instances from walk.sb_at on (0: the first). Where it stops, walk.sb_at is the next
 * one.
 */
SEC("syscall")
int walk_supers(void *ctx)
{
	struct file_system_type *type = (void *)walk.kernel_ids.bpffs;
	struct supers supers = {};
	struct super_block *sb = (void *)walk.sb_at;

	walk.ended = WALK_DONE;
	if (sb)
		supers.next = (__u64)sb + bpf_core_field_offset(struct super_block, s_instances);
	else
		supers.next = (__u64)BPF_CORE_READ(type, fs_supers.first);
	bpf_loop(SUPERS_MAX, super_step, &supers, 0);
	walk.sb_at = 0;
	if (supers.next)
		walk.sb_at = supers.next - bpf_core_field_offset(struct super_block, s_instances);
	return 0;
}

/* -------------------------------------------- mounts of one filesystem --- */

#define TYPES_MAX 1024

static int mounted_step(__u32 index, struct mounts *mounts)
{
	struct mount *mount = next_mount(mounts);
	__u64 on;

	if (!mount)
		return 1;
	on = (__u64)mount + bpf_core_field_offset(struct mount, mnt_mounts);
	walk.mounted++;
	if ((__u64)BPF_CORE_READ(mount, mnt_mounts.next) != on)
		walk.mounted_on++;
	return 0;
}

static int device_step(__u32 index, struct supers *supers)
{
	struct hlist_node *node = (void *)supers->next, **back, *self = NULL;
	struct super_block *sb;
	struct mounts mounts;

	if (!node)
		return 1;
	back = BPF_CORE_READ(node, pprev);
	bpf_probe_read_kernel(&self, sizeof(self), back);
	if (self != node)
		return 1;
	supers->next = (__u64)BPF_CORE_READ(node, next);
	sb = (void *)node - bpf_core_field_offset(struct super_block, s_instances);
	if (BPF_CORE_READ(sb, s_dev) != walk.mounted_dev)
		return 0;
	mounts = mounts_of(sb);
	if (bpf_loop(MOUNTS_MAX, mounted_step, &mounts, 0) < MOUNTS_MAX)
		walk.ended = WALK_DONE;
	return 1;
}

static __always_inline __u64 type_after(struct file_system_type *type)
{
	__u64 node;

	if (bpf_core_field_exists(type->next))
		return (__u64)BPF_CORE_READ(type, next);
	node = (__u64)BPF_CORE_READ(type, list.next);
	return node ? node - bpf_core_field_offset(struct file_system_type, list) : 0;
}

static int type_step(__u32 index, __u64 *address)
{
	struct file_system_type *type = (void *)*address;
	struct supers supers = {};

	if (!type || walk.ended == WALK_DONE)
		return 1;
	supers.next = (__u64)BPF_CORE_READ(type, fs_supers.first);
	bpf_loop(SUPERS_MAX, device_step, &supers, 0);
	*address = type_after(type);
	return 0;
}

/*
 * Counts the mounts of walk.mounted_dev. walk.ended is WALK_DONE if they were counted. Types of
 * filesystems are in a list in the order in which they were registered. FUSE comes after bpffs
 * (device_initcall() or a module, and fs_initcall()); what comes before is not found.
 */
SEC("syscall")
int walk_mounted(void *ctx)
{
	__u64 type = walk.kernel_ids.bpffs;

	walk.mounted = walk.mounted_on = 0;
	walk.ended = WALK_TORN;
	bpf_loop(TYPES_MAX, type_step, &type, 0);
	return 0;
}

/* -------------------------------------------------------------- inodes --- */

static __always_inline __s64 mtime_of(struct inode *inode)
{
	if (bpf_core_field_exists(inode->i_mtime_sec))
		return BPF_CORE_READ(inode, i_mtime_sec);
	if (bpf_core_field_exists(inode->__i_mtime))
		return BPF_CORE_READ(inode, __i_mtime.tv_sec);
	return BPF_CORE_READ(inode, i_mtime.tv_sec);
}

/* The kind of a pin, or WALK_KIND_DIR; a larger number for a symlink, which holds nothing. */
static __always_inline __u32 inode_kind(struct inode *inode)
{
	__u64 ops = (__u64)BPF_CORE_READ(inode, i_op);

	if ((BPF_CORE_READ(inode, i_mode) & 0170000) == 0040000)
		return WALK_KIND_DIR;
	if (ops == walk.kernel_ids.inode_ops[WALK_KIND_MAP])
		return WALK_KIND_MAP;
	if (ops == walk.kernel_ids.inode_ops[WALK_KIND_PROG])
		return WALK_KIND_PROG;
	if (ops == walk.kernel_ids.inode_ops[WALK_KIND_LINK])
		return WALK_KIND_LINK;
	return WALK_KIND_DIR + 1;
}

static __always_inline __u32 pinned_id(struct inode *inode, __u32 kind)
{
	void *object = BPF_CORE_READ(inode, i_private);

	if (kind == WALK_KIND_MAP)
		return BPF_CORE_READ((struct bpf_map *)object, id);
	if (kind == WALK_KIND_PROG)
		return BPF_CORE_READ((struct bpf_prog *)object, aux, id);
	if (kind == WALK_KIND_LINK)
		return BPF_CORE_READ((struct bpf_link *)object, id);
	return 0;
}

struct names {
	__u64 next; /* dentry.d_alias */
};

static __always_inline __u64 alias_offset(void)
{
	__u64 offset;

	/*
	 * Each offset in its own branch: the instruction for a field that this kernel lacks must
	 * not be reached.
	 */
	if (bpf_core_field_exists(struct dentry___72, d_alias)) {
		offset = bpf_core_field_offset(struct dentry___72, d_alias);
		barrier_var(offset);
	} else {
		offset = bpf_core_field_offset(struct dentry, d_u.d_alias);
		barrier_var(offset);
	}
	return offset;
}

static __always_inline bool emit_name(struct hlist_node *node)
{
	struct dentry *dentry = (void *)node - alias_offset();
	struct walk_dentry *out = walk_room();
	__u32 len;

	if (!out)
		return false;
	len = BPF_CORE_READ(dentry, d_name.len) & 255; /* NAME_MAX */
	out->dentry = (__u64)dentry;
	out->parent = (__u64)BPF_CORE_READ(dentry, d_parent);
	out->hashed = BPF_CORE_READ(dentry, d_hash.pprev) != NULL;
	out->len = len;
	bpf_probe_read_kernel(out->name, len, BPF_CORE_READ(dentry, d_name.name));
	out->name[len] = 0;
	walk_emit(&out->rec, WALK_DENTRY, sizeof(*out) + ((len + 8) & ~7u), 0);
	return true;
}

/* How many directories above a name are followed where one object was requested. */
#define ABOVE_MAX  64
#define ABOVE_ROOM (ABOVE_MAX * (sizeof(struct walk_inode) + sizeof(struct walk_dentry) + 256))

static __always_inline void fill_inode(struct walk_inode *out, struct inode *inode, __u32 kind)
{
	out->sb = walk.sb_at;
	out->inode = (__u64)inode;
	out->ino = BPF_CORE_READ(inode, i_ino);
	out->mtime = mtime_of(inode);
	out->kind = kind;
	out->nlink = BPF_CORE_READ(inode, i_nlink);
	out->uid = BPF_CORE_READ(inode, i_uid.val);
	out->gid = BPF_CORE_READ(inode, i_gid.val);
	out->pad = 0;
	out->mode = BPF_CORE_READ(inode, i_mode);
	walk_emit(&out->rec, WALK_INODE, sizeof(*out), pinned_id(inode, kind));
}

/* Emits the directory that a name is in, and continues from there. */
static int above_step(__u32 index, struct names *names)
{
	struct dentry *dentry = (void *)names->next, *parent = BPF_CORE_READ(dentry, d_parent);
	struct walk_inode *out = walk_room();

	if (!parent || parent == dentry)
		return 1;
	names->next = (__u64)parent;
	if (!out)
		return 1;
	fill_inode(out, BPF_CORE_READ(parent, d_inode), WALK_KIND_DIR);
	emit_name((void *)((__u64)parent + alias_offset()));
	return 0;
}

static int name_step(__u32 index, struct names *names)
{
	struct hlist_node *node = (void *)names->next, *self = NULL;

	if (!node)
		return 1;
	bpf_probe_read_kernel(&self, sizeof(self), BPF_CORE_READ(node, pprev));
	if (self != node)
		walk.ended = WALK_TORN;
	else if (!emit_name(node))
		walk.ended = WALK_FULL;
	else
		names->next = (__u64)BPF_CORE_READ(node, next);
	return walk.ended != WALK_DONE ? 1 : 0;
}

/*
 * Emits the requested inode, with the first of its names and the directories above it, which no
 * other record has here. The walk is torn where that would not be complete.
 */
static __always_inline void emit_found(struct inode *inode)
{
	struct hlist_node *node = BPF_CORE_READ(inode, i_dentry.first);
	struct names names = {
		(__u64)node - alias_offset(),
	};
	struct walk_inode *out = walk_room();
	struct dentry *top;

	if (!out || walk_full(ABOVE_ROOM)) {
		walk.ended = WALK_FULL;
		return;
	}
	fill_inode(out, inode, WALK_KIND_MAP);
	if (!node)
		return;
	if (BPF_CORE_READ(node, next))
		walk.ended = WALK_TORN;
	emit_name(node);
	bpf_loop(ABOVE_MAX, above_step, &names, 0);
	top = (void *)names.next;
	if (BPF_CORE_READ(top, d_parent) != top)
		walk.ended = WALK_TORN;
}

static __always_inline bool emit_iter(struct inode *inode)
{
	struct bpf_link *link = BPF_CORE_READ(inode, i_private);
	struct walk_pinned_iter *out;
	struct bpf_prog *prog;

	if (BPF_CORE_READ(link, type) != BPF_LINK_TYPE_ITER)
		return true;
	out = walk_room();
	if (!out)
		return false;
	prog = BPF_CORE_READ(link, prog);
	out->prog = (__u64)prog;
	out->prog_id = BPF_CORE_READ(prog, aux, id);
	out->attach_btf_id = BPF_CORE_READ(prog, aux, attach_btf, id);
	out->btf_id = BPF_CORE_READ(prog, aux, btf, id);
	out->pad = 0;
	walk_emit(&out->rec, WALK_PINNED_ITER, sizeof(*out), BPF_CORE_READ(link, id));
	return true;
}

/*
 * Emits an inode, then its names. Where the buffer is full among these, walk.name_at is the next
 * one.
 */
static __always_inline void emit_inode(struct inode *inode, __u32 kind)
{
	struct names names = { walk.name_at };
	struct walk_inode *out;

	/* Before the inode: where the buffer ends in between, the next walk emits this again. */
	if (!names.next && kind == WALK_KIND_LINK && !emit_iter(inode)) {
		walk.ended = WALK_FULL;
		return;
	}
	out = walk_room();
	if (!out) {
		walk.ended = WALK_FULL;
		return;
	}
	if (!names.next) {
		fill_inode(out, inode, kind);
		names.next = (__u64)BPF_CORE_READ(inode, i_dentry.first);
	}
	bpf_loop(STEPS_MAX, name_step, &names, 0);
	walk.name_at = walk.ended == WALK_FULL ? names.next : 0;
}

struct inodes {
	__u64 next; /* inode.i_sb_list, or the head of the list */
	__u64 head;
};

static __always_inline void inode_step_one(struct inodes *inodes)
{
	struct list_head *node = (void *)inodes->next, *after;
	struct inode *inode = (void *)node - bpf_core_field_offset(struct inode, i_sb_list);
	__u32 kind;

	after = BPF_CORE_READ(node, next);
	if (!after || BPF_CORE_READ(after, prev) != node ||
	    (__u64)BPF_CORE_READ(inode, i_sb) != walk.sb_at) {
		walk.ended = WALK_TORN;
		return;
	}
	if (walk.filter_map) {
		if ((__u64)BPF_CORE_READ(inode, i_private) == walk.filter_map &&
		    inode_kind(inode) == WALK_KIND_MAP)
			emit_found(inode);
	} else {
		kind = inode_kind(inode);
		if (kind <= WALK_KIND_DIR)
			emit_inode(inode, kind);
	}
	if (walk.ended == WALK_DONE)
		inodes->next = (__u64)after;
}

static int inode_step(__u32 index, struct inodes *inodes)
{
	if (inodes->next == inodes->head)
		return 1;
	inode_step_one(inodes);
	return walk.ended != WALK_DONE ? 1 : 0;
}

/*
 * Emits the inodes of walk.sb_at, from walk.inode_at on. Where walk.ended becomes WALK_FULL,
 * walk.inode_at is the next one.
 */
SEC("syscall")
int walk_inodes(void *ctx)
{
	struct super_block *sb = (void *)walk.sb_at;
	struct inode *inode = (void *)walk.inode_at;
	struct inodes inodes = {};

	walk.ended = WALK_DONE;
	if ((__u64)BPF_CORE_READ(sb, s_type) != walk.kernel_ids.bpffs) {
		walk.ended = WALK_TORN;
		return 0;
	}
	inodes.head = (__u64)sb + bpf_core_field_offset(struct super_block, s_inodes);
	if (inode)
		inodes.next = (__u64)inode + bpf_core_field_offset(struct inode, i_sb_list);
	else
		inodes.next = (__u64)BPF_CORE_READ(sb, s_inodes.next);
	bpf_loop(STEPS_MAX, inode_step, &inodes, 0);
	if (walk.ended == WALK_FULL)
		walk.inode_at = inodes.next - bpf_core_field_offset(struct inode, i_sb_list);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

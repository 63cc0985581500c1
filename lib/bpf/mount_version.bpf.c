// SPDX-License-Identifier: GPL-2.0
/*
 * What mountinfo shows of a mount of bpffs, as a hash (walk_mount.version): mountinfo is read again only
 * if that has changed (lib/kernel/mount_cache.c).
 */
#include "bpf/walk.bpf.h"

/* The most names of a path (PATH_MAX allows 2048), mounts above one, mounts on one. */
#define PATH_DEPTH_MAX	2048
#define MOUNT_DEPTH_MAX 1024
#define MOUNTS_MAX	4096

/*
 * The hash of walk_mount.version, and how far it has come. It is global, since a global function
 * takes scalars only.
 */
struct {
	__u64 hash;
	__u64 dentry, top; /* a path: the name at hand, and the directory that it ends in */
	__u64 mount,
		node; /* the mount at hand, of those above; the mount at hand, of those on it */
	__u32 failed;
} walk_version;

static __always_inline void mix(__u64 value)
{
	__u64 hash = (walk_version.hash ^ value) * 0x9e3779b97f4a7c15ull;

	walk_version.hash = hash ^ hash >> 32;
}

static int path_step(__u32 index, void *unused)
{
	struct dentry *dentry = (void *)walk_version.dentry;
	__u64 parent = (__u64)BPF_CORE_READ(dentry, d_parent);

	mix(walk_version.dentry);
	if (walk_version.dentry == walk_version.top || walk_version.dentry == parent)
		return 1;
	mix((__u64)BPF_CORE_READ(dentry, d_name.len) << 32 | BPF_CORE_READ(dentry, d_name.hash));
	mix(BPF_CORE_READ(dentry, d_hash.pprev) != NULL); /* a removed one ends with "//deleted" */
	walk_version.dentry = parent;
	return 0;
}

/* Adds the names from @dentry up to @top. Global: the verifier checks it once. */
int walk_mix_path(__u64 dentry, __u64 top)
{
	walk_version.dentry = dentry;
	walk_version.top = top;
	if (bpf_loop(PATH_DEPTH_MAX, path_step, NULL, 0) == PATH_DEPTH_MAX)
		walk_version.failed = 1;
	return 0;
}

static int above_mount_step(__u32 index, void *unused)
{
	struct mount *mount = (void *)walk_version.mount,
		     *parent = BPF_CORE_READ(mount, mnt_parent);

	mix(walk_version.mount);
	if (!parent || parent == mount)
		return 1;
	walk_mix_path((__u64)BPF_CORE_READ(mount, mnt_mountpoint),
		      (__u64)BPF_CORE_READ(parent, mnt.mnt_root));
	walk_version.mount = (__u64)parent;
	return 0;
}

/* The mounts on a mount cover parts of it. */
static int on_mount_step(__u32 index, const __u64 *address)
{
	struct mount *mount = (void *)*address, *child;
	struct list_head *node = (void *)walk_version.node;

	if ((__u64)node == *address + bpf_core_field_offset(struct mount, mnt_mounts))
		return 1;
	child = (void *)node - bpf_core_field_offset(struct mount, mnt_child);
	mix((__u64)child);
	walk_mix_path((__u64)BPF_CORE_READ(child, mnt_mountpoint),
		      (__u64)BPF_CORE_READ(mount, mnt.mnt_root));
	walk_version.node = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

/*
 * Begins with the namespace: its number, which no other one has, and its counter of mounts and
 * unmounts (touch_mnt_namespace()). What that does not count are names: a directory above a mount,
 * or within its root's path, may be renamed.
 */
static __always_inline bool mix_namespace(struct mnt_namespace *ns)
{
	__u64 number = 0;

	walk_version.hash = 0;
	walk_version.failed = 0;
	if (bpf_core_field_exists(ns->seq))
		number = BPF_CORE_READ(ns, seq);
	else if (bpf_core_field_exists(ns->ns.ns_id))
		number = BPF_CORE_READ(ns, ns.ns_id);
	if (!number || !bpf_core_field_exists(ns->event))
		return false;
	mix(number);
	mix(BPF_CORE_READ(ns, event));
	return true;
}

__u64 walk_mount_version(__u64 address)
{
	struct mount *mount = (void *)address;

	if (!mix_namespace(BPF_CORE_READ(mount, mnt_ns)))
		return 0;
	walk_mix_path((__u64)BPF_CORE_READ(mount, mnt.mnt_root), 0);
	walk_version.mount = address;
	if (bpf_loop(MOUNT_DEPTH_MAX, above_mount_step, NULL, 0) == MOUNT_DEPTH_MAX)
		walk_version.failed = 1;
	walk_version.node = (__u64)BPF_CORE_READ(mount, mnt_mounts.next);
	if (bpf_loop(MOUNTS_MAX, on_mount_step, &address, 0) == MOUNTS_MAX)
		walk_version.failed = 1;
	return walk_version.failed ? 0 : walk_version.hash;
}

char LICENSE[] SEC("license") = "GPL";

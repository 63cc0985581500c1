// SPDX-License-Identifier: GPL-2.0
/*
 * The bind mounts of namespaces' files, and the kernel's own reference counters of mounts, namespaces and
 * super blocks, which say whether everything that keeps them was found (lib/kernel/owner_counts.c).
 */
#include "bpf/owners.bpf.h"

/* ---------------------------------------------- mounts of namespaces' files --- */

#define NS_MOUNTS_MAX (1 << 20)

static __always_inline void emit_ns_mount(struct mount *mount)
{
	__u64 common = (__u64)BPF_CORE_READ(mount, mnt.mnt_root, d_inode, i_private);
	__u64 ops = (__u64)BPF_CORE_READ((struct ns_common *)common, ops);
	struct mnt_namespace *ns = BPF_CORE_READ(mount, mnt_ns);
	struct walk_ns_mount *out;

	if (!ops || (ops != walk.kernel_ids.mnt_ns_ops && ops != walk.kernel_ids.net_ns_ops))
		return;
	out = walk_room();
	if (!out)
		return;
	out->common = common;
	out->is_net = ops == walk.kernel_ids.net_ns_ops;
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
	if ((__u64)BPF_CORE_READ(mount, mnt.mnt_sb) != walk.kernel_ids.nsfs) {
		walk.ended = WALK_TORN;
		return 1;
	}
	emit_ns_mount(mount);
	if (bpf_core_field_exists(((struct mount *)0)->mnt_next_for_sb)) {
		walk.mount_at = (__u64)BPF_CORE_READ(mount, mnt_next_for_sb);
	} else {
		struct list_head *next = BPF_CORE_READ(mount, mnt_instance.next);
		__u64 head =
			walk.kernel_ids.nsfs + bpf_core_field_offset(struct super_block, s_mounts);

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
	struct super_block *sb = (struct super_block *)walk.kernel_ids.nsfs;

	walk.ended = WALK_DONE;
	if (walk.mount_at) {
		/* where the last call ended */
	} else if (bpf_core_field_exists(((struct mount *)0)->mnt_next_for_sb)) {
		walk.mount_at = (__u64)BPF_CORE_READ((struct super_block___617 *)sb, s_mounts);
	} else {
		struct list_head *first = BPF_CORE_READ(sb, s_mounts.next);

		if ((__u64)first != (__u64)sb + bpf_core_field_offset(struct super_block, s_mounts))
			walk.mount_at =
				(__u64)first - bpf_core_field_offset(struct mount, mnt_instance);
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

#define CPUS_MAX     65536
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
	struct bpf_array *array = (struct bpf_array *)walk.kernel_ids.cpu_array;
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
	/* a reference may be dropped on another processor than the one where it was taken */
	if (bpf_core_field_exists(here->mnt_count))
		counting->count += BPF_CORE_READ(here, mnt_count);
	else
		counting->count +=
			(__s32)(BPF_CORE_READ(here, mnt_gets) - BPF_CORE_READ(here, mnt_puts));
	return 0;
}

/* mnt_get_count() */
static __always_inline __s64 mount_count(struct mount *mount)
{
	struct counting counting = { .mount = (__u64)mount };

	if (bpf_core_field_exists(((struct mount *)0)->mnt_count))
		return BPF_CORE_READ(mount, mnt_count);
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

static __always_inline __s64 namespace_count(struct ns_common *ns)
{
	if (bpf_core_field_exists(ns->__ns_ref))
		return BPF_CORE_READ(ns, __ns_ref.refs.counter);
	return BPF_CORE_READ(ns, count.refs.counter);
}

/* The dentry of the namespace's file, while that is in use: its inode holds the namespace once. */
static __always_inline struct dentry *file_of(struct ns_common *ns)
{
	if (bpf_core_field_exists(ns->stashed))
		return BPF_CORE_READ(ns, stashed);
	return (struct dentry *)BPF_CORE_READ((struct ns_common___68 *)ns, stashed.counter);
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
		struct ns_common *ns = (struct ns_common *)address;
		struct dentry *stashed = file_of(ns);

		if (BPF_CORE_READ(ns, inum) != listed->id)
			return 0;
		listed->refcnt = namespace_count(ns);
		if (stashed)
			listed->usercnt = BPF_CORE_READ(stashed, d_lockref.count);
	} else {
		struct super_block *sb = (struct super_block *)address;

		if ((__u64)BPF_CORE_READ(sb, s_type) == walk.kernel_ids.bpffs)
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

char LICENSE[] SEC("license") = "GPL";

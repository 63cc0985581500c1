// SPDX-License-Identifier: GPL-2.0
/*
 * Memory mappings of all processes: files of maps and of rings, which nothing else may keep
 * (mmap_region() takes a reference on the file for each vma). This file also has what emits a file,
 * whatever holds it.
 */
#include "bpf/walk.bpf.h"

static __always_inline __u32 kind_of(__u64 release)
{
	if (!release)
		return WALK_HELD_OTHER; /* an address that could not be found is 0 too */
	if (release == walk.kernel_ids.release[WALK_KIND_MAP])
		return WALK_KIND_MAP;
	if (release == walk.kernel_ids.release[WALK_KIND_PROG])
		return WALK_KIND_PROG;
	if (release == walk.kernel_ids.release[WALK_KIND_LINK])
		return WALK_KIND_LINK;
	if (release == walk.kernel_ids.release[WALK_KIND_BTF])
		return WALK_KIND_BTF;
	if (release == walk.kernel_ids.iter_release)
		return WALK_HELD_ITER;
	if (release == walk.kernel_ids.other[WALK_OTHER_SOCKET])
		return WALK_HELD_SOCKET;
	return release == walk.kernel_ids.other[WALK_OTHER_RING] ? WALK_HELD_RING : WALK_HELD_OTHER;
}

/* Returns the socket if its queue is not empty; the end of a queue is its head. */
static __always_inline __u64 queued(void *private_data)
{
	struct sock *sk = BPF_CORE_READ((struct socket *)private_data, sk);
	__u64 head = (__u64)sk + bpf_core_field_offset(struct sock, sk_receive_queue);

	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX ||
	    (__u64)BPF_CORE_READ(sk, sk_receive_queue.next) == head)
		return 0;
	return (__u64)sk;
}

/*
 * Iterators whose private data begins with the map that they hold; see has_map_target() in
 * fd.bpf.c.
 */
static __always_inline void fill_iter(struct walk_held *out, void *private_data)
{
	__u64 target = (__u64)BPF_CORE_READ((struct seq_file *)private_data, private);
	struct bpf_iter_priv_data *priv =
		(void *)(target - bpf_core_field_offset(struct bpf_iter_priv_data, target_private));
	struct bpf_map *map = NULL;
	__u64 name = 0;

	bpf_probe_read_kernel(&name, sizeof(name), BPF_CORE_READ(priv, tinfo, reg_info, target));
	if (name == *(const __u64 *)"bpf_map_" || name == *(const __u64 *)"bpf_sk_s" ||
	    name == *(const __u64 *)"sockmap")
		bpf_probe_read_kernel(&map, sizeof(map), (void *)target);
	out->map_id = map ? BPF_CORE_READ(map, id) : 0;
	out->rec.id = walk_prog_id(BPF_CORE_READ(priv, prog));
}

static __always_inline void fill_object(struct walk_held *out, void *object)
{
	if (out->kind == WALK_KIND_MAP)
		out->rec.id = BPF_CORE_READ((struct bpf_map *)object, id);
	else if (out->kind == WALK_KIND_PROG)
		out->rec.id = walk_prog_id(object);
	else if (out->kind == WALK_KIND_LINK)
		out->rec.id = BPF_CORE_READ((struct bpf_link *)object, id);
	else if (out->kind == WALK_KIND_BTF)
		out->rec.id = BPF_CORE_READ((struct btf *)object, id);
	else if (out->kind == WALK_HELD_ITER)
		fill_iter(out, object);
}

/* Emits a file that may hold programs. What it holds is read later, by walk_carried(). */
static __always_inline void emit_carried(__u64 file, __u64 release, __u32 how)
{
	struct walk_carried *out;
	__u32 other = WALK_OTHERS;

	if (release == walk.kernel_ids.other[WALK_OTHER_SOCKET])
		other = WALK_OTHER_SOCKET;
	else if (release == walk.kernel_ids.other[WALK_OTHER_PERF])
		other = WALK_OTHER_PERF;
	else if (release == walk.kernel_ids.other[WALK_OTHER_TUN])
		other = WALK_OTHER_TUN;
	if (!release || other == WALK_OTHERS || !(walk.uses >> other & 1))
		return;
	walk_emit_task();
	out = walk_room();
	if (!out)
		return;
	out->file = file;
	out->other = other;
	out->how = how;
	walk_emit(&out->rec, WALK_CARRIED, sizeof(*out), 0);
}

int walk_emit_held(__u64 address, __u64 at, __u64 end, __u32 how)
{
	__u64 release = walk_release(address);
	__u32 kind = kind_of(release);
	void *private_data = (void *)walk_private(address);
	struct walk_held *out;
	__u64 inside = 0;

	if (how != WALK_HOW_FD && (kind == WALK_HELD_SOCKET || kind == WALK_HELD_OTHER))
		emit_carried(address, release, how);
	if (kind == WALK_HELD_SOCKET)
		inside = queued(private_data);
	else if (kind == WALK_HELD_RING)
		inside = (__u64)private_data;
	if (kind == WALK_HELD_OTHER || (kind > WALK_HELD_ITER && !inside))
		return 0;
	if (walk.filter_map && kind < WALK_HELD_ITER && (__u64)private_data != walk.filter_map)
		return 0;
	walk_emit_task();
	out = walk_room();
	if (!out)
		return 0;
	__builtin_memset(out, 0, sizeof(*out));
	out->file = address;
	out->inside = inside;
	out->at = at;
	out->end = end;
	out->kind = kind;
	out->how = how;
	fill_object(out, private_data);
	walk_emit(&out->rec, WALK_HELD, sizeof(*out), out->rec.id);
	return 0;
}

int walk_emit_gap(__u32 kind)
{
	struct walk_gap *gap = walk_room();

	if (!gap)
		return 0;
	gap->kind = kind;
	gap->pad = 0;
	walk_emit(&gap->rec, WALK_GAP, sizeof(*gap), 0);
	return 0;
}

/* May a mapping of a file with this f_op->release lead to BPF objects? */
static __always_inline bool is_wanted(__u64 release)
{
	return release == walk.kernel_ids.release[WALK_KIND_MAP] ||
	       release == walk.kernel_ids.other[WALK_OTHER_RING] ||
	       release == walk.kernel_ids.other[WALK_OTHER_PERF] ||
	       release == walk.kernel_ids.other[WALK_OTHER_SOCKET];
}

/* Goes through all mappings of all processes: for files that only a mapping leads to. */
SEC("iter/task_vma")
int walk_mappings(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	struct file *file;

	/* our own mapping is of a map that we have open */
	if (!task || !vma || (__u32)task->tgid == walk.self_pid)
		return 0;
	file = vma->vm_file;
	if (!file || !is_wanted((__u64)file->f_op->release))
		return 0;
	if (walk_full(WALK_HELD_ROOM))
		return WALK_AGAIN;
	walk_table.emitted = 0;
	walk_table.pid = walk_table.tgid = task->tgid;
	BPF_CORE_READ_INTO(&walk_table.comm, task, group_leader, comm);
	walk_emit_held(walk_scalar(vma->vm_file), vma->vm_start, vma->vm_end, WALK_HOW_MMAP);
	return 0;
}

/* ------------------------------------------------ by the files' own trees --- */

/* More than the height of a red-black tree can be. */
#define HEIGHT_MAX 128
#define TREE_MAX   (1 << 23)

/* No node, and no address of one. */
#define TORN (~0ull)

struct tree_node {
	__u64 parent_color, right, left;
};

static __always_inline bool read_node(struct tree_node *out, __u64 node)
{
	return bpf_probe_read_kernel(out, sizeof(*out), (void *)node) == 0;
}

/* The search for a neighbor. */
struct climb {
	__u64 at, parent, found;
	__u64 back;
};

static int down_step(__u32 index, struct climb *climb)
{
	struct tree_node node;
	__u64 further;

	if (!read_node(&node, climb->at))
		return 1;
	further = climb->back ? node.right : node.left;
	if (!further)
		climb->found = climb->at;
	climb->at = further;
	return !further;
}

static int up_step(__u32 index, struct climb *climb)
{
	struct tree_node node;

	if (!climb->parent)
		climb->found = 0;
	if (!climb->parent || !read_node(&node, climb->parent) ||
	    (node.left != climb->at && node.right != climb->at))
		return 1;
	if ((climb->back ? node.right : node.left) == climb->at) {
		climb->found = climb->parent;
		return 1;
	}
	climb->at = climb->parent;
	climb->parent = node.parent_color & ~3ull;
	return 0;
}

/*
 * The node after @address in the order of the tree (before it, if @back), as rb_next() and rb_prev()
 * find it: 0 at the end, TORN if the tree changes meanwhile. Global: the verifier checks it once, and
 * bpf_loop()'s steps too, instead of each of HEIGHT_MAX turns.
 */
__u64 walk_neighbor(__u64 address, __u32 back)
{
	struct climb climb = { .found = TORN, .back = back };
	struct tree_node node;

	if (!read_node(&node, address))
		return TORN;
	climb.at = back ? node.left : node.right;
	if (climb.at) {
		bpf_loop(HEIGHT_MAX, down_step, &climb, 0);
		return climb.found;
	}
	climb.at = address;
	climb.parent = node.parent_color & ~3ull;
	bpf_loop(HEIGHT_MAX, up_step, &climb, 0);
	return climb.found;
}

/* The walk over one tree: global, since global functions take scalars only. */
struct {
	__u64 mapping; /* the address_space */
	__u64 own_mm;
	__u64 before, node; /* the last mapping, 0: none; the one at hand, 0: none is left */
	struct walk_vma at;
} walk_tree;

#define HAVE_LOCK_SEQ bpf_core_field_exists(((struct mm_struct *)0)->mm_lock_seq)
#define HAVE_LOCK_SEQCOUNT \
	bpf_core_field_exists(((struct mm_struct___613 *)0)->mm_lock_seq.sequence)

/* The end of each change of a process's mappings increments mm_lock_seq (since 6.4). */
static __always_inline __u64 lock_seq(struct mm_struct *mm)
{
	if (HAVE_LOCK_SEQCOUNT)
		return BPF_CORE_READ((struct mm_struct___613 *)mm, mm_lock_seq.sequence);
	return HAVE_LOCK_SEQ ? (__u64)(__u32)BPF_CORE_READ(mm, mm_lock_seq) : 0;
}

static __always_inline void read_mapping(struct walk_vma *out, __u64 node)
{
	struct vm_area_struct *vma =
		(void *)(node - bpf_core_field_offset(struct vm_area_struct, shared.rb));
	struct mm_struct *mm = BPF_CORE_READ(vma, vm_mm);

	out->mm = (__u64)mm;
	out->file = (__u64)BPF_CORE_READ(vma, vm_file);
	out->start = BPF_CORE_READ(vma, vm_start);
	out->end = BPF_CORE_READ(vma, vm_end);
	out->pgoff = BPF_CORE_READ(vma, vm_pgoff);
	out->seq = lock_seq(mm);
}

/* Is the mapping at hand still what it was? */
static __always_inline bool is_same(void)
{
	struct walk_vma now;

	read_mapping(&now, walk_tree.node);
	return now.mm == walk_tree.at.mm && now.file == walk_tree.at.file &&
	       now.start == walk_tree.at.start && now.end == walk_tree.at.end &&
	       now.pgoff == walk_tree.at.pgoff && now.seq == walk_tree.at.seq;
}

/*
 * Fills in the process. Each of its threads that lives is counted in signal->live, and counts in
 * mm_users: where that is more, another process may have the same memory (CLONE_VM).
 */
static __always_inline struct task_struct *fill_owner(struct walk_mapping *out,
						      struct mm_struct *mm)
{
	struct task_struct *owner;

	out->rec.id = 0;
	__builtin_memset(out->comm, 0, sizeof(out->comm));
	if (!bpf_core_field_exists(mm->owner))
		return NULL;
	owner = BPF_CORE_READ(mm, owner);
	if (!owner || BPF_CORE_READ(owner, mm) != mm ||
	    BPF_CORE_READ(mm, mm_users.counter) != BPF_CORE_READ(owner, signal, live.counter))
		return NULL;
	out->rec.id = BPF_CORE_READ(owner, tgid);
	BPF_CORE_READ_INTO(&out->comm, owner, group_leader, comm);
	return owner;
}

#define MAPPING_ROOM (sizeof(struct walk_mapping) + WALK_HELD_ROOM + sizeof(struct walk_in_cgroup))

/* Emits the mapping at hand. Returns false if the buffer is full. */
static __always_inline bool emit_mapping(void)
{
	struct walk_vma at = walk_tree.at;
	struct file *file = (void *)at.file;
	struct mm_struct *mm = (void *)at.mm;
	__u64 release = file ? walk_release(at.file) : 0;
	struct walk_mapping *out;
	struct task_struct *owner;

	/* a process that has just exited, or our own mapping of a map that we have open */
	if (!mm || at.mm == walk_tree.own_mm || BPF_CORE_READ(mm, mm_users.counter) == 0)
		return true;
	if (!release || !is_wanted(release) ||
	    (__u64)BPF_CORE_READ(file, f_mapping) != walk_tree.mapping)
		return true;
	if (walk.filter_map && release == walk.kernel_ids.release[WALK_KIND_MAP] &&
	    walk_private(at.file) != walk.filter_map)
		return true;
	if (walk_full(MAPPING_ROOM))
		return false;
	out = walk_room();
	if (!out)
		return false;
	out->mm = at.mm;
	out->start = at.start;
	owner = fill_owner(out, mm);
	walk_table.tgid = out->rec.id;
	walk_emit(&out->rec, WALK_MAPPING, sizeof(*out), walk_table.tgid);
	walk_emit_held(at.file, at.start, at.end, WALK_HOW_MMAP);
	if (owner)
		walk_emit_cgroup((__u64)BPF_CORE_READ(owner, group_leader));
	return true;
}

/*
 * One step is right if the tree was in order while it was made: if the mapping at hand is still the
 * one after the last, if the next one is found from both sides, and if this one has not changed,
 * for then it may have been somewhere else in between. Otherwise nothing of this walk counts.
 */
static int tree_step(__u32 index, void *unused)
{
	__u64 node = walk_tree.node, next;

	if (!node)
		return 1;
	read_mapping(&walk_tree.at, node);
	if (!emit_mapping()) {
		walk.ended = WALK_FULL;
		return 1;
	}
	next = walk_neighbor(node, 0);
	if (next == TORN || (next && walk_neighbor(next, 1) != node) ||
	    walk_neighbor(node, 1) != walk_tree.before || !is_same()) {
		walk.ended = WALK_TORN;
		return 1;
	}
	walk_tree.before = node;
	walk_tree.node = next;
	return 0;
}

/*
 * Emits the mappings of the file walk.inside, and of all files with the same address_space, from
 * walk.inside_at on (0: from the first). That is a tree, in which the kernel has every mapping of
 * every process (vma_link_file(), address_space.i_mmap), and which is read without its lock.
 */
SEC("syscall")
int walk_file_mappings(void *ctx)
{
	struct task_struct *self = (void *)bpf_get_current_task();
	struct file *file = (void *)walk.inside;
	struct address_space *mapping = BPF_CORE_READ(file, f_mapping);

	walk_table.emitted = 1; /* lib has the process from the record of each mapping */
	walk.ended = WALK_DONE;
	if (!is_wanted((__u64)BPF_CORE_READ(file, f_op, release)))
		return 0; /* it was released during the scan */
	if (!walk.inside_at) {
		walk_tree.mapping = (__u64)mapping;
		walk_tree.own_mm = (__u64)BPF_CORE_READ(self, mm);
		walk_tree.before = 0;
		walk_tree.node = (__u64)BPF_CORE_READ(mapping, i_mmap.rb_leftmost);
	} else if (!is_same() || walk_neighbor(walk_tree.node, 1) != walk_tree.before ||
		   !(HAVE_LOCK_SEQ || HAVE_LOCK_SEQCOUNT)) {
		walk.ended = WALK_TORN;
		return 0;
	}
	bpf_loop(TREE_MAX, tree_step, NULL, 0);
	walk.inside_at = walk.ended == WALK_FULL;
	return 0;
}

/* Emits which process has which memory, for mappings whose process is not clear from its owner. */
SEC("iter/task")
int walk_memories(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct walk_memory *out;

	if (!task || walk_is_repeated(walk_scalar(ctx->task), WALK_PART_MM))
		return 0;
	if (walk_full(sizeof(*out)))
		return WALK_AGAIN;
	out = walk_room();
	if (!out)
		return WALK_AGAIN;
	out->mm = (__u64)BPF_CORE_READ(task, mm);
	BPF_CORE_READ_INTO(&out->comm, task, group_leader, comm);
	walk_emit(&out->rec, WALK_MEMORY, sizeof(*out), task->tgid);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

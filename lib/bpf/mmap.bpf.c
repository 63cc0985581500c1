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
static __always_inline void emit_carried(__u64 file, __u64 release)
{
	struct walk_carried *out;
	__u32 other = WALK_OTHERS;

	if (release == walk.kernel_ids.other[WALK_OTHER_SOCKET])
		other = WALK_OTHER_SOCKET;
	else if (release == walk.kernel_ids.other[WALK_OTHER_PERF])
		other = WALK_OTHER_PERF;
	else if (release == walk.kernel_ids.other[WALK_OTHER_TUN])
		other = WALK_OTHER_TUN;
	if (!release || other == WALK_OTHERS)
		return;
	walk_emit_task();
	out = walk_room();
	if (!out)
		return;
	out->file = file;
	out->other = other;
	out->pad = 0;
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
		emit_carried(address, release);
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

/* ------------------------------------------- only what may have changed --- */

extern int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task,
				 __u64 address) __ksym __weak;
extern struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym __weak;
extern void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym __weak;

/*
 * A process's memory, as it was after an exec. Its mappings change only under its lock, and the end
 * of such a change increments mm_lock_seq: as long as that is the same, the mappings are too.
 */
struct memory {
	__u64 mm, start, exec;
	__u64 tgid;
};

/*
 * Processes without any mapping that is of interest, and mm_lock_seq as it was before they were
 * read.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct memory);
	__type(value, __u32);
} walk_nothing SEC(".maps");

#define HAVE_LOCK_SEQ bpf_core_field_exists(((struct mm_struct *)0)->mm_lock_seq)
#define HAVE_LOCK_SEQCOUNT \
	bpf_core_field_exists(((struct mm_struct___613 *)0)->mm_lock_seq.sequence)

static __always_inline __u32 lock_seq(struct mm_struct *mm)
{
	struct mm_struct___613 *newer = (void *)mm;

	return HAVE_LOCK_SEQCOUNT ? BPF_CORE_READ(newer, mm_lock_seq.sequence)
				  : (__u32)BPF_CORE_READ(mm, mm_lock_seq);
}

enum { VMAS_NOTHING, VMAS_EMITTED, VMAS_FULL, VMAS_FAILED };

static __always_inline int emit_vmas(struct task_struct *task)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;
	int found = VMAS_NOTHING;
	struct file *file;

	if (bpf_iter_task_vma_new(&it, task, 0) < 0)
		found = VMAS_FAILED; /* it does not wait for the lock; next() returns NULL then */
	while (found < VMAS_FULL && (vma = bpf_iter_task_vma_next(&it))) {
		file = vma->vm_file;
		if (!file || !is_wanted((__u64)file->f_op->release))
			continue;
		found = walk_full(WALK_HELD_ROOM) ? VMAS_FULL : VMAS_EMITTED;
		if (found == VMAS_EMITTED)
			walk_emit_held(walk_scalar(vma->vm_file), vma->vm_start, vma->vm_end,
				       WALK_HOW_MMAP);
	}
	bpf_iter_task_vma_destroy(&it);
	return found;
}

/*
 * Emits the same as walk_mappings, but skips each process that had nothing to emit and has not
 * changed since. walk.vmas says whether this kernel can do so. What is emitted twice, since the
 * buffer was full, is counted once.
 */
SEC("iter/task")
int walk_vmas(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct memory memory = {};
	__u32 seq, *before;
	int found;

	walk.vmas = WALK_VMAS_UNABLE;
	if ((void *)bpf_iter_task_vma_new == NULL || (!HAVE_LOCK_SEQ && !HAVE_LOCK_SEQCOUNT))
		return 0;
	walk.vmas = WALK_VMAS_ABLE;
	if (!task || (__u32)task->tgid == walk.self_pid ||
	    walk_is_repeated(walk_scalar(ctx->task), WALK_PART_MM))
		return 0;
	memory.mm = (__u64)BPF_CORE_READ(task, mm);
	if (!memory.mm)
		return 0; /* it has just exited */
	memory.start = BPF_CORE_READ(task, group_leader, start_boottime);
	memory.exec = task->self_exec_id;
	memory.tgid = task->tgid;
	seq = lock_seq((struct mm_struct *)memory.mm);
	before = bpf_map_lookup_elem(&walk_nothing, &memory);
	if (before && *before == seq)
		return 0;
	walk_table.emitted = 0;
	walk_table.pid = walk_table.tgid = task->tgid;
	BPF_CORE_READ_INTO(&walk_table.comm, task, group_leader, comm);
	found = emit_vmas(task);
	if (found == VMAS_FAILED)
		walk.vmas_busy = 1;
	if (found == VMAS_NOTHING)
		bpf_map_update_elem(&walk_nothing, &memory, &seq, BPF_ANY);
	return found == VMAS_FULL ? WALK_AGAIN : 0;
}

char LICENSE[] SEC("license") = "GPL";

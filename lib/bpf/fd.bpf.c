// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptor tables of all tasks. Files of BPF objects and iterators are recognized by
 * f_op->release. A table is read through its open_fds bitmap, 32 descriptors a step: iter/task_file
 * would visit every open file and take a reference on it (63 ms instead of 13 at 230,000
 * descriptors).
 */
#include "bpf/walk.bpf.h"

/*
 * The descriptor table that is being read. It is global because files are emitted by a global
 * function, which the verifier checks once and whose arguments must be scalars. Only one walk runs
 * at a time.
 */
struct walk_table walk_table;

struct steps {
	__u64 first;   /* step of the table that the loop began with */
	__u64 stopped; /* step + 1 before which the buffer was full, else 0 */
};

/* The most that one step may need. A socket's own queue may take WALK_QUEUE_ROOM more. */
#define STEP_ROOM                                                                      \
	(WALK_STEP * (WALK_USE_ROOM + WALK_HELD_ROOM + WALK_FILE_ROOM) +               \
	 sizeof(struct walk_task) + sizeof(struct walk_in_cgroup) + WALK_PLACES_ROOM + \
	 WALK_QUEUE_ROOM)

static __always_inline void emit_file(struct file *file, __u32 fd, __u32 kind)
{
	__u64 object = walk_private((__u64)file);
	struct walk_file *out;
	__u32 id = walk_id(object, kind);

	walk_emit_task();
	out = walk_room();
	if (!out)
		return;
	out->file = (__u64)file;
	out->fd = fd;
	out->kind = kind;
	walk_emit(&out->rec, WALK_FILE, sizeof(*out), id);
	if (kind == WALK_KIND_BTF)
		walk_emit_btf((struct btf *)object);
}

/*
 * Does the iterator's private data begin with its map, which it holds with a user reference? These
 * are bpf_map_elem, bpf_sk_storage_map and sockmap; their first eight bytes differ from all other
 * targets.
 */
static __always_inline bool has_map_target(const char target[32])
{
	__u64 start = *(const __u64 *)target;

	return start == *(const __u64 *)"bpf_map_" || start == *(const __u64 *)"bpf_sk_s" ||
	       start == *(const __u64 *)"sockmap";
}

static __always_inline void emit_iter(struct file *file, __u32 fd)
{
	__u32 offset = bpf_core_field_offset(struct bpf_iter_priv_data, target_private);
	struct bpf_iter_priv_data *priv;
	struct walk_iter *out;
	struct bpf_map *map = NULL;
	struct seq_file *seq;
	void *target;

	if (walk_table.tgid == walk.self_pid && fd == walk.self_fd)
		return;
	walk_emit_task();
	seq = BPF_CORE_READ(file, private_data);
	target = BPF_CORE_READ(seq, private);
	priv = target - offset;
	out = walk_room();
	if (!out)
		return;
	__builtin_memset(out->target, 0, sizeof(out->target));
	bpf_probe_read_kernel_str(out->target, sizeof(out->target),
				  BPF_CORE_READ(priv, tinfo, reg_info, target));
	out->file = (__u64)file;
	out->fd = fd;
	out->map_id = 0;
	if (has_map_target(out->target)) {
		bpf_probe_read_kernel(&map, sizeof(map), target);
		out->map_id = map ? BPF_CORE_READ(map, id) : 0;
	}
	walk_emit(&out->rec, WALK_ITER, sizeof(*out), walk_prog_id(BPF_CORE_READ(priv, prog)));
}

#define KIND_ITER  4
#define KIND_NONE  5
#define KIND_OTHER 6 /* + enum walk_other */

static __always_inline __u32 kind_of(__u64 release)
{
	if (!release)
		return KIND_NONE;
	if (release == walk.kernel_ids.release[WALK_KIND_MAP])
		return WALK_KIND_MAP;
	if (release == walk.kernel_ids.release[WALK_KIND_PROG])
		return WALK_KIND_PROG;
	if (release == walk.kernel_ids.release[WALK_KIND_LINK])
		return WALK_KIND_LINK;
	if (release == walk.kernel_ids.release[WALK_KIND_BTF])
		return WALK_KIND_BTF;
	if (release == walk.kernel_ids.iter_release)
		return KIND_ITER;
	if (release == walk.kernel_ids.other[WALK_OTHER_SOCKET])
		return KIND_OTHER + WALK_OTHER_SOCKET;
	if (release == walk.kernel_ids.other[WALK_OTHER_RING])
		return KIND_OTHER + WALK_OTHER_RING;
	if (release == walk.kernel_ids.other[WALK_OTHER_PERF])
		return KIND_OTHER + WALK_OTHER_PERF;
	if (release == walk.kernel_ids.other[WALK_OTHER_TUN])
		return KIND_OTHER + WALK_OTHER_TUN;
	return KIND_NONE;
}

/* This is a global function for the reason given at walk_table. */
int walk_emit_fd(__u64 file, __u32 fd)
{
	__u32 kind = kind_of(walk_release(file));

	if (kind == KIND_ITER)
		emit_iter((struct file *)file, fd);
	else if (kind < KIND_ITER)
		emit_file((struct file *)file, fd, kind);
	if (kind == KIND_OTHER + WALK_OTHER_SOCKET || kind == KIND_OTHER + WALK_OTHER_RING)
		walk_emit_held(file, fd, 0, WALK_HOW_FD);
	if (walk.filter_map) /* what holds programs and owners holds no map that is requested */
		return 0;
	if (kind >= KIND_OTHER)
		walk_use_file(file, fd, kind - KIND_OTHER);
	if (kind == KIND_OTHER + WALK_OTHER_SOCKET || kind == KIND_OTHER + WALK_OTHER_TUN)
		walk_emit_member(file, fd, kind - KIND_OTHER);
	else if (kind == KIND_NONE || kind == KIND_ITER)
		walk_emit_file(file, fd);
	return 0;
}

static int scan_step(__u32 index, struct steps *steps)
{
	__u64 step = steps->first + index, open = 0;
	__u64 word = step * WALK_STEP / (8 * sizeof(open));

	/* a word of the bitmap (unsigned long) has two steps, the first in its low half */
	bpf_probe_read_kernel(&open, sizeof(open), (void *)(walk_table.open + word * sizeof(open)));
	open = (__u32)(open >> step * WALK_STEP % (8 * sizeof(open)));
	if (open && walk_full(STEP_ROOM))
		steps->stopped = step + 1;
	else if (open &&
		 !bpf_probe_read_kernel(walk_step, sizeof(walk_step),
					(void *)(walk_table.fds + step * sizeof(walk_step))))
		for (__u32 at = 0; at < WALK_STEP; at += WALK_FEW)
			if (open >> at & ((1 << WALK_FEW) - 1))
				walk_files(at, step * WALK_STEP + at);
	/* a constant on each path: the verifier must see that it is 0 or 1 */
	return steps->stopped ? 1 : 0;
}

/* ------------------------------------------------------------- threads --- */

struct older {
	__u64 head, node; /* the list of threads, and the one at hand */
	__u64 shared;
	__u32 part, found;
};

static int older_step(__u32 index, struct older *older)
{
	__u64 task = older->node - bpf_core_field_offset(struct task_struct, thread_node);

	if (!older->node || older->node == older->head)
		return 1;
	older->found = walk_part(task, older->part) == older->shared;
	older->node = (__u64)BPF_CORE_READ((struct task_struct *)task, thread_node.prev);
	return older->found ? 1 : 0;
}

/* Threads that have another table than the one before them are few: a longer list is cut off. */
#define OLDER_MAX 256

/*
 * What the threads of a process share is read from the thread group leader; but a leader that has
 * exited while other threads live (a zombie leader) has given it up: exit_mm() and exit_files()
 * leave NULL there. Then the first living thread stands for all of them. A thread that leaves the
 * list meanwhile cuts the search short: then the same is emitted twice, and counts once.
 */
int walk_is_repeated(__u64 address, __u32 part)
{
	struct task_struct *task = (void *)address;
	struct older older = { .part = part, .shared = walk_part(address, part) };
	__u64 leader = walk_part(address, WALK_PART_LEADER);

	if (!older.shared)
		return 1;
	if (leader == address)
		return 0;
	if (walk_part(leader, part) == older.shared)
		return 1;
	older.head = (__u64)BPF_CORE_READ(task, signal) +
		     bpf_core_field_offset(struct signal_struct, thread_head);
	older.node = (__u64)BPF_CORE_READ(task, thread_node.prev);
	bpf_loop(OLDER_MAX, older_step, &older, 0);
	return older.found;
}

/* ------------------------------------------------------------ the walk --- */

/*
 * Emits the namespaces and directories of a thread, unless those of its leader are the same; where
 * the leader has exited, each thread has others than it.
 */
static __always_inline void emit_places(__u64 task, __u64 leader)
{
	__u64 nsproxy = walk_part(task, WALK_PART_NSPROXY);
	bool dirs = walk.dirs || nsproxy != walk.kernel_ids.init_nsproxy;
	__u64 fs = dirs ? walk_part(task, WALK_PART_FS) : 0;

	if (walk_table.pid != walk_table.tgid && nsproxy == walk_part(leader, WALK_PART_NSPROXY) &&
	    (!walk.dirs || fs == walk_part(leader, WALK_PART_FS)))
		return;
	walk_emit_namespaces(nsproxy, fs);
	if (walk.dirs && !walk.filter_map && walk_is_on_bpffs(fs))
		walk_emit_dirs(task);
}

int walk_emit_cgroup(__u64 address)
{
	struct walk_in_cgroup *out = walk_table.emitted ? walk_room() : NULL;
	struct task_struct *leader = (void *)address;

	if (!out || !bpf_core_field_exists(leader->cgroups)) /* without CONFIG_CGROUPS */
		return 0;
	out->cgroup = BPF_CORE_READ(leader, cgroups, dfl_cgrp, kn, id);
	walk_emit(&out->rec, WALK_IN_CGROUP, sizeof(*out), walk_table.tgid);
	return 0;
}

SEC("iter/task")
int walk_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *self = ctx->task;
	__u64 task = walk_scalar(ctx->task), leader, key;
	struct steps steps = {};

	if (!self)
		return 0;
	if (walk_full(STEP_ROOM))
		return WALK_AGAIN;
	walk_table.pid = self->pid;
	walk_table.tgid = self->tgid;
	walk_table.emitted = 0;
	leader = walk_part(task, WALK_PART_LEADER);
	BPF_CORE_READ_INTO(&walk_table.comm, (struct task_struct *)leader, comm);
	key = (__u64)walk_table.pid << 32 | 1;
	steps.first = walk_begin(key);
	if (!steps.first)
		emit_places(task, leader);
	if (walk_is_repeated(task, WALK_PART_FILES))
		return 0; /* it was emitted with the leader, or with another thread */
	walk_read_table(walk_part(task, WALK_PART_FILES));
	if (walk_table.steps > steps.first)
		bpf_loop(walk_table.steps - steps.first, scan_step, &steps, 0);
	walk_emit_cgroup(leader);
	if (steps.stopped)
		return walk_later(key, steps.stopped - 1);
	walk_done();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For walks over tasks: which thread stands for its process. What the threads of a process share is
 * read from the thread group leader; but a leader that has exited while other threads live (a zombie
 * leader) has given it up: exit_mm() and exit_files() leave NULL there. Then the first living thread
 * stands for all of them.
 */
#ifndef WALK_THREAD_BPF_H
#define WALK_THREAD_BPF_H

#include "bpf/walk.bpf.h"

enum walk_part { WALK_PART_MM, WALK_PART_FILES };

static __always_inline __u64 walk_part_of(__u64 task, __u32 part)
{
	struct task_struct *thread = (void *)task;

	return part == WALK_PART_MM ? (__u64)BPF_CORE_READ(thread, mm)
				    : (__u64)BPF_CORE_READ(thread, files);
}

struct walk_older {
	__u64 head, node; /* the list of threads, and the one at hand */
	__u64 shared;
	__u32 part, found;
};

static int walk_older_step(__u32 index, struct walk_older *older)
{
	__u64 task = older->node - bpf_core_field_offset(struct task_struct, thread_node);

	if (!older->node || older->node == older->head)
		return 1;
	if (walk_part_of(task, older->part) == older->shared) {
		older->found = 1;
		return 1;
	}
	older->node = (__u64)BPF_CORE_READ((struct task_struct *)task, thread_node.prev);
	return 0;
}

/* Threads that have another table than the one before them are few: a longer list is cut off. */
#define WALK_OLDER_MAX 256

/*
 * Does an older living thread of the task's process share that part with it? A thread that leaves the
 * list meanwhile cuts the search short: then the same is emitted twice, and counts once.
 */
static __always_inline bool walk_has_older(__u64 address, __u32 part)
{
	struct task_struct *task = (void *)address;
	struct walk_older older = { .part = part, .shared = walk_part_of(address, part) };

	older.head = (__u64)BPF_CORE_READ(task, signal) +
		     bpf_core_field_offset(struct signal_struct, thread_head);
	older.node = (__u64)BPF_CORE_READ(task, thread_node.prev);
	bpf_loop(WALK_OLDER_MAX, walk_older_step, &older, 0);
	return older.found;
}

/*
 * Has this task no such part, or does another one stand for it? What costs is done for threads of a
 * zombie leader, and for those with a table of their own, alone. @in_ctx: where the iterator's context
 * has it, which the verifier does not take for a number.
 */
#define walk_is_repeated(task, in_ctx, member, part)                                        \
	(!(task)->member ||                                                                 \
	 ((task)->pid != (task)->tgid && ((task)->group_leader->member == (task)->member || \
					  walk_has_older(walk_scalar(in_ctx), part))))

#endif

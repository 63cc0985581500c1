// SPDX-License-Identifier: GPL-2.0
/*
 * Pending requests of the older asynchronous I/O. Those that can be cancelled, IOCB_CMD_POLL among
 * them, hold their file (fget() in __io_submit_one()) and are in a list of their context.
 *
 * The list is read without its lock. Each step is checked by the pointer back; where that does not
 * match, the rest of the list is a gap.
 */
#include "bpf/walk.bpf.h"

/* False in a kernel without CONFIG_AIO; see HAVE_RINGS in io_uring.bpf.c. */
#define HAVE_AIO bpf_core_type_exists(struct kioctx)

/* The most requests of one context that are followed. */
#define REQUESTS_MAX (1 << 20)

/* The requests of one context. The state is global, since a global function takes scalars only. */
struct {
	__u64 head, at, before;
	__u64 skip, number; /* requests of all contexts: already emitted, met so far */
	__u32 full, torn;
} walk_requests_of;

static int request_step(__u32 index, void *ctx)
{
	struct list_head *node = (void *)walk_requests_of.at;
	struct aio_kiocb *request =
		(void *)(walk_requests_of.at - bpf_core_field_offset(struct aio_kiocb, ki_list));

	if (walk_requests_of.at == walk_requests_of.head)
		return 1;
	if ((__u64)BPF_CORE_READ(node, prev) != walk_requests_of.before)
		walk_requests_of.torn = 1;
	else if (walk_full(WALK_HELD_ROOM))
		walk_requests_of.full = 1;
	else if (walk_requests_of.number >= walk_requests_of.skip)
		walk_emit_held((__u64)BPF_CORE_READ(request, ki_filp),
			       BPF_CORE_READ(request, ki_res.obj), 0, WALK_HOW_AIO);
	if (walk_requests_of.torn || walk_requests_of.full)
		return 1;
	walk_requests_of.number++;
	walk_requests_of.before = walk_requests_of.at;
	walk_requests_of.at = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

/* This is a global function, so that the verifier checks the loop once. */
int walk_context(__u64 address)
{
	struct kioctx *context = (void *)address;

	if (!HAVE_AIO)
		return 0;
	walk_requests_of.head = address + bpf_core_field_offset(struct kioctx, active_reqs);
	walk_requests_of.before = walk_requests_of.head;
	walk_requests_of.at = (__u64)BPF_CORE_READ(context, active_reqs.next);
	walk_requests_of.torn = 0;
	bpf_loop(REQUESTS_MAX, request_step, NULL, 0);
	if (walk_requests_of.at != walk_requests_of.head && !walk_requests_of.full)
		walk_emit_gap(WALK_GAP_AIO);
	return 0;
}

static int context_step(__u32 index, const __u64 *contexts)
{
	__u64 context = 0;

	bpf_probe_read_kernel(&context, sizeof(context),
			      (void *)(*contexts + (__u64)index * sizeof(context)));
	if (context)
		walk_context(context);
	return walk_requests_of.full ? 1 : 0;
}

SEC("iter/task")
int walk_aio(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct kioctx_table *table;
	__u64 key, contexts;

	if (!task || !HAVE_AIO)
		return 0;
	if (walk_is_repeated(walk_scalar(ctx->task), WALK_PART_MM))
		return 0;
	table = BPF_CORE_READ(task, mm, ioctx_table);
	if (!table)
		return 0;
	walk_table.emitted = 0;
	walk_table.pid = walk_table.tgid = task->tgid;
	BPF_CORE_READ_INTO(&walk_table.comm, task, group_leader, comm);
	key = (__u64)task->pid << 32 | 1;
	walk_requests_of.skip = walk_begin(key);
	walk_requests_of.number = 0;
	walk_requests_of.full = 0;
	contexts = (__u64)table + bpf_core_field_offset(struct kioctx_table, table);
	bpf_loop(BPF_CORE_READ(table, nr), context_step, &contexts, 0);
	if (walk_requests_of.full)
		return walk_later(key, walk_requests_of.number);
	walk_done();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

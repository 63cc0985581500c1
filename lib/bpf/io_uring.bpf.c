// SPDX-License-Identifier: GPL-2.0
/*
 * Files that a ring holds: registered files, one reference for each slot's node
 * (io_sqe_files_register(), io_install_fixed_file()), and the files of pending requests
 * (io_file_get_normal()), which are in the table that they are cancelled by.
 *
 * The buckets of the table are read without their locks. Each step is checked by the pointer back;
 * where that does not match, the walk ends as torn.
 */
#include "bpf/walk.bpf.h"

/*
 * False in a kernel without CONFIG_IO_URING, which has none of these structures. Each global
 * function tests it for itself, so that the verifier sees that nothing of them is used.
 */
#define HAVE_RINGS bpf_core_type_exists(struct io_ring_ctx)

/*
 * This is evaluated wherever it matters: the verifier does not remember what is stored and read
 * again.
 */
#define SLOTS_HAVE_NODES bpf_core_field_exists(((struct io_ring_ctx *)0)->file_table.data)

/* The low bits of file_ptr are flags, three at most. A file is aligned to 8 bytes or more. */
#define FILE_BITS 7ull

/*
 * walk.inside_at counts what has been emitted: first the slots, then the buckets of the two tables.
 */
#define PART_TABLE  (1ull << 40)
#define PART_LOCKED (1ull << 41)
#define CHAIN_BITS  20
#define CHAIN_MAX   ((1u << CHAIN_BITS) - 1)

struct ring_table {
	__u64 list;    /* of the slots, or of the buckets */
	__u64 first;   /* where to begin */
	__u64 stopped; /* where the buffer was full, + 1 */
	__u64 torn;
};

/* ---------------------------------------------------------------- slots --- */

static __always_inline __u64 slot_file(const struct ring_table *ring, __u64 slot)
{
	struct io_rsrc_node *node = NULL;
	struct io_fixed_file *file;

	if (!SLOTS_HAVE_NODES) {
		file = (void *)(ring->list + slot * bpf_core_type_size(struct io_fixed_file));
		return BPF_CORE_READ(file, file_ptr) & ~FILE_BITS;
	}
	bpf_probe_read_kernel(&node, sizeof(node), (void *)(ring->list + slot * sizeof(node)));
	return node ? BPF_CORE_READ(node, file_ptr) & ~FILE_BITS : 0;
}

static int slot_step(__u32 index, struct ring_table *ring)
{
	__u64 slot = ring->first + index;
	__u64 file = slot_file(ring, slot);

	if (file && walk_full(WALK_HELD_ROOM))
		ring->stopped = slot + 1;
	else if (file)
		walk_emit_held(file, slot, 0, WALK_HOW_SLOT);
	return ring->stopped ? 1 : 0;
}

static __always_inline void emit_slots(struct ring_table *ring)
{
	struct io_ring_ctx *ctx = (void *)walk.inside;
	__u64 count = 0;

	if (SLOTS_HAVE_NODES) {
		ring->list = (__u64)BPF_CORE_READ(ctx, file_table.data.nodes);
		count = BPF_CORE_READ(ctx, file_table.data.nr);
	} else if (bpf_core_field_exists(ctx->nr_user_files)) {
		ring->list = (__u64)BPF_CORE_READ(ctx, file_table.files);
		count = BPF_CORE_READ(ctx, nr_user_files);
	}
	if (ring->list && ring->first < count)
		bpf_loop(count - ring->first, slot_step, ring, 0);
}

/* ------------------------------------------------------------- requests --- */

/* The chain of one bucket. The state is global, since a global function takes scalars only. */
struct {
	__u64 node, pprev; /* the current request, and what its pointer back must be */
	__u32 skip;	   /* how many were emitted by the calls before */
	__u32 number, full, torn;
} walk_chain;

static int chain_step(__u32 index, void *ctx)
{
	struct hlist_node *node = (void *)walk_chain.node;
	struct io_kiocb *request =
		(void *)(walk_chain.node - bpf_core_field_offset(struct io_kiocb, hash_node));

	if (!node)
		return 1;
	if ((__u64)BPF_CORE_READ(node, pprev) != walk_chain.pprev)
		walk_chain.torn = 1;
	else if (walk_full(WALK_HELD_ROOM))
		walk_chain.full = 1;
	else if (walk_chain.number >= walk_chain.skip)
		walk_emit_held((__u64)BPF_CORE_READ(request, file), BPF_CORE_READ(request, opcode),
			       0, WALK_HOW_REQUEST);
	if (walk_chain.torn || walk_chain.full)
		return 1;
	walk_chain.number++;
	walk_chain.pprev = walk_chain.node + bpf_core_field_offset(struct hlist_node, next);
	walk_chain.node = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

/* This is a global function, so that the verifier checks the loop once. */
int walk_bucket(__u64 address, __u32 skip)
{
	struct io_hash_bucket *bucket = (void *)address;

	if (!HAVE_RINGS)
		return 0;
	walk_chain.pprev = address + bpf_core_field_offset(struct io_hash_bucket, list.first);
	walk_chain.node = (__u64)BPF_CORE_READ(bucket, list.first);
	walk_chain.skip = skip;
	walk_chain.number = walk_chain.full = walk_chain.torn = 0;
	bpf_loop(CHAIN_MAX, chain_step, NULL, 0);
	if (walk_chain.node && !walk_chain.torn && !walk_chain.full)
		walk_emit_gap(WALK_GAP_RING);
	return 0;
}

static int bucket_step(__u32 index, struct ring_table *ring)
{
	__u64 bucket = (ring->first >> CHAIN_BITS) + index;

	walk_bucket(ring->list + bucket * bpf_core_type_size(struct io_hash_bucket),
		    index ? 0 : ring->first & CHAIN_MAX);
	ring->torn = walk_chain.torn;
	if (walk_chain.full)
		ring->stopped = (bucket << CHAIN_BITS) + walk_chain.number + 1;
	return ring->torn || ring->stopped ? 1 : 0;
}

/* Global for the same reason. Returns false if the walk has to stop here. */
int walk_requests(__u64 table, __u64 first, __u64 part)
{
	struct io_hash_table *hash = (void *)table;
	struct ring_table ring = { .first = first };
	__u64 count;

	if (!HAVE_RINGS)
		return 0;
	count = 1ull << (BPF_CORE_READ(hash, hash_bits) & 31);
	ring.list = (__u64)BPF_CORE_READ(hash, hbs);
	if (ring.list && first >> CHAIN_BITS < count)
		bpf_loop(count - (first >> CHAIN_BITS), bucket_step, &ring, 0);
	if (ring.torn) {
		walk.ended = WALK_TORN;
	} else if (ring.stopped) {
		walk.ended = WALK_FULL;
		walk.inside_at = part + ring.stopped - 1;
	}
	return walk.ended == WALK_DONE;
}

/* ----------------------------------------------------- registered rings --- */

static int ring_step(__u32 index, const __u64 *rings)
{
	__u64 file = 0;

	bpf_probe_read_kernel(&file, sizeof(file), (void *)(*rings + (__u64)index * sizeof(file)));
	if (file)
		walk_emit_held(file, index, 0, WALK_HOW_RING_FD);
	return 0;
}

/* A thread may register rings and use an index instead of a descriptor (io_ringfd_register()). */
SEC("iter/task")
int walk_ring_fds(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u64 rings;

	if (!task || !HAVE_RINGS)
		return 0;
	rings = (__u64)BPF_CORE_READ(task, io_uring);
	if (!rings)
		return 0;
	if (walk_full(IO_RINGFD_REG_MAX * WALK_HELD_ROOM))
		return WALK_AGAIN;
	walk_table.emitted = 0;
	walk_table.pid = walk_table.tgid = task->tgid;
	BPF_CORE_READ_INTO(&walk_table.comm, task, group_leader, comm);
	rings += bpf_core_field_offset(struct io_uring_task, registered_rings);
	bpf_loop(IO_RINGFD_REG_MAX, ring_step, &rings, 0);
	return 0;
}

/* Emits the files of the ring walk.inside, a struct io_ring_ctx, from walk.inside_at on. */
SEC("syscall")
int walk_ring(void *ctx)
{
	struct io_ring_ctx *ring_ctx = (void *)walk.inside;
	__u64 at = walk.inside_at, first;
	struct ring_table ring = { .first = at };

	walk_table.emitted = 1; /* the files belong to the process that led to the ring */
	walk.ended = WALK_DONE;
	if (!HAVE_RINGS)
		return 0;
	if (at < PART_TABLE)
		emit_slots(&ring);
	if (ring.stopped) {
		walk.ended = WALK_FULL;
		walk.inside_at = ring.stopped - 1;
		return 0;
	}
	first = at >= PART_TABLE ? at - PART_TABLE : 0;
	if (at < PART_LOCKED &&
	    !walk_requests(walk.inside + bpf_core_field_offset(struct io_ring_ctx, cancel_table),
			   first, PART_TABLE))
		return 0;
	if (!bpf_core_field_exists(ring_ctx->cancel_table_locked))
		return 0;
	first = at >= PART_LOCKED ? at - PART_LOCKED : 0;
	walk_requests(walk.inside + bpf_core_field_offset(struct io_ring_ctx, cancel_table_locked),
		      first, PART_LOCKED);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

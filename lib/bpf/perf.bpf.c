// SPDX-License-Identifier: GPL-2.0
/*
 * Programs of perf events. perf_event_set_bpf_prog() keeps one reference in the event, both for
 * PERF_EVENT_IOC_SET_BPF and for a link, which holds the program once more. Each event inherited by
 * a task has a reference of its own (perf_event_alloc()). The event lives as long as its file,
 * which is held by descriptors, by slots of perf event arrays (bpf_event_entry_gen()) and by links
 * (bpf_perf_link_attach()).
 */
#include "bpf/walk.bpf.h"

/* ---------------------------------------------------------- one event --- */

static __always_inline void emit_names(struct walk_event *out, struct perf_event *event)
{
	struct trace_event_call *call;

	bpf_probe_read_kernel_str(out->pmu, sizeof(out->pmu), BPF_CORE_READ(event, pmu, name));
	if (!bpf_core_field_exists(event->tp_event))
		return;
	call = BPF_CORE_READ(event, tp_event);
	if (!call)
		return;
	bpf_probe_read_kernel_str(out->system, sizeof(out->system),
				  BPF_CORE_READ(call, class, system));
	/*
	 * This is either a tracepoint, which begins with a pointer, or a text. The value of the
	 * flag that says which differs between versions, so try the pointer: the bytes of a text
	 * are no address that can be read.
	 */
	if (bpf_probe_read_kernel_str(out->name, sizeof(out->name),
				      BPF_CORE_READ(call, tp, name)) <= 0)
		bpf_probe_read_kernel_str(out->name, sizeof(out->name), BPF_CORE_READ(call, name));
}

/*
 * Emits the reference of an event, or with a count those of its inherited events. @slots has that
 * count in the upper half and the slot of the holder in the lower. This is global, so that the
 * verifier checks it once.
 */
int walk_emit_event(__u64 address, __u64 holder, __u64 slots, __u32 fd)
{
	struct perf_event *event = (struct perf_event *)address;
	__u32 count = slots >> 32;
	struct walk_event *out;

	if (!bpf_core_field_exists(event->prog))
		return 0; /* a kernel without perf events */
	if (fd != WALK_NO_FD)
		walk_emit_task();
	out = walk_room();
	if (!out)
		return 0;
	__builtin_memset(out, 0, sizeof(*out));
	out->use.what = count ? (__u64)&event->child_list : address;
	out->use.use = count ? WALK_USE_INHERITED : WALK_USE_EVENT;
	out->use.count = count ? count : 1;
	out->use.fd = fd;
	out->holder_kind = holder >> 32;
	out->holder = (__u32)holder;
	out->slot = (__u32)slots;
	out->type = BPF_CORE_READ(event, attr.type);
	out->config = BPF_CORE_READ(event, attr.config);
	emit_names(out, event);
	walk_emit(&out->use.rec, WALK_EVENT, sizeof(*out),
		  walk_prog_id(BPF_CORE_READ(event, prog)));
	return 0;
}

/* ------------------------------------------------------ inherited ones --- */

#define CHILDREN_MAX (1 << 20)

struct children {
	__u64 head, node, prog;
	__u32 count, torn;
};

static int child_step(__u32 index, struct children *children)
{
	__u64 offset = bpf_core_field_offset(struct perf_event, child_list), next;
	struct perf_event *child = (void *)(children->node - offset);
	struct list_head *node = (void *)children->node;

	if (children->node == children->head)
		return 1;
	next = (__u64)BPF_CORE_READ(node, next);
	/* a node that has left the list points to itself, and freed memory to nothing */
	if (!next || next == children->node) {
		children->torn = 1;
		return 1;
	}
	if ((__u64)BPF_CORE_READ(child, prog) == children->prog)
		children->count++;
	children->node = next;
	return 0;
}

static __always_inline __u32 count_children(struct perf_event *event)
{
	struct children children = {
		.head = (__u64)__builtin_preserve_access_index(&event->child_list),
		.prog = (__u64)BPF_CORE_READ(event, prog),
	};

	children.node = (__u64)BPF_CORE_READ(event, child_list.next);
	bpf_loop(CHILDREN_MAX, child_step, &children, 0);
	if (!children.torn && children.node == children.head)
		return children.count;
	walk_emit_gap(WALK_GAP_CHILDREN);
	return children.count;
}

int walk_use_event(__u64 address, __u64 holder, __u32 slot, __u32 fd)
{
	struct perf_event *event = (struct perf_event *)address;
	__u64 children;

	if (!bpf_core_field_exists(event->prog) || !event ||
	    !walk_prog_id(BPF_CORE_READ(event, prog)))
		return 0;
	walk_emit_event(address, holder, slot, fd);
	children = count_children(event);
	if (children)
		walk_emit_event(address, holder, children << 32 | slot, fd);
	return 0;
}

/* ------------------------------------------- kept by arrays and links --- */

struct event_slots {
	__u64 base;
	__u64 at, stopped;
	__u32 map;
};

static int slot_step(__u32 index, struct event_slots *slots)
{
	__u64 slot = slots->at + index;
	struct bpf_event_entry *entry = NULL;

	if (walk_full(WALK_USE_ROOM)) {
		slots->stopped = slot + 1;
		return 1;
	}
	bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(slots->base + slot * sizeof(entry)));
	if (entry)
		walk_use_event((__u64)BPF_CORE_READ(entry, event),
			       (__u64)WALK_KIND_MAP << 32 | slots->map, slot, WALK_NO_FD);
	return 0;
}

SEC("iter/bpf_map")
int walk_event_slots(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct event_slots slots = {};
	__u64 count;

	if (!map || map->map_type != BPF_MAP_TYPE_PERF_EVENT_ARRAY ||
	    !bpf_core_type_exists(struct bpf_event_entry))
		return 0;
	slots.base = walk_scalar(ctx->map) + bpf_core_field_offset(struct bpf_array, ptrs);
	slots.map = map->id;
	slots.at = walk_begin(slots.map);
	count = map->max_entries;
	if (slots.at < count)
		bpf_loop(count - slots.at, slot_step, &slots, 0);
	if (slots.stopped)
		return walk_later(slots.map, slots.stopped - 1);
	walk_done();
	return 0;
}

SEC("iter/bpf_link")
int walk_event_links(struct bpf_iter__bpf_link *ctx)
{
	struct bpf_link *link = ctx->link;
	struct bpf_perf_link *perf;

	if (!link || link->type != BPF_LINK_TYPE_PERF_EVENT ||
	    !bpf_core_type_exists(struct bpf_perf_link))
		return 0;
	if (walk_full(WALK_USE_ROOM))
		return WALK_AGAIN;
	perf = (void *)walk_scalar(ctx->link);
	walk_use_event((__u64)BPF_CORE_READ(perf, perf_file, private_data),
		       (__u64)WALK_KIND_LINK << 32 | link->id, 0, WALK_NO_FD);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

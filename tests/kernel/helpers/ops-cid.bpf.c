// SPDX-License-Identifier: GPL-2.0
/* A scheduler of the kind that must have an arena, which the kernel holds: since 7.2. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define __pai __attribute__((preserve_access_index))

struct task_struct;

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA, newer than our headers' floor */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16);
	__uint(map_extra, 0x10000000); /* where it would be mapped */
} arena SEC(".maps");

/* The kernel's, as far as we fill it in. */
struct sched_ext_ops_cid {
	void (*running)(struct task_struct *p);
	__u64 flags;
	char name[128];
} __pai;

SEC("struct_ops/test_running")
void test_running(unsigned long long *ctx)
{
	void *used = &arena;

	asm volatile("" ::"r"(used));
}

SEC(".struct_ops")
struct sched_ext_ops_cid bpfrefs_cid = {
	.running = (void *)test_running,
	.flags = 8, /* SCX_OPS_SWITCH_PARTIAL: not for all tasks */
	.name = "bpfrefs_cid",
};

char LICENSE[] SEC("license") = "GPL";

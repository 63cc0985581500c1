// SPDX-License-Identifier: GPL-2.0
/* A scheduler that leaves all to the kernel, for tasks that ask for one: since 6.12. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define __pai __attribute__((preserve_access_index))

struct task_struct;

/* The kernel's, as far as we fill it in. */
struct sched_ext_ops {
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, _Bool runnable);
	__u64 flags;
	char name[128];
} __pai;

SEC("struct_ops/test_running")
void test_running(unsigned long long *ctx)
{
}

SEC("struct_ops/test_stopping")
void test_stopping(unsigned long long *ctx)
{
}

SEC(".struct_ops")
struct sched_ext_ops bpfrefs_sched = {
	.running = (void *)test_running,
	.stopping = (void *)test_stopping,
	.flags = 8, /* SCX_OPS_SWITCH_PARTIAL: not for all tasks */
	.name = "bpfrefs_scheduler_with_a_long_name",
};

char LICENSE[] SEC("license") = "GPL";

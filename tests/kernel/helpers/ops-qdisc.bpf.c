// SPDX-License-Identifier: GPL-2.0
/* A qdisc that drops everything: since 6.16. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define __pai __attribute__((preserve_access_index))

struct Qdisc;
struct nlattr;
struct netlink_ext_ack;

/* Not only declared: libbpf compares what the function takes with what the kernel has. */
struct sk_buff {
};

struct bpf_sk_buff_ptr {
};

/* The kernel's, as far as we fill it in. It wants these five. */
struct Qdisc_ops {
	char id[16];
	int (*enqueue)(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free);
	struct sk_buff *(*dequeue)(struct Qdisc *sch);
	int (*init)(struct Qdisc *sch, struct nlattr *arg, struct netlink_ext_ack *extack);
	void (*reset)(struct Qdisc *sch);
	void (*destroy)(struct Qdisc *sch);
} __pai;

extern void bpf_qdisc_skb_drop(struct sk_buff *skb, struct bpf_sk_buff_ptr *to_free_list) __ksym;

SEC("struct_ops/test_enqueue")
int BPF_PROG(test_enqueue, struct sk_buff *skb, struct Qdisc *sch, struct bpf_sk_buff_ptr *to_free)
{
	bpf_qdisc_skb_drop(skb, to_free);
	return 1; /* NET_XMIT_DROP */
}

SEC("struct_ops/test_dequeue")
unsigned long long test_dequeue(unsigned long long *ctx)
{
	return 0;
}

SEC("struct_ops/test_init")
int test_init(unsigned long long *ctx)
{
	return 0;
}

SEC("struct_ops/test_reset")
void test_reset(unsigned long long *ctx)
{
}

SEC("struct_ops/test_destroy")
void test_destroy(unsigned long long *ctx)
{
}

SEC(".struct_ops")
struct Qdisc_ops bpfrefs_qdisc = {
	.id = "bpfrefs_test",
	.enqueue = (void *)test_enqueue,
	.dequeue = (void *)test_dequeue,
	.init = (void *)test_init,
	.reset = (void *)test_reset,
	.destroy = (void *)test_destroy,
};

char LICENSE[] SEC("license") = "GPL";

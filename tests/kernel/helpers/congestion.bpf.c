// SPDX-License-Identifier: GPL-2.0
/* A congestion control that does nothing well, for sockets to use. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define __pai __attribute__((preserve_access_index))

struct sock;
struct ack_sample;
struct rate_sample;
union tcp_cc_info;
enum tcp_ca_event { CA_EVENT_TX_START };

/* The kernel's, as far as we fill it in: libbpf finds the members by their names. */
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 flags;
	char name[16];
} __pai;

SEC("struct_ops/test_ssthresh")
__u32 test_ssthresh(unsigned long long *ctx)
{
	return 2;
}

SEC("struct_ops/test_undo_cwnd")
__u32 test_undo_cwnd(unsigned long long *ctx)
{
	return 2;
}

SEC("struct_ops/test_cong_avoid")
void test_cong_avoid(unsigned long long *ctx)
{
}

SEC(".struct_ops")
struct tcp_congestion_ops bpfrefs_test = {
	.ssthresh = (void *)test_ssthresh,
	.undo_cwnd = (void *)test_undo_cwnd,
	.cong_avoid = (void *)test_cong_avoid,
	.flags = 1, /* for all namespaces: TCP_CONG_NON_RESTRICTED */
	.name = "bpfrefs_test",
};

char LICENSE[] SEC("license") = "GPL";

// SPDX-License-Identifier: GPL-2.0
/* A program that calls a function of a module, nf_conntrack's (5.18). */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* Defined, however little of it: a mere name fits no structure of the kernel's. */
struct nf_conn {
	unsigned long status;
};

struct bpf_ct_opts {
	__s32 netns_id, error;
	__u8 l4proto, dir, reserved[2];
};

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple,
					 __u32 tuple__sz, struct bpf_ct_opts *opts,
					 __u32 opts__sz) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;

SEC("xdp")
int call_module(struct xdp_md *ctx)
{
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *connection;

	connection = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	if (connection)
		bpf_ct_release(connection);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";

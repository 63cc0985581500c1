// SPDX-License-Identifier: GPL-2.0
/* What a ring of io_uring does while it is waited for: since 7.1. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define __pai __attribute__((preserve_access_index))

struct iou_ctx;
struct iou_loop_params;

/* The kernel's, as far as we fill it in. */
struct io_uring_bpf_ops {
	int (*loop_step)(struct iou_ctx *ctx, struct iou_loop_params *params);
	__u32 ring_fd;
} __pai;

SEC("struct_ops/test_step")
int test_step(unsigned long long *ctx)
{
	return 1; /* IOU_LOOP_STOP */
}

SEC(".struct_ops")
struct io_uring_bpf_ops bpfrefs_uring = {
	.loop_step = (void *)test_step, .ring_fd = 0x0bf0e0f5, /* the test puts the ring's here */
};

char LICENSE[] SEC("license") = "GPL";

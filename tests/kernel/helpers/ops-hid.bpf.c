// SPDX-License-Identifier: GPL-2.0
/* What a HID device's events go through: since 6.11. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define __pai __attribute__((preserve_access_index))

struct hid_bpf_ctx;
enum hid_report_type { HID_INPUT_REPORT };

/* The kernel's, as far as we fill it in. */
struct hid_bpf_ops {
	int hid_id;
	__u32 flags;
	int (*hid_device_event)(struct hid_bpf_ctx *ctx, enum hid_report_type type, __u64 source);
} __pai;

SEC("struct_ops/test_event")
int test_event(unsigned long long *ctx)
{
	return 0;
}

SEC(".struct_ops")
struct hid_bpf_ops bpfrefs_hid = {
	.hid_id = 0x0bf0e0f5, /* the test puts the device's here */
	.hid_device_event = (void *)test_event,
};

char LICENSE[] SEC("license") = "GPL";

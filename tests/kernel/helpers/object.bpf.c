// SPDX-License-Identifier: GPL-2.0
/* What an ordinary libbpf program brings: a map that it pins by name, and an iterator. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} counters SEC(".maps");

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
} __attribute__((preserve_access_index));

SEC("iter/bpf_map")
int show(struct bpf_iter__bpf_map *ctx)
{
	static const char line[] = "a map\n";

	bpf_seq_write(ctx->meta->seq, line, sizeof(line) - 1);
	return 0;
}

SEC("socket")
int count(struct __sk_buff *skb)
{
	__u32 key = 1, *value = bpf_map_lookup_elem(&counters, &key);

	(void)skb;
	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

// SPDX-License-Identifier: GPL-2.0
/* Programs that set timers in their maps' values. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct timer_value {
	__u64 before;
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 100);
	__type(key, __u32);
	__type(value, struct timer_value);
} timer_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct timer_value);
} timer_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8);
	__type(key, __u64);
	__type(value, struct timer_value);
} timer_lru SEC(".maps");

static int expire(void *map, void *key, struct timer_value *value)
{
	return 0;
}

static __always_inline int set_timer(void *map, struct timer_value *value, int callback)
{
	if (!value)
		return 1;
	if (bpf_timer_init(&value->timer, map, 1 /* CLOCK_MONOTONIC */))
		return 2;
	if (callback && bpf_timer_set_callback(&value->timer, expire))
		return 3;
	return 0;
}

/* In slot 70 a timer with a callback that is not armed, in slot 71 one without a callback. */
SEC("tc")
int set_array(struct __sk_buff *skb)
{
	__u32 key = 70;
	int status = set_timer(&timer_array, bpf_map_lookup_elem(&timer_array, &key), 1);

	key = 71;
	if (!status)
		status = set_timer(&timer_array, bpf_map_lookup_elem(&timer_array, &key), 0);
	return status;
}

/* Two elements, 5 and 6, the second one's timer armed, in an hour. */
SEC("tc")
int set_hash(struct __sk_buff *skb)
{
	struct timer_value none = { 0 }, *value;
	__u32 key = 5;
	int status;

	bpf_map_update_elem(&timer_hash, &key, &none, BPF_ANY);
	status = set_timer(&timer_hash, bpf_map_lookup_elem(&timer_hash, &key), 1);
	key = 6;
	bpf_map_update_elem(&timer_hash, &key, &none, BPF_ANY);
	value = bpf_map_lookup_elem(&timer_hash, &key);
	if (!status)
		status = set_timer(&timer_hash, value, 1);
	if (!status && value && bpf_timer_start(&value->timer, 3600000000000ull, 0))
		status = 4;
	return status;
}

SEC("tc")
int set_lru(struct __sk_buff *skb)
{
	struct timer_value none = { 0 };
	__u64 key = 0x1122;

	bpf_map_update_elem(&timer_lru, &key, &none, BPF_ANY);
	return set_timer(&timer_lru, bpf_map_lookup_elem(&timer_lru, &key), 1);
}

char LICENSE[] SEC("license") = "GPL";

// SPDX-License-Identifier: GPL-2.0
/* A program that sets a work queue's callback in a map's value: since 6.10. */
/* newer headers have it too */
#define bpf_wq bpf_wq_of_the_header
#include <linux/bpf.h>
#undef bpf_wq

#include <bpf/bpf_helpers.h>

struct bpf_wq {
	__u64 opaque[2];
};

struct wq_value {
	__u64 before;
	struct bpf_wq wq;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct wq_value);
} wq_hash SEC(".maps");

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __ksym;
#ifdef IMPLICIT_ARGS /* on 7.2: the verifier adds what only it knows */
extern int bpf_wq_set_callback(struct bpf_wq *wq, int (*callback)(void *, int *, void *),
			       unsigned int flags) __ksym;
#else
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *, int *, void *),
				    unsigned int flags, void *aux__ign) __ksym;
#define bpf_wq_set_callback(wq, callback, flags) \
	bpf_wq_set_callback_impl(wq, callback, flags, (void *)0)
#endif

static int work(void *map, int *key, void *value)
{
	return 0;
}

SEC("tc")
int set_wq(struct __sk_buff *skb)
{
	struct wq_value none = { 0 }, *value;
	__u32 key = 9;

	bpf_map_update_elem(&wq_hash, &key, &none, BPF_ANY);
	value = bpf_map_lookup_elem(&wq_hash, &key);
	if (!value || bpf_wq_init(&value->wq, &wq_hash, 0))
		return 1;
	return bpf_wq_set_callback(&value->wq, work, 0) ? 2 : 0;
}

char LICENSE[] SEC("license") = "GPL";

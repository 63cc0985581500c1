// SPDX-License-Identifier: GPL-2.0
/*
 * struct_ops maps registered without a link: the kernel's subsystem holds the map
 * (bpf_struct_ops_map_update_elem()) until the element is deleted (bpf_struct_ops_map_delete_elem()).
 */
#include "walk.bpf.h"

enum bpf_struct_ops_state {
	BPF_STRUCT_OPS_STATE_INIT,
	BPF_STRUCT_OPS_STATE_INUSE,
	BPF_STRUCT_OPS_STATE_TOBEFREE,
};

struct bpf_struct_ops_common_value { /* 6.9 */
	refcount_t refcnt;
	enum bpf_struct_ops_state state;
} __pai;

struct bpf_struct_ops_value {
	struct bpf_struct_ops_common_value common;
	char data[0];
} __pai;

struct bpf_struct_ops_value___68 {
	refcount_t refcnt;
	enum bpf_struct_ops_state state;
	char data[0];
} __pai;

struct bpf_struct_ops {
	const char *name;
} __pai;

struct bpf_struct_ops_desc { /* 6.9 */
	struct bpf_struct_ops *st_ops;
} __pai;

struct bpf_struct_ops_map {
	struct bpf_struct_ops_desc *st_ops_desc; /* 6.9 */
	struct bpf_struct_ops_value kvalue;
} __pai;

struct bpf_struct_ops_map___68 {
	struct bpf_struct_ops *st_ops;
	struct bpf_struct_ops_value___68 kvalue;
} __pai;

struct tcp_congestion_ops {
	char name[16];
} __pai;

/* BPF_F_LINK, newer than the floor's headers: registered through a link, which holds the map. */
#define MAP_FLAG_LINK (1U << 13)

/*
 * Until 6.3 what uses the operations (a TCP socket) counts in the value's refcnt, and the one
 * reference of the map stays until that is 0, even after the registration was undone; later it is
 * always 0.
 */
static __always_inline bool is_registered(__u64 map)
{
	struct bpf_struct_ops_map *ops = (void *)map;
	struct bpf_struct_ops_map___68 *old = (void *)map;
	__u32 state;
	int users;

	if (bpf_core_field_exists(ops->kvalue.common)) {
		state = BPF_CORE_READ(ops, kvalue.common.state);
		users = BPF_CORE_READ(ops, kvalue.common.refcnt.refs.counter);
	} else {
		state = BPF_CORE_READ(old, kvalue.state);
		users = BPF_CORE_READ(old, kvalue.refcnt.refs.counter);
	}
	return state == BPF_STRUCT_OPS_STATE_INUSE ||
	       (state == BPF_STRUCT_OPS_STATE_TOBEFREE && users > 0);
}

static __always_inline const char *ops_name(__u64 map)
{
	struct bpf_struct_ops_map *ops = (void *)map;
	struct bpf_struct_ops_map___68 *old = (void *)map;

	if (bpf_core_field_exists(ops->st_ops_desc))
		return BPF_CORE_READ(ops, st_ops_desc, st_ops, name);
	return BPF_CORE_READ(old, st_ops, name);
}

static __always_inline __u64 ops_data(__u64 map)
{
	struct bpf_struct_ops_map *ops = (void *)map;

	if (bpf_core_field_exists(ops->kvalue.common))
		return map + bpf_core_field_offset(struct bpf_struct_ops_map, kvalue.data);
	return map + bpf_core_field_offset(struct bpf_struct_ops_map___68, kvalue.data);
}

SEC("iter/bpf_map")
int walk_registered(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct tcp_congestion_ops *tcp;
	struct walk_struct_ops *out;
	__u64 address;

	if (!map || map->map_type != BPF_MAP_TYPE_STRUCT_OPS || (map->map_flags & MAP_FLAG_LINK))
		return 0;
	if (!bpf_core_type_exists(struct bpf_struct_ops_map))
		return 0; /* no CONFIG_BPF_JIT */
	address = walk_scalar(ctx->map);
	if (!is_registered(address))
		return 0;
	out = walk_room();
	if (!out)
		return WALK_AGAIN;
	__builtin_memset(out, 0, sizeof(*out));
	bpf_probe_read_kernel_str(out->ops, sizeof(out->ops), ops_name(address));
	tcp = (void *)ops_data(address);
	if (bpf_core_field_exists(tcp->name))
		BPF_CORE_READ_INTO(&out->algorithm, tcp, name);
	walk_emit(&out->rec, WALK_STRUCT_OPS, sizeof(*out), map->id);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

// SPDX-License-Identifier: GPL-2.0
/*
 * struct_ops maps that are registered. Without a link the subsystem of the kernel holds the map
 * (bpf_struct_ops_map_update_elem()) until the element is deleted
 * (bpf_struct_ops_map_delete_elem()). For the same time a scheduler holds the arena of its
 * sched_ext_ops_cid (since 7.2).
 */
#include "bpf/struct_ops.bpf.h"
#include "bpf/walk.bpf.h"
#include "uapi/newer.h"

/*
 * Until 6.3 a user of the operations (a TCP socket) counts in the value's refcnt, and the one
 * reference on the map stays until that is 0, even after the registration was undone. Since 6.4 it
 * is always 0.
 */
static __always_inline bool is_registered(__u64 map)
{
	struct bpf_struct_ops_map *ops = (void *)map;
	__u32 state;
	int users;

	if (bpf_core_field_exists(ops->kvalue.common)) {
		state = BPF_CORE_READ(ops, kvalue.common.state);
		users = BPF_CORE_READ(ops, kvalue.common.refcnt.refs.counter);
	} else {
		state = BPF_CORE_READ(ops, kvalue.state);
		users = BPF_CORE_READ(ops, kvalue.refcnt.refs.counter);
	}
	return state == BPF_STRUCT_OPS_STATE_INUSE ||
	       (state == BPF_STRUCT_OPS_STATE_TOBEFREE && users > 0);
}

static __always_inline const char *ops_name(__u64 map)
{
	struct bpf_struct_ops_map *ops = (void *)map;

	if (bpf_core_field_exists(ops->st_ops_desc))
		return BPF_CORE_READ(ops, st_ops_desc, st_ops, name);
	return BPF_CORE_READ(ops, st_ops, name);
}

static __always_inline __u64 ops_data(__u64 map)
{
	return map + bpf_core_field_offset(struct bpf_struct_ops_map, kvalue.data);
}

/*
 * Emits the name of the operations, where their type has one. Returns whether the type can hold an
 * arena.
 */
static __always_inline bool emit_name(struct walk_struct_ops *out, __u64 data)
{
	struct tcp_congestion_ops *tcp = (void *)data;
	struct sched_ext_ops *sched = (void *)data;
	struct sched_ext_ops_cid *cid = (void *)data;
	struct Qdisc_ops *qdisc = (void *)data;
	__u64 type[2];

	__builtin_memcpy(type, out->ops, sizeof(type));
	if (type[0] == NAME('t', 'c', 'p', '_', 'c', 'o', 'n', 'g')) {
		if (bpf_core_field_exists(tcp->name))
			BPF_CORE_READ_INTO((char(*)[16])out->algorithm, tcp, name);
	} else if (type[0] == NAME('Q', 'd', 'i', 's', 'c', '_', 'o', 'p')) {
		if (bpf_core_field_exists(qdisc->id))
			BPF_CORE_READ_INTO((char(*)[16])out->algorithm, qdisc, id);
	} else if (type[0] == NAME('s', 'c', 'h', 'e', 'd', '_', 'e', 'x')) {
		if (type[1] == NAME('t', '_', 'o', 'p', 's', 0, 0, 0) &&
		    bpf_core_field_exists(sched->name))
			BPF_CORE_READ_INTO(&out->algorithm, sched, name);
		if (type[1] != NAME('t', '_', 'o', 'p', 's', '_', 'c', 'i') ||
		    !bpf_core_field_exists(cid->priv))
			return false;
		BPF_CORE_READ_INTO(&out->algorithm, cid, name);
		return true;
	}
	return false;
}

/* A scheduler holds its arena until it is unregistered (bpf_scx_reg_cid(), scx_sched_free()). */
static __always_inline bool emit_arena(__u32 id, __u64 data)
{
	struct scx_sched *sched = BPF_CORE_READ((struct sched_ext_ops_cid *)data, priv);
	struct bpf_map *arena;

	if (!sched || !bpf_core_field_exists(sched->arena_map))
		return true;
	arena = BPF_CORE_READ(sched, arena_map);
	return !arena || walk_edge(id, WALK_KIND_MAP, BPF_CORE_READ(arena, id), WALK_KIND_MAP,
				   WALK_VIA_ARENA, 0);
}

SEC("iter/bpf_map")
int walk_registered(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct walk_struct_ops *out;
	__u64 address;

	if (!map || map->map_type != BPF_MAP_TYPE_STRUCT_OPS)
		return 0;
	if (!bpf_core_type_exists(struct bpf_struct_ops_map))
		return 0; /* a kernel without CONFIG_BPF_JIT */
	address = walk_scalar(ctx->map);
	/* registered through a link, which holds the map, if the flag is set */
	if (!(map->map_flags & NEWER_BPF_F_LINK) && !is_registered(address))
		return 0;
	out = walk_room();
	if (!out || walk_full(sizeof(*out) + sizeof(struct walk_edge)))
		return WALK_AGAIN;
	__builtin_memset(out, 0, sizeof(*out));
	out->held = !(map->map_flags & NEWER_BPF_F_LINK);
	bpf_probe_read_kernel_str(out->ops, sizeof(out->ops), ops_name(address));
	walk_emit(&out->rec, WALK_STRUCT_OPS, sizeof(*out), map->id);
	if (emit_name(out, ops_data(address)))
		emit_arena(map->id, ops_data(address));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

// SPDX-License-Identifier: GPL-2.0
/*
 * AF_XDP sockets: each slot of an xskmap with a socket holds a reference on the map itself
 * (xsk_map_inc() in xsk_map_node_alloc()). It is released with the socket (xsk_delete_from_maps()),
 * not with the users of the map.
 */
#include "bpf/walk.bpf.h"

/* The most slots of one socket that are followed. */
#define SLOTS_MAX 1024

struct nodes {
	__u64 sock, head, at;
	__u32 fd;
};

static int node_step(__u32 index, struct nodes *nodes)
{
	struct list_head *list = (void *)nodes->at;
	struct xsk_map_node *node;

	if (!nodes->at || nodes->at == nodes->head)
		return 1;
	if (walk_full(WALK_USE_ROOM)) {
		return 1;
	}
	node = (void *)(nodes->at - bpf_core_field_offset(struct xsk_map_node, node));
	/*
	 * the record has the slot's address, so that the walk over the maps does not count it again
	 */
	walk_emit_sock(nodes->sock, (__u64)BPF_CORE_READ(node, map_entry),
		       WALK_USE_XSKMAP | 1ull << 32, BPF_CORE_READ(node, map, map.id), nodes->fd);
	nodes->at = (__u64)BPF_CORE_READ(list, next);
	return 0;
}

int walk_use_xsk(__u64 sock, __u32 fd)
{
	struct xdp_sock *xs = (void *)sock;
	struct nodes nodes = { .sock = sock, .fd = fd };

	if (!bpf_core_field_exists(xs->map_list))
		return 0; /* a kernel without CONFIG_XDP_SOCKETS */
	nodes.head = sock + bpf_core_field_offset(struct xdp_sock, map_list);
	nodes.at = (__u64)BPF_CORE_READ(xs, map_list.next);
	/* slots beyond SLOTS_MAX are emitted by the walk over the maps, without the socket */
	bpf_loop(SLOTS_MAX, node_step, &nodes, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

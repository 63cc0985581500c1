/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packet fanout groups. A group holds one program for all of its packet sockets, which
 * PACKET_FANOUT_DATA sets on any of them (fanout_set_data_ebpf()).
 */
#include "holders/holders.h"
#include "kernel/socket_holders.h"

#define FIELDS(X)                    \
	SOCKET_HOLDER_FIELDS(X)      \
	X(FANOUT_GROUP, "group")     \
	X(FANOUT_IFNAME, "ifname")   \
	X(FANOUT_IFINDEX, "ifindex") \
	X(FANOUT_NETNS, "netns")
HOLDER_FIELDS(FIELDS);

static void decode(struct scan *scan, const void *record)
{
	const struct walk_sock *sock = record;
	char ifname[sizeof(sock->ifname) + 1] = "";
	struct bpfrefs_ref *ref;

	if (sock->use.use != WALK_USE_FANOUT)
		return;
	ref = socket_holder_add(scan, &sock->use);
	if (!ref)
		return;
	ref_set_num(ref, FANOUT_GROUP, sock->group);
	if (sock->ifindex) {
		memcpy(ifname, sock->ifname, sizeof(sock->ifname));
		ref_set_str(scan, ref, FANOUT_IFNAME, ifname);
		ref_set_num(ref, FANOUT_IFINDEX, sock->ifindex);
	}
	ref_set_num(ref, FANOUT_NETNS, sock->netns);
}

static int walk(struct scan *scan)
{
	kernel_ids_has(scan, WALK_OTHER_SOCKET);
	return dispatch_tasks(scan);
}

const struct holder_class holder_fanout = {
	.pub = { HOLDER_PUB("fanout"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_FANOUT,
	.hook = BPFREFS_HOOK_FANOUT,
	.hook_words = { [SOCKET_HOLDER_SHARE] = "" },
	.hook_shared = true,
	.removes = removal_by_process,
	.walk = walk,
	.decoders = { DECODER(walk_sock, decode) },
	.gaps = { { WALK_GAP_PACKET, "sockets of a protocol that was loaded after bpfrefs" } },
	.proc_gap = "procfs does not show what a packet fanout group holds",
};

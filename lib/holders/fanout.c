/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packet fanout groups. A group holds one program for all of its packet sockets, which
 * PACKET_FANOUT_DATA sets on any of them (fanout_set_data_ebpf()).
 */
#include "holders/holders.h"
#include "kernel/socket_holders.h"

enum { FANOUT_GROUP = SOCKET_HOLDER_OWN, FANOUT_IFNAME, FANOUT_IFINDEX, FANOUT_NETNS };

static const char *const keys[] = {
	SOCKET_HOLDER_KEYS, "group", "ifname", "ifindex", "netns", NULL
};
static const char *const walks[] = { "walk_tasks", NULL };

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_sock *sock = walk_record(rec, walk_sock);
	const struct walk_gap *gap = walk_record(rec, walk_gap);
	char ifname[sizeof(sock->ifname) + 1] = "";
	struct bpfrefs_ref *ref;

	if (gap && gap->kind == WALK_GAP_PACKET) {
		scan_gap(scan, 1, "sockets of a protocol that was loaded after bpfrefs", 0);
		return true;
	}
	if (!sock || sock->use.use != WALK_USE_FANOUT)
		return false;
	ref = socket_holder_add(scan, &sock->use);
	if (!ref)
		return true;
	ref_set_num(ref, FANOUT_GROUP, sock->group);
	if (sock->ifindex) {
		memcpy(ifname, sock->ifname, sizeof(sock->ifname));
		ref_set_str(scan, ref, FANOUT_IFNAME, ifname);
		ref_set_num(ref, FANOUT_IFINDEX, sock->ifindex);
	}
	ref_set_num(ref, FANOUT_NETNS, sock->netns);
	return true;
}

static int walk(struct scan *scan)
{
	kernel_ids_has(scan, WALK_OTHER_SOCKET);
	return 0;
}

static int proc(struct scan *scan)
{
	scan_unavailable(scan, "procfs does not show what a packet fanout group holds", 0);
	return 0;
}

const struct holder_class holder_fanout = {
	.pub = { "fanout", keys, 1u << BPFREFS_PROG },
	.id = CLASS_FANOUT,
	.walks = walks,
	.walk = walk,
	.takes = WALK_BIT(WALK_SOCK) | WALK_BIT(WALK_GAP),
	.decode = decode,
	.proc = proc,
};

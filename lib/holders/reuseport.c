/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reuseport groups. A group holds one program for all of its sockets, which
 * SO_ATTACH_REUSEPORT_EBPF sets on any of them (reuseport_attach_prog() keeps the reference of
 * sk_reuseport_attach_bpf()).
 */
#include "holders/holders.h"
#include "kernel/socket_holders.h"

enum { REUSEPORT_TYPE = SOCKET_HOLDER_OWN, REUSEPORT_LOCAL, REUSEPORT_NETNS };

static const char *const keys[] = { SOCKET_HOLDER_KEYS, "type", "local", "netns", NULL };
static const char *const walks[] = { "walk_tasks", NULL };

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_sock *sock = walk_record(rec, walk_sock);
	g_autofree char *type = NULL, *local = NULL;
	struct bpfrefs_ref *ref;

	if (!sock || sock->use.use != WALK_USE_REUSEPORT)
		return false;
	ref = socket_holder_add(scan, &sock->use);
	if (!ref)
		return true;
	type = socket_holder_sock_type(sock);
	local = socket_holder_sock_local(sock);
	ref_set_str(scan, ref, REUSEPORT_TYPE, type);
	ref_set_str(scan, ref, REUSEPORT_LOCAL, local);
	ref_set_num(ref, REUSEPORT_NETNS, sock->netns);
	return true;
}

static int walk(struct scan *scan)
{
	kernel_ids_has(scan, WALK_OTHER_SOCKET);
	return 0;
}

static int proc(struct scan *scan)
{
	scan_unavailable(scan, "procfs does not show what a reuseport group holds", 0);
	return 0;
}

const struct holder_class holder_reuseport = {
	.pub = { "reuseport", keys, 1u << BPFREFS_PROG },
	.id = CLASS_REUSEPORT,
	.walks = walks,
	.walk = walk,
	.takes = WALK_BIT(WALK_SOCK),
	.decode = decode,
	.proc = proc,
};

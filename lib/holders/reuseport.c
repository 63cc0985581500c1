/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reuseport groups. A group holds one program for all of its sockets, which
 * SO_ATTACH_REUSEPORT_EBPF sets on any of them (reuseport_attach_prog() keeps the reference of
 * sk_reuseport_attach_bpf()).
 */
#include "holders/holders.h"
#include "kernel/socket_holders.h"

#define FIELDS(X)                   \
	SOCKET_HOLDER_FIELDS(X)     \
	X(REUSEPORT_TYPE, "type")   \
	X(REUSEPORT_LOCAL, "local") \
	X(REUSEPORT_NETNS, "netns")
HOLDER_FIELDS(FIELDS);

static void decode(struct scan *scan, const void *record)
{
	const struct walk_sock *sock = record;
	g_autofree char *type = NULL, *local = NULL;
	struct bpfrefs_ref *ref;

	if (sock->use.use != WALK_USE_REUSEPORT)
		return;
	ref = socket_holder_add(scan, &sock->use);
	if (!ref)
		return;
	type = socket_holder_sock_type(sock);
	local = socket_holder_sock_local(sock);
	ref_set_str(scan, ref, REUSEPORT_TYPE, type);
	ref_set_str(scan, ref, REUSEPORT_LOCAL, local);
	ref_set_num(ref, REUSEPORT_NETNS, sock->netns);
}

static int walk(struct scan *scan)
{
	kernel_ids_has(scan, WALK_OTHER_SOCKET);
	return dispatch_tasks(scan);
}

const struct holder_class holder_reuseport = {
	.pub = { HOLDER_PUB("reuseport"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_REUSEPORT,
	.hook = BPFREFS_HOOK_REUSEPORT,
	.hook_words = { [SOCKET_HOLDER_SHARE] = "" },
	.hook_shared = true,
	.removes = removal_by_process,
	.walk = walk,
	.decoders = { DECODER(walk_sock, decode) },
	.proc_gap = "procfs does not show what a reuseport group holds",
};

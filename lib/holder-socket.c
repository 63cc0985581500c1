/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets: the program of SO_ATTACH_BPF (sk_attach_bpf()), which accepted sockets share; the
 * programs of a sockmap, copied into each socket in it (sock_map_link()); the map of a struct_ops
 * congestion control, once for each socket that uses it, and for each network namespace whose
 * default for new sockets it is (bpf_try_module_get()); an xskmap, once for each of its slots that
 * an AF_XDP socket is in (xsk_map_inc()); the program of each connection that is attached to a KCM
 * socket (kcm_attach()).
 *
 * All sockets with a descriptor are seen, those in their accept queues, the closed peers of unix
 * sockets, and the closed senders of messages in their queues. A closed TCP socket that is still sending is not: it goes by itself.
 */
#include "carrier.h"
#include "holders.h"
#include "net.h"
#include "use.h"

enum { SOCKET_VIA = USE_OWN, SOCKET_TYPE, SOCKET_LOCAL, SOCKET_NETNS };

static const char *const keys[] = { USE_KEYS, "via", "type", "local", "netns", NULL };
static const char *const walks[] = { "walk_tasks", NULL };

/* The others are of classes of their own. */
static const char *const via_words[] = {
	[WALK_USE_FILTER] = "filter",
	[WALK_USE_PSOCK] = "psock",
	[WALK_USE_KCM] = "kcm",
	[WALK_USE_STRUCT_OPS] = "struct_ops",
	[WALK_USE_XSKMAP] = "xskmap",
};

static const char *via_word(uint32_t use)
{
	return use < G_N_ELEMENTS(via_words) ? via_words[use] : NULL;
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_sock *sock = walk_record(rec, WALK_SOCK, struct walk_sock);
	const struct walk_gap *gap = walk_record(rec, WALK_GAP, struct walk_gap);
	g_autofree char *type = NULL, *local = NULL;
	struct bpfrefs_ref *ref;

	if (gap && gap->kind == WALK_GAP_ACCEPT) {
		scan_gap(scan, 1, "queues of connections not yet accepted", 0);
		return true;
	}
	if (gap && gap->kind == WALK_GAP_KCM) {
		scan_gap(scan, 1, "connections of KCM sockets", 0);
		return true;
	}
	if (!sock || !via_word(sock->use.use))
		return false;
	/* a closed socket may have sent many of the messages in a queue */
	ref = held_is_new(scan, sock->use.what) ? use_add(scan, &sock->use) : NULL;
	if (!ref)
		return true;
	ref_set_static(ref, SOCKET_VIA, via_word(sock->use.use));
	ref_set_num(ref, SOCKET_NETNS, sock->netns);
	if (!sock->family)
		return true; /* no socket: a namespace's default for new ones */
	type = use_sock_type(sock);
	local = use_sock_local(sock);
	ref_set_str(scan, ref, SOCKET_TYPE, type);
	if (local)
		ref_set_str(scan, ref, SOCKET_LOCAL, local);
	return true;
}

static void take(const struct walk_rec *rec, void *scan)
{
	decode(scan, rec);
}

static int default_ops(struct scan *scan, const struct walk_net *net, void *data)
{
	(void)data;
	return net_walk_object(scan, "walk_default_ops", (struct net_object){ net, 0, 0 }, take,
			       scan);
}

static int walk(struct scan *scan)
{
	walk_knows(scan, WALK_OTHER_SOCKET);
	if (!net_loaded(scan, NET_TYPE(STRUCT_OPS)))
		return 0;
	return net_each(scan, default_ops, NULL);
}

static int proc(struct scan *scan)
{
	scan_unavailable(scan, "procfs does not tell what a socket holds", 0);
	return 0;
}

const struct holder_class holder_socket = {
	.pub = { "socket", keys },
	.walks = walks,
	.walk = walk,
	.takes = WALK_BIT(WALK_SOCK) | WALK_BIT(WALK_GAP),
	.decode = decode,
	.proc = proc,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/socket_holders.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/net_namespaces.h"
#include "kernel/object_cache.h"

/* The names of socket types, for address families that have no protocols. */
static const char *const type_words[] = {
	[SOCK_STREAM] = "stream",
	[SOCK_DGRAM] = "dgram",
	[SOCK_RAW] = "raw",
	[SOCK_SEQPACKET] = "seqpacket",
};

static const struct {
	uint16_t family;
	const char *word;
} families[] = {
	{ AF_UNIX, "unix" },   { AF_PACKET, "packet" },	  { AF_NETLINK, "netlink" },
	{ AF_VSOCK, "vsock" }, { AF_ALG, "alg" },	  { AF_XDP, "xdp" },
	{ AF_TIPC, "tipc" },   { AF_QIPCRTR, "qipcrtr" }, { AF_KCM, "kcm" },
};

static const struct {
	uint16_t protocol;
	const char *word;
} protocols[] = {
	{ IPPROTO_TCP, "tcp" },	  { IPPROTO_UDP, "udp" },	  { IPPROTO_ICMP, "icmp" },
	{ IPPROTO_SCTP, "sctp" }, { IPPROTO_UDPLITE, "udplite" }, { IPPROTO_ICMPV6, "icmpv6" },
	{ IPPROTO_DCCP, "dccp" }, { IPPROTO_MPTCP, "mptcp" },
};

enum { SOCKET_HOLDER_FIELDS(HOLDER_FIELD_INDEX) };

void socket_holder_prepare(struct scan *scan)
{
	static const uint64_t sockets = NET_TYPE(SOCKET_FILTER) | NET_TYPE(SK_SKB) |
					NET_TYPE(SK_MSG) | NET_TYPE(SK_REUSEPORT) |
					NET_TYPE(STRUCT_OPS);
	static const uint64_t events =
		NET_TYPE(KPROBE) | NET_TYPE(TRACEPOINT) | NET_TYPE(PERF_EVENT);
	/*
	 * Besides the programs that a tun device holds itself, those that are attached to it as to
	 * any device, since they last as long as its open files.
	 */
	static const uint64_t tuns =
		NET_TYPE(SOCKET_FILTER) | NET_TYPE(SCHED_CLS) | NET_TYPE(SCHED_ACT) | NET_TYPE(XDP);
	struct walk_state *state = walk_state_of(scan);
	uint32_t uses = 0;

	state->prog_types = object_cache_types(scan->ctx->object_cache, BPFREFS_KIND_PROG);
	if (net_loaded(scan, sockets) ||
	    object_cache_types(scan->ctx->object_cache, BPFREFS_KIND_MAP) >> BPF_MAP_TYPE_XSKMAP &
		    1)
		uses |= 1u << WALK_OTHER_SOCKET;
	if (net_loaded(scan, tuns))
		uses |= 1u << WALK_OTHER_TUN;
	if (net_loaded(scan, events))
		uses |= 1u << WALK_OTHER_PERF;
	bpf_loader_control(state->walkers)->uses = uses;
}

struct bpfrefs_ref *socket_holder_add(struct scan *scan, const struct walk_use *use)
{
	struct bpfrefs_key key = { BPFREFS_KIND_PROG, use->rec.id };
	const struct walk_state *state = walk_state_of(scan);
	struct bpfrefs_ref *ref;
	uint32_t token, count = use->count;

	if (use->use == WALK_USE_STRUCT_OPS || use->use == WALK_USE_XSKMAP)
		key.kind = BPFREFS_KIND_MAP;
	if (!scan_file(scan, use->what, &token))
		count = 0;
	ref = scan_add(scan, key, count, 0);
	if (!ref)
		return NULL;
	ref_set_num(ref, SOCKET_HOLDER_SHARE, token);
	if (use->fd == WALK_NO_FD)
		return ref;
	ref_set_pid(ref, state->pid);
	ref_set_num(ref, SOCKET_HOLDER_PID, state->pid);
	ref_set_static(ref, SOCKET_HOLDER_COMM, state->comm);
	if (use->fd != WALK_IN_PID)
		ref_set_num(ref, SOCKET_HOLDER_FD, use->fd);
	return ref;
}

/* -------------------------------------------- types and addresses --- */

static char *inet_type(const struct walk_sock *sock)
{
	const char *six = sock->family == AF_INET6 ? "6" : "";

	if (sock->type == SOCK_RAW)
		return g_strdup_printf("raw%s", six);
	for (guint i = 0; i < G_N_ELEMENTS(protocols); i++)
		if (protocols[i].protocol == sock->protocol)
			return g_strconcat(protocols[i].word, six, NULL);
	return g_strdup_printf("inet%s_%u", six, sock->protocol);
}

char *socket_holder_sock_type(const struct walk_sock *sock)
{
	const char *type = NULL;

	if (sock->family == AF_INET || sock->family == AF_INET6)
		return inet_type(sock);
	if (sock->type < G_N_ELEMENTS(type_words))
		type = type_words[sock->type];
	for (guint i = 0; type && i < G_N_ELEMENTS(families); i++)
		if (families[i].family == sock->family)
			return g_strdup_printf("%s_%s", families[i].word, type);
	return g_strdup_printf("family%u_%u", sock->family, sock->type);
}

/* A path; or "@" and an abstract name, whose NULs are shown as "@", as in /proc/net/unix. */
static char *unix_name(const struct walk_sock *sock)
{
	char *name = g_strndup("", WALK_LOCAL_MAX);
	uint32_t len = MIN(sock->local_len, (uint32_t)WALK_LOCAL_MAX - 1);

	memcpy(name, sock->local, len);
	if (name[0])
		return name;
	for (uint32_t i = 0; i < len; i++)
		if (!name[i])
			name[i] = '@';
	return name;
}

char *socket_holder_sock_local(const struct walk_sock *sock)
{
	char text[INET6_ADDRSTRLEN];

	if (!sock->local_len)
		return NULL;
	if (sock->family == AF_UNIX)
		return unix_name(sock);
	if (!inet_ntop(sock->family, sock->local, text, sizeof(text)))
		return NULL;
	return g_strdup_printf(sock->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, sock->port);
}

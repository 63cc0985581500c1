/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of socket types and of local addresses. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "fixture.h"
#include "kernel/socket_holders.h"
#include "snapshot/private.h"

struct call {
	uint16_t family, type, protocol;
	const char *word;
};

static const struct call calls[] = {
	{ AF_INET, SOCK_STREAM, IPPROTO_TCP, "tcp" },
	{ AF_INET6, SOCK_STREAM, IPPROTO_TCP, "tcp6" },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "udp6" },
	{ AF_INET, SOCK_DGRAM, IPPROTO_ICMP, "icmp" },
	{ AF_INET, SOCK_RAW, IPPROTO_TCP, "raw" },
	{ AF_INET6, SOCK_RAW, 255, "raw6" },
	{ AF_INET, SOCK_STREAM, 262, "mptcp" },
	{ AF_INET, SOCK_DGRAM, 200, "inet_200" },
	{ AF_UNIX, SOCK_STREAM, 0, "unix_stream" },
	{ AF_UNIX, SOCK_SEQPACKET, 0, "unix_seqpacket" },
	{ AF_PACKET, SOCK_RAW, 768, "packet_raw" },
	{ AF_NETLINK, SOCK_DGRAM, 0, "netlink_dgram" },
	{ AF_UNIX, 99, 0, "family1_99" },
	{ 45, SOCK_STREAM, 0, "family45_1" },
};

TEST(types)
{
	for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
		struct walk_sock sock = { .family = calls[i].family,
					  .type = calls[i].type,
					  .protocol = calls[i].protocol };
		g_autofree char *word = socket_holder_sock_type(&sock);

		g_assert_cmpstr(word, ==, calls[i].word);
	}
}

static void check_local(uint16_t family, const void *bytes, uint32_t len, const char *want)
{
	struct walk_sock sock = { .family = family, .port = 80, .local_len = len };
	g_autofree char *local = NULL;

	memcpy(sock.local, bytes, MIN(len, sizeof(sock.local)));
	local = socket_holder_sock_local(&sock);
	g_assert_cmpstr(local, ==, want);
}

TEST(locals)
{
	char longest[WALK_LOCAL_MAX], *want;

	check_local(AF_INET, "\x7f\0\0\1", 4, "127.0.0.1:80");
	check_local(AF_INET6, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, "[::1]:80");
	check_local(AF_UNIX, "/a path", 8, "/a path");
	check_local(AF_UNIX, "/no end", 7, "/no end");
	check_local(AF_UNIX, "\0one\0two", 8, "@one@two");
	check_local(AF_UNIX, "", 0, NULL);
	check_local(AF_PACKET, "", 0, NULL);
	memset(longest, 'x', sizeof(longest));
	want = g_strndup(longest, sizeof(longest) - 1);
	check_local(AF_UNIX, longest, sizeof(longest), want);
	g_free(want);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions for the classes whose holders are sockets, tun devices and perf events. */
#ifndef BPFREFS_SOCKET_HOLDERS_H
#define BPFREFS_SOCKET_HOLDERS_H

#include "kernel/bpf_source.h"

/*
 * The first fields of these classes. share identifies the holder, as file does for descriptors:
 * references with the same share count once.
 */
#define SOCKET_HOLDER_FIELDS(X)         \
	X(SOCKET_HOLDER_SHARE, "share") \
	X(SOCKET_HOLDER_PID, "pid")     \
	X(SOCKET_HOLDER_COMM, "comm")   \
	X(SOCKET_HOLDER_FD, "fd")

/*
 * Sets which kinds of files the walk over descriptors reads: those that can hold a program or map
 * that is loaded. There may be very many sockets, and no program that a socket could hold.
 */
void socket_holder_prepare(struct scan *scan);

/* Adds the reference of a record, and sets the fields above. */
struct bpfrefs_ref *socket_holder_add(struct scan *scan, const struct walk_use *use);

/*
 * The kind and the address of a socket, such as "tcp6" and "[::1]:80"; owned by the caller. The
 * address is NULL if the socket has none.
 */
char *socket_holder_sock_type(const struct walk_sock *sock);
char *socket_holder_sock_local(const struct walk_sock *sock);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions for the classes whose holders are sockets, tun devices and perf events. */
#ifndef BPFREFS_SOCKET_HOLDERS_H
#define BPFREFS_SOCKET_HOLDERS_H

#include "kernel/bpf_source.h"

/*
 * The first keys of these classes. share identifies the holder, as file does for descriptors:
 * references with the same share count once.
 */
#define SOCKET_HOLDER_KEYS "share", "pid", "comm", "fd"
enum {
	SOCKET_HOLDER_SHARE,
	SOCKET_HOLDER_PID,
	SOCKET_HOLDER_COMM,
	SOCKET_HOLDER_FD,
	SOCKET_HOLDER_OWN
};

/*
 * Sets which kinds of files the walk over descriptors reads: those that can hold a program or map
 * that is loaded. There may be very many sockets, and no program that a socket could hold.
 */
void socket_holder_prepare(struct scan *scan);

/* Adds the reference of a record, and sets the keys above. */
struct bpfrefs_ref *socket_holder_add(struct scan *scan, const struct walk_use *use);

/*
 * socket_holder_carried() takes the record of a file that its process holds without a descriptor.
 * socket_holder_walk_carried() reads all of these files. The first of these classes calls it; the programs
 * that emit such records have all run before.
 */
bool socket_holder_carried(struct scan *scan, const struct walk_rec *rec);
int socket_holder_walk_carried(struct scan *scan);

/*
 * The kind and the address of a socket, such as "tcp6" and "[::1]:80"; owned by the caller. The
 * address is NULL if the socket has none.
 */
char *socket_holder_sock_type(const struct walk_sock *sock);
char *socket_holder_sock_local(const struct walk_sock *sock);

#endif

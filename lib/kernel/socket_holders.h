/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the classes share whose holders are sockets, tun devices and perf events. */
#ifndef BPFREFS_USE_H
#define BPFREFS_USE_H

#include "kernel/bpf_source.h"

/* Their keys begin so. share is a token like file: lines with the same one count once. */
#define USE_KEYS "share", "pid", "comm", "fd"
enum { USE_SHARE, USE_PID, USE_COMM, USE_FD, USE_OWN };

/*
 * Before the walk over descriptors: says which files can hold anything of what is loaded at all.
 * There may be very many sockets, and nothing that any could hold.
 */
void use_prepare(struct scan *scan);

/* Adds the reference that a record tells, with these keys set. */
struct bpfrefs_ref *use_add(struct scan *scan, const struct walk_use *use);

/*
 * Takes the record of a file that its process has no descriptor of; all such files are looked into
 * by use_walk_carried(), which the first of these classes calls: walks before it have told them.
 */
bool use_carried(struct scan *scan, const struct walk_rec *rec);
int use_walk_carried(struct scan *scan);

/* A socket's kind and address: "tcp6", "[::1]:80"; owned, NULL where it has none. */
char *use_sock_type(const struct walk_sock *sock);
char *use_sock_local(const struct walk_sock *sock);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers of the UAPI that the floor's headers do not have (linux-libc-dev 6.1, Debian 12), for
 * programs of both sides; what the floor has is taken from the system's headers. The names are our
 * own, since no preprocessor can ask whether a header has an enumerator. Each line says which header
 * has the number and since which version: lib/meson.build reads that, and where the header of this
 * machine has it, the compiler compares the two.
 */
#ifndef BPFREFS_NEWER_H
#define BPFREFS_NEWER_H

enum {
	NEWER_BPF_F_LINK = 1 << 13,		/* linux/bpf.h, 6.4 */
	NEWER_BPF_F_PATH_FD = 1 << 14,		/* linux/bpf.h, 6.5 */
	NEWER_BPF_LINK_TYPE_NETFILTER = 10,	/* linux/bpf.h, 6.4 */
	NEWER_BPF_LINK_TYPE_TCX = 11,		/* linux/bpf.h, 6.6 */
	NEWER_BPF_LINK_TYPE_NETKIT = 13,	/* linux/bpf.h, 6.7 */
	NEWER_BPF_LINK_TYPE_SOCKMAP = 14,	/* linux/bpf.h, 6.10 */
	NEWER_BPF_MAP_TYPE_ARENA = 33,		/* linux/bpf.h, 6.9 */
	NEWER_BPF_CGROUP_UNIX_CONNECT = 49,	/* linux/bpf.h, 6.7 */
	NEWER_BPF_CGROUP_UNIX_SENDMSG = 50,	/* linux/bpf.h, 6.7 */
	NEWER_BPF_CGROUP_UNIX_RECVMSG = 51,	/* linux/bpf.h, 6.7 */
	NEWER_BPF_CGROUP_UNIX_GETPEERNAME = 52, /* linux/bpf.h, 6.7 */
	NEWER_BPF_CGROUP_UNIX_GETSOCKNAME = 53, /* linux/bpf.h, 6.7 */
};

#endif

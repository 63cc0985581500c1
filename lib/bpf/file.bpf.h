/* SPDX-License-Identifier: GPL-2.0 */
/* For programs that meet files and sockets: what they read of them. */
#ifndef WALK_FILE_BPF_H
#define WALK_FILE_BPF_H

#include "bpf/walk.bpf.h"

struct file_operations {
	void *release;
} __pai;

struct file {
	struct file_operations *f_op;
	void *private_data;
} __pai;

struct sk_buff {
	struct sk_buff *next, *prev;
	struct sock *sk;
	char cb[48];
} __pai;

struct sk_buff_head {
	struct sk_buff *next, *prev;
} __pai;

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
} __pai;

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
} __pai;

struct socket {
	struct sock *sk;
} __pai;

#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * What sockets hold: the program of SO_ATTACH_BPF (sk_attach_bpf(); accepted sockets share the
 * sk_filter, sk_clone()), the programs copied from a sockmap (sock_map_link(), which takes one
 * reference for each in sk_psock.progs), the map of a congestion control (bpf_try_module_get() in
 * tcp_assign_congestion_control(), tcp_create_openreq_child()), the program of a reuseport group
 * (reuseport_attach_prog()) and that of a packet fanout (fanout_set_data_ebpf()).
 *
 * Sockets are found by descriptors (fd.bpf.c), in queues of connections that were not accepted yet,
 * as closed peers of unix sockets, which keep their filter until the other end is closed, and as
 * closed senders of what is in the queue of a unix socket (inflight.bpf.c).
 */
#include <linux/if_packet.h>

#include "bpf/struct_ops.bpf.h"
#include "bpf/walk.bpf.h"

/*
 * The low bits of sk_user_data are flags; this one says that it is a struct sk_psock (since 5.19).
 */
#define USER_DATA_PSOCK 4ull
#define USER_DATA_FLAGS 7ull

/* ------------------------------------------------------------ records --- */

static __always_inline void emit_local(struct walk_sock *out, struct sock *sk)
{
	struct unix_address *addr;
	__u32 len;

	out->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (out->family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)out->local, sk, __sk_common.skc_rcv_saddr);
		out->local_len = sizeof(__u32);
	} else if (out->family == AF_INET6 &&
		   bpf_core_field_exists(sk->__sk_common.skc_v6_rcv_saddr)) {
		BPF_CORE_READ_INTO((struct in6_addr *)out->local, sk, __sk_common.skc_v6_rcv_saddr);
		out->local_len = sizeof(struct in6_addr);
	} else if (out->family == AF_UNIX) {
		addr = BPF_CORE_READ((struct unix_sock *)sk, addr);
		len = addr ? BPF_CORE_READ(addr, len) - sizeof(__u16) : 0;
		if (!len)
			return;
		/* else clang makes one comparison of two, in which older verifiers see no bound */
		barrier_var(len);
		if (len > sizeof(((struct sockaddr_un *)0)->sun_path))
			return;
		bpf_probe_read_kernel(out->local, len,
				      __builtin_preserve_access_index(&addr->name[0].sun_path));
		out->local_len = len;
	}
}

static __always_inline void emit_fanout(struct walk_sock *out, struct sock *sk)
{
	struct packet_sock *packet = (struct packet_sock *)sk;
	struct net_device *dev = BPF_CORE_READ(packet, prot_hook.dev);

	out->group = BPF_CORE_READ(packet, fanout, id);
	if (!dev)
		return;
	out->ifindex = BPF_CORE_READ(dev, ifindex);
	BPF_CORE_READ_INTO(&out->ifname, dev, name);
}

/* The maps that the socket is in, which keep its psock (sock_map_add_link(), sock_map_unref()). */
static __always_inline void emit_maps(struct walk_sock *out, struct sock *sk)
{
	__u64 psock = (__u64)BPF_CORE_READ(sk, sk_user_data) & ~USER_DATA_FLAGS;
	__u64 head = psock + bpf_core_field_offset(struct sk_psock, link);
	__u64 at = (__u64)BPF_CORE_READ((struct list_head *)head, next);

	for (__u32 i = 0; i < WALK_PSOCK_MAPS; i++) {
		__u64 link = at - bpf_core_field_offset(struct sk_psock_link, list);

		if (!at || at == head)
			return;
		out->maps[i] = BPF_CORE_READ((struct sk_psock_link *)link, map, id);
		at = (__u64)BPF_CORE_READ((struct list_head *)at, next);
	}
	out->more_maps = at != head;
}

/*
 * Emits that a socket holds an object; @id is 0 for a classic filter, which is not emitted. @use is
 * one of enum walk_use_kind, with the count in the upper half. This is global, so that the verifier
 * checks it once.
 */
int walk_emit_sock(__u64 address, __u64 what, __u64 use, __u32 id, __u32 fd)
{
	struct sock *sk = (struct sock *)address;
	struct walk_sock *out;

	if (!id)
		return 0;
	walk_emit_task();
	out = walk_room();
	if (!out)
		return 0;
	__builtin_memset(out, 0, sizeof(*out));
	out->use.what = what;
	out->use.fd = fd;
	out->use.use = (__u32)use;
	out->use.count = use >> 32;
	out->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	out->type = BPF_CORE_READ(sk, sk_type);
	out->protocol = BPF_CORE_READ(sk, sk_protocol);
	out->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	emit_local(out, sk);
	if (out->use.use == WALK_USE_PSOCK && bpf_core_type_exists(struct sk_psock))
		emit_maps(out, sk);
	if (out->use.use == WALK_USE_FANOUT && bpf_core_type_exists(struct packet_sock))
		emit_fanout(out, sk);
	walk_emit(&out->use.rec, WALK_SOCK, sizeof(*out), id);
	return 0;
}

#define ONCE (1ull << 32)

/* ---------------------------------------------------------- one socket --- */

static __always_inline void emit_psock(struct sock *sk, __u32 fd)
{
	__u64 data = (__u64)BPF_CORE_READ(sk, sk_user_data);
	struct sk_psock_progs *progs;

	if (!(data & USER_DATA_PSOCK) || !bpf_core_type_exists(struct sk_psock))
		return;
	progs = (void *)((data & ~USER_DATA_FLAGS) + bpf_core_field_offset(struct sk_psock, progs));
#define EMIT_PROG(member)                                                                 \
	walk_emit_sock((__u64)sk, (__u64)__builtin_preserve_access_index(&progs->member), \
		       WALK_USE_PSOCK | ONCE, walk_prog_id(BPF_CORE_READ(progs, member)), fd)
	EMIT_PROG(msg_parser);
	EMIT_PROG(stream_parser);
	EMIT_PROG(stream_verdict);
	EMIT_PROG(skb_verdict);
#undef EMIT_PROG
}

static __always_inline bool is_tcp(struct sock *sk, __u16 family)
{
	return (family == AF_INET || family == AF_INET6) &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

/* The struct_ops map that its congestion control is part of, or NULL. */
static __always_inline struct bpf_map *ops_map(struct sock *sk)
{
	struct tcp_congestion_ops *ops =
		BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_ca_ops);

	return ops ? map_of_ops(ops, BPF_CORE_READ(ops, owner)) : NULL;
}

static __always_inline void emit_filter(struct sock *sk, __u32 fd)
{
	struct sk_filter *filter = BPF_CORE_READ(sk, sk_filter);

	if (filter)
		walk_emit_sock((__u64)sk, (__u64)filter, WALK_USE_FILTER | ONCE,
			       walk_prog_id(BPF_CORE_READ(filter, prog)), fd);
}

static __always_inline void emit_groups(struct sock *sk, __u16 family, __u32 fd)
{
	struct sock_reuseport *group = BPF_CORE_READ(sk, sk_reuseport_cb);
	struct packet_fanout *fanout;
	__u8 type;

	if (group)
		walk_emit_sock((__u64)sk, (__u64)group, WALK_USE_REUSEPORT | ONCE,
			       walk_prog_id(BPF_CORE_READ(group, prog)), fd);
	if (family != AF_PACKET)
		return;
	if (!bpf_core_type_exists(struct packet_sock)) {
		walk_emit_gap(WALK_GAP_PACKET);
		return;
	}
	fanout = BPF_CORE_READ((struct packet_sock *)sk, fanout);
	type = fanout ? BPF_CORE_READ(fanout, type) : 0;
	if (type == PACKET_FANOUT_EBPF || type == PACKET_FANOUT_CBPF)
		walk_emit_sock((__u64)sk, (__u64)fanout, WALK_USE_FANOUT | ONCE,
			       walk_prog_id(BPF_CORE_READ(fanout, bpf_prog)), fd);
}

/* ----------------------------------------------- not yet accepted ones --- */

/* More than the default of net.core.somaxconn, 4096. */
#define QUEUE_MAX 65536

/* Room that is left for the rest of this step of a descriptor table. */
#define AFTER_QUEUE (32 * WALK_USE_ROOM)

/*
 * The queue that is being read. It is not on the stack, most of which the frames of the callers
 * use.
 */
struct {
	__u64 listener, filter, map; /* map: that of the listener's congestion control */
	__u64 request;
	__u32 fd;
	__u32 same; /* connections with the same map */
	__u32 missed;
} walk_accepts;

/*
 * Emits what a connection in the queue holds and its listener does not: most share the listener's
 * filter.
 */
static __always_inline void emit_queued(struct sock *sk)
{
	struct bpf_map *map = ops_map(sk);

	if ((__u64)BPF_CORE_READ(sk, sk_filter) != walk_accepts.filter)
		emit_filter(sk, walk_accepts.fd);
	emit_psock(sk, walk_accepts.fd);
	if (map && (__u64)map == walk_accepts.map)
		walk_accepts.same++;
	else if (map)
		walk_emit_sock((__u64)sk, (__u64)sk, WALK_USE_STRUCT_OPS | ONCE,
			       BPF_CORE_READ(map, id), walk_accepts.fd);
}

static int queue_step(__u32 index, void *unused)
{
	struct request_sock *request = (void *)walk_accepts.request;
	struct sock *sk;

	if (!request)
		return 1;
	/* it was just accepted: what it points to is no longer in this queue */
	if ((__u64)BPF_CORE_READ(request, __req_common.skc_listener) != walk_accepts.listener ||
	    walk_full(AFTER_QUEUE)) {
		walk_accepts.missed = 1;
		return 1;
	}
	sk = BPF_CORE_READ(request, sk);
	if (sk)
		emit_queued(sk);
	walk_accepts.request = (__u64)BPF_CORE_READ(request, dl_next);
	return 0;
}

/* This is a global function for the same reason as walk_emit_sock(). */
int walk_emit_accepts(__u64 listener, __u32 fd)
{
	struct inet_connection_sock *icsk = (void *)listener;
	struct sock *sk = (struct sock *)listener;
	struct bpf_map *map;

	walk_accepts.request = (__u64)BPF_CORE_READ(icsk, icsk_accept_queue.rskq_accept_head);
	if (!walk_accepts.request)
		return 0;
	map = ops_map(sk);
	walk_accepts.listener = listener;
	walk_accepts.filter = (__u64)BPF_CORE_READ(sk, sk_filter);
	walk_accepts.map = (__u64)map;
	walk_accepts.fd = fd;
	walk_accepts.same = 0;
	walk_accepts.missed = 0;
	bpf_loop(QUEUE_MAX, queue_step, NULL, 0);
	if (walk_accepts.missed || walk_accepts.request)
		walk_emit_gap(WALK_GAP_ACCEPT);
	if (walk_accepts.same && map)
		walk_emit_sock(listener, (__u64)&icsk->icsk_accept_queue,
			       WALK_USE_STRUCT_OPS | (__u64)walk_accepts.same << 32,
			       BPF_CORE_READ(map, id), fd);
	return 0;
}

/* ---------------------------------------------------------------- files --- */

static __always_inline void emit_tcp(struct sock *sk, __u32 fd)
{
	struct bpf_map *map = ops_map(sk);

	if (map)
		walk_emit_sock((__u64)sk, (__u64)sk, WALK_USE_STRUCT_OPS | ONCE,
			       BPF_CORE_READ(map, id), fd);
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == BPF_TCP_LISTEN)
		walk_emit_accepts((__u64)sk, fd);
}

/* SOCK_DEAD, in skc_flags: closed (sock_orphan()); a connection not yet accepted is not. */
#define FLAG_DEAD 1

/* A closed socket that something else keeps. Global: see walk_emit_sock(). */
int walk_use_closed(__u64 address, __u32 fd)
{
	struct sock *sk = (struct sock *)address;
	struct bpf_map *map;

	if (walk.filter_map || !(walk.uses >> WALK_OTHER_SOCKET & 1) ||
	    !(BPF_CORE_READ(sk, __sk_common.skc_flags) & FLAG_DEAD))
		return 0;
	emit_filter(sk, fd);
	emit_psock(sk, fd);
	map = is_tcp(sk, BPF_CORE_READ(sk, __sk_common.skc_family)) ? ops_map(sk) : NULL;
	if (map)
		walk_emit_sock((__u64)sk, (__u64)sk, WALK_USE_STRUCT_OPS | ONCE,
			       BPF_CORE_READ(map, id), fd);
	return 0;
}

static __always_inline void emit_peer(struct sock *sk, __u32 fd)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);

	if (peer)
		walk_use_closed((__u64)peer, fd);
}

static __always_inline void emit_socket(struct sock *sk, __u32 fd)
{
	__u16 family;

	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	emit_filter(sk, fd);
	emit_psock(sk, fd);
	emit_groups(sk, family, fd);
	if (is_tcp(sk, family))
		emit_tcp(sk, fd);
	else if (family == AF_UNIX)
		emit_peer(sk, fd);
	else if (family == AF_XDP && fd != WALK_IN_PID)
		walk_use_xsk((__u64)sk, fd); /* without a descriptor class map emits it */
	else if (family == AF_KCM)
		walk_use_kcm((__u64)sk, fd);
}

/*
 * Emits the file of a socket that has been mapped: an inode of its own has these mappings
 * (walk_file_mappings()). These kinds of sockets can be mapped (packet_mmap(), xsk_mmap(), tcp_mmap()).
 */
static __always_inline void emit_mapped(__u64 address, struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct file *file = (struct file *)address;
	struct walk_mapped *out;

	if ((family != AF_PACKET && family != AF_XDP && !is_tcp(sk, family)) ||
	    !BPF_CORE_READ(file, f_mapping, i_mmap.rb_root.rb_node))
		return;
	out = walk_room();
	if (!out)
		return;
	out->file = address;
	walk_emit(&out->rec, WALK_MAPPED, sizeof(*out), 0);
}

static __always_inline void use_socket(__u64 file, struct sock *sk, __u32 fd)
{
	emit_socket(sk, fd);
	if (sk && fd != WALK_IN_PID)
		emit_mapped(file, sk);
}

int walk_use_file(__u64 address, __u32 fd, __u32 other)
{
	void *data;

	if (!(walk.uses >> (other & 31) & 1))
		return 0;
	data = (void *)walk_private(address);
	if (other == WALK_OTHER_SOCKET)
		use_socket(address, BPF_CORE_READ((struct socket *)data, sk), fd);
	else if (other == WALK_OTHER_PERF)
		walk_use_event((__u64)data, WALK_NO_HOLDER, 0, fd);
	else if (other == WALK_OTHER_TUN)
		walk_use_tun((__u64)data, fd);
	return 0;
}

/* Emits what the file at walk.use_file holds, of which its process has no descriptor. */
SEC("syscall")
int walk_carried(void *ctx)
{
	__u64 address = walk.use_file;
	struct file *file = (struct file *)address;
	__u32 other = walk.use_other;

	if (other >= WALK_OTHERS ||
	    (__u64)BPF_CORE_READ(file, f_op, release) != walk.kernel_ids.other[other])
		return 0;	/* it was released during the scan */
	walk_table.emitted = 1; /* lib has emitted the process already */
	return walk_use_file(address, WALK_IN_PID, other);
}

char LICENSE[] SEC("license") = "GPL";

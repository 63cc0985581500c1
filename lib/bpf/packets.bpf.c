// SPDX-License-Identifier: GPL-2.0
/*
 * Closed sockets that only a packet keeps (skb_set_owner_w()): one that waits in a qdisc of a device, or
 * one that TCP has still to send or to see acknowledged. No descriptor leads to them. lib has this
 * walked only where a reference that a socket may hold is unexplained.
 *
 * Queues are read without their locks. What is read of a packet's socket counts only if the queue
 * still begins with the same packet afterwards: then none has left it meanwhile.
 */
#include "bpf/net.bpf.h"
#include "bpf/struct_ops.bpf.h"

#define BANDS 3

/* The last one emitted: most packets of a queue are of few sockets. */
__u64 walk_packet_sock;

/*
 * Emits what the socket holds, if it is closed. It still stands where it was found if the pointer at
 * @anchor still has the value @value. False: walk.ended says why.
 */
static __always_inline bool emit_sock(struct sock *sk, __u64 anchor, __u64 value)
{
	__u32 len = walk.len;
	__u64 now = 0;
	__u8 state;

	if (!sk || (__u64)sk == walk_packet_sock)
		return true;
	if (walk_full(WALK_USE_ROOM)) {
		walk.ended = WALK_FULL;
		return false;
	}
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	/* no struct sock, but smaller */
	if (state == BPF_TCP_TIME_WAIT || state == BPF_TCP_NEW_SYN_RECV)
		return true;
	walk_use_closed((__u64)sk, WALK_NO_FD);
	walk_packet_sock = (__u64)sk;
	if (walk.len == len)
		return true;
	bpf_probe_read_kernel(&now, sizeof(now), (void *)anchor);
	if (now == value)
		return true;
	walk.len = len;
	walk.ended = WALK_TORN;
	return false;
}

/* --------------------------------------------------------------- qdiscs --- */

static __always_inline void *private_of(struct Qdisc *qdisc)
{
	return (void *)qdisc + bpf_core_field_offset(struct Qdisc, privdata);
}

static __always_inline __u32 kind_by_name(__u64 name)
{
	if (name == NAME('p', 'f', 'i', 'f', 'o', '_', 'f', 'a'))
		return bpf_core_type_exists(struct pfifo_fast_priv) ? WALK_PACKETS_BANDS
								    : WALK_PACKETS_UNKNOWN;
	if (name == NAME('f', 'q', '_', 'c', 'o', 'd', 'e', 'l'))
		return bpf_core_type_exists(struct fq_codel_flow) ? WALK_PACKETS_FLOWS
								  : WALK_PACKETS_UNKNOWN;
	if (name == NAME('h', 't', 'b', 0, 0, 0, 0, 0))
		return bpf_core_field_exists(((struct htb_sched *)0)->direct_queue)
			       ? WALK_PACKETS_HTB
			       : WALK_PACKETS_UNKNOWN;
	if (name == NAME('n', 'e', 't', 'e', 'm', 0, 0, 0))
		return bpf_core_field_exists(((struct netem_sched_data *)0)->t_head)
			       ? WALK_PACKETS_NETEM
			       : WALK_PACKETS_UNKNOWN;
	/* what these keep is in their own list, or in that of their children */
	if (name == NAME('p', 'f', 'i', 'f', 'o', 0, 0, 0) ||
	    name == NAME('b', 'f', 'i', 'f', 'o', 0, 0, 0) ||
	    name == NAME('p', 'f', 'i', 'f', 'o', '_', 'h', 'e') ||
	    name == NAME('c', 'o', 'd', 'e', 'l', 0, 0, 0) ||
	    name == NAME('p', 'i', 'e', 0, 0, 0, 0, 0) ||
	    name == NAME('g', 'r', 'e', 'd', 0, 0, 0, 0) ||
	    name == NAME('p', 'l', 'u', 'g', 0, 0, 0, 0) ||
	    name == NAME('t', 'b', 'f', 0, 0, 0, 0, 0) ||
	    name == NAME('p', 'r', 'i', 'o', 0, 0, 0, 0) ||
	    name == NAME('m', 'u', 'l', 't', 'i', 'q', 0, 0) ||
	    name == NAME('m', 'q', 0, 0, 0, 0, 0, 0) ||
	    name == NAME('m', 'q', 'p', 'r', 'i', 'o', 0, 0) ||
	    name == NAME('d', 'r', 'r', 0, 0, 0, 0, 0) ||
	    name == NAME('e', 't', 's', 0, 0, 0, 0, 0) ||
	    name == NAME('q', 'f', 'q', 0, 0, 0, 0, 0) ||
	    name == NAME('h', 'f', 's', 'c', 0, 0, 0, 0) ||
	    name == NAME('r', 'e', 'd', 0, 0, 0, 0, 0) ||
	    name == NAME('s', 'f', 'b', 0, 0, 0, 0, 0) ||
	    name == NAME('c', 'b', 's', 0, 0, 0, 0, 0))
		return WALK_PACKETS_LIST;
	return WALK_PACKETS_UNKNOWN;
}

static __always_inline struct ptr_ring *band_of(struct Qdisc *qdisc, __u64 band)
{
	return private_of(qdisc) + bpf_core_field_offset(struct pfifo_fast_priv, q) +
	       band * bpf_core_type_size(struct skb_array) +
	       bpf_core_field_offset(struct skb_array, ring);
}

static __always_inline bool has_own(struct Qdisc *qdisc)
{
	__u64 gso = (__u64)qdisc + bpf_core_field_offset(struct Qdisc, gso_skb);
	__u64 bad = (__u64)qdisc + bpf_core_field_offset(struct Qdisc, skb_bad_txq);

	return BPF_CORE_READ(qdisc, q.head) || (__u64)BPF_CORE_READ(qdisc, gso_skb.next) != gso ||
	       (__u64)BPF_CORE_READ(qdisc, skb_bad_txq.next) != bad;
}

/* The number of packets that the qdisc says it has; pfifo_fast counts for each processor apart. */
static __always_inline bool may_have_more(struct Qdisc *qdisc, __u32 kind)
{
	return kind == WALK_PACKETS_BANDS ||
	       (kind != WALK_PACKETS_LIST && BPF_CORE_READ(qdisc, q.qlen));
}

/* Emits a qdisc that has packets, for tc.bpf.c. Global, so that it is verified once. */
int walk_emit_backlog(__u64 address)
{
	struct Qdisc *qdisc = (struct Qdisc *)address;
	struct walk_backlog *out = walk_room();
	__u64 name = 0;
	__u32 kind;

	if (!out) {
		walk.ended = WALK_FULL;
		return 0;
	}
	bpf_probe_read_kernel(&name, sizeof(name),
			      (void *)BPF_CORE_READ(qdisc, ops) +
				      bpf_core_field_offset(struct Qdisc_ops, id));
	kind = kind_by_name(name);
	if (!has_own(qdisc) && !may_have_more(qdisc, kind))
		return 0;
	out->qdisc = address;
	out->kind = kind;
	out->pad = 0;
	walk_emit(&out->rec, WALK_BACKLOG, sizeof(*out), 0);
	return 0;
}

/* Where the parts of a qdisc's packets begin: its three own lists, then those of its kind. */
#define PARTS_OWN 3

/*
 * at[0]: the part that comes next; at[1]: the packet at hand; at[2]: where the pointer to the first one
 * of its list is, at[3]: that first one.
 */
static __always_inline void enter_list(__u64 anchor)
{
	walk.net.at[2] = anchor;
	walk.net.at[1] = 0;
	bpf_probe_read_kernel(&walk.net.at[1], sizeof(walk.net.at[1]), (void *)anchor);
	if (walk.net.at[1] == anchor)
		walk.net.at[1] = 0; /* a sk_buff_head that is empty */
	walk.net.at[3] = walk.net.at[1];
}

/* Where the first packet of such a part is pointed to; 0: there is no such part. */
static __always_inline __u64 own_part(struct Qdisc *qdisc, __u64 part)
{
	if (part == 0)
		return (__u64)qdisc + bpf_core_field_offset(struct Qdisc, q.head);
	if (part == 1)
		return (__u64)qdisc + bpf_core_field_offset(struct Qdisc, gso_skb);
	return (__u64)qdisc + bpf_core_field_offset(struct Qdisc, skb_bad_txq);
}

static __always_inline __u64 slot_part(struct Qdisc *qdisc, __u64 part)
{
	__u64 band = part >> 32, slot = (__u32)part;
	struct ptr_ring *ring;

	if (band >= BANDS)
		return 0;
	ring = band_of(qdisc, band);
	if (slot + 1 >= (__u32)BPF_CORE_READ(ring, size))
		walk.net.at[0] = PARTS_OWN + ((band + 1) << 32);
	return (__u64)BPF_CORE_READ(ring, queue) + slot * sizeof(void *);
}

static __always_inline __u64 flow_part(struct Qdisc *qdisc, __u64 part)
{
	struct fq_codel_sched_data *data = private_of(qdisc);

	if (part >= BPF_CORE_READ(data, flows_cnt))
		return 0;
	return (__u64)BPF_CORE_READ(data, flows) + part * bpf_core_type_size(struct fq_codel_flow) +
	       bpf_core_field_offset(struct fq_codel_flow, head);
}

static __always_inline __u64 kind_part(struct Qdisc *qdisc, __u64 part)
{
	if (walk.net.arg == WALK_PACKETS_BANDS && bpf_core_type_exists(struct pfifo_fast_priv))
		return slot_part(qdisc, part);
	if (walk.net.arg == WALK_PACKETS_FLOWS && bpf_core_type_exists(struct fq_codel_flow))
		return flow_part(qdisc, part);
	if (part)
		return 0;
	if (walk.net.arg == WALK_PACKETS_HTB &&
	    bpf_core_field_exists(((struct htb_sched *)0)->direct_queue))
		return (__u64)private_of(qdisc) +
		       bpf_core_field_offset(struct htb_sched, direct_queue.head);
	if (walk.net.arg == WALK_PACKETS_NETEM &&
	    bpf_core_field_exists(((struct netem_sched_data *)0)->t_head)) {
		struct netem_sched_data *data = private_of(qdisc);

		if (BPF_CORE_READ(data, t_root.rb_node))
			walk.net.missed = 1; /* those that came out of order */
		return (__u64)data + bpf_core_field_offset(struct netem_sched_data, t_head);
	}
	return 0;
}

static __always_inline int packet_step(void)
{
	struct Qdisc *qdisc = (struct Qdisc *)walk.net.object;
	struct sk_buff *skb = (void *)walk.net.at[1];
	__u64 part, anchor;

	if (!skb) {
		part = walk.net.at[0]++;
		anchor = part < PARTS_OWN ? own_part(qdisc, part)
					  : kind_part(qdisc, part - PARTS_OWN);
		if (anchor)
			enter_list(anchor);
		return anchor ? 0 : 1;
	}
	if (!emit_sock(BPF_CORE_READ(skb, sk), walk.net.at[2], walk.net.at[3]))
		return 1;
	walk.net.at[1] = (__u64)BPF_CORE_READ(skb, next);
	/* a place of a ring has one packet, and a sk_buff_head is its own end */
	if (walk.net.at[1] == walk.net.at[2] ||
	    (walk.net.arg == WALK_PACKETS_BANDS && walk.net.at[0] > PARTS_OWN))
		walk.net.at[1] = 0;
	return 0;
}

static __always_inline bool packets_begin(void)
{
	struct Qdisc *qdisc = (struct Qdisc *)walk.net.object;

	if (!net_is_there())
		return false;
	walk.net.gone = (__u64)BPF_CORE_READ(qdisc, dev_queue, dev, nd_net.net) != walk.net.net;
	walk_table.emitted = 1; /* what is found is no process's */
	walk_packet_sock = 0;
	return !walk.net.gone;
}

/* Emits what closed sockets hold that have packets in the qdisc walk.net.object of kind walk.net.arg. */
NET_PROGRAM(walk_packets, packets_begin, packet_step)

/* ------------------------------------------------------------------ TCP --- */

#define BUCKETS	  32
#define CHAIN_MAX 65536

__u64 walk_buckets[BUCKETS];

/* The table that was walked last: all network namespaces without one of their own share it. */
__u64 walk_tcp_table;

struct tcp_chain {
	__u64 node;
};

static int chain_step(__u32 index, struct tcp_chain *chain)
{
	struct hlist_nulls_node *node = (void *)chain->node;
	struct sock *sk =
		(void *)node - bpf_core_field_offset(struct sock, __sk_common.skc_nulls_node);

	if (!node || chain->node & 1)
		return 1;
	if (!emit_sock(sk, (__u64)BPF_CORE_READ(node, pprev), chain->node))
		return 1;
	chain->node = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

/* Global, so that the verifier checks the loop once. */
int walk_tcp_chain(__u64 first, __u64 bucket, __u64 count)
{
	struct tcp_chain chain = { first };

	if (bucket >= count || walk.ended != WALK_DONE)
		return 0;
	bpf_loop(CHAIN_MAX, chain_step, &chain, 0);
	if (walk.ended == WALK_DONE && chain.node && !(chain.node & 1))
		walk.net.missed = 1;
	return 0;
}

/* at[0]: the first bucket of the next so many, all of which are walked again where one was not done. */
static __always_inline int buckets_step(void)
{
	struct inet_hashinfo *table = (struct inet_hashinfo *)walk_tcp_table;
	__u64 count = (__u64)BPF_CORE_READ(table, ehash_mask) + 1, at = walk.net.at[0];

	if (at >= count)
		return 1;
	if (bpf_probe_read_kernel(walk_buckets, sizeof(walk_buckets),
				  (void *)BPF_CORE_READ(table, ehash) +
					  at * sizeof(struct inet_ehash_bucket)))
		return 1;
		/* the first one of an empty bucket is odd; one test, as the verifier follows both branches */
#pragma clang loop unroll(disable)
	for (int i = 0; i < BUCKETS; i++)
		if (walk_buckets[i] & ((walk_buckets[i] & 1) - 1))
			walk_tcp_chain(walk_buckets[i], at + i, count);
	if (walk.ended != WALK_DONE)
		return 1;
	walk.net.at[0] += BUCKETS;
	return 0;
}

static __always_inline bool tcp_begin(void)
{
	struct net *net = (void *)walk.net.net;
	__u64 table;

	if (!net_is_there())
		return false;
	table = (__u64)BPF_CORE_READ(net, ipv4.tcp_death_row.hashinfo);
	if (!table || (walk.list_at && table == walk_tcp_table && !walk.net.at[1]))
		return false;
	walk_tcp_table = table;
	walk.net.at[1] = 1; /* begun */
	walk_table.emitted = 1;
	walk_packet_sock = 0;
	return true;
}

/*
 * Emits what closed TCP sockets hold, of the table of the namespace walk.net.net; walk.net.arg: unless
 * it is the one that was walked last.
 */
NET_PROGRAM_IF(bpf_core_type_exists(struct inet_timewait_death_row), walk_tcp, tcp_begin,
	       buckets_step)

char LICENSE[] SEC("license") = "GPL";

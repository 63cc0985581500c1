// SPDX-License-Identifier: GPL-2.0
/*
 * Where tc can have filters: the qdiscs of a device, their classes, and the blocks of filters of
 * each; tc_filters.bpf.c reads the blocks. A qdisc that a struct_ops map has registered holds the
 * map (bpf_try_module_get() in qdisc_create()).
 *
 * Only the code of a qdisc can say which blocks it has (Qdisc_class_ops.tcf_block()), so this file
 * has the place for each kind in the kernel. A kind that is not among these, or whose module was
 * loaded after our programs, is emitted as unknown.
 */
#include "bpf/net.bpf.h"
#include "bpf/struct_ops.bpf.h"

/* The offset of the block in such a qdisc; -1: not known. */
#define block_of(type)                                            \
	(bpf_core_field_exists(((struct type *)0)->block)         \
		 ? (int)bpf_core_field_offset(struct type, block) \
		 : -1)

static __always_inline int only_block(__u64 name)
{
	if (name == NAME('f', 'q', '_', 'c', 'o', 'd', 'e', 'l'))
		return block_of(fq_codel_sched_data);
	if (name == NAME('c', 'a', 'k', 'e', 0, 0, 0, 0))
		return block_of(cake_sched_data);
	if (name == NAME('s', 'f', 'q', 0, 0, 0, 0, 0))
		return block_of(sfq_sched_data);
	if (name == NAME('p', 'r', 'i', 'o', 0, 0, 0, 0))
		return block_of(prio_sched_data);
	if (name == NAME('m', 'u', 'l', 't', 'i', 'q', 0, 0))
		return block_of(multiq_sched_data);
	if (name == NAME('d', 'r', 'r', 0, 0, 0, 0, 0))
		return block_of(drr_sched);
	if (name == NAME('e', 't', 's', 0, 0, 0, 0, 0))
		return block_of(ets_sched);
	if (name == NAME('q', 'f', 'q', 0, 0, 0, 0, 0))
		return block_of(qfq_sched);
	if (name == NAME('s', 'f', 'b', 0, 0, 0, 0, 0))
		return block_of(sfb_sched_data);
	if (name == NAME('f', 'q', '_', 'p', 'i', 'e', 0, 0))
		return block_of(fq_pie_sched_data);
	return -1;
}

/* htb and hfsc: each class has a block. */
static __always_inline bool emit_classful(struct walk_qdisc *out, __u64 name, void *data)
{
	int hnode = bpf_core_field_offset(struct Qdisc_class_common, hnode);

	if (name == NAME('h', 't', 'b', 0, 0, 0, 0, 0) &&
	    bpf_core_field_exists(((struct htb_class *)0)->block)) {
		out->block[0] = (__u64)BPF_CORE_READ((struct htb_sched *)data, block);
		out->classes = (__u64)data + bpf_core_field_offset(struct htb_sched, clhash);
		out->class_block = bpf_core_field_offset(struct htb_class, block) -
				   bpf_core_field_offset(struct htb_class, common) - hnode;
		return true;
	}
	if (name == NAME('h', 'f', 's', 'c', 0, 0, 0, 0) &&
	    bpf_core_field_exists(((struct hfsc_class *)0)->block)) {
		out->classes = (__u64)data + bpf_core_field_offset(struct hfsc_sched, clhash);
		out->class_block = bpf_core_field_offset(struct hfsc_class, block) -
				   bpf_core_field_offset(struct hfsc_class, cl_common) - hnode;
		return true;
	}
	return false;
}

/*
 * ingress and clsact. A kind whose module is not loaded yet has no type, and is handled as unknown.
 */
static __always_inline bool emit_ingress(struct walk_qdisc *out, __u64 name, void *data)
{
	struct ingress_sched_data *ingress = data;
	struct clsact_sched_data *clsact = data;

	if (name == NAME('i', 'n', 'g', 'r', 'e', 's', 's', 0) &&
	    bpf_core_field_exists(ingress->block)) {
		out->sides = WALK_QDISC_INGRESS;
		out->block[0] = (__u64)BPF_CORE_READ(ingress, block);
		return true;
	}
	if (name == NAME('c', 'l', 's', 'a', 'c', 't', 0, 0) &&
	    bpf_core_field_exists(clsact->egress_block)) {
		out->sides = WALK_QDISC_CLSACT;
		out->block[0] = (__u64)BPF_CORE_READ(clsact, ingress_block);
		out->block[1] = (__u64)BPF_CORE_READ(clsact, egress_block);
		return true;
	}
	return false;
}

static __always_inline bool emit_qdisc(struct Qdisc *qdisc)
{
	void *data = (void *)qdisc + bpf_core_field_offset(struct Qdisc, privdata);
	const struct Qdisc_ops *ops = BPF_CORE_READ(qdisc, ops);
	struct bpf_map *map = map_of_ops(ops, BPF_CORE_READ(ops, owner));
	struct walk_qdisc *out = walk_room();
	bool classes = BPF_CORE_READ(ops, cl_ops, tcf_block) != NULL;
	__u64 name = 0;
	int offset;

	if (walk.net.arg) { /* only those that have packets */
		walk_emit_backlog((__u64)qdisc);
		return walk.ended == WALK_DONE;
	}
	if (!out) {
		walk.ended = WALK_FULL;
		return false;
	}
	if (!classes && !map)
		return true; /* it can have no filters, and holds no map */
	__builtin_memset(out, 0, sizeof(*out));
	out->qdisc = (__u64)qdisc;
	out->handle = BPF_CORE_READ(qdisc, handle);
	out->parent = BPF_CORE_READ(qdisc, parent);
	out->ops_map = map ? BPF_CORE_READ(map, id) : 0;
	bpf_probe_read_kernel(&name, sizeof(name),
			      (void *)ops + bpf_core_field_offset(struct Qdisc_ops, id));
	offset = only_block(name);
	if (!classes)
		out->unknown = 0;
	else if (offset >= 0)
		bpf_probe_read_kernel(&out->block[0], sizeof(out->block[0]), data + offset);
	else if (!emit_ingress(out, name, data) && !emit_classful(out, name, data))
		out->unknown = 1;
	walk_emit(&out->rec, WALK_QDISC, sizeof(*out), 0);
	return true;
}

#define QDISC_HASH 16

/*
 * at[0]: the place: the root, the ingress queue, or a bucket of the hash with all others; at[1]:
 * the node in that bucket.
 */
static __always_inline void enter_place(struct net_device *dev, __u64 place)
{
	struct Qdisc *qdisc = NULL;
	struct netdev_queue *queue;

	if (place == 0) {
		qdisc = BPF_CORE_READ(dev, qdisc);
	} else if (place == 1) {
		queue = BPF_CORE_READ(dev, ingress_queue);
		if (queue)
			qdisc = BPF_CORE_READ(queue, qdisc_sleeping);
	} else {
		bpf_probe_read_kernel(&walk.net.at[1], sizeof(walk.net.at[1]),
				      (void *)dev +
					      bpf_core_field_offset(struct net_device, qdisc_hash) +
					      (place - 2) * sizeof(void *));
	}
	if (!qdisc || emit_qdisc(qdisc))
		walk.net.at[0] = place + 1;
}

static __always_inline int qdisc_step(void)
{
	struct hlist_node *node = (void *)walk.net.at[1], *self = NULL;

	if (!node) {
		if (walk.net.at[0] >= QDISC_HASH + 2)
			return 1;
		enter_place((void *)walk.net.object, walk.net.at[0]);
		return walk.ended != WALK_DONE ? 1 : 0;
	}
	bpf_probe_read_kernel(&self, sizeof(self), BPF_CORE_READ(node, pprev));
	if (self != node)
		walk.ended = WALK_TORN;
	else if (emit_qdisc((void *)node - bpf_core_field_offset(struct Qdisc, hash)))
		walk.net.at[1] = (__u64)BPF_CORE_READ(node, next);
	return walk.ended != WALK_DONE ? 1 : 0;
}

static __always_inline bool qdiscs_begin(void)
{
	struct net_device *dev = (void *)walk.net.object;

	if (!net_is_there())
		return false;
	walk.net.gone =
		(__u64)BPF_CORE_READ(dev, nd_net.net) != walk.net.net ||
		!node_fits((void *)dev + bpf_core_field_offset(struct net_device, dev_list));
	return !walk.net.gone;
}

/*
 * Emits the qdiscs of the device walk.net.object that can have filters or hold a map; with walk.net.arg
 * those that have packets.
 */
NET_PROGRAM_IF(bpf_core_field_exists(((struct net_device *)0)->qdisc_hash), walk_qdiscs,
	       qdiscs_begin, qdisc_step)

/* at[0]: the next bucket; at[1]: the node in the bucket before. */
static __always_inline int class_step(void)
{
	struct hlist_node *node = (void *)walk.net.at[1], *self = NULL;
	struct Qdisc_class_hash *hash = (void *)walk.net.object;
	struct Qdisc_class_common *class;
	struct walk_class *out = walk_room();

	if (!node) {
		if (walk.net.at[0] >= BPF_CORE_READ(hash, hashsize))
			return 1;
		bpf_probe_read_kernel(&walk.net.at[1], sizeof(walk.net.at[1]),
				      BPF_CORE_READ(hash, hash) + walk.net.at[0]);
		walk.net.at[0]++;
		return 0;
	}
	bpf_probe_read_kernel(&self, sizeof(self), BPF_CORE_READ(node, pprev));
	if (self != node || !out) {
		walk.ended = out ? WALK_TORN : WALK_FULL;
		return 1;
	}
	class = (void *)node - bpf_core_field_offset(struct Qdisc_class_common, hnode);
	out->classid = BPF_CORE_READ(class, classid);
	out->pad = 0;
	out->block = 0;
	bpf_probe_read_kernel(&out->block, sizeof(out->block), (void *)node + walk.net.arg);
	walk_emit(&out->rec, WALK_CLASS, sizeof(*out), 0);
	walk.net.at[1] = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

/* Emits the classes in the hash walk.net.object; walk.net.arg is the offset of their block. */
NET_PROGRAM(walk_classes, net_is_there, class_step)

char LICENSE[] SEC("license") = "GPL";

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Traffic control. A cls_bpf filter holds its program (cls_bpf_prog_from_efd()). Devices can share
 * a block of filters: the filter is shown for each of them, and the first has the reference. An
 * action (act_bpf) holds its program once, however many filters use it (tcf_bpf_init()).
 */
#include "holders/holders.h"
#include "kernel/net_namespaces.h"

#define FIELDS(X)                  \
	NETDEV_FIELDS(X)           \
	X(TC_PARENT, "parent")     \
	X(TC_BLOCK, "block")       \
	X(TC_CHAIN, "chain")       \
	X(TC_PRIORITY, "priority") \
	X(TC_HANDLE, "handle")     \
	X(TC_KIND, "kind")         \
	X(TC_INDEX, "index")
HOLDER_FIELDS(FIELDS);

/* The device and qdisc whose filters are being added. */
struct filter_walk {
	struct scan *scan;
	const struct walk_net *net;
	const struct walk_netdev *dev;
	GHashTable *seen; /* addresses of filters that have been counted */
	const char *parent;
	int err;
};

/* The handle as tc(8) writes it. */
static const char *handle_name(char *text, size_t size, uint32_t handle)
{
	if (handle & 0xffff)
		g_snprintf(text, size, "%x:%x", handle >> 16, handle & 0xffff);
	else
		g_snprintf(text, size, "%x:", handle >> 16);
	return text;
}

static void one_filter(const struct walk_rec *rec, void *data)
{
	const struct walk_filter *filter = walk_record(rec, walk_filter);
	struct bpfrefs_key prog = { BPFREFS_KIND_PROG, rec->id };
	struct filter_walk *filters = data;
	struct bpfrefs_ref *ref;
	char handle[16];

	if (!filter || !prog.id)
		return;
	ref = scan_add(filters->scan, prog,
		       g_hash_table_add(filters->seen, GSIZE_TO_POINTER(filter->filter)), 0);
	if (!ref)
		return;
	netdev_fields(filters->scan, ref, filters->net, filters->dev);
	ref_set_str(filters->scan, ref, TC_PARENT, filters->parent);
	if (filter->block_index)
		ref_set_num(ref, TC_BLOCK, filter->block_index);
	ref_set_num(ref, TC_CHAIN, filter->chain);
	ref_set_num(ref, TC_PRIORITY, filter->priority);
	g_snprintf(handle, sizeof(handle), "0x%x", filter->handle);
	ref_set_str(filters->scan, ref, TC_HANDLE, handle);
}

static void block(struct filter_walk *filters, uint64_t address, const char *parent)
{
	if (!address || filters->err)
		return;
	filters->parent = parent;
	filters->err = net_walk_object(filters->scan, "walk_block",
				       (struct net_object){ filters->net, address, 0 }, one_filter,
				       filters);
}

static void one_class(const struct walk_rec *rec, void *data)
{
	const struct walk_class *class = walk_record(rec, walk_class);
	char parent[16];

	if (class)
		block(data, class->block, handle_name(parent, sizeof(parent), class->classid));
}

static void one_qdisc(const struct walk_rec *rec, void *data)
{
	const struct walk_qdisc *qdisc = walk_record(rec, walk_qdisc);
	struct filter_walk *filters = data;
	char parent[16];

	if (!qdisc || filters->err)
		return;
	if (qdisc->unknown)
		scan_gap(filters->scan, 1, "qdiscs of a kind that bpfrefs does not know", 0);
	if (qdisc->sides == WALK_QDISC_ROOT) {
		block(filters, qdisc->block[0], handle_name(parent, sizeof(parent), qdisc->handle));
	} else {
		block(filters, qdisc->block[0], "ingress");
		block(filters, qdisc->block[1], "egress");
	}
	if (qdisc->classes && !filters->err)
		filters->err = net_walk_object(
			filters->scan, "walk_classes",
			(struct net_object){ filters->net, qdisc->classes, qdisc->class_block },
			one_class, filters);
}

static int device(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev,
		  void *data)
{
	struct filter_walk filters = { .scan = scan, .net = net, .dev = dev, .seen = data };
	int err = net_walk_object(scan, "walk_qdiscs", (struct net_object){ net, dev->dev, 0 },
				  one_qdisc, &filters);

	return err ? err : filters.err;
}

struct actions {
	struct scan *scan;
	const struct walk_net *net;
};

static void one_action(const struct walk_rec *rec, void *data)
{
	const struct walk_action *action = walk_record(rec, walk_action);
	const struct actions *actions = data;
	struct bpfrefs_ref *ref;

	if (!action || !rec->id)
		return;
	ref = scan_add(actions->scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, rec->id }, 1, 0);
	if (!ref)
		return;
	ref_set_num(ref, NETDEV_NETNS, actions->net->inum);
	owner_set_ref(ref, net_owner(actions->scan, actions->net));
	ref_set_static(ref, TC_KIND, "action");
	ref_set_num(ref, TC_INDEX, action->index);
}

static int actions_of(struct scan *scan, const struct walk_net *net, void *data)
{
	struct actions actions = { scan, net };

	(void)data;
	return net_walk_object(scan, "walk_actions", (struct net_object){ net, 0, 0 }, one_action,
			       &actions);
}

static int walk(struct scan *scan)
{
	GHashTable *seen;
	int err = 0;

	if (net_loaded(scan, NET_TYPE(SCHED_ACT)))
		err = net_each(scan, actions_of, NULL);
	if (err || !net_loaded(scan, NET_TYPE(SCHED_CLS)))
		return err;
	seen = g_hash_table_new(NULL, NULL);
	err = netdev_each(scan, device, seen);
	g_hash_table_unref(seen);
	return err;
}

static void remove_action(struct removal *removal, const struct bpfrefs_ref *ref)
{
	removal_words(removal, "tc", "actions", "del", "action", "bpf", "index", NULL);
	removal_field(removal, ref, TC_INDEX);
}

/* A filter of a block that several devices share is removed once, for all of them. */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value parent = bpfrefs_ref_value(ref, TC_PARENT);

	removal_in_netns(removal, ref, NETDEV_NETNS);
	if (bpfrefs_ref_value(ref, TC_KIND).type == BPFREFS_VALUE_STR) {
		remove_action(removal, ref);
		return;
	}
	removal_words(removal, "tc", "filter", "del", NULL);
	if (bpfrefs_ref_value(ref, TC_BLOCK).type == BPFREFS_VALUE_NUM) {
		removal_word(removal, "block");
		removal_field(removal, ref, TC_BLOCK);
	} else {
		removal_word(removal, "dev");
		removal_field(removal, ref, NETDEV_IFNAME);
		if (parent.type == BPFREFS_VALUE_STR && strchr(parent.str, ':'))
			removal_word(removal, "parent");
		removal_field(removal, ref, TC_PARENT);
	}
	removal_word(removal, "chain");
	removal_field(removal, ref, TC_CHAIN);
	removal_word(removal, "pref");
	removal_field(removal, ref, TC_PRIORITY);
	removal_word(removal, "handle");
	removal_field(removal, ref, TC_HANDLE);
	removal_word(removal, "bpf");
}

const struct holder_class holder_tc = {
	.pub = { HOLDER_PUB("tc"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_TC,
	.hook = "tc",
	.removes = removes,
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

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

/* The qdisc whose filters are being added. */
struct filter_walk {
	GHashTable *seen; /* addresses of filters that have been counted */
	const char *parent;
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

static int one_filter(struct scan *scan, const struct net_object *block, const struct walk_rec *rec,
		      void *data)
{
	const struct walk_filter *filter = walk_record(rec, walk_filter);
	struct bpfrefs_key prog = { BPFREFS_KIND_PROG, rec->id };
	struct filter_walk *filters = data;
	struct bpfrefs_ref *ref;
	char handle[16];

	if (!filter || !prog.id)
		return 0;
	ref = scan_add(scan, prog,
		       g_hash_table_add(filters->seen, GSIZE_TO_POINTER(filter->filter)), 0);
	if (!ref)
		return 0;
	netdev_fields(scan, ref, block);
	ref_set_str(scan, ref, TC_PARENT, filters->parent);
	if (filter->block_index)
		ref_set_num(ref, TC_BLOCK, filter->block_index);
	ref_set_num(ref, TC_CHAIN, filter->chain);
	ref_set_num(ref, TC_PRIORITY, filter->priority);
	g_snprintf(handle, sizeof(handle), "0x%x", filter->handle);
	ref_set_str(scan, ref, TC_HANDLE, handle);
	return 0;
}

/* The object is what has the block. */
static int block(struct scan *scan, const struct net_object *object, GHashTable *seen,
		 uint64_t address, const char *parent)
{
	struct net_object block = { object->net, object->dev, address, 0 };
	struct filter_walk filters = { seen, parent };

	return address ? net_walk_object(scan, "walk_block", block, one_filter, &filters) : 0;
}

static int one_class(struct scan *scan, const struct net_object *hash, const struct walk_rec *rec,
		     void *data)
{
	const struct walk_class *class = walk_record(rec, walk_class);
	char parent[16];

	return class ? block(scan, hash, data, class->block,
			     handle_name(parent, sizeof(parent), class->classid))
		     : 0;
}

static int one_qdisc(struct scan *scan, const struct net_object *device, const struct walk_rec *rec,
		     void *data)
{
	const struct walk_qdisc *qdisc = walk_record(rec, walk_qdisc);
	struct net_object classes = { device->net, device->dev, 0, 0 };
	char parent[16];
	int err;

	if (!qdisc)
		return 0;
	if (qdisc->unknown)
		scan_gap(scan, 1, "qdiscs of a kind that bpfrefs does not know", 0);
	if (qdisc->sides == WALK_QDISC_ROOT) {
		err = block(scan, device, data, qdisc->block[0],
			    handle_name(parent, sizeof(parent), qdisc->handle));
	} else {
		err = block(scan, device, data, qdisc->block[0], "ingress");
		if (!err)
			err = block(scan, device, data, qdisc->block[1], "egress");
	}
	classes.address = qdisc->classes;
	classes.arg = qdisc->class_block;
	if (!err && qdisc->classes)
		err = net_walk_object(scan, "walk_classes", classes, one_class, data);
	return err;
}

static int one_action(struct scan *scan, const struct net_object *object,
		      const struct walk_rec *rec, void *data)
{
	const struct walk_action *action = walk_record(rec, walk_action);
	struct bpfrefs_ref *ref;

	(void)data;
	if (!action || !rec->id)
		return 0;
	ref = scan_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, rec->id }, 1, 0);
	if (!ref)
		return 0;
	ref_set_num(ref, NETDEV_NETNS, object->net->inum);
	owner_set_ref(ref, net_owner(scan, object->net));
	ref_set_static(ref, TC_KIND, "action");
	ref_set_num(ref, TC_INDEX, action->index);
	return 0;
}

static int walk(struct scan *scan)
{
	GHashTable *seen;
	int err = 0;

	if (net_loaded(scan, NET_TYPE(SCHED_ACT)))
		err = net_walk_all(scan, "walk_actions", 0, one_action, NULL);
	if (err || !net_loaded(scan, NET_TYPE(SCHED_CLS)))
		return err;
	seen = g_hash_table_new(NULL, NULL);
	err = netdev_walk_all(scan, "walk_qdiscs", 0, one_qdisc, seen);
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
	.hook = BPFREFS_HOOK_TC,
	.removes = removes,
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

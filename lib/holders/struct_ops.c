/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Struct_ops maps that are registered without a link. The subsystem holds the map, without a
 * process or a pin (bpf_struct_ops_map_update_elem()). If the map is a qdisc, each qdisc of that
 * kind holds it once more, and so does the kernel if it is the default qdisc (bpf_try_module_get()
 * in qdisc_create(), qdisc_create_dflt() and qdisc_set_default()). Links and sockets are shown by
 * their own classes.
 */
#include <linux/bpf.h>
#include <linux/pkt_sched.h>
#include <string.h>

#include "holders/holders.h"
#include "kernel/net_namespaces.h"
#include "procfs/fdinfo.h"

#define FIELDS(X)                 \
	X(OPS_TYPE, "ops")        \
	X(OPS_NAME, "algorithm")  \
	X(OPS_IFNAME, "ifname")   \
	X(OPS_IFINDEX, "ifindex") \
	X(OPS_NETNS, "netns")     \
	X(OPS_PARENT, "parent")   \
	X(OPS_HANDLE, "handle")   \
	X(OPS_VIA, "via")
HOLDER_FIELDS(FIELDS);

struct struct_ops_state {
	bool maps;	    /* there are struct_ops maps */
	GHashTable *qdiscs; /* the id of the map of a kind of qdisc -> its name */
};

#define QDISC	      "Qdisc_ops"
#define DEFAULT_QDISC "sys/net/core/default_qdisc"

static char *text_of(const char *text, size_t size)
{
	return g_strndup(text, size);
}

static bool is_type(const struct walk_struct_ops *ops, const char *type)
{
	return strncmp(ops->ops, type, sizeof(ops->ops)) == 0;
}

static GHashTable *qdiscs_of(struct scan *scan)
{
	return ((const struct struct_ops_state *)scan_state(scan, &holder_struct_ops))->qdiscs;
}

static void store_qdisc(struct scan *scan, uint32_t map, char *name)
{
	struct struct_ops_state *state = scan_state(scan, &holder_struct_ops);

	if (!state->qdiscs)
		state->qdiscs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	g_hash_table_insert(state->qdiscs, GUINT_TO_POINTER(map), name);
}

static void decode_map(struct scan *scan, const void *record)
{
	struct struct_ops_state *state = scan_state(scan, &holder_struct_ops);

	/* No such map is looked for alone (lib/kernel/one_map.c). */
	state->maps |= !walk_state_of(scan)->one &&
		       ((const struct walk_map *)record)->type == BPF_MAP_TYPE_STRUCT_OPS;
}

static void decode(struct scan *scan, const void *record)
{
	const struct walk_struct_ops *ops = record;
	g_autofree char *type = NULL, *name = NULL;
	struct bpfrefs_ref *ref;

	type = text_of(ops->ops, sizeof(ops->ops));
	name = text_of(ops->algorithm, sizeof(ops->algorithm));
	ref = ops->held
		      ? scan_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, ops->rec.id }, 1, 0)
		      : NULL;
	if (ref) {
		ref_set_str(scan, ref, OPS_TYPE, type);
		if (*name)
			ref_set_str(scan, ref, OPS_NAME, name);
	}
	if (is_type(ops, QDISC))
		store_qdisc(scan, ops->rec.id, g_steal_pointer(&name));
}

/* Adds a reference to the map of a kind of qdisc. */
static struct bpfrefs_ref *add_qdisc(struct scan *scan, uint32_t map, const char *name)
{
	struct bpfrefs_ref *ref =
		scan_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, map }, 1, 0);

	if (ref) {
		ref_set_static(ref, OPS_TYPE, QDISC);
		ref_set_str(scan, ref, OPS_NAME, name);
	}
	return ref;
}

static int one_qdisc(struct scan *scan, const struct net_object *device, const struct walk_rec *rec,
		     void *data)
{
	const struct walk_qdisc *qdisc = walk_record(rec, walk_qdisc);
	g_autofree char *ifname = NULL;
	struct bpfrefs_ref *ref;
	const char *name;
	char text[16];

	(void)data;
	if (!qdisc || !qdisc->ops_map)
		return 0;
	name = g_hash_table_lookup(qdiscs_of(scan), GUINT_TO_POINTER(qdisc->ops_map));
	ref = add_qdisc(scan, qdisc->ops_map, name ? name : "");
	if (!ref)
		return 0;
	ifname = text_of(device->dev->name, sizeof(device->dev->name));
	ref_set_str(scan, ref, OPS_IFNAME, ifname);
	ref_set_num(ref, OPS_IFINDEX, device->dev->ifindex);
	ref_set_num(ref, OPS_NETNS, device->net->inum);
	g_snprintf(text, sizeof(text), "%x:%x", qdisc->parent >> 16, qdisc->parent & 0xffff);
	ref_set_str(scan, ref, OPS_PARENT, qdisc->parent == TC_H_ROOT ? "root" : text);
	g_snprintf(text, sizeof(text), "%x:", qdisc->handle >> 16);
	ref_set_str(scan, ref, OPS_HANDLE, text);
	return 0;
}

/*
 * The kernel's pointer to the default qdisc is in a static variable, but procfs shows its name, and
 * no two kinds of one name can be registered at once.
 */
static void default_qdisc(struct scan *scan, GHashTable *qdiscs)
{
	char text[64];
	ssize_t len = proc_text_read_at(scan->ctx->proc_fd, DEFAULT_QDISC, text, sizeof(text));
	GHashTableIter iter;
	gpointer map, name;

	if (len < 0) {
		scan_gap(scan, 1, "default qdiscs that could not be read", (int)-len);
		return;
	}
	g_strchomp(text);
	g_hash_table_iter_init(&iter, qdiscs);
	while (g_hash_table_iter_next(&iter, &map, &name)) {
		struct bpfrefs_ref *ref = NULL;

		if (strcmp(text, name) == 0)
			ref = add_qdisc(scan, GPOINTER_TO_UINT(map), name);
		if (ref)
			ref_set_via(ref, OPS_VIA, WALK_VIA_DEFAULT_QDISC);
	}
}

/* Runs after the records have shown which maps are qdiscs. There are seldom any. */
static void derive(struct scan *scan)
{
	GHashTable *qdiscs = qdiscs_of(scan);
	int err;

	if (!qdiscs)
		return;
	err = netdev_walk_all(scan, "walk_qdiscs", 0, one_qdisc, NULL);
	if (err)
		scan_gap(scan, 1, "runs of its BPF programs that failed", -err);
	default_qdisc(scan, qdiscs);
}

static char *says(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref, bool owned)
{
	(void)snap;
	(void)ref;
	(void)owned;
	return g_strdup("registered with the kernel (struct_ops)");
}

static int walk(struct scan *scan)
{
	const struct struct_ops_state *state = scan_state(scan, &holder_struct_ops);

	return dispatch_program(scan, "walk_registered", state->maps);
}

static void end(void *data)
{
	struct struct_ops_state *state = data;

	g_clear_pointer(&state->qdiscs, g_hash_table_unref);
}

/* The default qdisc is what new qdiscs will be, and runs nowhere yet. */
static bool runs(const struct bpfrefs_ref *ref)
{
	return ref->via != WALK_VIA_DEFAULT_QDISC;
}

/* Every kernel with qdiscs has pfifo_fast. */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	if (ref->via == WALK_VIA_DEFAULT_QDISC) {
		removal_words(removal, "sysctl", "-qw", "net.core.default_qdisc=pfifo_fast", NULL);
		return;
	}
	if (bpfrefs_ref_value(ref, OPS_IFNAME).type == BPFREFS_VALUE_ABSENT) {
		removal_words(removal, "bpftool", "struct_ops", "unregister", NULL);
		removal_id(removal, ref->target);
		return;
	}
	removal_in_netns(removal, ref, OPS_NETNS);
	removal_words(removal, "tc", "qdisc", "del", "dev", NULL);
	removal_field(removal, ref, OPS_IFNAME);
	if (strchr(bpfrefs_ref_value(ref, OPS_PARENT).str, ':'))
		removal_word(removal, "parent");
	removal_field(removal, ref, OPS_PARENT);
}

const struct holder_class holder_struct_ops = {
	.pub = { HOLDER_PUB("struct_ops") },
	.id = CLASS_STRUCT_OPS,
	.hook = BPFREFS_HOOK_STRUCT_OPS,
	.runs = runs,
	.removes = removes,
	.says = says,
	.state = sizeof(struct struct_ops_state),
	.end = end,
	.walk = walk,
	.parallel = true,
	.decoders = { DECODER(walk_map, decode_map), DECODER(walk_struct_ops, decode) },
	.derive = derive,
	.proc_gap = "the UAPI does not show whether a struct_ops map is registered",
};

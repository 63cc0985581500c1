/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Struct_ops maps that are registered without a link. The subsystem holds the map, without a
 * process or a pin (bpf_struct_ops_map_update_elem()). If the map is a qdisc, each qdisc of that
 * kind holds it once more, and so does the kernel if it is the default qdisc (bpf_try_module_get()
 * in qdisc_create(), qdisc_create_dflt() and qdisc_set_default()). Links and sockets are shown by
 * their own classes.
 */
#include <linux/pkt_sched.h>
#include <string.h>

#include "holders/holders.h"
#include "kernel/net_namespaces.h"
#include "procfs/fdinfo.h"

enum { OPS_TYPE, OPS_NAME, OPS_IFNAME, OPS_IFINDEX, OPS_NETNS, OPS_PARENT, OPS_HANDLE, OPS_VIA };

static const char *const keys[] = { "ops",    "algorithm", "ifname", "ifindex", "netns",
				    "parent", "handle",	   "via",    NULL };
static const char *const walks[] = { "walk_registered", NULL };

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

static void store_qdisc(struct scan *scan, uint32_t map, char *name)
{
	struct walk_state *state = walk_state_of(scan);

	if (!state->qdiscs)
		state->qdiscs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	g_hash_table_insert(state->qdiscs, GUINT_TO_POINTER(map), name);
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_struct_ops *ops = walk_record(rec, walk_struct_ops);
	g_autofree char *type = NULL, *name = NULL;
	struct bpfrefs_ref *ref;

	if (!ops)
		return false;
	type = text_of(ops->ops, sizeof(ops->ops));
	name = text_of(ops->algorithm, sizeof(ops->algorithm));
	ref = ops->held ? scan_add(scan, (struct bpfrefs_key){ BPFREFS_MAP, rec->id }, 1, 0) : NULL;
	if (ref) {
		ref_set_str(scan, ref, OPS_TYPE, type);
		if (*name)
			ref_set_str(scan, ref, OPS_NAME, name);
	}
	if (is_type(ops, QDISC))
		store_qdisc(scan, rec->id, g_steal_pointer(&name));
	return true;
}

/* Adds a reference to the map of a kind of qdisc. */
static struct bpfrefs_ref *add_qdisc(struct scan *scan, uint32_t map, const char *name)
{
	struct bpfrefs_ref *ref = scan_add(scan, (struct bpfrefs_key){ BPFREFS_MAP, map }, 1, 0);

	if (ref) {
		ref_set_static(ref, OPS_TYPE, QDISC);
		ref_set_str(scan, ref, OPS_NAME, name);
	}
	return ref;
}

struct qdisc_device {
	struct scan *scan;
	const struct walk_net *net;
	const struct walk_netdev *dev;
};

static void one_qdisc(const struct walk_rec *rec, void *data)
{
	const struct walk_qdisc *qdisc = walk_record(rec, walk_qdisc);
	const struct qdisc_device *location = data;
	g_autofree char *ifname = NULL;
	struct bpfrefs_ref *ref;
	const char *name;
	char text[16];

	if (!qdisc || !qdisc->ops_map)
		return;
	name = g_hash_table_lookup(walk_state_of(location->scan)->qdiscs,
				   GUINT_TO_POINTER(qdisc->ops_map));
	ref = add_qdisc(location->scan, qdisc->ops_map, name ? name : "");
	if (!ref)
		return;
	ifname = text_of(location->dev->name, sizeof(location->dev->name));
	ref_set_str(location->scan, ref, OPS_IFNAME, ifname);
	ref_set_num(ref, OPS_IFINDEX, location->dev->ifindex);
	ref_set_num(ref, OPS_NETNS, location->net->inum);
	g_snprintf(text, sizeof(text), "%x:%x", qdisc->parent >> 16, qdisc->parent & 0xffff);
	ref_set_str(location->scan, ref, OPS_PARENT, qdisc->parent == TC_H_ROOT ? "root" : text);
	g_snprintf(text, sizeof(text), "%x:", qdisc->handle >> 16);
	ref_set_str(location->scan, ref, OPS_HANDLE, text);
}

static int device(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev,
		  void *data)
{
	struct qdisc_device location = { scan, net, dev };

	(void)data;
	return net_walk_object(scan, "walk_qdiscs", (struct net_object){ net, dev->dev, 0 },
			       one_qdisc, &location);
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
	GHashTable *qdiscs = walk_state_of(scan)->qdiscs;
	int err;

	if (!qdiscs)
		return;
	err = netdev_each(scan, device, NULL);
	if (err)
		scan_gap(scan, 1, "runs of its BPF programs that failed", -err);
	default_qdisc(scan, qdiscs);
}

static int proc(struct scan *scan)
{
	scan_unavailable(scan, "the UAPI does not show whether a struct_ops map is registered", 0);
	return 0;
}

static char *says(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref, bool owned)
{
	(void)snap;
	(void)ref;
	(void)owned;
	return g_strdup("registered with the kernel (struct_ops)");
}

const struct holder_class holder_struct_ops = {
	.pub = { "struct_ops", keys },
	.id = CLASS_STRUCT_OPS,
	.says = says,
	.walks = walks,
	.parallel = true,
	.takes = WALK_BIT(WALK_STRUCT_OPS),
	.decode = decode,
	.derive = derive,
	.proc = proc,
};

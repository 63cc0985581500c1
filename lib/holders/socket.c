/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets. A socket holds the program of SO_ATTACH_BPF (sk_attach_bpf()), which accepted sockets
 * share, and a copy of the programs of each sockmap that it is in (sock_map_link()). The map of a
 * struct_ops congestion control is held once by each socket that uses it, and by each network
 * namespace whose default it is (bpf_try_module_get()). An xskmap is held once for each of its
 * slots with an AF_XDP socket (xsk_map_inc()). A KCM socket holds the program of each connection
 * that is attached to it (kcm_attach()).
 *
 * All sockets with a descriptor are read, the sockets in their accept queues, the closed peers of
 * unix sockets, and the closed senders of messages in their queues. If an object has an unexplained
 * reference, closed sockets are read too that packets in devices' queues keep, or for which TCP
 * still has something to send.
 */
#include <linux/bpf.h>
#include <string.h>

#include "holders/holders.h"
#include "kernel/nested_files.h"
#include "kernel/net_namespaces.h"
#include "kernel/socket_holders.h"

#define FIELDS(X)                  \
	SOCKET_HOLDER_FIELDS(X)    \
	X(SOCKET_VIA, "via")       \
	X(SOCKET_TYPE, "type")     \
	X(SOCKET_LOCAL, "local")   \
	X(SOCKET_NETNS, "netns")   \
	X(SOCKET_IFNAME, "ifname") \
	X(SOCKET_IFINDEX, "ifindex")
HOLDER_FIELDS(FIELDS);

/* The other kinds are shown by classes of their own. */
static const uint8_t vias[] = {
	[WALK_USE_FILTER] = WALK_VIA_FILTER, [WALK_USE_PSOCK] = WALK_VIA_PSOCK,
	[WALK_USE_KCM] = WALK_VIA_KCM,	     [WALK_USE_STRUCT_OPS] = WALK_VIA_STRUCT_OPS,
	[WALK_USE_XSKMAP] = WALK_VIA_XSKMAP,
};

/* Returns 0, which is of no socket, for the uses of other classes. */
static unsigned int via_of(uint32_t use)
{
	return use < G_N_ELEMENTS(vias) ? vias[use] : 0;
}

/*
 * A program from a sockmap stays as long as the socket is in that map, or in another one with it.
 * When these maps are freed, no socket keeps it.
 */
static void set_maps(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_sock *sock)
{
	uint32_t owner;

	if (!sock->maps[0] || sock->more_maps)
		return;
	owner = owner_add(scan, OWNER_PSOCK, sock->use.what);
	for (unsigned int i = 0; i < WALK_PSOCK_MAPS && sock->maps[i]; i++)
		owner_add_hold(scan, (struct owner_hold){ .owner = owner,
							  .by = OWNER_NONE,
							  .how = OWNER_BY_MEMBER,
							  .map = sock->maps[i] });
	owner_set_ref(ref, owner);
}

/* Returns NULL if no reference was added. */
static struct bpfrefs_ref *add(struct scan *scan, const struct walk_sock *sock)
{
	struct bpfrefs_ref *ref = socket_holder_add(scan, &sock->use);
	g_autofree char *type = NULL, *local = NULL;

	if (!ref)
		return NULL;
	ref_set_via(ref, SOCKET_VIA, via_of(sock->use.use));
	ref_set_num(ref, SOCKET_NETNS, sock->netns);
	if (sock->use.use == WALK_USE_PSOCK)
		set_maps(scan, ref, sock);
	type = socket_holder_sock_type(sock);
	local = socket_holder_sock_local(sock);
	ref_set_str(scan, ref, SOCKET_TYPE, type);
	if (local)
		ref_set_str(scan, ref, SOCKET_LOCAL, local);
	return ref;
}

static void decode(struct scan *scan, const void *record)
{
	const struct walk_sock *sock = record;

	/* A closed socket may be the sender of several messages in a queue. */
	if (via_of(sock->use.use) && nested_file_is_new(scan, sock->use.what))
		add(scan, sock);
}

static int one_default(struct scan *scan, const struct net_object *object,
		       const struct walk_rec *rec, void *data)
{
	const struct walk_sock *sock = walk_record(rec, walk_sock);
	struct bpfrefs_ref *ref = sock ? socket_holder_add(scan, &sock->use) : NULL;

	(void)data;
	if (!ref)
		return 0;
	ref_set_via(ref, SOCKET_VIA, via_of(sock->use.use));
	ref_set_num(ref, SOCKET_NETNS, sock->netns);
	owner_set_ref(ref, net_owner(scan, object->net));
	return 0;
}

/* -------------------------------- closed sockets that packets keep --- */

struct packets {
	GHashTable *found; /* the sockets that were added, each once */
	guint unknown;	   /* the number of queues that cannot be read */
};

/* Only a socket with a packet in a queue has a device. */
static int take_closed(struct scan *scan, const struct net_object *object,
		       const struct walk_rec *rec, void *data)
{
	const struct walk_sock *sock = walk_record(rec, walk_sock);
	const struct walk_netdev *dev = object->dev;
	struct packets *packets = data;
	char name[sizeof(dev->name) + 1] = "";
	struct bpfrefs_ref *ref;

	if (!sock || !via_of(sock->use.use) ||
	    !g_hash_table_add(packets->found, GSIZE_TO_POINTER(sock->use.what)))
		return 0;
	scan->ctx->closed_sockets = true;
	ref = add(scan, sock);
	if (!ref || !dev)
		return 0;
	memcpy(name, dev->name, sizeof(dev->name));
	ref_set_str(scan, ref, SOCKET_IFNAME, name);
	ref_set_num(ref, SOCKET_IFINDEX, dev->ifindex);
	return 0;
}

static int take_queue(struct scan *scan, const struct net_object *device,
		      const struct walk_rec *rec, void *data)
{
	const struct walk_backlog *queue = walk_record(rec, walk_backlog);
	struct net_object object = { device->net, device->dev, 0, 0 };
	struct packets *packets = data;

	if (!queue)
		return 0;
	packets->unknown += queue->kind == WALK_PACKETS_UNKNOWN;
	object.address = queue->qdisc;
	object.arg = queue->kind;
	return net_walk_object(scan, "walk_packets", object, take_closed, packets);
}

static int walk_closed(struct scan *scan)
{
	g_autoptr(GHashTable) found = g_hash_table_new(NULL, NULL);
	struct packets packets = { .found = found };
	int err;

	scan->ctx->closed_sockets = false;
	err = netdev_walk_all(scan, "walk_qdiscs", 1, take_queue, &packets);
	if (!err)
		err = net_walk_all(scan, "walk_tcp", 0, take_closed, &packets);
	*(uint32_t *)scan_state(scan, &holder_socket) = packets.unknown;
	return err;
}

static bool can_be_held(const struct bpfrefs_object *object)
{
	return object->key.kind == BPFREFS_KIND_PROG
		       ? object->type_number == BPF_PROG_TYPE_SOCKET_FILTER
		       : object->key.kind == BPFREFS_KIND_MAP &&
				 object->type_number == BPF_MAP_TYPE_STRUCT_OPS;
}

/*
 * To read the queues of devices and the table of TCP takes time, and closed sockets there seldom
 * hold anything. So they are read only if the last scan found one, or if an object that a socket
 * can hold has an unexplained reference. A new unexplained reference makes the scan run again.
 */
static bool may_be_closed(struct scan *scan)
{
	struct bpfrefs_ctx *ctx = scan->ctx;
	GHashTableIter iter;
	gpointer key;

	if (ctx->closed_sockets)
		return true;
	g_hash_table_iter_init(&iter, ctx->remainders);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct bpfrefs_object *object =
			scan_object(scan, *(const struct bpfrefs_key *)key);

		if (object && can_be_held(object))
			return true;
	}
	return false;
}

static int walk(struct scan *scan)
{
	int err = 0;

	kernel_ids_has(scan, WALK_OTHER_SOCKET);
	if (net_loaded(scan, NET_TYPE(STRUCT_OPS)))
		err = net_walk_all(scan, "walk_default_ops", 0, one_default, NULL);
	if (!err && !walk_state_of(scan)->one && may_be_closed(scan))
		err = walk_closed(scan);
	return err ? err : dispatch_tasks(scan);
}

/* Returns true if an object that a socket can hold has an unexplained reference. */
static bool has_unexplained(const struct scan *scan)
{
	g_autoptr(GHashTable) found = g_hash_table_new(NULL, NULL);

	for (guint i = 0; i < scan->snap->refs->len; i++) {
		const struct bpfrefs_ref *ref = g_ptr_array_index(scan->snap->refs, i);
		gpointer sum;

		if (!ref->ref || !can_be_held(ref->object))
			continue;
		sum = g_hash_table_lookup(found, ref->object);
		g_hash_table_insert(found, ref->object,
				    GUINT_TO_POINTER(GPOINTER_TO_UINT(sum) + ref->ref));
	}
	for (guint i = 0; i < scan->snap->objects->len; i++) {
		const struct bpfrefs_object *object = g_ptr_array_index(scan->snap->objects, i);

		if (can_be_held(object) && object->refcnt != BPFREFS_UNKNOWN &&
		    object->refcnt > GPOINTER_TO_UINT(g_hash_table_lookup(found, object)))
			return true;
	}
	return false;
}

/* A queue that cannot be read is a gap only if a reference is unexplained. */
static void derive(struct scan *scan)
{
	uint32_t unknown = *(uint32_t *)scan_state(scan, &holder_socket);

	if (unknown && has_unexplained(scan))
		scan_gap(scan, unknown, "queues of devices with packets that may keep sockets", 0);
}

/*
 * A reference of no process: that of the default congestion control of a network namespace
 * (tcp_set_default_congestion_control()), or of a closed socket that only a packet keeps alive
 * (skb->sk).
 */
static char *says(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref, bool owned)
{
	struct bpfrefs_value netns = bpfrefs_ref_value(ref, SOCKET_NETNS);
	g_autofree char *where =
		netns.type == BPFREFS_VALUE_NUM
			? g_strdup_printf("network namespace %" G_GUINT64_FORMAT, netns.num)
			: g_strdup("a network namespace");

	(void)snap;
	(void)owned;
	if (bpfrefs_ref_value(ref, SOCKET_TYPE).type == BPFREFS_VALUE_ABSENT)
		return g_strdup_printf("the default TCP congestion control of %s", where);
	return g_strdup_printf("a closed socket of %s holds it while its packets are queued",
			       where);
}

/* The socket of a congestion control only uses its map, which is registered once. */
static bool runs(const struct bpfrefs_ref *ref)
{
	return ref->target.kind == BPFREFS_KIND_PROG;
}

/* Every kernel has reno as a congestion control. */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	if (ref->pid || ref->via == WALK_VIA_PSOCK)
		return; /* it ends with its process, or with its map */
	if (bpfrefs_ref_value(ref, SOCKET_TYPE).type == BPFREFS_VALUE_ABSENT) {
		removal_in_netns(removal, ref, SOCKET_NETNS);
		removal_words(removal, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno",
			      NULL);
	} else {
		removal_set(removal, REMOVAL_NO_WAY,
			    "a closed socket holds it until its packets have left");
	}
}

const struct holder_class holder_socket = {
	.pub = { HOLDER_PUB("socket") },
	.id = CLASS_SOCKET,
	.hook = BPFREFS_HOOK_SOCKET,
	.runs = runs,
	.hook_words = { [SOCKET_HOLDER_SHARE] = "" },
	.hook_shared = true,
	.removes = removes,
	.object_only = true,
	.says = says,
	.state = sizeof(uint32_t), /* devices' queues with packets that cannot be followed */
	.walk = walk,
	.decoders = { DECODER(walk_sock, decode) },
	.gaps = { { WALK_GAP_ACCEPT, "accept queues that could not be followed" },
		  { WALK_GAP_KCM, "connections of KCM sockets that could not be followed" } },
	.derive = derive,
	/* It must run after the derive() functions that run programs. */
	.userspace_only = true,
	.proc_gap = "procfs does not show what a socket holds",
};

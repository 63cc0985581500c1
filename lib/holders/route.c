/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Routes with a program: lightweight tunnels of type bpf hold one program for each hook
 * (bpf_build_state(), bpf_parse_prog()), and so does seg6local's End.BPF (parse_nla_bpf()). Routes
 * with the same nexthop share the structure that holds the program: each is shown, and the first
 * has the reference.
 */
#include <arpa/inet.h>

#include "holders/holders.h"
#include "kernel/net_namespaces.h"

#define FIELDS(X)                   \
	X(ROUTE_NETNS, "netns")     \
	X(ROUTE_TABLE, "table")     \
	X(ROUTE_DST, "dst")         \
	X(ROUTE_METRIC, "metric")   \
	X(ROUTE_HOPS, "hops")       \
	X(ROUTE_IFNAME, "ifname")   \
	X(ROUTE_NEXTHOP, "nexthop") \
	X(ROUTE_VIA, "via")
HOLDER_FIELDS(FIELDS);

static const uint8_t hooks[WALK_LWT_HOOKS] = {
	[WALK_LWT_IN] = WALK_VIA_LWT_IN,
	[WALK_LWT_OUT] = WALK_VIA_LWT_OUT,
	[WALK_LWT_XMIT] = WALK_VIA_LWT_XMIT,
	[WALK_LWT_SEG6] = WALK_VIA_SEG6LOCAL,
};

/* As ip-route(8) writes it, except that the default route has its prefix instead of a word. */
static void set_dst(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_route *route)
{
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 5];
	struct in_addr v4;
	uint32_t number;

	memcpy(&number, route->dst, sizeof(number));
	v4.s_addr = htonl(number);
	if (!inet_ntop(route->v6 ? AF_INET6 : AF_INET, route->v6 ? (const void *)route->dst : &v4,
		       address, sizeof(address)))
		return;
	g_snprintf(text, sizeof(text), "%s/%u", address, route->prefix);
	ref_set_str(scan, ref, ROUTE_DST, text);
}

/* @seen has the hooks of tunnels that have been counted, by address. */
static void hook(struct scan *scan, const struct walk_net *net, const struct walk_route *route,
		 unsigned int index, GHashTable *seen)
{
	struct bpfrefs_key prog = { BPFREFS_KIND_PROG, route->prog[index] };
	/*
	 * The structures are aligned, so the number of the hook fits into the low
	 * bits of the address.
	 */
	gpointer identity = GSIZE_TO_POINTER(route->lwt + index);
	char ifname[sizeof(route->ifname) + 1] = "";
	struct bpfrefs_ref *ref;

	if (!prog.id)
		return;
	ref = scan_add(scan, prog, g_hash_table_add(seen, identity), 0);
	if (!ref)
		return;
	ref_set_num(ref, ROUTE_NETNS, net->inum);
	owner_set_ref(ref, net_owner(scan, net));
	if (route->nexthop) {
		ref_set_num(ref, ROUTE_NEXTHOP, route->nexthop);
	} else {
		ref_set_num(ref, ROUTE_TABLE, route->table);
		set_dst(scan, ref, route);
		ref_set_num(ref, ROUTE_METRIC, route->metric);
		if (route->hops > 1)
			ref_set_num(ref, ROUTE_HOPS, route->hops);
	}
	memcpy(ifname, route->ifname, sizeof(route->ifname));
	if (ifname[0])
		ref_set_str(scan, ref, ROUTE_IFNAME, ifname);
	ref_set_via(ref, ROUTE_VIA, hooks[index]);
}

static int one_route(struct scan *scan, const struct net_object *object, const struct walk_rec *rec,
		     void *seen)
{
	const struct walk_route *route = walk_record(rec, walk_route);

	for (unsigned int i = 0; route && i < WALK_LWT_HOOKS; i++)
		hook(scan, object->net, route, i, seen);
	return 0;
}

static int one_table(struct scan *scan, const struct net_object *object, const struct walk_rec *rec,
		     void *seen)
{
	const struct walk_fib *fib = walk_record(rec, walk_fib);
	struct net_object table = { .net = object->net };

	if (!fib)
		return 0;
	table.address = fib->table;
	table.arg = fib->id;
	return net_walk_object(scan, fib->v6 ? "walk_fib6" : "walk_fib4", table, one_route, seen);
}

static int walk(struct scan *scan)
{
	GHashTable *seen;
	int err;

	if (!net_loaded(scan, NET_TYPE(LWT_IN) | NET_TYPE(LWT_OUT) | NET_TYPE(LWT_XMIT) |
				      NET_TYPE(LWT_SEG6LOCAL)))
		return 0;
	seen = g_hash_table_new(NULL, NULL);
	err = net_walk_all(scan, "walk_nexthops", 0, one_route, seen);
	if (!err)
		err = net_walk_all(scan, "walk_fibs", 0, one_table, seen);
	g_hash_table_unref(seen);
	return err;
}

/*
 * ip(8) removes the first route with these words, whatever its gateway, its type of service or its
 * program: so this must be the only one.
 */
static const char delete_only[] =
	"n=$(ip \"$1\" -o route show exact \"$2\" table \"$4\" metric \"$6\" |"
	" grep -cF \"${8:+ dev $8 }\"); family=$1; shift; "
	"if [ \"$n\" = 1 ]; then ip \"$family\" route del \"$@\"; "
	"else echo \"free.sh: $n routes are like this one: none is removed\" >&2; false; fi";

/*
 * All nexthops of a route are removed with it. Several routes may lead to one destination, by other metrics
 * or devices; but with a device, a route with several nexthops is not found.
 */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value dst = bpfrefs_ref_value(ref, ROUTE_DST);

	removal_in_netns(removal, ref, ROUTE_NETNS);
	if (bpfrefs_ref_value(ref, ROUTE_NEXTHOP).type == BPFREFS_VALUE_NUM) {
		removal_words(removal, "ip", "nexthop", "del", "id", NULL);
		removal_field(removal, ref, ROUTE_NEXTHOP);
		return;
	}
	removal_words(removal, "sh", "-c", delete_only, "sh",
		      dst.type == BPFREFS_VALUE_STR && strchr(dst.str, ':') ? "-6" : "-4", NULL);
	removal_field(removal, ref, ROUTE_DST);
	removal_word(removal, "table");
	removal_field(removal, ref, ROUTE_TABLE);
	removal_word(removal, "metric");
	removal_field(removal, ref, ROUTE_METRIC);
	if (bpfrefs_ref_value(ref, ROUTE_HOPS).type == BPFREFS_VALUE_ABSENT) {
		removal_word(removal, "dev");
		removal_field(removal, ref, ROUTE_IFNAME);
	}
}

const struct holder_class holder_route = {
	.pub = { HOLDER_PUB("route"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_ROUTE,
	.hook = BPFREFS_HOOK_ROUTE,
	.removes = removes,
	.walk = walk,
	.parallel = true,
	.proc_gap = NET_PROC_GAP,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks over all network namespaces, including those that no process is in. The walks read kernel
 * memory, and enter no namespace.
 */
#include "kernel/net_namespaces.h"

#include <string.h>

/* A list that changes while it is read is read again at most so often. */
#define TORN_MAX 8

/* What net_list() and netdev_list() have read; NULL: not yet. */
struct net_lists {
	GArray *net_records;	/* struct walk_net */
	GArray *device_records; /* struct walk_netdev */
	GArray *nets, *devices; /* struct net_object, which point to these */
};

bool net_loaded(struct scan *scan, uint64_t types)
{
	return walk_state_of(scan)->prog_types & types;
}

/* ----------------------------------------------------------- programs --- */

/* Discards the records of the object that the program is at, and goes on with the next one. */
static int give_up(struct walk_control *control, GByteArray *records)
{
	const struct walk_start none = {
		.rec = { .type = WALK_START, .size = sizeof(none), .id = control->list_at },
	};

	if (!memory_can_grow(records->len, sizeof(none)))
		return -ENOMEM;
	g_byte_array_append(records, (const void *)&none, sizeof(none));
	control->list_at++;
	return 0;
}

/* Appends the records of the objects in the list, and adds the gaps. */
static int read_listed(struct scan *scan, const char *program, GByteArray *records)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	struct walk_control *control = bpf_loader_control(walkers);
	unsigned int torn = 0, lost = 0;
	uint32_t torn_at = 0;
	int err;

	control->list_at = 0;
	control->net = (struct walk_net_at){ 0 };
	while (!(err = object_records_append(walkers, program, records)) &&
	       control->ended == WALK_TORN) {
		control->net.begun = 0;
		torn = control->list_at == torn_at ? torn + 1 : 1;
		torn_at = control->list_at;
		if (torn < TORN_MAX)
			continue;
		lost++;
		err = give_up(control, records);
		if (err || control->list_at >= control->listed)
			break;
	}
	if (control->net.missed)
		scan_gap(scan, control->net.missed, "structures that cannot be followed", 0);
	if (lost)
		scan_gap(scan, lost, "lists that changed whenever they were read", EAGAIN);
	return err;
}

/* The objects that a program was run for, and those of their records that are valid. */
struct net_walk {
	struct scan *scan;
	const struct net_object *objects, *current;
	size_t count;
	const struct walk_start **last; /* the last record of each that its records follow */
	net_record_fn fn;
	void *data;
	int err;
};

static void find_last(const struct walk_rec *rec, void *data)
{
	const struct walk_start *start = walk_record(rec, walk_start);
	struct net_walk *walk = data;

	if (start && rec->id < walk->count)
		walk->last[rec->id] = start;
}

static void take_record(const struct walk_rec *rec, void *data)
{
	const struct walk_start *start = walk_record(rec, walk_start);
	struct net_walk *walk = data;

	if (start)
		walk->current = rec->id < walk->count && walk->last[rec->id] == start
					? &walk->objects[rec->id]
					: NULL;
	else if (walk->current && !walk->err)
		walk->err = walk->fn(walk->scan, walk->current, rec, walk->data);
}

/* Walks over at most WALK_NETS_MAX objects. */
static int walk_some(struct net_walk *walk, const char *program)
{
	g_autoptr(GByteArray) records = g_byte_array_new();
	struct bpf_loader *walkers = walk_state_of(walk->scan)->walkers;
	struct walk_in_net *list = bpf_loader_net_list(walkers);
	g_autofree const struct walk_start **last = g_new0(const struct walk_start *, walk->count);
	int err;

	for (size_t i = 0; i < walk->count; i++) {
		const struct net_object *object = &walk->objects[i];

		list[i] = (struct walk_in_net){
			.net = object->net ? object->net->net : 0,
			.inum = object->net ? object->net->inum : 0,
			.object = object->address,
			.arg = object->arg,
		};
	}
	bpf_loader_control(walkers)->listed = (uint32_t)walk->count;
	err = read_listed(walk->scan, program, records);
	if (err)
		return err;
	walk->last = last;
	walk_each(records->data, records->len, find_last, walk);
	walk_each(records->data, records->len, take_record, walk);
	return walk->err;
}

static int walk_objects(struct scan *scan, const char *program, const struct net_object *objects,
			size_t count, net_record_fn fn, void *data)
{
	int err = 0;

	for (size_t at = 0; !err && at < count; at += WALK_NETS_MAX) {
		struct net_walk walk = {
			.scan = scan, .objects = objects + at, .fn = fn, .data = data
		};

		walk.count = MIN(count - at, (size_t)WALK_NETS_MAX);
		err = walk_some(&walk, program);
	}
	return err;
}

int net_walk_object(struct scan *scan, const char *program, struct net_object object,
		    net_record_fn fn, void *data)
{
	return walk_objects(scan, program, &object, 1, fn, data);
}

/* --------------------------------------------- namespaces and devices --- */

static void clear_array(GArray **array)
{
	g_clear_pointer(array, g_array_unref);
}

void net_lists_free(struct net_lists *lists)
{
	if (!lists)
		return;
	clear_array(&lists->net_records);
	clear_array(&lists->device_records);
	clear_array(&lists->nets);
	clear_array(&lists->devices);
	g_free(lists);
}

static struct net_lists *lists_of(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);

	if (!state->nets)
		state->nets = g_new0(struct net_lists, 1);
	return state->nets;
}

static int keep_net(struct scan *scan, const struct net_object *object, const struct walk_rec *rec,
		    void *data)
{
	const struct walk_net *net = walk_record(rec, walk_net);

	(void)object;
	if (net)
		g_array_append_vals(data, net, 1);
	return scan_failed(scan);
}

int net_list(struct scan *scan, const GArray **nets)
{
	struct net_lists *lists = lists_of(scan);
	const struct net_object all = { 0 };
	GArray *records = lists->net_records;
	int err;

	if (!lists->nets) {
		clear_array(&lists->net_records);
		records = lists->net_records = g_array_new(FALSE, FALSE, sizeof(struct walk_net));
		err = walk_objects(scan, "walk_nets", &all, 1, keep_net, records);
		if (err)
			return err;
		lists->nets =
			g_array_sized_new(FALSE, TRUE, sizeof(struct net_object), records->len);
		g_array_set_size(lists->nets, records->len);
		for (guint i = 0; i < records->len; i++)
			g_array_index(lists->nets, struct net_object, i).net =
				&g_array_index(records, struct walk_net, i);
	}
	*nets = lists->nets;
	return 0;
}

static int keep_device(struct scan *scan, const struct net_object *object,
		       const struct walk_rec *rec, void *data)
{
	const struct walk_netdev *dev = walk_record(rec, walk_netdev);
	struct net_lists *lists = data;
	struct net_object device = { .net = object->net };

	if (!dev)
		return 0;
	device.address = dev->dev;
	g_array_append_vals(lists->device_records, dev, 1);
	g_array_append_val(lists->devices, device);
	return scan_failed(scan);
}

static int read_devices(struct scan *scan, struct net_lists *lists)
{
	const GArray *nets;
	int err = net_list(scan, &nets);

	if (err)
		return err;
	lists->device_records = g_array_new(FALSE, FALSE, sizeof(struct walk_netdev));
	lists->devices = g_array_new(FALSE, FALSE, sizeof(struct net_object));
	err = walk_objects(scan, "walk_netdevs", (const void *)nets->data, nets->len, keep_device,
			   lists);
	for (guint i = 0; i < lists->devices->len; i++)
		g_array_index(lists->devices, struct net_object, i).dev =
			&g_array_index(lists->device_records, struct walk_netdev, i);
	return err;
}

int netdev_list(struct scan *scan, const GArray **devices)
{
	struct net_lists *lists = lists_of(scan);
	int err = lists->devices ? 0 : read_devices(scan, lists);

	if (err) {
		clear_array(&lists->devices);
		clear_array(&lists->device_records);
	}
	*devices = lists->devices;
	return err;
}

static int walk_list(struct scan *scan, const char *program, const GArray *list, uint32_t arg,
		     net_record_fn fn, void *data)
{
	g_autofree struct net_object *objects = g_memdup2(list->data, list->len * sizeof(*objects));

	for (guint i = 0; i < list->len; i++)
		objects[i].arg = arg;
	return walk_objects(scan, program, objects, list->len, fn, data);
}

int net_walk_all(struct scan *scan, const char *program, uint32_t arg, net_record_fn fn, void *data)
{
	const GArray *nets;
	int err = net_list(scan, &nets);

	return err ? err : walk_list(scan, program, nets, arg, fn, data);
}

int netdev_walk_all(struct scan *scan, const char *program, uint32_t arg, net_record_fn fn,
		    void *data)
{
	const GArray *devices;
	int err = netdev_list(scan, &devices);

	return err ? err : walk_list(scan, program, devices, arg, fn, data);
}

uint32_t net_owner(struct scan *scan, const struct walk_net *net)
{
	return net->initial ? OWNER_NONE : owner_add(scan, OWNER_NET_NS, net->inum);
}

static void held_by(struct scan *scan, uint32_t owner, uint32_t by, enum owner_how how)
{
	if (by != OWNER_NONE)
		owner_add_hold(scan, (struct owner_hold){ .owner = owner, .by = by, .how = how });
}

uint32_t netdev_owner(struct scan *scan, const struct walk_net *net, const struct walk_netdev *dev)
{
	uint32_t owner;

	if (dev->returns)
		return OWNER_NONE;
	if (!dev->tun && !dev->also_net[0])
		return net_owner(scan, net);
	owner = owner_find(scan, OWNER_NETDEV, dev->dev);
	if (owner != OWNER_NONE)
		return owner;
	owner = owner_add(scan, OWNER_NETDEV, dev->dev);
	held_by(scan, owner, net_owner(scan, net), OWNER_BY_MEMBER);
	if (dev->tun)
		held_by(scan, owner, owner_add(scan, OWNER_TUN, dev->tun), OWNER_BY_FD);
	for (unsigned int i = 0; i < WALK_ALSO_NETS && dev->also_net[i]; i++)
		held_by(scan, owner, owner_add(scan, OWNER_NET_NS, dev->also_net[i]),
			OWNER_BY_MEMBER);
	return owner;
}

enum { NETDEV_MPROG_FIELDS(HOLDER_FIELD_INDEX) };

void netdev_fields(struct scan *scan, struct bpfrefs_ref *ref, const struct net_object *device)
{
	const struct walk_netdev *dev = device->dev;
	char name[sizeof(dev->name) + 1] = "";

	memcpy(name, dev->name, sizeof(dev->name));
	ref_set_str(scan, ref, NETDEV_IFNAME, name);
	ref_set_num(ref, NETDEV_IFINDEX, dev->ifindex);
	ref_set_num(ref, NETDEV_NETNS, device->net->inum);
	owner_set_ref(ref, netdev_owner(scan, device->net, dev));
}

/* ---------------------------------------------------- tcx and netkit --- */

/* net_object.arg of an entry is its side. */
static int one_mprog(struct scan *scan, const struct net_object *entry, const struct walk_rec *rec,
		     void *attach_types)
{
	const struct walk_mprog *mprog = walk_record(rec, walk_mprog);
	struct bpfrefs_ref *ref;

	if (!mprog || mprog->linked)
		return 0; /* It is held by a link, which is a holder of its own. */
	ref = scan_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, rec->id }, 1, 0);
	if (!ref)
		return 0;
	netdev_fields(scan, ref, entry);
	ref_set_static(ref, NETDEV_ATTACH_TYPE, ((const char *const *)attach_types)[entry->arg]);
	ref_set_num(ref, NETDEV_POSITION, mprog->position);
	ref_set_num(ref, NETDEV_COUNT, mprog->count);
	return 0;
}

int netdev_mprogs(struct scan *scan, const char *const attach_types[NETDEV_SIDES],
		  uint64_t (*entry_of)(const struct walk_netdev *dev, unsigned int side))
{
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(struct net_object));
	const GArray *devices;
	int err;

	if (!net_loaded(scan, NET_TYPE(SCHED_CLS)))
		return 0;
	err = netdev_list(scan, &devices);
	for (guint i = 0; !err && i < NETDEV_SIDES * devices->len; i++) {
		struct net_object entry = *net_at(devices, i / NETDEV_SIDES);

		entry.arg = i % NETDEV_SIDES;
		entry.address = entry_of(entry.dev, entry.arg);
		if (entry.address)
			g_array_append_val(entries, entry);
	}
	return err ? err
		   : walk_objects(scan, "walk_mprogs", (const void *)entries->data, entries->len,
				  one_mprog, (void *)(uintptr_t)attach_types);
}

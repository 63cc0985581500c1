/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads all objects and what they hold through bpf(2): each is opened for a moment. Their counters
 * are unknown, since the UAPI does not show them.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include "bpf/records.h"
#include "procfs/fdinfo.h"
#include "procfs/procfs.h"
#include "uapi/syscalls.h"
#include "uapi/uapi_info.h"

static void set_type(struct scan *scan, struct bpfrefs_object *object, enum bpfrefs_enum what,
		     uint32_t type)
{
	char number[11];

	object->type_number = type;
	object->type = bpfrefs_enum_name(what, type);
	if (object->type)
		return;
	snprintf(number, sizeof(number), "%u", type);
	object->type = scan_str(scan, number);
}

/* Interns a name of at most 16 bytes, which need not end with a NUL. */
static const char *short_name(struct scan *scan, const char name[16])
{
	char text[17];

	memcpy(text, name, 16);
	text[16] = '\0';
	return scan_str(scan, text);
}

static void add_map(struct scan *scan, const struct map_facts *facts, uint64_t memlock)
{
	struct proc_scan *proc = scan->source_data;
	struct bpfrefs_key key = { BPFREFS_KIND_MAP, facts->id };
	struct bpfrefs_object *object = scan_object_add(scan, key);

	set_type(scan, object, BPFREFS_ENUM_MAP_TYPE, facts->type);
	object->name = short_name(scan, facts->name);
	object->memlock = memlock;
	object->max_entries = facts->max_entries;
	/* of these types usercnt 0 clears what users have put in */
	object->user_state = facts->type == BPF_MAP_TYPE_PROG_ARRAY ||
			     facts->type == BPF_MAP_TYPE_SOCKMAP ||
			     facts->type == BPF_MAP_TYPE_SOCKHASH;
	if (facts->btf_id)
		proc_edge_add(&proc->edges, key,
			      (struct bpfrefs_key){ BPFREFS_KIND_BTF, facts->btf_id }, WALK_VIA_BTF,
			      0);
}

static bool is_used(const struct proc_scan *proc, uint32_t id)
{
	return g_hash_table_contains(proc->users, GUINT_TO_POINTER(id));
}

static int open_map(struct scan *scan, uint32_t id)
{
	struct proc_data *data = scan->ctx->source_data;
	struct proc_scan *proc = scan->source_data;
	bpfrefs_autofd fd = -1;
	struct map_facts facts;
	uint64_t memlock;
	int err;

	fd = syscall_open_id(BPFREFS_KIND_MAP, id);
	if (fd < 0)
		return fd;
	err = uapi_info_map_read(fd, &facts);
	if (err)
		return err;
	memlock = proc_memlock_fd(scan->ctx->proc_fd, fd);
	add_map(scan, &facts, memlock);
	proc_array_meet(data, &facts, memlock);
	if (facts.type == BPF_MAP_TYPE_PROG_ARRAY && !is_used(proc, id))
		proc_miss(&proc->edges.arrays, 0);
	else
		proc_slots_read(&proc->edges, fd, &facts);
	return 0;
}

static int read_map(struct scan *scan, uint32_t id)
{
	const struct proc_data *data = scan->ctx->source_data;
	const struct proc_array *array = proc_array_find(data, id);
	struct proc_scan *proc = scan->source_data;

	if (is_used(proc, id))
		return open_map(scan, id);
	if (array) {
		add_map(scan, &array->facts, array->memlock);
		proc_miss(&proc->edges.arrays, 0);
		return 0;
	}
	if (proc_array_is_unclassified(data, id)) {
		g_array_append_val(proc->unclassified, id);
		return 0;
	}
	return open_map(scan, id);
}

static int read_prog(struct scan *scan, uint32_t id)
{
	struct proc_scan *proc = scan->source_data;
	bpfrefs_autofd fd = syscall_open_id(BPFREFS_KIND_PROG, id);
	struct bpfrefs_key key = { BPFREFS_KIND_PROG, id };
	struct bpfrefs_object *object;
	struct prog_facts facts;
	const char *name;
	int err;

	if (fd < 0)
		return fd;
	err = uapi_info_prog_read(fd, &facts);
	if (err)
		return err;
	object = scan_object_add(scan, key);
	set_type(scan, object, BPFREFS_ENUM_PROG_TYPE, facts.raw.type);
	name = prog_name_full(scan->ctx->source_data, fd, &facts);
	object->name = name ? scan_str(scan, name) : short_name(scan, facts.raw.name);
	object->memlock = proc_memlock_fd(scan->ctx->proc_fd, fd);
	for (uint32_t i = 0; i < facts.map_count; i++)
		proc_edge_add(&proc->edges, key,
			      (struct bpfrefs_key){ BPFREFS_KIND_MAP, facts.map_ids[i] },
			      WALK_VIA_USED_MAPS, 0);
	if (facts.raw.btf_id)
		proc_edge_add(&proc->edges, key,
			      (struct bpfrefs_key){ BPFREFS_KIND_BTF, facts.raw.btf_id },
			      WALK_VIA_FUNC_INFO, 0);
	/*
	 * For a program that extends another one, this is the BTF of that program, which holds it.
	 */
	if (facts.raw.attach_btf_obj_id && facts.raw.type != BPF_PROG_TYPE_EXT)
		proc_edge_add(&proc->edges, key,
			      (struct bpfrefs_key){ BPFREFS_KIND_BTF, facts.raw.attach_btf_obj_id },
			      WALK_VIA_ATTACH_BTF, 0);
	uapi_info_prog_clear(&facts);
	return 0;
}

/* The map that a link is attached to, 0 if none, and whether the link holds it with a user. */
static uint32_t link_map(const struct link_facts *facts, uint32_t *user)
{
	const struct uapi_link *raw = &facts->raw;

	*user = raw->type != UAPI_LINK_STRUCT_OPS;
	if (raw->type == UAPI_LINK_STRUCT_OPS)
		return raw->struct_ops.map_id;
	if (raw->type == UAPI_LINK_SOCKMAP)
		return raw->sockmap.map_id;
	if (raw->type == UAPI_LINK_ITER && info_iter_has_map(facts->text))
		return raw->iter.map.map_id;
	return 0;
}

static int read_link(struct scan *scan, uint32_t id)
{
	struct proc_scan *proc = scan->source_data;
	bpfrefs_autofd fd = syscall_open_id(BPFREFS_KIND_LINK, id);
	struct bpfrefs_key key = { BPFREFS_KIND_LINK, id };
	struct bpfrefs_object *object;
	struct link_facts facts;
	uint32_t map, user;
	int err;

	if (fd < 0)
		return fd;
	err = uapi_info_link_read(fd, &facts);
	if (err)
		return err;
	object = scan_object_add(scan, key);
	set_type(scan, object, BPFREFS_ENUM_LINK_TYPE, facts.raw.type);
	object->name = "";
	if (facts.raw.prog_id)
		proc_edge_add(&proc->edges, key,
			      (struct bpfrefs_key){ BPFREFS_KIND_PROG, facts.raw.prog_id },
			      WALK_VIA_PROG, 0);
	map = link_map(&facts, &user);
	if (map)
		proc_edge_add(&proc->edges, key, (struct bpfrefs_key){ BPFREFS_KIND_MAP, map },
			      facts.raw.type == UAPI_LINK_STRUCT_OPS ? WALK_VIA_STRUCT_OPS
								     : WALK_VIA_TARGET,
			      user);
	return 0;
}

static int read_btf(struct scan *scan, uint32_t id)
{
	bpfrefs_autofd fd = syscall_open_id(BPFREFS_KIND_BTF, id);
	struct bpfrefs_object *object;
	struct btf_facts facts;
	int err;

	if (fd < 0)
		return fd;
	err = uapi_info_btf_read(fd, &facts);
	if (err)
		return err;
	object = scan_object_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_BTF, id });
	object->name = scan_str(scan, facts.name);
	object->type = facts.raw.kernel_btf ? "kernel" : "user";
	object->type_number = facts.raw.kernel_btf;
	return 0;
}

/*
 * An object that cannot be opened exists all the same, and what it holds is unknown. To open a link
 * whose creation has not finished gives EAGAIN: it is newer than this snapshot.
 */
static void add_unreadable(struct scan *scan, struct bpfrefs_key key, int err)
{
	struct proc_scan *proc = scan->source_data;

	if (proc_is_gone(err) || err == -EAGAIN)
		return;
	scan_object_add(scan, key);
	proc_miss(&proc->edges.objects[key.kind], err);
}

static void read_unclassified(struct scan *scan)
{
	const struct proc_scan *proc = scan->source_data;

	if (proc->unclassified->len)
		proc_array_wait();
	for (guint i = 0; i < proc->unclassified->len; i++) {
		struct bpfrefs_key key = { BPFREFS_KIND_MAP,
					   g_array_index(proc->unclassified, uint32_t, i) };
		int err = open_map(scan, key.id);

		if (err)
			add_unreadable(scan, key, err);
	}
}

int proc_objects(struct scan *scan)
{
	static int (*const read_kind[KIND_COUNT])(struct scan *, uint32_t) = {
		[BPFREFS_KIND_MAP] = read_map,
		[BPFREFS_KIND_PROG] = read_prog,
		[BPFREFS_KIND_LINK] = read_link,
		[BPFREFS_KIND_BTF] = read_btf,
	};

	for (unsigned int i = 0; i < KIND_COUNT; i++) {
		struct bpfrefs_key key = { .kind = (enum bpfrefs_kind)i };
		int err;

		while (!(err = syscall_next_id(key.kind, key.id, &key.id))) {
			int failed = read_kind[i](scan, key.id);

			if (failed)
				add_unreadable(scan, key, failed);
		}
		if (err != -ENOENT)
			return err;
	}
	read_unclassified(scan);
	proc_arrays_sweep(scan);
	prog_name_sweep(scan);
	return 0;
}

/* ------------------------------------------------------------ edges --- */

enum { HELD_FIELDS(HOLDER_FIELD_INDEX) };

void proc_edges_take(struct scan *scan, enum bpfrefs_kind holder)
{
	const struct proc_scan *proc = scan->source_data;

	for (guint i = 0; i < proc->edges.edges->len; i++) {
		const struct proc_edge *edge =
			&g_array_index(proc->edges.edges, struct proc_edge, i);
		struct bpfrefs_ref *ref;

		if (edge->holder.kind != holder)
			continue;
		ref = scan_add_held(scan, edge->target, edge->ref, edge->user, edge->holder,
				    edge->via);
		if (ref && edge->has_slot)
			ref_set_num(ref, HELD_SLOT, edge->slot);
		else if (ref && edge->slot_text)
			ref_set_str(scan, ref, HELD_SLOT, edge->slot_text);
	}
}

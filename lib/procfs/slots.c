/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what maps hold in their slots, by a lookup of each slot. */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include "bpf/records.h"
#include "procfs/procfs.h"
#include "uapi/info.h"
#include "uapi/syscalls.h"

/* More slots than that are not looked up: each takes a system call. */
#define SLOTS_MAX (1u << 20)

static struct proc_edge *add_slot(struct proc_edges *edges, const struct map_facts *map,
				  uint32_t id, uint32_t slot)
{
	struct bpfrefs_key holder = { BPFREFS_KIND_MAP, map->id };
	struct bpfrefs_key target = { BPFREFS_KIND_MAP, id };
	struct proc_edge *edge;

	if (map->type == BPF_MAP_TYPE_PROG_ARRAY)
		target.kind = BPFREFS_KIND_PROG;
	edge = proc_edge_add(edges, holder, target,
			     map->type == BPF_MAP_TYPE_PROG_ARRAY ? WALK_VIA_SLOT : WALK_VIA_INNER,
			     0);
	if (!edge)
		return NULL;
	edge->has_slot = true;
	edge->slot = slot;
	return edge;
}

static void read_array(struct proc_edges *edges, int fd, const struct map_facts *map)
{
	uint32_t count = MIN(map->max_entries, SLOTS_MAX);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t id;
		int err = syscall_map_lookup(fd, &i, &id);

		if (!err && id)
			add_slot(edges, map, id, i);
		else if (err && err != -ENOENT) {
			proc_miss(&edges->slots, err);
			return;
		}
	}
	if (map->max_entries > count)
		proc_miss(&edges->slots, -E2BIG);
}

/* The number of bytes of a key that are shown. */
#define KEY_SHOWN_MAX 256

static char *hex(const unsigned char *bytes, uint32_t len)
{
	GString *text = g_string_new("0x");

	for (uint32_t i = 0; i < MIN(len, KEY_SHOWN_MAX); i++)
		g_string_append_printf(text, "%02x", bytes[i]);
	if (len > KEY_SHOWN_MAX)
		g_string_append(text, "...");
	return g_string_free(text, FALSE);
}

static void add_key(struct proc_edges *edges, const struct map_facts *map, uint32_t id,
		    const unsigned char *key)
{
	struct proc_edge *edge;
	uint32_t slot = 0;

	if (map->key_size == sizeof(slot))
		memcpy(&slot, key, sizeof(slot));
	edge = add_slot(edges, map, id, slot);
	if (edge && map->key_size != sizeof(slot)) {
		edge->has_slot = false;
		edge->slot_text = hex(key, map->key_size);
	}
}

/*
 * Follows the keys. If a key is deleted meanwhile, BPF_MAP_GET_NEXT_KEY begins again at the first
 * one. So the number of steps is bounded, and the keys that were seen are remembered.
 */
static void read_hash(struct proc_edges *edges, int fd, const struct map_facts *map)
{
	g_autofree unsigned char *key = g_malloc0(map->key_size);
	g_autofree unsigned char *next = g_malloc0(map->key_size);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
							   (GDestroyNotify)g_bytes_unref, NULL);
	uint64_t limit = 2 * (uint64_t)MIN(map->max_entries, SLOTS_MAX) + 1;
	int err = syscall_map_next_key(fd, NULL, next);

	for (uint64_t step = 0; !err && step < limit; step++) {
		uint32_t id;

		memcpy(key, next, map->key_size);
		if (g_hash_table_add(seen, g_bytes_new(key, map->key_size)) &&
		    syscall_map_lookup(fd, key, &id) == 0)
			add_key(edges, map, id, key);
		err = syscall_map_next_key(fd, key, next);
	}
	if (err != -ENOENT)
		proc_miss(&edges->slots, err ? err : -E2BIG);
}

void proc_slots_read(struct proc_edges *edges, int fd, const struct map_facts *map)
{
	if (map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || map->type == BPF_MAP_TYPE_HASH_OF_MAPS)
		proc_miss(&edges->templates, 0);
	if (map->type == BPF_MAP_TYPE_PROG_ARRAY || map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS)
		read_array(edges, fd, map);
	else if (map->type == BPF_MAP_TYPE_HASH_OF_MAPS)
		read_hash(edges, fd, map);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps hold the programs and maps in their slots and entries, members of struct_ops maps and
 * programs of sockmaps (lib/bpf/map.bpf.c); the programs of timers, work queues and task work in
 * their values (lib/bpf/async.bpf.c); their BTF (map_create()), the BTF of their template
 * (bpf_map_meta_alloc()), and the BTFs of the kptrs in their values (btf_parse_kptr(), which takes
 * references to BTFs of the kernel only).
 */
#include <linux/bpf.h>

#include "holders/holders.h"
#include "kernel/bpf_source.h"

enum { MAP_VIA = 2, MAP_SLOT = 3 };

static const char *const keys[] = { "id", "name", "via", "slot", NULL };
static const char *const walks[] = { "walk_sockmaps", "walk_async", "walk_kptrs", NULL };

/* The types of maps that walk_slots reads. */
static const uint32_t slotted_types[] = {
	BPF_MAP_TYPE_PROG_ARRAY,  BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,
	BPF_MAP_TYPE_DEVMAP,	  BPF_MAP_TYPE_CPUMAP,	      BPF_MAP_TYPE_XSKMAP,
	BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_STRUCT_OPS,
};

static void add_slotted(struct scan *scan, const struct walk_map *map)
{
	struct walk_state *state = walk_state_of(scan);
	struct walk_object slotted = { map->address, map->rec.id };

	for (guint i = 0; i < G_N_ELEMENTS(slotted_types); i++) {
		if (slotted_types[i] != map->type)
			continue;
		if (!state->slotted)
			state->slotted = g_array_new(FALSE, FALSE, sizeof(slotted));
		g_array_append_val(state->slotted, slotted);
	}
}

void holder_map_add_slotted(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_map *map = walk_record(rec, walk_map);

	if (map &&
	    (map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || map->type == BPF_MAP_TYPE_HASH_OF_MAPS))
		add_slotted(scan, map);
}

static int walk(struct scan *scan)
{
	g_autoptr(GArray) all = g_steal_pointer(&walk_state_of(scan)->slotted);

	return dispatch_places(scan, "walk_slots", all);
}

/* The key of a hash of maps: as a number if it has four bytes, else as its bytes. */
static void set_key(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_edge *edge)
{
	uint32_t room = edge->rec.size - (uint32_t)sizeof(*edge);
	uint32_t shown = MIN(edge->key_size, MIN(room, (uint32_t)WALK_KEY_MAX));
	GString *text;

	if (edge->key_size == sizeof(uint32_t) && shown == edge->key_size) {
		uint32_t number;

		memcpy(&number, edge->key, sizeof(number));
		ref_set_num(ref, MAP_SLOT, number);
		return;
	}
	text = g_string_new("0x");
	for (uint32_t i = 0; i < shown; i++)
		g_string_append_printf(text, "%02x", edge->key[i]);
	if (shown < edge->key_size)
		g_string_append(text, "...");
	ref_set_str(scan, ref, MAP_SLOT, text->str);
	g_string_free(text, TRUE);
}

static bool has_slot(unsigned int via)
{
	switch (via) {
	case WALK_VIA_SLOT:
	case WALK_VIA_INNER:
	case WALK_VIA_ENTRY:
	case WALK_VIA_XSK:
	case WALK_VIA_TIMER:
	case WALK_VIA_WQ:
	case WALK_VIA_TASK_WORK:
		return true;
	default:
		return false;
	}
}

static void add_edge(struct scan *scan, const struct walk_edge *edge)
{
	struct bpfrefs_key target = { (enum bpfrefs_kind)edge->target, edge->target_id };
	struct bpfrefs_ref *ref;

	ref = scan_add_held(scan, target, 1, 0, (struct bpfrefs_key){ BPFREFS_MAP, edge->rec.id },
			    edge->via);
	if (!ref || !has_slot(edge->via))
		return;
	if (edge->key_size)
		set_key(scan, ref, edge);
	else
		ref_set_num(ref, MAP_SLOT, edge->slot);
}

/*
 * Adds a slot of an xskmap whose socket was not found by a descriptor: only a mapping of its
 * rings keeps the socket.
 */
static void add_xsk(struct scan *scan, const struct walk_xsk *xsk)
{
	struct bpfrefs_ref *ref;
	uint32_t token;

	if (!scan_file(scan, xsk->entry, &token))
		return;
	ref = scan_add(scan, (struct bpfrefs_key){ BPFREFS_MAP, xsk->rec.id }, 1, 0);
	if (!ref)
		return;
	ref_set_via(ref, MAP_VIA, WALK_VIA_XSK);
	ref_set_num(ref, MAP_SLOT, xsk->slot);
}

static void store_xsk(struct scan *scan, const struct walk_xsk *xsk)
{
	struct walk_state *state = walk_state_of(scan);

	if (!state->xsks)
		state->xsks = g_array_new(FALSE, FALSE, sizeof(*xsk));
	if (scan_charge(scan, sizeof(*xsk)) == 0)
		g_array_append_val(state->xsks, *xsk);
}

/* Runs after the walk over descriptors, which has emitted all sockets with a descriptor. */
static void derive(struct scan *scan)
{
	const GArray *xsks = walk_state_of(scan)->xsks;

	for (guint i = 0; xsks && i < xsks->len; i++)
		add_xsk(scan, &g_array_index(xsks, struct walk_xsk, i));
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_map *map = walk_record(rec, walk_map);
	const struct walk_edge *edge = walk_record(rec, walk_edge);
	const struct walk_gap *gap = walk_record(rec, walk_gap);
	const struct walk_xsk *xsk = walk_record(rec, walk_xsk);
	struct bpfrefs_key holder = { BPFREFS_MAP, rec->id };

	if (xsk) {
		store_xsk(scan, xsk);
		return true;
	}
	if (map) {
		add_slotted(scan, map);
		hold_btf(scan, map->btf_id, holder, WALK_VIA_BTF);
		hold_btf(scan, map->inner_btf_id, holder, WALK_VIA_TEMPLATE);
		return true;
	}
	if (gap && gap->kind == WALK_GAP_BUCKET) {
		scan_gap(scan, 1, "hash buckets that changed while they were read", 0);
		return true;
	}
	if (gap && gap->kind == WALK_GAP_VALUES) {
		scan_gap(scan, 1, "maps with timers whose type bpfrefs does not know", 0);
		return true;
	}
	if (!edge || edge->holder != WALK_KIND_MAP)
		return false;
	add_edge(scan, edge);
	return true;
}

static char *says(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref, bool owned)
{
	(void)snap;
	(void)ref;
	(void)owned;
	return g_strdup("an AF_XDP socket is in it");
}

const struct holder_class holder_map = {
	.pub = { "map", keys, .holders = 1u << BPFREFS_MAP },
	.id = CLASS_MAP,
	.says = says,
	.walks = walks,
	.walk = walk,
	.parallel = true,
	.takes = WALK_BIT(WALK_MAP) | WALK_BIT(WALK_EDGE) | WALK_BIT(WALK_GAP) | WALK_BIT(WALK_XSK),
	.decode = decode,
	.derive = derive,
	.userspace_only = true,
	.proc = proc_scan_map,
};

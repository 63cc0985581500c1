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
#include "procfs/procfs.h"

HOLDER_FIELDS(HELD_FIELDS);

/* The types of maps that walk_slots reads. */
static const uint32_t slotted_types[] = {
	BPF_MAP_TYPE_PROG_ARRAY,  BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,
	BPF_MAP_TYPE_DEVMAP,	  BPF_MAP_TYPE_CPUMAP,	      BPF_MAP_TYPE_XSKMAP,
	BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_STRUCT_OPS,
};

struct map_state {
	GArray *slotted;	      /* struct walk_object: the maps with slots */
	GArray *xsks;		      /* struct walk_xsk: slots of xskmaps */
	bool sockets, async, special; /* there are maps that these programs read inside */
};

static void add_slotted(struct map_state *state, const struct walk_map *map)
{
	struct walk_object slotted = { map->address, map->rec.id };

	for (guint i = 0; i < G_N_ELEMENTS(slotted_types); i++) {
		if (slotted_types[i] != map->type)
			continue;
		if (!state->slotted)
			state->slotted = g_array_new(FALSE, FALSE, sizeof(slotted));
		g_array_append_val(state->slotted, slotted);
	}
}

static void decode_map(struct scan *scan, const void *record)
{
	const struct walk_map *map = record;
	struct map_state *state = scan_state(scan, &holder_map);
	struct bpfrefs_key holder = { BPFREFS_KIND_MAP, map->rec.id };

	/* Of the holders of one map, only maps of maps can be such a map. */
	if (!walk_state_of(scan)->one || map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	    map->type == BPF_MAP_TYPE_HASH_OF_MAPS)
		add_slotted(state, map);
	if (walk_state_of(scan)->one)
		return;
	state->sockets |= map->type == BPF_MAP_TYPE_SOCKMAP || map->type == BPF_MAP_TYPE_SOCKHASH;
	state->async |= map->async;
	state->special |= map->special;
	hold_btf(scan, map->btf_id, holder, WALK_VIA_BTF);
	hold_btf(scan, map->inner_btf_id, holder, WALK_VIA_TEMPLATE);
}

static int walk(struct scan *scan)
{
	const struct map_state *state = scan_state(scan, &holder_map);
	int err = dispatch_places(scan, "walk_slots", state->slotted);

	err = err ? err : dispatch_program(scan, "walk_sockmaps", state->sockets);
	err = err ? err : dispatch_program(scan, "walk_async", state->async);
	return err ? err : dispatch_program(scan, "walk_kptrs", state->special);
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
		ref_set_num(ref, HELD_SLOT, number);
		return;
	}
	text = g_string_new("0x");
	for (uint32_t i = 0; i < shown; i++)
		g_string_append_printf(text, "%02x", edge->key[i]);
	if (shown < edge->key_size)
		g_string_append(text, "...");
	ref_set_str(scan, ref, HELD_SLOT, text->str);
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

static bool is_sockmap(unsigned int via)
{
	return via == WALK_VIA_MSG_PARSER || via == WALK_VIA_STREAM_PARSER ||
	       via == WALK_VIA_STREAM_VERDICT || via == WALK_VIA_SKB_VERDICT;
}

static void decode_edge(struct scan *scan, const void *record)
{
	const struct walk_edge *edge = record;
	struct bpfrefs_key target = { (enum bpfrefs_kind)edge->target, edge->target_id };
	struct bpfrefs_ref *ref;

	if (edge->holder != WALK_KIND_MAP)
		return;
	ref = scan_add_held(scan, target, 1, 0,
			    (struct bpfrefs_key){ BPFREFS_KIND_MAP, edge->rec.id }, edge->via);
	if (!ref)
		return;
	ref->by_link = is_sockmap(edge->via) && edge->slot;
	if (!has_slot(edge->via))
		return;
	if (edge->key_size)
		set_key(scan, ref, edge);
	else
		ref_set_num(ref, HELD_SLOT, edge->slot);
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
	ref = scan_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, xsk->rec.id }, 1, 0);
	if (!ref)
		return;
	ref_set_via(ref, HELD_VIA, WALK_VIA_XSK);
	ref_set_num(ref, HELD_SLOT, xsk->slot);
}

static void decode_xsk(struct scan *scan, const void *record)
{
	const struct walk_xsk *xsk = record;
	struct map_state *state = scan_state(scan, &holder_map);

	if (!state->xsks)
		state->xsks = g_array_new(FALSE, FALSE, sizeof(*xsk));
	if (scan_charge(scan, sizeof(*xsk)) == 0)
		g_array_append_val(state->xsks, *xsk);
}

/* Runs after the walk over descriptors, which has emitted all sockets with a descriptor. */
static void derive(struct scan *scan)
{
	const GArray *xsks = ((const struct map_state *)scan_state(scan, &holder_map))->xsks;

	for (guint i = 0; xsks && i < xsks->len; i++)
		add_xsk(scan, &g_array_index(xsks, struct walk_xsk, i));
}

static void end(void *data)
{
	struct map_state *state = data;

	g_clear_pointer(&state->slotted, g_array_unref);
	g_clear_pointer(&state->xsks, g_array_unref);
}

static char *says(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref, bool owned)
{
	(void)snap;
	(void)ref;
	(void)owned;
	return g_strdup("an AF_XDP socket is in it");
}

/* ------------------------------------------------------------ procfs --- */

static int proc(struct scan *scan)
{
	const struct proc_scan *proc = scan->source_data;
	const struct proc_gap gaps[] = {
		{ &proc->edges.objects[BPFREFS_KIND_MAP], "maps" },
		{ &proc->edges.slots, "maps' slots" },
		{ &proc->edges.arrays,
		  "program arrays for which no user was found, whose slots are not read" },
		{ &proc->edges.templates, "maps of maps, whose templates the UAPI does not show" },
	};

	proc_edges_take(scan, BPFREFS_KIND_MAP);
	proc_gaps(scan, gaps, G_N_ELEMENTS(gaps));
	scan_gap(scan, 0,
		 "the UAPI does not show the programs of devmap and cpumap entries, sockmaps, "
		 "struct_ops maps and timers",
		 0);
	return 0;
}

/*
 * What a sockmap runs on its sockets. A program in a slot of an array runs when another one calls it, and
 * one in an entry of a devmap or cpumap when another one redirects a packet there.
 */
static bool runs(const struct bpfrefs_ref *ref)
{
	return is_sockmap(ref->via) && !ref->by_link;
}

/* The names of bpftool-prog(8). Others are not programs of sockmaps. */
static const char *attach_type(unsigned int via)
{
	switch (via) {
	case WALK_VIA_MSG_PARSER:
		return "sk_msg_verdict";
	case WALK_VIA_STREAM_PARSER:
		return "sk_skb_stream_parser";
	case WALK_VIA_STREAM_VERDICT:
		return "sk_skb_stream_verdict";
	case WALK_VIA_SKB_VERDICT:
		return "sk_skb_verdict";
	default:
		return NULL;
	}
}

/* Elements of an array are never deleted, and so a timer there stays until the map has no user. */
static bool is_deletable(const struct removal *removal, const struct bpfrefs_ref *ref)
{
	const struct bpfrefs_object *map;

	if (!has_slot(ref->via))
		return false;
	if (ref->via != WALK_VIA_TIMER && ref->via != WALK_VIA_WQ && ref->via != WALK_VIA_TASK_WORK)
		return true;
	map = bpfrefs_snapshot_find(removal->snap, ref->holder);
	return map && map->type_number != BPF_MAP_TYPE_ARRAY;
}

static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	bool xsk = ref->holder.kind == BPFREFS_KIND_NONE;
	struct bpfrefs_key map = xsk ? ref->target : ref->holder;
	const char *type = attach_type(ref->via);

	if (type && ref->by_link) {
		removal_set(removal, REMOVAL_FOLLOWS, "");
	} else if (type) {
		removal_words(removal, "bpftool", "prog", "detach", NULL);
		removal_id(removal, ref->target);
		removal_word(removal, type);
		removal_id(removal, map);
	} else if (is_deletable(removal, ref)) {
		removal_words(removal, "bpftool", "map", "delete", NULL);
		removal_id(removal, map);
		removal_map_key(removal, ref, HELD_SLOT);
	}
}

const struct holder_class holder_map = {
	.pub = { HOLDER_PUB("map"), .holders = 1u << BPFREFS_KIND_MAP },
	.id = CLASS_MAP,
	.hook = BPFREFS_HOOK_SOCKMAP,
	.runs = runs,
	.hook_words = { [HELD_ID] = "map_id", [HELD_NAME] = "map_name" },
	.removes = removes,
	.says = says,
	.state = sizeof(struct map_state),
	.end = end,
	.walk = walk,
	.parallel = true,
	.decoders = { DECODER(walk_map, decode_map), DECODER(walk_edge, decode_edge),
		      DECODER(walk_xsk, decode_xsk) },
	.gaps = { { WALK_GAP_BUCKET, "hash buckets that changed while they were read" },
		  { WALK_GAP_VALUES, "maps with timers whose type bpfrefs does not know" } },
	.derive = derive,
	.userspace_only = true,
	.proc = proc,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owners in a snapshot in the making (owner.h). */
#include "owner.h"

_Static_assert(OWNER_KINDS == G_N_ELEMENTS(((struct scan *)NULL)->owners), "scan.owners");

struct owner_entry {
	struct owner owner;
	uint32_t index;
};

/* Ids that are addresses differ in their upper bits as a rule, inode numbers in their lower ones. */
static uint64_t owner_key(enum owner_kind kind, uint64_t id)
{
	return kind == OWNER_NETDEV || kind == OWNER_SOCKET ? id >> 6 | id << 58 : id;
}

uint32_t scan_owner_find(const struct scan *scan, enum owner_kind kind, uint64_t id)
{
	const struct owner_entry *entry = idmap_get(&scan->owners[kind], owner_key(kind, id));

	return entry ? entry->index : OWNER_NONE;
}

static bool can_hold_more(struct scan *scan, size_t used, size_t more)
{
	if (!memory_can_grow(used, more))
		arena_fail(scan->snap->arena);
	return scan_charge(scan, more) == 0;
}

uint32_t scan_owner(struct scan *scan, enum owner_kind kind, uint64_t id)
{
	GPtrArray *owners = scan->snap->owners;
	uint64_t key = owner_key(kind, id);
	struct idmap_entry *place = idmap_place(&scan->owners[kind], key);
	struct owner_entry *entry;

	if (place && place->value)
		return ((const struct owner_entry *)place->value)->index;
	if (!place)
		arena_fail(scan->snap->arena);
	if (!place || !can_hold_more(scan, owners->len * sizeof(gpointer), sizeof(gpointer)))
		return OWNER_NONE;
	entry = arena_alloc(scan->snap->arena, sizeof(*entry));
	if (!entry)
		return OWNER_NONE;
	entry->owner = (struct owner){ kind, id };
	entry->index = owners->len;
	idmap_fill(&scan->owners[kind], place, key, entry);
	g_ptr_array_add(owners, &entry->owner);
	return entry->index;
}

void scan_owner_hold(struct scan *scan, struct owner_hold hold)
{
	GArray *holds = scan->snap->holds;

	if (hold.owner == OWNER_NONE ||
	    !can_hold_more(scan, holds->len * sizeof(hold), sizeof(hold)))
		return;
	g_array_append_val(holds, hold);
}

void ref_set_owner(struct bpfrefs_ref *ref, uint32_t owner)
{
	if (owner != OWNER_NONE)
		ref->owner = owner + 1;
}

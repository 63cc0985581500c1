/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owners (owner.h): how they are added to a scan, and how they are reduced to those that matter. */
#include "snapshot/owner.h"

_Static_assert(OWNER_KINDS == G_N_ELEMENTS(((struct scan *)NULL)->owners), "scan.owners");

struct owner_entry {
	struct owner owner;
	uint32_t index;
};

/* Addresses differ in their upper bits as a rule, and inode numbers in their lower ones. */
static uint64_t owner_key(enum owner_kind kind, uint64_t id)
{
	bool address = kind == OWNER_NETDEV || kind == OWNER_SOCKET || kind == OWNER_TUN;

	return address ? id >> 6 | id << 58 : id;
}

uint32_t owner_find(const struct scan *scan, enum owner_kind kind, uint64_t id)
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

uint32_t owner_add(struct scan *scan, enum owner_kind kind, uint64_t id)
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
	entry->owner = (struct owner){ .kind = kind, .id = id, .node = OWNER_NONE };
	entry->index = owners->len;
	idmap_fill(&scan->owners[kind], place, key, entry);
	g_ptr_array_add(owners, &entry->owner);
	return entry->index;
}

void owner_add_hold(struct scan *scan, struct owner_hold hold)
{
	GArray *holds = scan->snap->holds;

	if (hold.owner == OWNER_NONE ||
	    !can_hold_more(scan, holds->len * sizeof(hold), sizeof(hold)))
		return;
	g_array_append_val(holds, hold);
}

void owner_process(struct scan *scan, uint32_t pid, const char *comm)
{
	GPtrArray *keepers = scan->snap->keepers;
	struct bpfrefs_process *process;

	/* The holds of one process are added one after another. */
	if (keepers->len &&
	    ((struct bpfrefs_process *)keepers->pdata[keepers->len - 1])->pid == pid)
		return;
	if (!can_hold_more(scan, keepers->len * sizeof(gpointer), sizeof(gpointer)))
		return;
	process = arena_alloc(scan->snap->arena, sizeof(*process));
	if (!process)
		return;
	process->size = sizeof(*process);
	process->pid = pid;
	process->comm = scan_str(scan, comm);
	g_ptr_array_add(keepers, process);
}

void owner_set_ref(struct bpfrefs_ref *ref, uint32_t owner)
{
	if (owner != OWNER_NONE)
		ref->owner = owner + 1;
}

const char *owner_name(enum owner_kind kind)
{
	static const char *const names[OWNER_KINDS] = {
		[OWNER_MNT_NS] = "mnt_ns", [OWNER_NET_NS] = "net_ns", [OWNER_BPFFS] = "bpffs",
		[OWNER_NETDEV] = "netdev", [OWNER_SOCKET] = "socket", [OWNER_TUN] = "tun",
		[OWNER_PSOCK] = "psock",   [OWNER_XDP] = "xdp",
	};

	return kind < OWNER_KINDS ? names[kind] : "?";
}

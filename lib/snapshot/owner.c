/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owners (owner.h): how they are added to a scan, and how they are reduced to those that matter. */
#include "snapshot/owner.h"

_Static_assert(OWNER_KINDS == G_N_ELEMENTS(((struct scan *)NULL)->owners), "scan.owners");

void owners_init(struct bpfrefs_snapshot *snap)
{
	snap->owners = g_ptr_array_new();
	snap->holds = g_array_new(FALSE, FALSE, sizeof(struct owner_hold));
	snap->kept = g_ptr_array_new();
	snap->keepers = g_ptr_array_new();
}

void owners_clear(struct bpfrefs_snapshot *snap)
{
	g_ptr_array_unref(snap->owners);
	g_array_unref(snap->holds);
	g_ptr_array_unref(snap->kept);
	g_ptr_array_unref(snap->keepers);
}

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
	entry->owner = (struct owner){ .kind = kind, .id = id, .node = OWNER_NONE };
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

void scan_owner_process(struct scan *scan, uint32_t pid, const char *comm)
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
	process->pid = pid;
	process->comm = scan_str(scan, comm);
	g_ptr_array_add(keepers, process);
}

void ref_set_owner(struct bpfrefs_ref *ref, uint32_t owner)
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

/* ------------------------------------------------------------- resolve --- */

/* The flags of an owner. */
enum {
	STAYS = 1 << 0,	  /* it stays, whatever process exits */
	KEPT = 1 << 1,	  /* a process or a map holds it, at least through other owners */
	HELD = 1 << 2,	  /* anything holds it */
	BY_ROOT = 1 << 3, /* at least one hold stays */
	OPEN = 1 << 4,	  /* at least one hold may end */
};

struct resolve {
	struct bpfrefs_snapshot *snap;
	uint8_t *flags; /* one for each owner */
};

static struct owner *owner_at(const struct bpfrefs_snapshot *snap, uint32_t index)
{
	return snap->owners->pdata[index];
}

static struct owner_hold *hold_at(const struct bpfrefs_snapshot *snap, uint32_t index)
{
	return &g_array_index(snap->holds, struct owner_hold, index);
}

/* An owner is used too if a used owner lasts as long as it. */
static void spread_use(const struct bpfrefs_snapshot *snap)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (guint i = 0; i < snap->holds->len; i++) {
			const struct owner_hold *hold = hold_at(snap, i);

			if (hold->by == OWNER_NONE || !owner_at(snap, hold->owner)->used ||
			    owner_at(snap, hold->by)->used)
				continue;
			owner_at(snap, hold->by)->used = changed = true;
		}
	}
}

/* Very many processes may hold owners that no reference depends on. */
static void drop_unused(struct bpfrefs_snapshot *snap)
{
	guint kept = 0;

	for (guint i = 0; i < snap->holds->len; i++)
		if (owner_at(snap, hold_at(snap, i)->owner)->used)
			*hold_at(snap, kept++) = *hold_at(snap, i);
	g_array_set_size(snap->holds, kept);
}

static bool hold_stays(const struct resolve *resolve, const struct owner_hold *hold)
{
	if (hold->pid || hold->map)
		return false;
	return hold->by == OWNER_NONE || resolve->flags[hold->by] & STAYS;
}

/* One step of the search for owners that stay. True if it has found another one. */
static bool find_staying(const struct resolve *resolve)
{
	const struct bpfrefs_snapshot *snap = resolve->snap;
	bool found = false;

	for (guint i = 0; i < snap->owners->len; i++)
		resolve->flags[i] &= STAYS | KEPT;
	for (guint i = 0; i < snap->holds->len; i++) {
		const struct owner_hold *hold = hold_at(snap, i);

		resolve->flags[hold->owner] |= HELD | (hold_stays(resolve, hold) ? BY_ROOT : OPEN);
	}
	for (guint i = 0; i < snap->owners->len; i++) {
		uint8_t flags = resolve->flags[i];
		bool all = owner_needs_all(owner_at(snap, i));

		if (flags & STAYS || (all ? flags & OPEN : flags & HELD && !(flags & BY_ROOT)))
			continue;
		resolve->flags[i] |= STAYS;
		found = true;
	}
	return found;
}

/*
 * If owners hold each other and no other hold of them was found, something unknown holds them, so
 * they stay. True if there are such owners.
 */
static bool find_circles(const struct resolve *resolve)
{
	const struct bpfrefs_snapshot *snap = resolve->snap;
	bool changed = true, found = false;

	while (changed) {
		changed = false;
		for (guint i = 0; i < snap->holds->len; i++) {
			const struct owner_hold *hold = hold_at(snap, i);
			uint8_t *flags = &resolve->flags[hold->owner];
			bool by = hold->by != OWNER_NONE && resolve->flags[hold->by] & KEPT;

			if (*flags & KEPT || !(hold->pid || hold->map || by))
				continue;
			*flags |= KEPT;
			changed = true;
		}
	}
	for (guint i = 0; i < snap->owners->len; i++) {
		if (resolve->flags[i] & (KEPT | STAYS))
			continue;
		resolve->flags[i] |= STAYS;
		found = true;
	}
	return found;
}

static int by_owner(gconstpointer a, gconstpointer b)
{
	const struct owner_hold *x = a, *y = b;

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	if (x->by != y->by)
		return x->by < y->by ? -1 : 1;
	if (x->map != y->map)
		return x->map < y->map ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/*
 * Keeps the holds of the owners in snap->kept, each once, and replaces the indexes by those in
 * snap->kept.
 */
static void keep_holds(const struct resolve *resolve)
{
	struct bpfrefs_snapshot *snap = resolve->snap;
	guint kept = 0;

	for (guint i = 0; i < snap->holds->len; i++) {
		struct owner_hold hold = *hold_at(snap, i);
		uint32_t node = owner_at(snap, hold.owner)->node;

		if (node == OWNER_NONE || hold_stays(resolve, &hold))
			continue;
		hold.owner = node;
		if (hold.by != OWNER_NONE)
			hold.by = owner_at(snap, hold.by)->node;
		*hold_at(snap, kept++) = hold;
	}
	g_array_set_size(snap->holds, kept);
	g_array_sort(snap->holds, by_owner);
	kept = 0;
	for (guint i = 0; i < snap->holds->len; i++)
		if (i == 0 || by_owner(hold_at(snap, kept - 1), hold_at(snap, i)) != 0)
			*hold_at(snap, kept++) = *hold_at(snap, i);
	g_array_set_size(snap->holds, kept);
}

static struct bpfrefs_process *new_process(struct bpfrefs_snapshot *snap, int proc_fd, uint32_t pid)
{
	struct bpfrefs_process *process = arena_alloc(snap->arena, sizeof(*process));
	char comm[32];

	if (!process)
		return NULL;
	process->pid = pid;
	if (proc_comm(proc_fd, pid, comm))
		process->comm = arena_str(snap->arena, comm);
	return process;
}

static void add_processes(struct bpfrefs_snapshot *snap, int proc_fd)
{
	g_autoptr(GHashTable) named = g_hash_table_new(NULL, NULL);
	g_autoptr(GHashTable) added = g_hash_table_new(NULL, NULL);

	for (guint i = 0; snap->holds->len && i < snap->keepers->len; i++) {
		struct bpfrefs_process *process = snap->keepers->pdata[i];

		g_hash_table_insert(named, GUINT_TO_POINTER(process->pid), process);
	}
	for (guint i = 0; i < snap->holds->len; i++) {
		uint32_t pid = hold_at(snap, i)->pid;
		struct bpfrefs_process *process;

		if (!pid || !g_hash_table_add(added, GUINT_TO_POINTER(pid)))
			continue;
		process = g_hash_table_lookup(named, GUINT_TO_POINTER(pid));
		if (!process)
			process = new_process(snap, proc_fd, pid);
		if (process)
			g_ptr_array_add(snap->processes, process);
	}
}

/* The number of bytes that sorting a hold takes, and adding its process. */
#define RESOLVE_BYTES 128

void owners_resolve(struct bpfrefs_snapshot *snap, int proc_fd)
{
	struct resolve resolve = { snap, NULL };

	if (!snap->owners->len)
		return;
	spread_use(snap);
	drop_unused(snap);
	resolve.flags = memory_try(snap->owners->len, sizeof(*resolve.flags));
	if (!resolve.flags || !memory_is_there(snap->holds->len * (size_t)RESOLVE_BYTES)) {
		arena_fail(snap->arena);
		g_free(resolve.flags);
		return;
	}
	while (find_staying(&resolve) || find_circles(&resolve))
		;
	for (guint i = 0; i < snap->owners->len; i++) {
		struct owner *owner = owner_at(snap, i);

		if (!owner->used || resolve.flags[i] & STAYS)
			continue;
		owner->node = snap->kept->len;
		g_ptr_array_add(snap->kept, owner);
	}
	keep_holds(&resolve);
	g_free(resolve.flags);
	add_processes(snap, proc_fd);
}

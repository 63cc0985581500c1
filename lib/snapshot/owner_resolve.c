/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which owners last whatever process exits, once all holds have been found (owner.h). */
#include "snapshot/owner.h"

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
	process->size = sizeof(*process);
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
	if (!resolve.flags || !memory_available(snap->holds->len * (size_t)RESOLVE_BYTES)) {
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

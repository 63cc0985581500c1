/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the references of a frozen snapshot by target, by holder, by process and by descriptor.
 * Few callers need the last three, so the first call that needs them builds their indexes.
 */
#include <stdlib.h>

#include "snapshot/snapshot.h"

/* The number of bytes that an index takes, at most, for each reference. */
#define INDEX_BYTES 64

static int by_target(gconstpointer a, gconstpointer b)
{
	const struct bpfrefs_ref *x = *(void *const *)a, *y = *(void *const *)b;

	return bpfrefs_key_compare(x->target, y->target);
}

static int by_holder(gconstpointer a, gconstpointer b)
{
	const struct bpfrefs_ref *x = *(void *const *)a, *y = *(void *const *)b;

	return bpfrefs_key_compare(x->holder, y->holder);
}

static int by_pid(gconstpointer a, gconstpointer b)
{
	const struct bpfrefs_ref *x = *(void *const *)a, *y = *(void *const *)b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* --------------------------------------------------------------- indexes --- */

/* Returns the position of a reference, less than a given number; UINT32_MAX if it is unknown. */
typedef uint32_t (*position_fn)(const struct bpfrefs_ref *ref, const void *data);

static uint32_t holder_position(const struct bpfrefs_ref *ref, const void *data)
{
	const struct bpfrefs_snapshot *snap = data;
	const struct bpfrefs_object *holder = idmap_get(&snap->by_key, key_number(ref->holder));

	return holder ? object_inner(holder)->index : UINT32_MAX;
}

static uint32_t pid_position(const struct bpfrefs_ref *ref, const void *data)
{
	return GPOINTER_TO_UINT(idmap_get(data, ref->pid)) - 1; /* UINT32_MAX if there is none */
}

/*
 * A stable counting sort; comparing would take longer than finding the references. False if a
 * position is unknown; the array is then unchanged.
 */
static bool order(GPtrArray *refs, uint32_t positions, position_fn position, const void *data)
{
	g_autofree uint32_t *next = g_new0(uint32_t, (size_t)positions + 1);
	g_autofree uint32_t *at = g_new(uint32_t, refs->len);
	g_autofree gpointer *old = g_memdup2(refs->pdata, refs->len * sizeof(gpointer));

	for (guint i = 0; i < refs->len; i++) {
		at[i] = position(old[i], data);
		if (at[i] >= positions)
			return false;
		next[at[i] + 1]++;
	}
	for (uint32_t i = 1; i <= positions; i++)
		next[i] += next[i - 1];
	for (guint i = 0; i < refs->len; i++)
		refs->pdata[next[at[i]]++] = old[i];
	return true;
}

static int order_by_pid(struct bpfrefs_snapshot *snap)
{
	struct idmap positions = { 0 };
	bool known = true;

	for (guint i = 0; i < snap->processes->len; i++) {
		const struct bpfrefs_process *process = g_ptr_array_index(snap->processes, i);

		known = known && idmap_set(&positions, process->pid, GUINT_TO_POINTER(i + 1));
	}
	/* The daemon that holds a keep need not be among the processes. */
	if (known && !order(snap->by_pid, snap->processes->len, pid_position, &positions))
		g_ptr_array_sort(snap->by_pid, by_pid);
	idmap_clear(&positions);
	return known ? 0 : -ENOMEM;
}

/* -ENOMEM: there is no index. */
static int build_index(struct bpfrefs_snapshot *snap)
{
	int err;

	if (!memory_available(snap->refs->len * (size_t)INDEX_BYTES))
		return -ENOMEM;
	for (guint i = 0; i < snap->refs->len; i++) {
		struct bpfrefs_ref *ref = g_ptr_array_index(snap->refs, i);

		if (ref->holder.kind != BPFREFS_KIND_NONE)
			g_ptr_array_add(snap->by_holder, ref);
		if (ref->pid)
			g_ptr_array_add(snap->by_pid, ref);
	}
	/* A holder need not be in the snapshot: it may be newer than the list of objects. */
	if (!order(snap->by_holder, snap->objects->len, holder_position, snap))
		g_ptr_array_sort(snap->by_holder, by_holder);
	err = order_by_pid(snap);
	if (err) {
		g_ptr_array_set_size(snap->by_holder, 0);
		g_ptr_array_set_size(snap->by_pid, 0);
	}
	return err;
}

/* Orders by process and number; of the two objects of an iterator the program comes first. */
static int by_descriptor(const void *a, const void *b)
{
	const struct bpfrefs_descriptor *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->fd != y->fd)
		return x->fd < y->fd ? -1 : 1;
	return (y->key.kind == BPFREFS_KIND_PROG) - (x->key.kind == BPFREFS_KIND_PROG);
}

/* Adds the descriptor of a reference, unless it is in a table that only one thread has. */
static void add_descriptor(GArray *all, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value fd = bpfrefs_ref_get(ref, "fd");
	struct bpfrefs_descriptor found = { sizeof(found), ref->pid, (uint32_t)fd.num,
					    ref->target };

	if (ref->class->pub.flags & BPFREFS_CLASS_DESCRIPTOR && fd.type == BPFREFS_VALUE_NUM &&
	    fd.num <= UINT32_MAX && bpfrefs_ref_get(ref, "tid").type == BPFREFS_VALUE_ABSENT)
		g_array_append_val(all, found);
}

static int build_descriptors(struct bpfrefs_snapshot *snap)
{
	struct bpfrefs_descriptor *all;
	guint kept = 0;

	if (!memory_available(snap->refs->len * (size_t)INDEX_BYTES))
		return -ENOMEM;
	for (guint i = 0; i < snap->refs->len; i++)
		add_descriptor(snap->descriptors, g_ptr_array_index(snap->refs, i));
	all = (struct bpfrefs_descriptor *)(void *)snap->descriptors->data;
	qsort(all, snap->descriptors->len, sizeof(*all), by_descriptor);
	for (guint i = 0; i < snap->descriptors->len; i++)
		if (!kept || all[kept - 1].pid != all[i].pid || all[kept - 1].fd != all[i].fd)
			all[kept++] = all[i];
	g_array_set_size(snap->descriptors, kept);
	return 0;
}

/* The indexes of a frozen snapshot still change, once. */
static struct bpfrefs_snapshot *to_index(const struct bpfrefs_snapshot *frozen)
{
	return (struct bpfrefs_snapshot *)(uintptr_t)frozen;
}

/* Calls @build unless it has succeeded before, which *done says. */
static int index_once(struct bpfrefs_snapshot *snap, gint *done,
		      int (*build)(struct bpfrefs_snapshot *snap))
{
	int err = 0;

	if (g_atomic_int_get(done))
		return 0;
	g_mutex_lock(&snap->indexing);
	if (!*done) {
		err = build(snap);
		g_atomic_int_set(done, !err);
	}
	g_mutex_unlock(&snap->indexing);
	return err;
}

/* --------------------------------------------------------------- queries --- */

/* The index of the first reference that does not sort before @probe. */
static size_t lower_bound(const GPtrArray *refs, const struct bpfrefs_ref *probe,
			  GCompareFunc compare)
{
	size_t low = 0, high = refs->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&refs->pdata[middle], &probe) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The references that compare equal to @probe. */
static struct ref_range range_of(const GPtrArray *refs, const struct bpfrefs_ref *probe,
				 GCompareFunc compare)
{
	struct ref_range range = { refs, lower_bound(refs, probe, compare), 0 };

	for (range.end = range.at; range.end < refs->len; range.end++)
		if (compare(&refs->pdata[range.end], &probe) != 0)
			break;
	return range;
}

struct ref_range index_holders(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key)
{
	struct bpfrefs_ref probe = { .target = key };

	return range_of(snap->refs, &probe, by_target);
}

int index_holding(const struct bpfrefs_snapshot *snap, struct bpfrefs_key holder,
		  struct ref_range *range)
{
	struct bpfrefs_ref probe = { .holder = holder };
	int err = index_once(to_index(snap), &to_index(snap)->indexed, build_index);

	*range = err ? (struct ref_range){ 0 } : range_of(snap->by_holder, &probe, by_holder);
	return err;
}

int index_pid_holding(const struct bpfrefs_snapshot *snap, uint32_t pid, struct ref_range *range)
{
	struct bpfrefs_ref probe = { .pid = pid };
	int err = index_once(to_index(snap), &to_index(snap)->indexed, build_index);

	*range = err ? (struct ref_range){ 0 } : range_of(snap->by_pid, &probe, by_pid);
	return err;
}

int index_descriptors(const struct bpfrefs_snapshot *snap, uint32_t pid, uint32_t fd, size_t *first)
{
	const GArray *all = snap->descriptors;
	int err = index_once(to_index(snap), &to_index(snap)->has_descriptors, build_descriptors);
	size_t low = 0, high = all->len;

	while (!err && low < high) {
		size_t middle = low + (high - low) / 2;
		const struct bpfrefs_descriptor *found =
			&g_array_index(all, struct bpfrefs_descriptor, middle);

		if (found->pid < pid || (found->pid == pid && found->fd < fd))
			low = middle + 1;
		else
			high = middle;
	}
	*first = low;
	return err;
}

int bpfrefs_snapshot_find_fd(const struct bpfrefs_snapshot *snap, uint32_t pid, uint32_t fd,
			     struct bpfrefs_key *key)
{
	const struct bpfrefs_descriptor *found;
	size_t index;
	int err = index_descriptors(snap, pid, fd, &index);

	if (err)
		return err;
	if (index == snap->descriptors->len)
		return -ENOENT;
	found = &g_array_index(snap->descriptors, struct bpfrefs_descriptor, index);
	if (found->pid != pid || found->fd != fd)
		return -ENOENT;
	if (key)
		*key = found->key;
	return 0;
}

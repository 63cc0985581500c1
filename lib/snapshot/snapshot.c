/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots: freezing and queries (index.c has more). Immutable once frozen, so shared without a lock. */
#include "snapshot/snapshot.h"
#include "snapshot/cgroup_paths.h"
#include "snapshot/owner.h"

#include <string.h>

static guint dir_hash(gconstpointer data)
{
	const struct dir_key *key = data;

	return (guint)key->ino ^ key->minor << 20 ^ key->major << 8;
}

static gboolean dir_equal(gconstpointer a, gconstpointer b)
{
	const struct dir_key *x = a, *y = b;

	return x->major == y->major && x->minor == y->minor && x->ino == y->ino;
}

struct bpfrefs_snapshot *snapshot_new(void)
{
	struct bpfrefs_snapshot *snap = g_new0(struct bpfrefs_snapshot, 1);

	g_atomic_ref_count_init(&snap->count);
	snap->arena = arena_new();
	snap->objects = g_ptr_array_new();
	snap->refs = g_ptr_array_new();
	snap->by_holder = g_ptr_array_new();
	snap->by_pid = g_ptr_array_new();
	snap->processes = g_ptr_array_new();
	snap->bpffs = g_ptr_array_new();
	owners_init(snap);
	snap->classes = g_array_new(FALSE, TRUE, sizeof(struct bpfrefs_class_status));
	g_mutex_init(&snap->judging);
	snap->descriptors = g_array_new(FALSE, FALSE, sizeof(struct bpfrefs_descriptor));
	g_mutex_init(&snap->indexing);
	snap->dirs = g_hash_table_new(dir_hash, dir_equal);
	return snap;
}

struct bpfrefs_snapshot *bpfrefs_snapshot_ref(struct bpfrefs_snapshot *snap)
{
	g_atomic_ref_count_inc(&snap->count);
	return snap;
}

void bpfrefs_snapshot_unref(struct bpfrefs_snapshot *snap)
{
	if (!snap || !g_atomic_ref_count_dec(&snap->count))
		return;
	g_ptr_array_unref(snap->objects);
	g_ptr_array_unref(snap->refs);
	g_ptr_array_unref(snap->by_holder);
	g_ptr_array_unref(snap->by_pid);
	g_array_unref(snap->descriptors);
	g_ptr_array_unref(snap->processes);
	g_ptr_array_unref(snap->bpffs);
	owners_clear(snap);
	g_array_unref(snap->classes);
	idmap_clear(&snap->by_key);
	g_mutex_clear(&snap->judging);
	g_mutex_clear(&snap->indexing);
	g_hash_table_unref(snap->dirs);
	g_clear_pointer(&snap->proc, shared_fd_unref);
	g_clear_pointer(&snap->cgroup_names, g_string_chunk_free);
	idmap_clear(&snap->placed);
	g_clear_pointer(&snap->paths, cgroup_paths_unref);
	g_free(snap->cgroups);
	arena_free(snap->arena);
	g_free(snap);
}

/* ------------------------------------------------------------- freeze --- */

static int by_object_key(gconstpointer a, gconstpointer b)
{
	const struct bpfrefs_object *x = *(void *const *)a, *y = *(void *const *)b;

	return bpfrefs_key_compare(x->key, y->key);
}

static int by_process(gconstpointer a, gconstpointer b)
{
	const struct bpfrefs_process *x = *(void *const *)a, *y = *(void *const *)b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Sources add the objects of each kind in order, usually. Checking that is cheaper than sorting. */
static void order_objects(GPtrArray *objects)
{
	g_autofree gpointer *old = g_memdup2(objects->pdata, objects->len * sizeof(gpointer));
	bool sorted = true;
	guint at = 0;

	for (unsigned int kind = 0; kind < KIND_COUNT; kind++)
		for (guint i = 0; i < objects->len; i++)
			if (((const struct bpfrefs_object *)old[i])->key.kind == kind)
				objects->pdata[at++] = old[i];
	for (guint i = 1; sorted && i < objects->len; i++)
		sorted = by_object_key(&objects->pdata[i - 1], &objects->pdata[i]) < 0;
	if (!sorted)
		g_ptr_array_sort(objects, by_object_key);
}

/* Several classes may have added the same process. */
static void processes_unique(GPtrArray *all)
{
	guint kept = 0;

	g_ptr_array_sort(all, by_process);
	for (guint i = 0; i < all->len; i++) {
		struct bpfrefs_process *process = g_ptr_array_index(all, i);
		struct bpfrefs_process *last = kept ? g_ptr_array_index(all, kept - 1) : NULL;

		if (last && last->pid == process->pid) {
			if (!last->comm)
				last->comm = process->comm;
			continue;
		}
		all->pdata[kept++] = process;
	}
	g_ptr_array_set_size(all, (gint)kept);
}

static void sum_up(struct bpfrefs_snapshot *snap)
{
	for (guint i = 0; i < snap->refs->len; i++) {
		struct bpfrefs_ref *ref = g_ptr_array_index(snap->refs, i);
		struct bpfrefs_object *object = ref->object;

		object->explained += ref->ref;
		object->user_explained += ref->user;
		if (ref->place && ref->class->pub.flags & BPFREFS_CLASS_PIN)
			object->pins++;
		if (ref->owner)
			((struct owner *)snap->owners->pdata[ref->owner - 1])->used = true;
	}
}

/*
 * Sorts by target, then by class; the order within a class is kept. The references are scattered
 * over memory, so that each is read only once.
 */
static void order_refs(struct bpfrefs_snapshot *snap)
{
	GPtrArray *refs = snap->refs;
	g_autofree uint32_t *by_target = g_new0(uint32_t, (size_t)snap->objects->len + 1);
	g_autofree uint64_t *keys = g_new(uint64_t, refs->len);
	g_autofree uint32_t *classed = g_new(uint32_t, refs->len);
	g_autofree gpointer *old = g_memdup2(refs->pdata, refs->len * sizeof(gpointer));
	uint32_t by_class[UINT8_MAX + 2] = { 0 };

	for (guint i = 0; i < refs->len; i++) {
		const struct bpfrefs_ref *ref = old[i];

		keys[i] = (uint64_t)object_inner(ref->object)->index << 8 | ref->class->id;
		by_class[(keys[i] & UINT8_MAX) + 1]++;
		by_target[(keys[i] >> 8) + 1]++;
	}
	for (unsigned int i = 1; i <= UINT8_MAX; i++)
		by_class[i] += by_class[i - 1];
	for (uint32_t i = 1; i <= snap->objects->len; i++)
		by_target[i] += by_target[i - 1];
	for (guint i = 0; i < refs->len; i++)
		classed[by_class[keys[i] & UINT8_MAX]++] = i;
	for (guint i = 0; i < refs->len; i++)
		refs->pdata[by_target[keys[classed[i]] >> 8]++] = old[classed[i]];
}

/* The number of bytes that sorting takes in addition, for each reference, object and process. */
#define ORDER_BYTES 64

int snapshot_freeze(struct bpfrefs_snapshot *snap, int proc_fd)
{
	uint32_t objects = snap->objects->len;
	size_t items = (size_t)objects + snap->refs->len + snap->processes->len;

	if (arena_failed(snap->arena) || !memory_available(items * ORDER_BYTES))
		return -ENOMEM;
	order_objects(snap->objects);
	for (uint32_t i = 0; i < objects; i++)
		object_inner(snap->objects->pdata[i])->index = i;
	order_refs(snap);
	sum_up(snap);
	owners_resolve(snap, proc_fd);
	processes_unique(snap->processes);
	return arena_failed(snap->arena) ? -ENOMEM : 0;
}

/* -------------------------------------------------------------- states --- */

/*
 * Computing the states of the objects takes longer than many queries that do not need them, so the
 * first call that needs them computes them.
 */
static void compute(const struct bpfrefs_snapshot *frozen, bool only_self)
{
	struct bpfrefs_snapshot *snap = (struct bpfrefs_snapshot *)(uintptr_t)frozen;
	gint *found = only_self ? &snap->self_found : &snap->judged;

	if (g_atomic_int_get(found))
		return;
	g_mutex_lock(&snap->judging);
	if (!*found) {
		if (snap->find_states)
			snap->find_states(snap, only_self);
		g_atomic_int_set(&snap->self_found, 1);
		g_atomic_int_set(found, 1);
	}
	g_mutex_unlock(&snap->judging);
}

static void compute_states(const struct bpfrefs_snapshot *snap)
{
	compute(snap, false);
}

/* Lists need only this, to leave out what this process holds for itself. */
static void compute_self(const struct bpfrefs_snapshot *snap)
{
	compute(snap, true);
}

/* -------------------------------------------------------------- query --- */

const struct bpfrefs_snapshot_stats *bpfrefs_snapshot_stats(const struct bpfrefs_snapshot *snap)
{
	return &snap->stats;
}

size_t bpfrefs_snapshot_object_count(const struct bpfrefs_snapshot *snap)
{
	return snap->objects->len;
}

static const void *item(const GPtrArray *array, size_t index)
{
	return index < array->len ? array->pdata[index] : NULL;
}

const struct bpfrefs_object *snapshot_object(const struct bpfrefs_snapshot *snap, size_t index)
{
	compute_states(snap);
	return item(snap->objects, index);
}

const struct bpfrefs_object *bpfrefs_snapshot_find(const struct bpfrefs_snapshot *snap,
						   struct bpfrefs_key key)
{
	compute_states(snap);
	return idmap_get(&snap->by_key, key_number(key));
}

bool bpfrefs_snapshot_has(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key)
{
	return idmap_get(&snap->by_key, key_number(key)) != NULL;
}

size_t bpfrefs_snapshot_ref_count(const struct bpfrefs_snapshot *snap)
{
	return snap->refs->len;
}

const struct bpfrefs_ref *snapshot_ref_at(const struct bpfrefs_snapshot *snap, size_t index)
{
	return item(snap->refs, index);
}

const struct bpfrefs_process *snapshot_process(const struct bpfrefs_snapshot *snap, size_t index)
{
	return item(snap->processes, index);
}

uint32_t snapshot_process_index(const struct bpfrefs_snapshot *snap, uint32_t pid)
{
	uint32_t low = 0, high = snap->processes->len;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct bpfrefs_process *process = snap->processes->pdata[middle];

		if (process->pid == pid)
			return middle;
		if (process->pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return UINT32_MAX;
}

const struct bpfrefs_process *bpfrefs_snapshot_find_pid(const struct bpfrefs_snapshot *snap,
							uint32_t pid)
{
	uint32_t index = snapshot_process_index(snap, pid);

	return index == UINT32_MAX ? NULL : snap->processes->pdata[index];
}

const struct bpfrefs_self *bpfrefs_snapshot_self(const struct bpfrefs_snapshot *snap)
{
	compute_self(snap);
	return &snap->self;
}

bool bpfrefs_snapshot_hides(const struct bpfrefs_snapshot *snap,
			    const struct bpfrefs_object *object)
{
	if (!snap->self.left_out)
		return false;
	compute_self(snap);
	return object->self;
}

bool bpfrefs_snapshot_hides_ref(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref)
{
	return bpfrefs_snapshot_hides(snap, ref->object);
}

bool bpfrefs_snapshot_hides_process(const struct bpfrefs_snapshot *snap, uint32_t pid)
{
	if (!snap->self.left_out || snap->self.pid != pid)
		return false;
	compute_self(snap);
	return snap->self.objects && !snap->self.others;
}

const struct bpfrefs_class_status *snapshot_class(const struct bpfrefs_snapshot *snap, size_t index)
{
	if (index >= snap->classes->len)
		return NULL;
	return &g_array_index(snap->classes, struct bpfrefs_class_status, index);
}

const struct bpfrefs_bpffs *snapshot_bpffs(const struct bpfrefs_snapshot *snap, size_t index)
{
	return item(snap->bpffs, index);
}

const char *bpfrefs_snapshot_pin_path(const struct bpfrefs_snapshot *snap,
				      const struct bpfrefs_ref *ref, uint32_t major, uint32_t minor,
				      uint64_t dir_ino)
{
	struct dir_key key = { major, minor, dir_ino };
	const char *dir, *inner;
	size_t len;

	if (!ref->place || !ref->place->inner || ref->place->major != major ||
	    ref->place->minor != minor)
		return NULL;
	dir = g_hash_table_lookup(snap->dirs, &key);
	if (!dir)
		return NULL;
	inner = ref->place->inner;
	len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
	if (strncmp(inner, dir, len) != 0 || inner[len] != '/')
		return NULL;
	return inner + len + 1;
}

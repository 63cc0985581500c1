/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A scan: the functions with which sources and holder classes add to a snapshot that is being
 * taken.
 */
#include "snapshot/private.h"

#include <errno.h>
#include <string.h>

#include "bpf/records.h"
#include "snapshot/owner.h"
#include "snapshot/snapshot.h"

/* The greatest number of bytes that a hash table needs for one directory. */
#define DIR_BYTES 64

struct scan *scan_new(struct bpfrefs_ctx *ctx, const struct holder_class *const *classes)
{
	struct scan *scan = g_new0(struct scan, 1);

	scan->ctx = ctx;
	scan->classes = classes;
	scan->snap = snapshot_new();
	arena_limit(scan->snap->arena, ctx ? ctx->memory : 0);
	if (ctx)
		scan->snap->self = (struct bpfrefs_self){ .size = sizeof(struct bpfrefs_self),
							  .pid = ctx->self,
							  .left_out = ctx->hide_self };
	for (unsigned int i = 0; classes[i]; i++) {
		struct bpfrefs_class_status status = {
			.size = sizeof(status),
			.class_ = &classes[i]->pub,
			.source = "?",
		};

		g_array_append_val(scan->snap->classes, status);
		if (classes[i]->state)
			scan->states[i] = g_malloc0(classes[i]->state);
	}
	return scan;
}

/* A few more than the last time, so that a new object does not make the array grow. */
static size_t roomy(size_t last)
{
	return last + last / 16 + 64;
}

void scan_reserve(struct scan *scan)
{
	const struct bpfrefs_ctx *ctx = scan->ctx;
	struct bpfrefs_snapshot *snap = scan->snap;

	/*
	 * If there is no room now, there may be when it is needed; otherwise the scan fails then.
	 */
	idmap_reserve(&scan->files, roomy(ctx->last_files));
	idmap_reserve(&snap->by_key, roomy(ctx->last_objects));
	if (!memory_available(4 * sizeof(gpointer) * roomy(ctx->last_refs + ctx->last_objects)))
		return;
	g_ptr_array_unref(snap->refs);
	snap->refs = g_ptr_array_sized_new((guint)roomy(ctx->last_refs));
	g_ptr_array_unref(snap->objects);
	snap->objects = g_ptr_array_sized_new((guint)roomy(ctx->last_objects));
}

void scan_record_sizes(const struct scan *scan)
{
	scan->ctx->last_files = scan->files.count;
	scan->ctx->last_objects = scan->snap->objects->len;
	scan->ctx->last_refs = scan->snap->refs->len;
}

struct bpfrefs_snapshot *scan_finish(struct scan *scan)
{
	struct bpfrefs_snapshot *snap = scan->snap;

	/* The sentences on states are added later, and the limit is only for the scan. */
	arena_limit(snap->arena, 0);
	idmap_clear(&scan->files);
	for (unsigned int kind = 0; kind < OWNER_KINDS; kind++)
		idmap_clear(&scan->owners[kind]);
	for (unsigned int i = 0; scan->classes[i]; i++) {
		if (scan->classes[i]->end)
			scan->classes[i]->end(scan->states[i]);
		g_free(scan->states[i]);
	}
	g_free(scan);
	return snap;
}

int scan_failed(const struct scan *scan)
{
	return arena_failed(scan->snap->arena) ? -ENOMEM : 0;
}

int scan_charge(struct scan *scan, size_t size)
{
	arena_charge(scan->snap->arena, size);
	return scan_failed(scan);
}

/* Whether an array can grow by one item; @count arrays will get that item. */
static bool can_add(struct scan *scan, const GPtrArray *array, unsigned int count)
{
	if (!memory_can_grow(array->len * sizeof(gpointer), sizeof(gpointer)))
		arena_fail(scan->snap->arena);
	return scan_charge(scan, count * sizeof(gpointer)) == 0;
}

void *scan_state(struct scan *scan, const struct holder_class *class)
{
	return scan->states[class->id];
}

const struct holder_class *scan_set_class(struct scan *scan, const struct holder_class *class)
{
	const struct holder_class *before = scan->class;

	scan->class = class;
	return before;
}

static struct bpfrefs_class_status *status_of(struct scan *scan)
{
	return &g_array_index(scan->snap->classes, struct bpfrefs_class_status, scan->class->id);
}

/*
 * The kernel aligns these objects, so the lower bits of an address are shifted out. Files that are
 * close to each other in memory are close to each other in the table then.
 */
static uint64_t file_key(uint64_t identity)
{
	return identity >> 6 | identity << 58;
}

void scan_prefetch_file(const struct scan *scan, uint64_t identity)
{
	idmap_prefetch(&scan->files, file_key(identity));
}

bool scan_file(struct scan *scan, uint64_t identity, uint32_t *token)
{
	uint64_t key = file_key(identity);
	struct idmap_entry *place = idmap_place(&scan->files, key);

	if (place && place->value) {
		*token = GPOINTER_TO_UINT(place->value);
		return false;
	}
	*token = (uint32_t)scan->files.count + 1;
	if (!place)
		arena_fail(scan->snap->arena);
	else if (scan_charge(scan, sizeof(*place)) == 0)
		idmap_fill(&scan->files, place, key, GUINT_TO_POINTER(*token));
	return true;
}

const char *scan_str(struct scan *scan, const char *str)
{
	return arena_str(scan->snap->arena, str);
}

struct bpfrefs_object *scan_object(struct scan *scan, struct bpfrefs_key key)
{
	return idmap_get(&scan->snap->by_key, key_number(key));
}

struct bpfrefs_object *scan_object_add(struct scan *scan, struct bpfrefs_key key)
{
	struct idmap *by_key = &scan->snap->by_key;
	struct idmap_entry *place = idmap_place(by_key, key_number(key));
	struct bpfrefs_object *object;
	struct object *added;

	if (place && place->value)
		return place->value;
	if (!place)
		arena_fail(scan->snap->arena);
	added = can_add(scan, scan->snap->objects, 1)
			? arena_alloc(scan->snap->arena, sizeof(*added))
			: NULL;
	if (!place || !added)
		return &scan->spare.pub;
	object = &added->pub;
	idmap_fill(by_key, place, key_number(key), object);
	object->size = sizeof(*object);
	object->key = key;
	object->refcnt = BPFREFS_UNKNOWN;
	object->usercnt = key.kind == BPFREFS_KIND_MAP ? BPFREFS_UNKNOWN : 0;
	/* The kernel charges nobody for links and BTFs: see bpfrefs(5), "retains". */
	object->memlock =
		key.kind == BPFREFS_KIND_LINK || key.kind == BPFREFS_KIND_BTF ? 0 : BPFREFS_UNKNOWN;
	added->index = scan->snap->objects->len;
	g_ptr_array_add(scan->snap->objects, object);
	return object;
}

struct bpfrefs_ref *scan_add(struct scan *scan, struct bpfrefs_key target, uint32_t ref,
			     uint32_t user)
{
	struct bpfrefs_object *object = scan_object(scan, target);
	struct bpfrefs_ref *result;
	size_t keys = 0;

	/* freezing adds it to three more arrays */
	if (!object || !can_add(scan, scan->snap->refs, 4))
		return NULL;
	while (keys < REF_FIELDS_MAX && scan->class->pub.keys[keys])
		keys++;
	result = arena_alloc(scan->snap->arena, sizeof(*result) + keys * sizeof(result->values[0]));
	if (!result)
		return NULL;
	result->target = target;
	result->object = object;
	result->holder.kind = BPFREFS_KIND_NONE;
	result->class = scan->class;
	result->via = WALK_VIA_NONE;
	result->keys = (uint8_t)keys;
	result->ref = ref;
	result->user = user;
	g_ptr_array_add(scan->snap->refs, result);
	status_of(scan)->refs++;
	return result;
}

enum { HELD_FIELDS(HOLDER_FIELD_INDEX) };

struct bpfrefs_ref *scan_add_held(struct scan *scan, struct bpfrefs_key target, uint32_t ref,
				  uint32_t user, struct bpfrefs_key holder, unsigned int via)
{
	struct bpfrefs_ref *result = scan_add(scan, target, ref, user);
	const struct bpfrefs_object *object = scan->last_holder;

	if (!result)
		return NULL;
	/* The references of one holder are added one after another. */
	if (!object || bpfrefs_key_compare(object->key, holder) != 0)
		object = scan->last_holder = scan_object(scan, holder);
	result->holder = holder;
	ref_set_num(result, HELD_ID, holder.id);
	if (!object && scan->name_of)
		ref_set_static(result, HELD_NAME, scan->name_of(scan, holder));
	else
		ref_set_static(result, HELD_NAME, object ? object->name : NULL);
	ref_set_via(result, HELD_VIA, via);
	return result;
}

/* Returns whether this process lacked something: the next scan may read all. */
static bool is_shortage(int error)
{
	return error == ENOMEM || error == EMFILE || error == ENFILE;
}

void scan_gap(struct scan *scan, uint32_t count, const char *what, int error)
{
	struct bpfrefs_class_status *status = status_of(scan);

	if (status->coverage == BPFREFS_COVERAGE_UNAVAILABLE)
		return;
	if (status->coverage == BPFREFS_COVERAGE_COMPLETE ||
	    (is_shortage(error) && !is_shortage(status->error))) {
		if (g_strcmp0(status->what, what) != 0)
			status->count = 0;
		status->coverage = BPFREFS_COVERAGE_PARTIAL;
		status->what = scan_str(scan, what);
		status->error = error;
	}
	/* Only one reason is shown, so only items of the same kind are counted. */
	if (g_strcmp0(status->what, what) == 0)
		status->count += count;
}

void scan_unavailable(struct scan *scan, const char *why, int error)
{
	struct bpfrefs_class_status *status = status_of(scan);

	status->coverage = BPFREFS_COVERAGE_UNAVAILABLE;
	status->what = scan_str(scan, why);
	status->error = error;
}

void scan_source(struct scan *scan, const char *source)
{
	status_of(scan)->source = source;
}

void scan_process(struct scan *scan, uint32_t pid, const char *comm)
{
	struct bpfrefs_process *process;
	GPtrArray *all = scan->snap->processes;

	/* Sources add a process once for each object that it holds, one after another. */
	if (all->len) {
		process = g_ptr_array_index(all, all->len - 1);
		if (process->pid == pid)
			return;
	}
	if (!can_add(scan, all, 1))
		return;
	process = arena_alloc(scan->snap->arena, sizeof(*process));
	if (!process)
		return;
	process->size = sizeof(*process);
	process->pid = pid;
	process->comm = scan_str(scan, comm);
	g_ptr_array_add(all, process);
}

static struct bpfrefs_bpffs *bpffs_find(struct scan *scan, uint32_t major, uint32_t minor)
{
	GPtrArray *all = scan->snap->bpffs;

	for (unsigned int i = 0; i < all->len; i++) {
		struct bpfrefs_bpffs *bpffs = g_ptr_array_index(all, i);

		if (bpffs->major == major && bpffs->minor == minor)
			return bpffs;
	}
	return NULL;
}

void scan_bpffs(struct scan *scan, uint32_t major, uint32_t minor, uint64_t pins, bool attached)
{
	struct bpfrefs_bpffs *bpffs = bpffs_find(scan, major, minor);

	if (!bpffs) {
		bpffs = arena_alloc(scan->snap->arena, sizeof(*bpffs));
		if (!bpffs)
			return;
		bpffs->size = sizeof(*bpffs);
		bpffs->major = major;
		bpffs->minor = minor;
		g_ptr_array_add(scan->snap->bpffs, bpffs);
	}
	bpffs->pins = pins;
	bpffs->attached = attached;
}

void scan_bpffs_mount(struct scan *scan, uint32_t major, uint32_t minor,
		      const struct bpfrefs_mount *mount)
{
	struct bpfrefs_bpffs *bpffs = bpffs_find(scan, major, minor);
	size_t count = bpffs ? bpffs->mount_count : 0;
	const struct bpfrefs_mount **mounts;
	struct bpfrefs_mount *copy;

	if (!bpffs)
		return;
	mounts = (const struct bpfrefs_mount **)bpffs->mounts;
	if ((count & (count - 1)) == 0) { /* full: there is room for 1, 2, 4 and so on */
		mounts = arena_alloc(scan->snap->arena, MAX(2 * count, 1) * sizeof(*mounts));
		if (!mounts)
			return;
		if (count)
			memcpy(mounts, bpffs->mounts, count * sizeof(*mounts));
		bpffs->mounts = mounts;
	}
	copy = arena_alloc(scan->snap->arena, sizeof(*copy));
	if (!copy)
		return;
	*copy = *mount;
	copy->size = sizeof(*copy);
	copy->path = scan_str(scan, mount->path);
	mounts[count] = copy;
	bpffs->mount_count++;
}

void scan_bpffs_options(struct scan *scan, uint32_t major, uint32_t minor, const char *options)
{
	struct bpfrefs_bpffs *bpffs = bpffs_find(scan, major, minor);

	if (bpffs && options)
		bpffs->options = scan_str(scan, options);
}

void scan_bpffs_pids(struct scan *scan, uint32_t major, uint32_t minor, const uint32_t *pids,
		     size_t count)
{
	struct bpfrefs_bpffs *bpffs = bpffs_find(scan, major, minor);
	uint32_t *copy = arena_alloc(scan->snap->arena, (count + 1) * sizeof(*copy));

	if (!bpffs || !copy)
		return;
	if (count)
		memcpy(copy, pids, count * sizeof(*copy));
	bpffs->pids = copy;
	bpffs->pid_count = count;
}

void scan_bpffs_dir(struct scan *scan, uint32_t major, uint32_t minor, uint64_t ino,
		    const char *inner)
{
	struct dir_key *key = arena_alloc(scan->snap->arena, sizeof(*key));

	if (!key || scan_charge(scan, DIR_BYTES))
		return;
	*key = (struct dir_key){ major, minor, ino };
	g_hash_table_replace(scan->snap->dirs, key, (gpointer)scan_str(scan, inner));
}

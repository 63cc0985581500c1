/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory that is charged for objects, which is read for the files that show it, not by scans. */
#include <linux/bpf.h>

#include "snapshot/private.h"

/*
 * Returns whether the memory of an object cannot change: that of programs, and of the types of maps
 * whose map_mem_usage does not depend on what they contain.
 */
static bool is_constant(const struct bpfrefs_object *object)
{
	if (object->key.kind == BPFREFS_KIND_PROG)
		return true;
	switch (object->type_number) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PROG_ARRAY:
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_CGROUP_ARRAY:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_QUEUE:
	case BPF_MAP_TYPE_STACK:
		return object->key.kind == BPFREFS_KIND_MAP;
	default:
		return false;
	}
}

/*
 * Called with ctx->lock held. To read it takes a descriptor, which is a user reference of a map. If
 * the user state of a map has been cleared, closing that would clear it once more, so it stays
 * unknown then. No program array is opened, since that may make the kernel lose a reference to it
 * (prog_array_memlock() in lib/bpf/objects.bpf.c).
 */
static uint64_t memlock_of(struct bpfrefs_ctx *ctx, const struct bpfrefs_object *object)
{
	void *cached;

	if (object->memlock != BPFREFS_UNKNOWN)
		return object->memlock;
	cached = idmap_get(&ctx->memlock, key_number(object->key));
	if (cached)
		return (uint64_t)(uintptr_t)cached;
	if (!ctx->source->memlock || (object->user_state && !object->usercnt) ||
	    (object->key.kind == BPFREFS_KIND_MAP &&
	     object->type_number == BPF_MAP_TYPE_PROG_ARRAY))
		return BPFREFS_UNKNOWN;
	return ctx->source->memlock(ctx, object->key);
}

uint64_t bpfrefs_memlock(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
			 struct bpfrefs_key key)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, key);
	uint64_t bytes;

	if (!object)
		return BPFREFS_UNKNOWN;
	ctx_lock(ctx);
	bytes = memlock_of(ctx, object);
	g_mutex_unlock(&ctx->lock);
	return bytes;
}

int bpfrefs_snapshot_memlock(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
			     uint64_t **bytes)
{
	uint64_t *all = memory_try((size_t)snap->objects->len + 1, sizeof(*all));
	/* what is constant, of the objects that still exist */
	struct idmap constant = { 0 };

	if (!all)
		return -ENOMEM;
	ctx_lock(ctx);
	for (guint i = 0; i < snap->objects->len; i++) {
		const struct bpfrefs_object *object = snap->objects->pdata[i];

		all[i] = memlock_of(ctx, object);
		/* what cannot be kept for lack of memory is read again the next time */
		if (is_constant(object) && all[i] && all[i] < UINTPTR_MAX)
			idmap_set(&constant, key_number(object->key), (void *)(uintptr_t)all[i]);
	}
	idmap_clear(&ctx->memlock);
	ctx->memlock = constant;
	g_mutex_unlock(&ctx->lock);
	*bytes = all;
	return 0;
}

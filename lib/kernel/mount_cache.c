/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/mount_cache.h"

#include <string.h>

#include "kernel/pin_tree.h"

/* One root directory in one mount namespace; this process has root 0. */
struct mount_view {
	uint64_t root_mount, root;
	uint32_t ns, pad;
};

struct cached {
	struct mount_view view;
	uint64_t version;
	uint64_t used; /* the number of the last full scan that used it */
	GPtrArray *mounts;
};

struct mount_cache {
	GHashTable *views;    /* struct mount_view -> owned struct cached, which begins with it */
	GHashTable *versions; /* namespace -> owned uint64_t, 0: unknown; of the current scan */
	uint64_t scans;	      /* the number of full scans */
};

static guint view_hash(gconstpointer data)
{
	const struct mount_view *view = data;

	return (guint)((view->root_mount ^ view->root) >> 6) * 31 + view->ns;
}

static gboolean view_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(struct mount_view)) == 0;
}

static void cached_free(gpointer data)
{
	struct cached *cached = data;

	g_ptr_array_unref(cached->mounts);
	g_free(cached);
}

static struct mount_cache *cache_new(void)
{
	struct mount_cache *cache = g_new0(struct mount_cache, 1);

	cache->views = g_hash_table_new_full(view_hash, view_equal, NULL, cached_free);
	cache->versions = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return cache;
}

void mount_cache_free(struct mount_cache *cache)
{
	if (!cache)
		return;
	g_hash_table_unref(cache->views);
	g_hash_table_unref(cache->versions);
	g_free(cache);
}

/* The version of a namespace is the sum of those of its mounts of bpffs, in whatever order. */
static void add_version(struct mount_cache *cache, const struct pin_mount *mount)
{
	gpointer key = GUINT_TO_POINTER(mount->mnt_ns);
	uint64_t *version = g_hash_table_lookup(cache->versions, key);

	if (!version) {
		version = g_new(uint64_t, 1);
		*version = mount->version;
		g_hash_table_insert(cache->versions, key, version);
	} else if (*version && mount->version) {
		*version += mount->version;
	} else {
		*version = 0;
	}
}

static gboolean is_unused(gpointer key, gpointer value, gpointer data)
{
	const struct cached *cached = value;
	const struct mount_cache *cache = data;

	(void)key;
	return cached->used < cache->scans;
}

void mount_cache_begin(struct scan *scan)
{
	const struct walk_state *state = walk_state_of(scan);
	struct mount_cache *cache = scan->ctx->mount_cache;

	if (!cache)
		cache = scan->ctx->mount_cache = cache_new();
	if (!state->one) {
		g_hash_table_foreach_remove(cache->views, is_unused, cache);
		cache->scans++;
	}
	g_hash_table_remove_all(cache->versions);
	for (guint i = 0; i < state->pins->supers->len; i++) {
		const struct pin_super *super = g_ptr_array_index(state->pins->supers, i);

		for (guint j = 0; j < super->mounts->len; j++)
			add_version(cache, &g_array_index(super->mounts, struct pin_mount, j));
	}
}

static uint64_t version_of(const struct mount_cache *cache, uint32_t ns)
{
	const uint64_t *version = g_hash_table_lookup(cache->versions, GUINT_TO_POINTER(ns));

	return version ? *version : 0;
}

/*
 * Adds what was read after its version was. If the mounts changed in between, they have another
 * version in the next scan.
 */
static void store(struct mount_cache *cache, const struct mount_view *view, uint64_t version,
		  GPtrArray *mounts)
{
	struct cached *cached = g_new(struct cached, 1);

	cached->view = *view;
	cached->version = version;
	cached->used = cache->scans;
	cached->mounts = g_ptr_array_ref(mounts);
	g_hash_table_replace(cache->views, &cached->view, cached);
}

GPtrArray *mount_cache_get(struct scan *scan, uint32_t ns, const struct walk_root *root)
{
	struct mount_cache *cache = scan->ctx->mount_cache;
	const struct mount_view view = {
		.root_mount = root ? root->mount : 0,
		.root = root ? root->dentry : 0,
		.ns = ns,
	};
	struct cached *cached = g_hash_table_lookup(cache->views, &view);
	/* Of a task whose root directory was not read, it may be any. */
	uint64_t version = root && !root->dentry ? 0 : version_of(cache, ns);
	GPtrArray *mounts = NULL;

	if (cached && version && cached->version == version) {
		cached->used = cache->scans;
		return g_ptr_array_ref(cached->mounts);
	}
	if (mounts_read(scan->ctx->proc_fd, root ? root->pid : 0, &mounts) != 0)
		return NULL;
	if (version)
		store(cache, &view, version, mounts);
	return mounts;
}

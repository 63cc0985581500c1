/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The paths of cgroups by their ids, in which the BPF source finds the processes. The v2 hierarchy
 * has no rename(2), so that each path is read once: reading /proc/PID/cgroup of each process would
 * take longer than a scan.
 */
#include "snapshot/cgroup_paths.h"

#include "procfs/locations.h"

/* Shared by a context and its snapshots, and only ever added to, in scans. */
struct cgroup_paths {
	struct idmap by_id; /* id of a cgroup -> path in @text */
	GStringChunk *text;
	struct locations *locations; /* by which they are found; NULL: not needed yet */
	bool unavailable;	     /* they cannot be found by their ids */
};

/* Ids are not used again, so those of removed cgroups add up: then a context begins anew. */
#define PATHS_MAX 16384

static void paths_clear(void *data)
{
	struct cgroup_paths *paths = data;

	idmap_clear(&paths->by_id);
	g_string_chunk_free(paths->text);
	locations_free(paths->locations);
}

void cgroup_paths_unref(struct cgroup_paths *paths)
{
	g_atomic_rc_box_release_full(paths, paths_clear);
}

void cgroup_paths_share(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot *snap)
{
	if (ctx->paths && ctx->paths->by_id.count > PATHS_MAX)
		g_clear_pointer(&ctx->paths, cgroup_paths_unref);
	if (!ctx->paths) {
		ctx->paths = g_atomic_rc_box_new0(struct cgroup_paths);
		ctx->paths->text = g_string_chunk_new(4096);
	}
	snap->paths = g_atomic_rc_box_acquire(ctx->paths);
}

static char *path_read(const struct bpfrefs_ctx *ctx, struct cgroup_paths *paths, uint64_t id)
{
	g_autofree char *path = NULL;
	char *copy = NULL;
	int err;

	if (paths->unavailable)
		return NULL;
	if (!paths->locations)
		paths->locations = locations_new(ctx->proc_fd);
	err = locations_cgroup(paths->locations, id, &path);
	if (!err)
		copy = g_string_chunk_insert(paths->text, path);
	else /* these are errors of this cgroup alone */
		paths->unavailable = err != -ESTALE && err != -EXDEV && err != -ENAMETOOLONG;
	return copy && idmap_set(&paths->by_id, id, copy) ? copy : NULL;
}

void cgroup_paths_add(struct scan *scan, uint32_t pid, uint64_t cgroup)
{
	struct bpfrefs_snapshot *snap = scan->snap;
	char *path;

	if (!cgroup || !snap->paths)
		return;
	path = idmap_get(&snap->paths->by_id, cgroup);
	if (!path)
		path = path_read(scan->ctx, snap->paths, cgroup);
	if (path)
		idmap_set(&snap->placed, pid, path); /* without memory, procfs has it */
}

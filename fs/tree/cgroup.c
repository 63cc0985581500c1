/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directories of .bpf/cgroup, one for each cgroup of the v2 hierarchy in which, or below which,
 * processes hold objects. A cgroup is identified by a hash of its path, so that no table of paths
 * has to be kept, and lookup, readdir and open agree. Nobody can choose names whose hashes collide,
 * since a random key is part of the hash.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tree/node.h"

#define CGROUP_ROOT 0

/* --------------------------------------------------------------- names --- */

static bool is_file(const struct node *table, const char *name)
{
	for (const struct node *row = table; row->mode; row++)
		if (row->in == DIR_CGROUP && row->name && strcmp(row->name, name) == 0)
			return true;
	return false;
}

/*
 * As systemd does, a cgroup whose name is that of a file here gets an underscore in front of it; and
 * so that no two names become the same, one with underscores in front of such a name gets one more.
 */
static bool is_escaped(const struct node *table, const char *name)
{
	return is_file(table, name + strspn(name, "_"));
}

static char *name_shown(const struct node *table, const char *name)
{
	return g_strconcat(is_escaped(table, name) ? "_" : "", name, NULL);
}

/* ------------------------------------------------------------- numbers --- */

static uint64_t hash_child(const struct fs *fs, uint64_t parent, const char *name, size_t len)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	union {
		uint8_t bytes[32];
		uint64_t number;
	} digest;
	gsize size = sizeof(digest.bytes);

	g_checksum_update(sum, fs->cgroup_key, sizeof(fs->cgroup_key));
	g_checksum_update(sum, (const guchar *)&parent, sizeof(parent));
	g_checksum_update(sum, (const guchar *)name, (gssize)len);
	g_checksum_get_digest(sum, digest.bytes, &size);
	return MAX(digest.number & NODE_CGROUP_MAX, CGROUP_ROOT + 1);
}

uint64_t cgroup_child(const struct node *table, const struct fs *fs, uint64_t parent,
		      const char *name)
{
	if (*name == '_' && is_escaped(table, name))
		name++;
	return hash_child(fs, parent, name, strlen(name));
}

/* The next component of a path, which begins at *@path; its length, or 0 at the end of the path. */
static size_t component(const char **path)
{
	*path += strspn(*path, "/");
	return strcspn(*path, "/");
}

/* Returns the part of @path that is the cgroup @wanted, owned; or NULL. */
static char *prefix_of(const struct fs *fs, const char *path, uint64_t wanted)
{
	uint64_t cgroup = CGROUP_ROOT;
	const char *at = path;
	size_t len;

	while ((len = component(&at))) {
		cgroup = hash_child(fs, cgroup, at, len);
		at += len;
		if (cgroup == wanted)
			return g_strndup(path, (gsize)(at - path));
	}
	return NULL;
}

/*
 * Calls @fn for each different cgroup of the processes, until it returns a text. @all: also of this
 * daemon if lists leave it out.
 */
static char *each_path(const struct bpfrefs_snapshot *snap, bool all,
		       char *(*fn)(const char *path, void *data), void *data)
{
	/* Most paths are in the snapshot once, so that comparing pointers saves most calls. */
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	struct bpfrefs_filter filter = { .size = sizeof(filter), .hide_self = !all };
	const struct bpfrefs_process *process;
	selection_auto *processes = NULL;
	char *found = NULL;

	bpfrefs_select_processes(snap, &filter, &processes);
	while (!found && (process = bpfrefs_next_process(processes))) {
		const char *path = bpfrefs_process_cgroup(snap, process->pid);

		if (path && g_hash_table_add(seen, (gpointer)path))
			found = fn(path, data);
	}
	return found;
}

struct wanted {
	const struct fs *fs;
	uint64_t cgroup;
};

static char *match(const char *path, void *data)
{
	const struct wanted *wanted = data;

	return prefix_of(wanted->fs, path, wanted->cgroup);
}

char *cgroup_path(const struct fs *fs, const struct bpfrefs_snapshot *snap, uint64_t cgroup)
{
	struct wanted wanted = { fs, cgroup };

	return cgroup == CGROUP_ROOT ? g_strdup("/") : each_path(snap, true, match, &wanted);
}

uint64_t cgroup_parent(struct fs *fs, uint64_t cgroup)
{
	uint64_t parent = CGROUP_ROOT, at = CGROUP_ROOT;
	g_autofree char *path = NULL;
	struct bpfrefs_snapshot *snap;
	const char *name;
	size_t len;

	if (view_recent(fs->view, &snap) != 0)
		return CGROUP_ROOT;
	path = cgroup_path(fs, snap, cgroup);
	bpfrefs_snapshot_unref(snap);
	for (name = path ? path : ""; (len = component(&name)); name += len) {
		parent = at;
		at = hash_child(fs, at, name, len);
	}
	return parent;
}

/* ----------------------------------------------------------- existence --- */

/* Whether /proc still shows one of the processes that hold objects there. */
static bool is_populated(const struct bpfrefs_snapshot *snap, const char *path)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .cgroup = path };
	const struct bpfrefs_process *process;
	selection_auto *processes = NULL;
	bool found = false;

	bpfrefs_select_processes(snap, &filter, &processes);
	while (!found && (process = bpfrefs_next_process(processes)))
		found = pid_is_shown(process->pid, -1);
	return found;
}

int cgroup_exists(struct fs *fs, uint64_t cgroup)
{
	g_autofree char *recent = NULL, *fresh = NULL;
	struct bpfrefs_snapshot *snap;
	bool populated;
	int err;

	if (cgroup == CGROUP_ROOT)
		return 0;
	err = view_recent(fs->view, &snap);
	if (err)
		return err;
	recent = cgroup_path(fs, snap, cgroup);
	populated = recent && is_populated(snap, recent);
	bpfrefs_snapshot_unref(snap);
	if (populated)
		return 0;
	err = view_fresh(fs->view, &snap);
	if (err)
		return err;
	fresh = cgroup_path(fs, snap, cgroup);
	err = fresh ? 0 : view_missing(snap);
	bpfrefs_snapshot_unref(snap);
	return err;
}

/* ------------------------------------------------------------- listing --- */

struct cgroup_dir {
	const char *path;  /* of the parent */
	GHashTable *names; /* of the children */
};

static char *add_child(const char *path, void *data)
{
	struct cgroup_dir *dir = data;
	size_t len;

	if (!bpfrefs_cgroup_contains(dir->path, path))
		return NULL;
	path += strlen(dir->path);
	len = component(&path);
	if (len)
		g_hash_table_add(dir->names, g_strndup(path, len));
	return NULL;
}

static int by_number(gconstpointer a, gconstpointer b)
{
	const struct cgroup_name *x = a, *y = b;

	return x->cgroup < y->cgroup ? -1 : x->cgroup > y->cgroup;
}

static void clear_name(gpointer data)
{
	g_free(((struct cgroup_name *)data)->name);
}

GArray *cgroup_children(const struct node *table, const struct fs *fs,
			const struct bpfrefs_snapshot *snap, uint64_t parent)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *path = cgroup_path(fs, snap, parent);
	struct cgroup_dir dir = { path, names };
	GArray *found = g_array_new(FALSE, FALSE, sizeof(struct cgroup_name));
	GHashTableIter iter;
	gpointer name;

	g_array_set_clear_func(found, clear_name);
	if (path)
		each_path(snap, false, add_child, &dir);
	g_hash_table_iter_init(&iter, names);
	while (g_hash_table_iter_next(&iter, &name, NULL)) {
		struct cgroup_name child = { hash_child(fs, parent, name, strlen(name)),
					     name_shown(table, name) };

		g_array_append_val(found, child);
	}
	g_array_sort(found, by_number);
	return found;
}

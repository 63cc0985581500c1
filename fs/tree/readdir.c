/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listings of virtual directories. A cookie is enough to continue, because ids, and the numbers of
 * cgroups, are listed in ascending order. Nothing is stored between two reads, and an entry that exists all the time is
 * listed exactly once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "tree/node.h"

/* The inode number of the mount's root, which is the parent of .bpf. */
#define MIRROR_ROOT 1

/*
 * Directory cookies: "." and "..", then one for each row, then objects, processes, descriptors or
 * cgroups by id.
 */
#define COOKIE_DOT    1
#define COOKIE_DOTDOT 2
#define COOKIE_ROWS   3
#define COOKIE_IDS    ((off_t)1 << 32)

struct listing {
	const struct node *table;
	struct where dir; /* the directory that is listed */
	off_t after;	  /* the cookie after which to continue */
	dir_fill fill;
	void *data;
};

/* Adds one entry. Returns false if the buffer is full. */
static bool list_one(struct listing *list, const char *name, const struct where *w, off_t cookie)
{
	struct entry entry;

	node_entry(list->table, w, &entry);
	return list->fill(list->data, name, &entry, cookie);
}

/* Finds the parent of *dir. Returns false if that is the root of the mirror. */
static bool ascend(const struct node *table, const struct where *dir, struct where *parent)
{
	*parent = *dir;
	for (const struct node *row = table; row->mode; row++) {
		if (row->opens != dir->row->in || row->opens == DIR_NONE)
			continue;
		/* The directories of objects of all kinds open the same DIR_OBJECT. */
		if (!row->name && node_dir_has_key(row->in) && row->kind != dir->key.kind)
			continue;
		parent->row = row;
		if (dir->row->in != DIR_CGROUP)
			return true;
		parent->cgroup = cgroup_parent(dir->fs, dir->cgroup);
		/* The first row that opens such a directory is .bpf/cgroup itself. */
		if (parent->cgroup)
			parent->row = dir->row;
		return true;
	}
	return false;
}

static bool list_dots(struct listing *list)
{
	struct entry root = { .ino = MIRROR_ROOT,
			      .attr = { .st_ino = MIRROR_ROOT, .st_mode = S_IFDIR } };
	struct where parent;

	if (list->after < COOKIE_DOT && !list_one(list, ".", &list->dir, COOKIE_DOT))
		return false;
	if (list->after >= COOKIE_DOTDOT)
		return true;
	if (ascend(list->table, &list->dir, &parent))
		return list_one(list, "..", &parent, COOKIE_DOTDOT);
	return list->fill(list->data, "..", &root, COOKIE_DOTDOT);
}

static bool list_rows(struct listing *list)
{
	for (const struct node *row = list->table; row->mode; row++) {
		off_t cookie = COOKIE_ROWS + (row - list->table);
		struct where w = list->dir;

		if (cookie <= list->after || !row->name || row->unlisted)
			continue;
		if (!node_row_in(row, &list->dir))
			continue;
		w.row = row;
		if (row->exists && !row->exists(&w))
			continue;
		if (!list_one(list, row->name, &w, cookie))
			return false;
	}
	return true;
}

static bool list_number(struct listing *list, const struct where *w, uint32_t number)
{
	char name[16];

	snprintf(name, sizeof(name), "%" PRIu32, number);
	return list_one(list, name, w, COOKIE_IDS + number);
}

/* @snap: NULL, or a snapshot that has what the list leaves out. */
static bool is_left_out(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key)
{
	const struct bpfrefs_object *object = snap ? bpfrefs_snapshot_find(snap, key) : NULL;

	return object && bpfrefs_snapshot_hides(snap, object);
}

static int list_objects_but(struct listing *list, struct where *w, uint32_t after,
			    const struct bpfrefs_snapshot *snap)
{
	int err;

	w->key.kind = w->row->kind;
	for (w->key.id = after; w->key.id < INT32_MAX;) {
		err = bpfrefs_next_id(w->fs->ctx, w->key.kind, w->key.id, &w->key.id);
		if (err)
			return err == -ENOENT ? 0 : err;
		if (!is_left_out(snap, w->key) && !list_number(list, w, w->key.id))
			return 0;
	}
	return 0;
}

/*
 * What the daemon itself holds is known by a snapshot of the last second. If there is not enough
 * memory for one, it is listed, too.
 */
static int list_objects(struct listing *list, struct where *w, uint32_t after)
{
	struct bpfrefs_snapshot *snap = NULL;
	int err;

	if (!w->fs->opt.self_show && view_recent(w->fs->view, &snap) != 0)
		snap = NULL;
	err = list_objects_but(list, w, after, snap);
	bpfrefs_snapshot_unref(snap);
	return err;
}

/* Returns 0, or an error of view_shortage() and drops the snapshot. */
static int whole(struct bpfrefs_snapshot *snap)
{
	int err = view_shortage(snap);

	if (err)
		bpfrefs_snapshot_unref(snap);
	return err;
}

/*
 * The first part of the listing of all processes, or of the root of the cgroups, uses a new snapshot. The
 * next parts, and the cgroups below, may use one of the last second: a walk over the whole hierarchy would
 * scan twice for each of its directories.
 */
static int list_snapshot(const struct listing *list, struct bpfrefs_snapshot **snap)
{
	struct view *view = list->dir.fs->view;
	bool first = list->after == 0 && list->dir.cgroup == 0;
	int err = first ? view_get(view, snap) : view_recent(view, snap);

	return err ? err : whole(*snap);
}

static int list_pids(struct listing *list, struct where *w, int64_t after)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .hide_self = true };
	const struct bpfrefs_process *process;
	selection_auto *processes = NULL;
	struct bpfrefs_snapshot *snap;
	int err = list_snapshot(list, &snap);

	if (err)
		return err;
	err = bpfrefs_select_processes(snap, &filter, &processes);
	while ((process = bpfrefs_next_process(processes))) {
		w->pid = process->pid;
		if (w->pid > after && w->pid <= NODE_PID_MAX && !list_number(list, w, w->pid))
			break;
	}
	bpfrefs_snapshot_unref(snap);
	return err;
}

static int list_cgroups(struct listing *list, struct where *w, int64_t after)
{
	g_autoptr(GArray) children = NULL;
	struct bpfrefs_snapshot *snap;
	int err = list_snapshot(list, &snap);

	if (err)
		return err;
	children = cgroup_children(list->table, w->fs, snap, w->cgroup);
	for (guint i = 0; i < children->len; i++) {
		const struct cgroup_name *child = &g_array_index(children, struct cgroup_name, i);

		w->cgroup = child->cgroup;
		if ((int64_t)child->cgroup > after &&
		    !list_one(list, child->name, w, COOKIE_IDS + (off_t)child->cgroup))
			break;
	}
	bpfrefs_snapshot_unref(snap);
	return 0;
}

/* The snapshot for a process's descriptors: one of the last second if nothing has changed since. */
static int fds_snapshot(const struct listing *list, struct bpfrefs_snapshot **snap)
{
	struct view *view = list->dir.fs->view;
	int err = view_recent(view, snap);

	if (err || list->after >= COOKIE_IDS || pid_is_unchanged(*snap, list->dir.pid))
		return err;
	bpfrefs_snapshot_unref(*snap);
	err = view_get(view, snap);
	return err ? err : whole(*snap);
}

static int list_fds(struct listing *list, struct where *w, int64_t after)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .pid = w->pid };
	const struct bpfrefs_descriptor *found;
	struct bpfrefs_snapshot *snap;
	selection_auto *fds = NULL;
	int err = fds_snapshot(list, &snap);

	if (err)
		return err;
	err = bpfrefs_select_descriptors(snap, &filter, &fds);
	while ((found = bpfrefs_next_descriptor(fds))) {
		w->fd = found->fd;
		if (w->fd > after && w->fd <= NODE_FD_MAX && !list_number(list, w, w->fd))
			break;
	}
	bpfrefs_snapshot_unref(snap);
	return err;
}

/* Lists the entries of a directory whose names are numbers or cgroups, if it has any. */
static int list_numbers(struct listing *list)
{
	int64_t after = list->after < COOKIE_IDS ? -1 : list->after - COOKIE_IDS;
	struct where w = list->dir;

	for (w.row = list->table; w.row->mode; w.row++)
		if (!w.row->name && node_row_in(w.row, &list->dir))
			break;
	if (!w.row->mode)
		return 0;
	if (w.row->in == DIR_PIDS)
		return list_pids(list, &w, after);
	if (w.row->in == DIR_FDS)
		return list_fds(list, &w, after);
	if (w.row->in == DIR_CGROUP)
		return list_cgroups(list, &w, after);
	return list_objects(list, &w, after < 0 ? 0 : (uint32_t)after);
}

int node_readdir(const struct node *table, struct fs *fs, uint64_t ino, off_t cookie, dir_fill fill,
		 void *data)
{
	struct listing list = { .table = table, .after = cookie, .fill = fill, .data = data };
	int err = node_where(table, fs, ino, &list.dir);

	if (err)
		return err;
	if (!S_ISDIR(list.dir.row->mode))
		return -ENOTDIR;
	if (cookie == 0)
		err = node_exists(&list.dir);
	if (err)
		return err;
	if (!list_dots(&list) || !list_rows(&list))
		return 0;
	return list_numbers(&list);
}

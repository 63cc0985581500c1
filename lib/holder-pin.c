/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pins: each inode of a bpffs that stands for an object holds it once (bpf_mkobj_ops(); maps as a
 * user too), until the inode is evicted; hard links add nothing. All instances are seen, whoever
 * mounted them where, detached ones and unlinked inodes too.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "holders.h"
#include "pin-tree.h"

enum { PIN_PATH, PIN_DEV, PIN_INO, PIN_UID, PIN_MTIME, PIN_STATE, PIN_PID };

static const char *const keys[] = { "path", "dev", "ino", "uid", "mtime", "state", "pid", NULL };

/* How often an instance is walked again that changes under the walk. */
#define TORN_MAX 8

/* Mounts of bpffs in one mount namespace. */
struct reach {
	GPtrArray *mounts; /* NULL: could not be read */
	uint32_t pid;	   /* 0: ours */
};

static void reach_free(gpointer data)
{
	struct reach *reach = data;

	if (reach->mounts)
		g_ptr_array_unref(reach->mounts);
	g_free(reach);
}

/* The namespaces that bpffs is mounted in. */
struct reaches {
	struct scan *scan;
	GHashTable *by_ns; /* mount namespace -> struct reach */
	uint32_t own_ns; /* by own_mount_ns() */
	bool own_known;
};

/* ------------------------------------------------------------- walking --- */

/* Reads all records of one instance; they count only if its list held still. */
static int walk_instance(struct walkers *walkers, uint64_t sb, GByteArray *records)
{
	struct walk_control *control = walkers_control(walkers);
	struct walk_kept kept = { .bytes = records };
	int err;

	for (unsigned int attempt = 0; attempt < (control->only ? 1 : TORN_MAX); attempt++) {
		g_byte_array_set_size(records, 0);
		control->sb_at = sb;
		control->inode_at = 0;
		control->name_at = 0;
		do {
			err = walkers_call(walkers, "walk_inodes", walk_keep, &kept);
			if (err || kept.err)
				return err ? err : kept.err;
		} while (control->ended == WALK_FULL);
		if (control->ended == WALK_DONE)
			return 0;
	}
	return -EAGAIN;
}

static int walk_supers(struct walkers *walkers, GByteArray *records)
{
	struct walk_control *control = walkers_control(walkers);
	struct walk_kept kept = { .bytes = records };
	int err;

	for (unsigned int attempt = 0; attempt < TORN_MAX; attempt++) {
		g_byte_array_set_size(records, 0);
		control->sb_at = 0;
		do {
			err = walkers_call(walkers, "walk_supers", walk_keep, &kept);
			if (err || kept.err)
				return err ? err : kept.err;
		} while (control->ended == WALK_FULL && control->sb_at);
		if (control->ended == WALK_DONE)
			return 0;
	}
	return -EAGAIN;
}

/* The tree of what records tell takes so many times their size, at most. */
#define TREE_FACTOR 4

static int walk(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	GByteArray *records = g_byte_array_new();
	struct pin_tree *tree = pin_tree_new();
	int err = walk_supers(state->walkers, records);

	state->pins = tree;
	if (!err)
		pin_tree_supers(tree, records);
	for (guint i = 0; !err && i < tree->supers->len; i++) {
		struct pin_super *super = g_ptr_array_index(tree->supers, i);

		err = walk_instance(state->walkers, super->address, records);
		if (err == -EAGAIN && !state->one) { /* one instance that never held still; others did */
			scan_gap(scan, 1, "bpffs instances", EAGAIN);
			err = 0;
			continue;
		}
		if (!err && !memory_is_there((size_t)records->len * TREE_FACTOR))
			err = -ENOMEM;
		if (!err)
			err = scan_charge(scan, (size_t)records->len * TREE_FACTOR);
		if (!err)
			pin_tree_inodes(tree, super, records);
	}
	g_byte_array_unref(records);
	return err;
}

/* -------------------------------------------------------------- telling --- */

/* Looked at for the first pin: there may be none of the object that is asked about. */
static uint32_t own_mount_ns(struct reaches *reaches)
{
	struct stat st;

	if (!reaches->own_known &&
	    fstatat(reaches->scan->ctx->proc_fd, "self/ns/mnt", &st, 0) == 0)
		reaches->own_ns = (uint32_t)st.st_ino;
	reaches->own_known = true;
	return reaches->own_ns;
}

/* The bpffs mounts of a namespace: read once, through a process that is in it. */
static struct reach *reach_of(struct reaches *reaches, uint32_t ns)
{
	const struct walk_state *state = walk_state_of(reaches->scan);
	struct reach *reach = g_hash_table_lookup(reaches->by_ns, GUINT_TO_POINTER(ns));

	if (reach)
		return reach;
	reach = g_new0(struct reach, 1);
	if (ns != own_mount_ns(reaches))
		reach->pid =
			GPOINTER_TO_UINT(g_hash_table_lookup(state->ns_pid, GUINT_TO_POINTER(ns)));
	if ((reach->pid || ns == own_mount_ns(reaches)) &&
	    mounts_read(reaches->scan->ctx->proc_fd, reach->pid, &reach->mounts) != 0)
		reach->mounts = NULL;
	g_hash_table_insert(reaches->by_ns, GUINT_TO_POINTER(ns), reach);
	return reach;
}

static void tell_mounts(struct reaches *reaches, const struct pin_super *super, uint32_t ns)
{
	struct reach *reach = reach_of(reaches, ns);
	struct bpfrefs_mount told = {
		.mnt_ns = ns,
		.pid = ns == own_mount_ns(reaches) ? reaches->scan->ctx->self : reach->pid,
		.here = ns == own_mount_ns(reaches),
	};
	bool any = false;

	for (guint i = 0; reach->mounts && i < reach->mounts->len; i++) {
		const struct bpffs_mount *mount = g_ptr_array_index(reach->mounts, i);

		if (mount->major != super->major || mount->minor != super->minor)
			continue;
		told.path = mount->target;
		told.covered = mount->hidden;
		scan_bpffs_mount(reaches->scan, super->major, super->minor, &told);
		any = true;
	}
	if (!any) /* nobody is left in that namespace, or it could not be read */
		scan_bpffs_mount(reaches->scan, super->major, super->minor, &told);
}

static void tell_super(struct reaches *reaches, const struct pin_super *super)
{
	scan_bpffs(reaches->scan, super->major, super->minor, super->pins,
		   super->namespaces->len > 0);
	for (guint i = 0; i < super->namespaces->len; i++) {
		uint32_t ns = g_array_index(super->namespaces, uint32_t, i);

		tell_mounts(reaches, super, ns);
	}
}

/* Where a path inside an instance is seen: by us, else by a process that is told. Owned or NULL. */
static char *visible_path(struct reaches *reaches, const struct pin_super *super, const char *inner,
			  uint32_t *pid)
{
	const struct reach *here = reach_of(reaches, own_mount_ns(reaches));
	char *path = NULL;

	*pid = 0;
	if (here->mounts)
		path = mounts_path(here->mounts, super->major, super->minor, inner);
	for (guint i = 0; !path && !*pid && i < super->namespaces->len; i++) {
		const struct reach *there =
			reach_of(reaches, g_array_index(super->namespaces, uint32_t, i));
		g_autofree char *seen = NULL;

		if (!there->pid || !there->mounts)
			continue;
		seen = mounts_path(there->mounts, super->major, super->minor, inner);
		if (seen)
			*pid = there->pid;
	}
	return path;
}

/*
 * Is a path that visible_path() did not find under another mount wherever its instance is mounted? Not
 * where one of the namespaces could not be read.
 */
static bool is_covered(struct reaches *reaches, const struct pin_super *super, const char *inner)
{
	bool covered = false;

	for (guint i = 0; i < super->namespaces->len; i++) {
		const struct reach *there =
			reach_of(reaches, g_array_index(super->namespaces, uint32_t, i));

		if (!there->mounts)
			return false;
		covered = covered || mounts_have(there->mounts, super->major, super->minor, inner);
	}
	return covered;
}

static const char *state_name(const struct pin_inode *inode, bool covered)
{
	if (!inode->nlink)
		return "unlinked";
	if (covered)
		return "covered";
	return inode->super->namespaces->len ? "live" : "detached";
}

/* One name of one pin; @count is 1 for the first name only. */
static struct pin_place place_of(const struct pin_inode *inode, const char *inner)
{
	return (struct pin_place){ inode->super->major, inode->super->minor, inode->ino, inner };
}

static void tell_name(struct reaches *reaches, const struct pin_inode *inode, const char *inner,
		      uint32_t count)
{
	struct scan *scan = reaches->scan;
	const struct pin_super *super = inode->super;
	g_autofree char *path = NULL;
	struct bpfrefs_ref *ref;
	bool covered = false;
	uint32_t pid = 0;
	char dev[24];

	if (inner)
		path = visible_path(reaches, super, inner, &pid);
	if (inner && !path && !pid)
		covered = is_covered(reaches, super, inner);
	ref = scan_add(scan, inode->key, count, inode->key.kind == BPFREFS_MAP ? count : 0);
	if (!ref)
		return;
	snprintf(dev, sizeof(dev), "%u:%u", super->major, super->minor);
	ref_set_str(scan, ref, PIN_PATH, path);
	ref_set_str(scan, ref, PIN_DEV, dev);
	ref_set_num(ref, PIN_INO, inode->ino);
	ref_set_num(ref, PIN_UID, inode->uid);
	ref_set_num(ref, PIN_MTIME, (uint64_t)inode->mtime);
	ref_set_static(ref, PIN_STATE, state_name(inode, covered));
	if (pid)
		ref_set_num(ref, PIN_PID, pid);
	if (inode->nlink)
		ref_set_place(scan, ref, place_of(inode, inner));
}

static void tell_keep(struct reaches *reaches, const struct pin_inode *inode, const char *inner,
		      enum bpfrefs_keep_mode mode)
{
	uint32_t pid;
	g_autofree char *path = visible_path(reaches, inode->super, inner, &pid);
	struct bpfrefs_ref *ref = keep_add(reaches->scan, inode->key, mode, path, 1);

	if (ref)
		ref_set_place(reaches->scan, ref, place_of(inode, inner));
}

static void tell_pin(struct reaches *reaches, const struct pin_tree *tree,
		     const struct pin_inode *inode)
{
	uint32_t count = 1;

	for (guint i = 0; i < inode->names->len; i++) {
		const struct pin_name *name = g_ptr_array_index(inode->names, i);
		g_autofree char *inner = NULL;
		enum bpfrefs_keep_mode mode = BPFREFS_KEEP_OFF;

		/* a name that is gone matters only where no other is left */
		if (!name->hashed && inode->nlink)
			continue;
		inner = pin_tree_path(tree, name);
		if (inner && inode->nlink && inode->names->len == 1 && pin_tree_private(tree, name))
			mode = keep_of_path(inner, inode->key);
		if (mode != BPFREFS_KEEP_OFF)
			tell_keep(reaches, inode, inner, mode);
		else
			tell_name(reaches, inode, inner, count);
		count = 0;
	}
	if (count)
		tell_name(reaches, inode, NULL, 1);
}

static void tell_dir(struct scan *scan, const struct pin_tree *tree, const struct pin_inode *dir)
{
	g_autofree char *inner = NULL;

	if (!dir->names->len)
		return;
	inner = pin_tree_path(tree, g_ptr_array_index(dir->names, 0));
	if (inner)
		scan_bpffs_dir(scan, dir->super->major, dir->super->minor, dir->ino, inner);
}

static void derive(struct scan *scan)
{
	struct pin_tree *tree = walk_state_of(scan)->pins;
	struct reaches reaches = {
		.scan = scan,
		.by_ns = g_hash_table_new_full(NULL, NULL, NULL, reach_free),
	};

	for (guint i = 0; !walk_state_of(scan)->one && i < tree->supers->len; i++)
		tell_super(&reaches, g_ptr_array_index(tree->supers, i));
	for (guint i = 0; i < tree->inodes->len; i++) {
		const struct pin_inode *inode = g_ptr_array_index(tree->inodes, i);

		if (inode->key.kind == BPFREFS_KIND_COUNT)
			tell_dir(scan, tree, inode);
		else if (scan_object(scan, inode->key))
			tell_pin(&reaches, tree, inode);
	}
	g_hash_table_unref(reaches.by_ns);
}

const struct holder_class holder_pin = {
	.pub = { "pin", keys },
	.walk = walk,
	.apart = true,
	.derive = derive,
	.derives_alone = true,
	.proc = proc_scan_pin,
	.proc_gap = "procfs does not show pins that are unlinked or in a bpffs that is not mounted",
};

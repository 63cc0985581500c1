/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pins. Each inode of a bpffs that represents an object holds it once, a map also as a
 * user (bpf_mkobj_ops()), until the inode is evicted. Hard links add no reference. All
 * instances of bpffs are read, including those that are mounted in other namespaces or
 * nowhere, and unlinked inodes.
 */
#include <stdio.h>
#include <string.h>

#include "holders/holders.h"
#include "kernel/mount_cache.h"
#include "kernel/pin_tree.h"
#include "snapshot/index.h"
#include "snapshot/owner.h"

HOLDER_FIELDS(PIN_FIELDS);

/* An instance that changes while it is read is read again at most so often. */
#define TORN_MAX 8

/* The bpffs mounts of a mount namespace, as one process sees them from its root directory. */
struct reach {
	GPtrArray *mounts;     /* NULL if they could not be read */
	struct walk_root root; /* its pid is 0 for this process */
	bool read;
};

static void reach_clear(gpointer data)
{
	struct reach *reach = data;

	if (reach->mounts)
		g_ptr_array_unref(reach->mounts);
}

/* The namespaces that bpffs is mounted in. */
struct reaches {
	struct scan *scan;
	GHashTable *by_ns; /* mount namespace -> GArray of struct reach */
	uint32_t own_ns;   /* set by own_mount_ns() */
	bool own_ns_read;
};

/* ----------------------------------------------------------- walking --- */

/*
 * Reads the records of all inodes of one instance. They are valid only if the list of inodes did
 * not change meanwhile.
 */
static int walk_instance(struct bpf_loader *walkers, uint64_t sb, GByteArray *records)
{
	struct walk_control *control = bpf_loader_control(walkers);
	int err;

	for (unsigned int attempt = 0; attempt < (control->filter_map ? 1 : TORN_MAX); attempt++) {
		control->sb_at = sb;
		control->inode_at = 0;
		control->name_at = 0;
		err = object_records_read_all(walkers, "walk_inodes", records);
		if (err || control->ended == WALK_DONE)
			return err;
	}
	return -EAGAIN;
}

/* The tree takes at most so many times the size of its records. */
#define TREE_FACTOR 4

static int walk(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	g_autoptr(GByteArray) records = g_byte_array_new();
	int err = state->pins ? state->pins_err : pin_tree_prepare(scan);
	struct pin_tree *tree = state->pins;

	for (guint i = 0; !err && i < tree->supers->len; i++) {
		struct pin_super *super = g_ptr_array_index(tree->supers, i);

		err = walk_instance(state->walkers, super->address, records);
		/* This instance changed each time; the others are still read. */
		if (err == -EAGAIN && !state->one) {
			scan_gap(scan, 1, "bpffs instances that changed while they were read",
				 EAGAIN);
			err = 0;
			continue;
		}
		if (!err && !memory_available((size_t)records->len * TREE_FACTOR))
			err = -ENOMEM;
		if (!err)
			err = scan_charge(scan, (size_t)records->len * TREE_FACTOR);
		if (!err)
			pin_tree_inodes(tree, super, records);
	}
	return err;
}

/* -------------------------------------------------------- references --- */

/* Read for the first pin only: the requested object may have none. */
static uint32_t own_mount_ns(struct reaches *reaches)
{
	if (!reaches->own_ns_read)
		reaches->own_ns = owners_own_ns(reaches->scan);
	reaches->own_ns_read = true;
	return reaches->own_ns;
}

/*
 * The ways to see into a namespace: one process for each root directory that processes in it have.
 * A process that has called chroot(2) may not see what the others see. For our own namespace this
 * process comes first.
 */
static GArray *reaches_of(struct reaches *reaches, uint32_t ns)
{
	const GArray *roots = owners_roots(walk_state_of(reaches->scan), ns);
	GArray *ways = g_hash_table_lookup(reaches->by_ns, GUINT_TO_POINTER(ns));
	struct reach way = { 0 };

	if (ways)
		return ways;
	ways = g_array_new(FALSE, FALSE, sizeof(struct reach));
	g_array_set_clear_func(ways, reach_clear);
	if (ns == own_mount_ns(reaches))
		g_array_append_val(ways, way);
	for (guint i = 0; roots && i < roots->len; i++) {
		way.root = g_array_index(roots, struct walk_root, i);
		g_array_append_val(ways, way);
	}
	g_hash_table_insert(reaches->by_ns, GUINT_TO_POINTER(ns), ways);
	return ways;
}

/* Reads the mounts that a process in this namespace sees, once. */
static struct reach *reach_at(struct reaches *reaches, uint32_t ns, guint index)
{
	struct reach *way = &g_array_index(reaches_of(reaches, ns), struct reach, index);

	if (!way->read)
		way->mounts = mount_cache_get(reaches->scan, ns, way->root.pid ? &way->root : NULL);
	way->read = true;
	return way;
}

/* Adds the mounts of an instance that this process sees. Returns false if it sees none. */
static bool add_mounts(struct reaches *reaches, const struct pin_super *super, uint32_t ns,
		       const struct reach *way)
{
	struct bpfrefs_mount added = {
		.mnt_ns = ns,
		.pid = way->root.pid ? way->root.pid : reaches->scan->ctx->self,
		.here = ns == own_mount_ns(reaches),
	};
	bool any = false;

	for (guint i = 0; way->mounts && i < way->mounts->len; i++) {
		const struct bpffs_mount *mount = g_ptr_array_index(way->mounts, i);

		if (mount->major != super->major || mount->minor != super->minor)
			continue;
		added.path = mount->target;
		added.covered = mount->hidden;
		scan_bpffs_mount(reaches->scan, super->major, super->minor, &added);
		if (strcmp(mount->root, "/") == 0)
			scan_bpffs_options(reaches->scan, super->major, super->minor,
					   mount->options);
		any = true;
	}
	return any;
}

static void report_mounts(struct reaches *reaches, const struct pin_super *super, uint32_t ns)
{
	GArray *ways = reaches_of(reaches, ns);
	struct bpfrefs_mount unseen = {
		.mnt_ns = ns,
		.here = ns == own_mount_ns(reaches),
	};

	for (guint i = 0; i < ways->len; i++)
		if (add_mounts(reaches, super, ns, reach_at(reaches, ns, i)))
			return;
	/* No process is in that namespace any more, or none of them sees the mount. */
	if (ways->len)
		unseen.pid = g_array_index(ways, struct reach, 0).root.pid;
	if (unseen.here)
		unseen.pid = reaches->scan->ctx->self;
	scan_bpffs_mount(reaches->scan, super->major, super->minor, &unseen);
}

static void report_instance(struct reaches *reaches, const struct pin_super *super)
{
	scan_bpffs(reaches->scan, super->major, super->minor, super->pins,
		   super->namespaces->len > 0);
	for (guint i = 0; i < super->namespaces->len; i++) {
		uint32_t ns = g_array_index(super->namespaces, uint32_t, i);

		report_mounts(reaches, super, ns);
	}
}

/*
 * The path by which a process in a namespace reaches a name in an instance, owned by
 * the caller, or NULL.
 */
static char *path_in(struct reaches *reaches, const struct pin_super *super, const char *inner,
		     uint32_t ns, uint32_t *pid)
{
	GArray *ways = reaches_of(reaches, ns);
	char *path = NULL;

	for (guint i = 0; !path && i < ways->len; i++) {
		const struct reach *way = reach_at(reaches, ns, i);

		if (way->mounts)
			path = mounts_path(way->mounts, super->major, super->minor, inner);
		*pid = way->root.pid;
	}
	if (!path)
		*pid = 0;
	return path;
}

/*
 * The path by which this process reaches a name in an instance, owned by the caller. If there is
 * none, returns NULL and sets @pid to a process that can reach it, 0 if none can.
 */
static char *visible_path(struct reaches *reaches, const struct pin_super *super, const char *inner,
			  uint32_t *pid)
{
	char *path = path_in(reaches, super, inner, own_mount_ns(reaches), pid);

	for (guint i = 0; !path && i < super->namespaces->len; i++) {
		uint32_t ns = g_array_index(super->namespaces, uint32_t, i);

		if (ns != own_mount_ns(reaches))
			path = path_in(reaches, super, inner, ns, pid);
	}
	if (*pid)
		g_clear_pointer(&path, g_free);
	return path;
}

/*
 * Returns true if a name that visible_path() did not find is below another mount in every namespace
 * where its instance is mounted. Returns false if a namespace could not be read.
 */
static bool is_covered(struct reaches *reaches, const struct pin_super *super, const char *inner)
{
	bool covered = false;

	for (guint i = 0; i < super->namespaces->len; i++) {
		uint32_t ns = g_array_index(super->namespaces, uint32_t, i);
		const GArray *ways = reaches_of(reaches, ns);
		bool read = false;

		for (guint j = 0; j < ways->len; j++) {
			const struct reach *way = reach_at(reaches, ns, j);

			if (!way->mounts)
				continue;
			read = true;
			covered = covered ||
				  mounts_have(way->mounts, super->major, super->minor, inner);
		}
		if (!read)
			return false;
	}
	return covered;
}

static const char *state_name(const struct pin_inode *inode)
{
	if (!inode->nlink)
		return "unlinked";
	return inode->super->namespaces->len ? "live" : "detached";
}

/* The owner of a pin is its instance. */
static uint32_t owner_of(struct scan *scan, const struct pin_super *super)
{
	return owner_add(scan, OWNER_BPFFS, owner_bpffs_id(super->major, super->minor));
}

/* The location of a name, by which it can be removed. */
static struct pin_location location_of(const struct pin_inode *inode, const char *inner)
{
	return (struct pin_location){ inode->super->major, inode->super->minor, inode->ino, inner };
}

/* Adds one name of a pin. @count is 1 for its first name, and 0 for the others. */
static void add_name(struct reaches *reaches, const struct pin_inode *inode, const char *inner,
		     uint32_t count)
{
	struct scan *scan = reaches->scan;
	const struct pin_super *super = inode->super;
	struct pin_facts facts = {
		.major = super->major,
		.minor = super->minor,
		.uid = inode->uid,
		.gid = inode->gid,
		.mode = inode->mode,
		.ino = inode->ino,
		.mtime = inode->mtime,
		.inner = inner,
		.state = state_name(inode),
	};
	g_autofree char *path = NULL;
	struct bpfrefs_ref *ref;

	if (inner)
		path = visible_path(reaches, super, inner, &facts.pid);
	if (inner && inode->nlink && !path && !facts.pid && is_covered(reaches, super, inner))
		facts.state = "covered";
	ref = scan_add(scan, inode->key, count, inode->key.kind == BPFREFS_KIND_MAP ? count : 0);
	if (!ref)
		return;
	facts.path = path;
	pin_fill(scan, ref, &facts);
	owner_set_ref(ref, owner_of(scan, super));
	if (inode->nlink)
		ref_set_location(scan, ref, location_of(inode, inner));
}

static void add_keep(struct reaches *reaches, const struct pin_inode *inode, const char *inner,
		     enum bpfrefs_keep_mode mode)
{
	uint32_t pid;
	g_autofree char *path = visible_path(reaches, inode->super, inner, &pid);
	struct bpfrefs_ref *ref = keep_add(reaches->scan, inode->key, mode, path, 1);

	if (ref)
		ref_set_location(reaches->scan, ref, location_of(inode, inner));
}

static void add_pin(struct reaches *reaches, const struct pin_tree *tree,
		    const struct pin_inode *inode)
{
	uint32_t count = 1;

	for (guint i = 0; i < inode->names->len; i++) {
		const struct pin_name *name = g_ptr_array_index(inode->names, i);
		g_autofree char *inner = NULL;
		enum bpfrefs_keep_mode mode = BPFREFS_KEEP_OFF;

		/* A removed name is shown only if the inode has no other one. */
		if (!name->hashed && inode->nlink)
			continue;
		inner = pin_tree_path(tree, name);
		if (inner && inode->nlink && inode->names->len == 1 && pin_tree_private(tree, name))
			mode = keep_of_path(inner, inode->key);
		if (mode != BPFREFS_KEEP_OFF)
			add_keep(reaches, inode, inner, mode);
		else
			add_name(reaches, inode, inner, count);
		count = 0;
	}
	if (count)
		add_name(reaches, inode, NULL, 1);
}

static void report_dir(struct scan *scan, const struct pin_tree *tree, const struct pin_inode *dir)
{
	g_autofree char *inner = NULL;

	if (!dir->names->len)
		return;
	inner = pin_tree_path(tree, g_ptr_array_index(dir->names, 0));
	if (inner)
		scan_bpffs_dir(scan, dir->super->major, dir->super->minor, dir->ino, inner);
}

/*
 * Counts the pins of each instance. A kernel whose BPF preload failed puts maps.debug and
 * progs.debug into each new instance, with ids of links that do not exist (populate_bpffs()). These
 * hold nothing and are no pins.
 */
static void count_pins(struct scan *scan, const struct pin_tree *tree)
{
	for (guint i = 0; i < tree->inodes->len; i++) {
		const struct pin_inode *inode = g_ptr_array_index(tree->inodes, i);

		if (inode->key.kind != BPFREFS_KIND_NONE && scan_object(scan, inode->key))
			inode->super->pins++;
	}
}

static void derive(struct scan *scan)
{
	struct pin_tree *tree = walk_state_of(scan)->pins;
	struct reaches reaches = {
		.scan = scan,
		.by_ns = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref),
	};

	mount_cache_begin(scan);
	count_pins(scan, tree);
	for (guint i = 0; !walk_state_of(scan)->one && i < tree->supers->len; i++)
		report_instance(&reaches, g_ptr_array_index(tree->supers, i));
	for (guint i = 0; i < tree->inodes->len; i++) {
		const struct pin_inode *inode = g_ptr_array_index(tree->inodes, i);

		if (inode->key.kind == BPFREFS_KIND_NONE)
			report_dir(scan, tree, inode);
		else if (scan_object(scan, inode->key))
			add_pin(&reaches, tree, inode);
	}
	g_hash_table_unref(reaches.by_ns);
}

/* The path is left out if the sentence names all processes that keep the instance. */
static char *says(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref, bool owned)
{
	struct bpfrefs_value path = bpfrefs_ref_value(ref, PIN_PATH);
	struct bpfrefs_value state = bpfrefs_ref_value(ref, PIN_STATE);
	struct bpfrefs_value pid = bpfrefs_ref_value(ref, PIN_PID);
	g_autofree char *process = NULL;

	if (owned)
		return g_strdup("pinned");
	if (path.type == BPFREFS_VALUE_STR)
		return g_strdup_printf("pinned at %s", path.str);
	if (pid.type == BPFREFS_VALUE_NUM) {
		process = process_text(snap, (uint32_t)pid.num);
		return g_strdup_printf("pinned where %s can reach it and bpfrefs cannot", process);
	}
	return g_strdup_printf("pinned, out of reach from here (%s)",
			       state.type == BPFREFS_VALUE_STR ? state.str : "?");
}

/*
 * A directory that is held open, or a working or root directory, in a bpffs that no namespace has mounted:
 * what keeps the instance leads to the pin.
 */
static char *path_by_keeper(const struct removal *removal, const struct bpfrefs_ref *ref)
{
	const struct bpfrefs_snapshot *snap = removal->snap;
	const struct owner *owner = ref->owner ? snap->owners->pdata[ref->owner - 1] : NULL;
	char *path = NULL;

	for (guint i = 0; owner && !path && i < snap->holds->len; i++) {
		const struct owner_hold *hold = &g_array_index(snap->holds, struct owner_hold, i);
		char link[32] = "cwd";

		if (hold->owner != owner->node || !hold->pid)
			continue;
		if (hold->how == OWNER_BY_ROOT_DIR)
			g_strlcpy(link, "root", sizeof(link));
		else if (hold->how == OWNER_BY_FD)
			g_snprintf(link, sizeof(link), "fd/%" G_GUINT64_FORMAT, hold->detail);
		else if (hold->how != OWNER_BY_CWD)
			continue;
		path = enter_directory(removal->enter, hold->pid, link, ref->place->inner);
	}
	return path;
}

/* Without a path the pin ends with the processes that keep its bpffs, if only processes do. */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value path = bpfrefs_ref_value(ref, PIN_PATH);
	struct bpfrefs_value pid = bpfrefs_ref_value(ref, PIN_PID);
	g_autofree char *other = NULL;

	if (!ref->place || !ref->place->inner) {
		removal_set(
			removal, REMOVAL_NO_WAY,
			"its name was removed already: it ends when what has it open is closed");
		return;
	}
	if (path.type == BPFREFS_VALUE_STR)
		other = g_strdup(path.str);
	else if (pid.type == BPFREFS_VALUE_NUM)
		other = enter_bpffs(removal->enter, (uint32_t)pid.num, ref->place);
	if (!other)
		other = path_by_keeper(removal, ref);
	if (other)
		removal_pin(removal, ref, other);
	else if (!ref->owner || !owner_ends(removal->snap, ref->owner - 1))
		removal_set(removal, REMOVAL_NO_WAY,
			    "no path leads to it: unmount what covers its bpffs, or remove it where"
			    " the bpffs is mounted");
}

const struct holder_class holder_pin = {
	.pub = { HOLDER_PUB("pin"), .flags = BPFREFS_CLASS_PIN },
	.id = CLASS_PIN,
	.no_hook = true,
	.removes = removes,
	.says = says,
	.walk = walk,
	.parallel = true,
	.derive = derive,
	.userspace_only = true,
	.proc = pin_proc,
	.proc_gap = "procfs does not show pins that are unlinked or in a bpffs that is not mounted,"
		    " nor all that keeps one",
};

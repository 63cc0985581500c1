/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collects what keeps mount namespaces, network namespaces and instances of bpffs alive. Only those
 * matter on which something that is shown depends: instances of bpffs, the mount namespaces that
 * these are mounted in, network namespaces with attachments, and mount namespaces that have one of
 * these namespaces' files mounted.
 *
 * If the kernel counts more references than were found, something unknown holds the rest, and the
 * owner counts as one that stays: bpfrefs never says that something would be freed which is not.
 */
#include "kernel/owner_records.h"

#include "kernel/pin_tree.h"
#include "snapshot/owner.h"

static bool is_here(const struct pin_super *super, uint32_t own_ns)
{
	for (guint i = 0; i < super->namespaces->len; i++)
		if (g_array_index(super->namespaces, uint32_t, i) == own_ns)
			return true;
	return false;
}

void owners_prepare(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	struct walk_control *control = bpf_loader_control(state->walkers);
	uint32_t own_ns = owners_own_ns(scan);

	state->pins_err = pin_tree_prepare(scan);
	control->dirs = state->pins_err != 0;
	for (guint i = 0; i < state->pins->supers->len; i++)
		control->dirs |= !is_here(g_ptr_array_index(state->pins->supers, i), own_ns);
}

/* -------------------------------------------------------- root directories --- */

/* The mounts of a namespace are looked up through at most so many root directories. */
#define ROOTS_MAX 64

GHashTable *owners_roots_new(void)
{
	return g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
}

const GArray *owners_roots(const struct walk_state *state, uint32_t mnt_ns)
{
	return g_hash_table_lookup(state->roots, GUINT_TO_POINTER(mnt_ns));
}

static void add_root(struct walk_state *state, const struct walk_ns *task)
{
	/*
	 * /proc/TID shows the root directory of a thread, which may differ from
	 * that of its process.
	 */
	struct walk_root root = { task->root_mnt, task->root,
				  task->tid ? task->tid : task->rec.id };
	GArray *roots = g_hash_table_lookup(state->roots, GUINT_TO_POINTER(task->mnt_ns));

	if (!roots) {
		roots = g_array_new(FALSE, FALSE, sizeof(root));
		g_hash_table_insert(state->roots, GUINT_TO_POINTER(task->mnt_ns), roots);
	}
	for (guint i = 0; i < roots->len; i++) {
		const struct walk_root *other = &g_array_index(roots, struct walk_root, i);

		if (other->mount == root.mount && other->dentry == root.dentry)
			return;
	}
	if (roots->len < ROOTS_MAX)
		g_array_append_val(roots, root);
}

/* ----------------------------------------------------------- records --- */

void owners_store(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_ns *task = walk_record(rec, walk_ns);
	struct walk_state *state = walk_state_of(scan);

	if (task)
		add_root(state, task);
	if (state->one || (rec->type != WALK_NS && rec->type != WALK_HOLD))
		return;
	if (!state->holds.bytes)
		state->holds.bytes = g_byte_array_new();
	object_records_collect(rec, &state->holds);
	if (state->holds.err)
		arena_fail(scan->snap->arena);
	else
		scan_charge(scan, rec->size);
}

static uint64_t ns_key(enum owner_kind kind, uint32_t inum)
{
	return (uint64_t)kind << 32 | inum;
}

static bool failed(struct owners *d, bool ok)
{
	if (!ok)
		arena_fail(d->scan->snap->arena);
	return !ok;
}

/*
 * Returns true if this has not been counted yet. @tag distinguishes what one structure holds; it is
 * below 8, which the alignment of @what leaves free.
 */
static bool is_new(struct owners *d, uint64_t what, uint64_t tag)
{
	uint64_t key = what | tag;

	if (idmap_get(&d->seen, key))
		return false;
	failed(d, idmap_set(&d->seen, key, d));
	return true;
}

/* ------------------------------------------------------------- nodes --- */

static struct owned_ns *node_find(const struct owners *d, enum owner_kind kind, uint32_t inum)
{
	return idmap_get(&d->nodes, ns_key(kind, inum));
}

/*
 * Returns true for a namespace that stays, whatever processes exit: the initial one, and our
 * own mount namespace.
 */
static bool stays(const struct owners *d, enum owner_kind kind, uint32_t inum, enum owner_how *how)
{
	const struct walk_kernel_ids *known = &d->control->kernel_ids;

	*how = OWNER_BY_KERNEL;
	if (inum == (kind == OWNER_MNT_NS ? known->init_mnt_ns : known->init_net_ns))
		return true;
	*how = OWNER_BY_HERE;
	return kind == OWNER_MNT_NS && inum == d->own_ns;
}

/* The owner of a namespace. If it is added now, its holds will be collected. */
static uint32_t node_add(struct owners *d, enum owner_kind kind, uint32_t inum)
{
	struct owned_ns *node = node_find(d, kind, inum);
	enum owner_how how;

	if (node)
		return node->owner;
	node = g_new0(struct owned_ns, 1);
	node->owner = owner_add(d->scan, kind, inum);
	node->kind = kind;
	node->inum = inum;
	g_ptr_array_add(d->ns, node);
	failed(d, idmap_set(&d->nodes, ns_key(kind, inum), node));
	node->stays = stays(d, kind, inum, &how);
	if (node->stays)
		owners_hold_root(d, node->owner, how);
	return node->owner;
}

static void hold_by_namespace(struct owners *d, uint32_t owner, uint32_t mnt_ns)
{
	uint32_t by = node_add(d, OWNER_MNT_NS, mnt_ns);

	if (by == OWNER_NONE)
		owners_hold_root(d, owner, OWNER_BY_UNKNOWN);
	else
		owner_add_hold(d->scan, (struct owner_hold){
						.owner = owner, .by = by, .how = OWNER_BY_MOUNT });
}

/*
 * A mount in an anonymous namespace gets its hold when a process that keeps the namespace is found.
 */
static void hold_by_tree(struct owners *d, uint32_t owner, uint64_t ns)
{
	struct owned_tree tree = { ns, owner, false };

	g_array_append_val(d->trees, tree);
}

/* --------------------------------------------------------- instances --- */

/* The mount namespace of the kernel's internal mounts is MNT_NS_INTERNAL, which is an ERR_PTR(). */
static bool is_error(uint64_t address)
{
	return address >= (uint64_t)-4095;
}

static void add_mount(struct owners *d, uint32_t owner, uint64_t sb, const struct pin_mount *mount)
{
	struct owned_mount *node = g_new0(struct owned_mount, 1);

	node->owner = owner;
	node->mount = mount->mount;
	node->sb = sb;
	node->attached = mount->ns && !is_error(mount->ns);
	node->expected = node->attached; /* by alloc_vfsmnt(), until umount_tree() */
	g_ptr_array_add(d->mount, node);
	failed(d, idmap_set(&d->mounts, node->mount, node));
	if (mount->mnt_ns)
		hold_by_namespace(d, owner, mount->mnt_ns);
	else if (node->attached)
		hold_by_tree(d, owner, mount->ns);
}

static void add_super(struct owners *d, const struct pin_super *super)
{
	uint32_t owner =
		owner_add(d->scan, OWNER_BPFFS, owner_bpffs_id(super->major, super->minor));
	struct walk_object place = { super->address, owner };
	uint32_t count = super->mounts->len;
	enum owner_how how;
	bool kept = false;

	for (guint i = 0; i < super->namespaces->len; i++) {
		uint32_t ns = g_array_index(super->namespaces, uint32_t, i);

		if (!stays(d, OWNER_MNT_NS, ns, &how))
			continue;
		hold_by_namespace(d, owner, ns);
		kept = true;
	}
	if (kept)
		return; /* it stays, whatever else holds it */
	for (guint i = 0; i < count; i++)
		add_mount(d, owner, super->address,
			  &g_array_index(super->mounts, struct pin_mount, i));
	g_array_append_val(d->supers, place);
	g_array_append_val(d->super_mounts, count);
}

static void add_supers(struct owners *d)
{
	const struct pin_tree *pins = walk_state_of(d->scan)->pins;

	for (guint i = 0; pins && i < pins->supers->len; i++)
		add_super(d, g_ptr_array_index(pins->supers, i));
}

/* Adds the network namespaces in which something is attached. */
static void add_networks(struct owners *d)
{
	const GPtrArray *owners = d->scan->snap->owners;

	for (guint i = 0; i < owners->len; i++) {
		const struct owner *owner = g_ptr_array_index(owners, i);

		if (owner->kind == OWNER_NET_NS)
			node_add(d, OWNER_NET_NS, (uint32_t)owner->id);
	}
}

/* ------------------------------------------- mounts of namespaces' files --- */

/* After so many readings the list is given up: it changes all the time. */
#define TORN_MAX 8

/*
 * If the list is given up, the counters of the files' dentries exceed what was found, and their
 * namespaces count as ones that stay.
 */
static void read_ns_mounts(struct owners *d)
{
	struct bpf_loader *walkers = walk_state_of(d->scan)->walkers;

	for (unsigned int i = 0; i < TORN_MAX; i++) {
		d->control->mount_at = 0;
		if (object_records_read_all(walkers, "walk_ns_mounts", d->ns_mounts))
			break;
		if (d->control->ended == WALK_DONE)
			return;
	}
	g_byte_array_set_size(d->ns_mounts, 0);
}

static uint64_t mounted_key(const struct walk_ns_mount *mount)
{
	return ns_key(mount->is_net ? OWNER_NET_NS : OWNER_MNT_NS, mount->inum);
}

static int by_mounted(gconstpointer a, gconstpointer b)
{
	const struct walk_ns_mount *x = *(void *const *)a, *y = *(void *const *)b;
	uint64_t left = mounted_key(x), right = mounted_key(y);

	return left < right ? -1 : left > right;
}

static void index_ns_mount(const struct walk_rec *rec, void *sorted)
{
	if (walk_record(rec, walk_ns_mount))
		g_ptr_array_add(sorted, (gpointer)(uintptr_t)rec);
}

static void take_ns_mount(struct owners *d, struct owned_ns *node,
			  const struct walk_ns_mount *mount)
{
	node->common = mount->common;
	node->opened++;
	if (mount->in_ns) {
		hold_by_namespace(d, node->owner, mount->in_ns);
	} else if (mount->in && !is_error(mount->in)) {
		hold_by_tree(d, node->owner, mount->in);
	} else {
		/* Files that are opened on it keep it, and they hold the namespace themselves. */
		node->detached++;
	}
}

static void take_ns_mounts(struct owners *d, struct owned_ns *node, const GPtrArray *sorted)
{
	uint64_t key = ns_key(node->kind, node->inum);
	guint low = 0, high = sorted->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (mounted_key(sorted->pdata[middle]) < key)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < sorted->len && mounted_key(sorted->pdata[low]) == key; low++)
		take_ns_mount(d, node, sorted->pdata[low]);
}

/*
 * Follows bind mounts to the namespaces that they are in. These are appended to the array
 * while it is processed.
 */
static void add_ns_mounts(struct owners *d)
{
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();

	walk_each(d->ns_mounts->data, d->ns_mounts->len, index_ns_mount, sorted);
	g_ptr_array_sort(sorted, by_mounted);
	for (guint i = 0; i < d->ns->len && !scan_failed(d->scan); i++) {
		struct owned_ns *node = g_ptr_array_index(d->ns, i);

		if (!node->stays)
			take_ns_mounts(d, node, sorted);
	}
}

/* --------------------------------------------------------- processes --- */

static void hold_by(struct owners *d, uint32_t owner, struct owner_hold hold, const char comm[16])
{
	hold.owner = owner;
	hold.by = OWNER_NONE;
	owner_add_hold(d->scan, hold);
	owner_process(d->scan, hold.pid, object_record_name(d->scan, comm, 16));
}

static void in_namespace(struct owners *d, const struct walk_ns *task, enum owner_kind kind)
{
	bool net = kind == OWNER_NET_NS;
	struct owned_ns *node = node_find(d, kind, net ? task->net_ns : task->mnt_ns);

	if (!node || node->stays)
		return;
	node->common = net ? task->net : task->mnt;
	node->found += is_new(d, task->nsproxy, 1 + net);
	hold_by(d, node->owner,
		(struct owner_hold){
			.pid = task->rec.id, .how = OWNER_BY_TASK, .detail = task->tid },
		task->comm);
}

/*
 * A working directory, root directory or open directory on a mount of bpffs: each holds the
 * mount (path_get()).
 */
static void on_mount(struct owners *d, const struct walk_hold *hold)
{
	static const enum owner_how how[] = {
		[WALK_HOLD_CWD] = OWNER_BY_CWD,
		[WALK_HOLD_ROOT] = OWNER_BY_ROOT_DIR,
		[WALK_HOLD_DIR] = OWNER_BY_FD,
	};
	struct owned_mount *node = idmap_get(&d->mounts, hold->where);
	uint64_t detail = hold->how == WALK_HOLD_DIR ? hold->fd : hold->tid;

	if (!node)
		return;
	node->found += is_new(d, hold->what, 3 + hold->how);
	hold_by(d, node->owner,
		(struct owner_hold){ .pid = hold->rec.id, .how = how[hold->how], .detail = detail },
		hold->comm);
}

static void by_tree(struct owners *d, const struct walk_hold *hold)
{
	for (guint i = 0; i < d->trees->len; i++) {
		struct owned_tree *tree = &g_array_index(d->trees, struct owned_tree, i);

		if (tree->ns != hold->where)
			continue;
		tree->held = true;
		hold_by(d, tree->owner,
			(struct owner_hold){
				.pid = hold->rec.id, .how = OWNER_BY_FD, .detail = hold->fd },
			hold->comm);
	}
}

static void by_descriptor(struct owners *d, const struct walk_hold *hold)
{
	bool net = hold->how == WALK_HOLD_NET_NS || hold->how == WALK_HOLD_SOCKET;
	bool file = hold->how == WALK_HOLD_MNT_NS || hold->how == WALK_HOLD_NET_NS;
	struct owned_ns *node = node_find(d, net ? OWNER_NET_NS : OWNER_MNT_NS, hold->inum);

	if (!node || node->stays)
		return;
	node->common = hold->where;
	if (is_new(d, hold->what, 0)) {
		node->opened += file;
		node->found += !file;
	}
	hold_by(d, node->owner,
		(struct owner_hold){ .pid = hold->rec.id,
				     .how = hold->how == WALK_HOLD_SOCKET ? OWNER_BY_MEMBER
									  : OWNER_BY_FD,
				     .detail = hold->fd },
		hold->comm);
}

static void take_hold(const struct walk_rec *rec, void *data)
{
	const struct walk_ns *task = walk_record(rec, walk_ns);
	const struct walk_hold *hold = walk_record(rec, walk_hold);
	struct owners *d = data;

	if (scan_failed(d->scan))
		return;
	if (task && task->nsproxy) {
		in_namespace(d, task, OWNER_MNT_NS);
		in_namespace(d, task, OWNER_NET_NS);
	} else if (hold && hold->how <= WALK_HOLD_DIR) {
		on_mount(d, hold);
	} else if (hold && hold->how == WALK_HOLD_TREE) {
		by_tree(d, hold);
	} else if (hold) {
		by_descriptor(d, hold);
	}
}

/* ----------------------------------------------------------- together --- */

static void derive_holds(struct owners *d)
{
	const GByteArray *records = walk_state_of(d->scan)->holds.bytes;

	if (d->ns->len)
		read_ns_mounts(d);
	add_ns_mounts(d);
	if (records && (d->ns->len || d->mount->len))
		walk_each(records->data, records->len, take_hold, d);
	if (scan_failed(d->scan))
		return;
	owners_count(d);
	owners_add_pids(d);
}

void owners_derive(struct scan *scan)
{
	struct owners d = {
		.scan = scan,
		.control = bpf_loader_control(walk_state_of(scan)->walkers),
		.own_ns = owners_own_ns(scan),
		.ns = g_ptr_array_new_with_free_func(g_free),
		.mount = g_ptr_array_new_with_free_func(g_free),
		.supers = g_array_new(FALSE, FALSE, sizeof(struct walk_object)),
		.super_mounts = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
		.trees = g_array_new(FALSE, FALSE, sizeof(struct owned_tree)),
		.ns_mounts = g_byte_array_new(),
	};

	add_supers(&d);
	add_networks(&d);
	derive_holds(&d);
	idmap_clear(&d.nodes);
	idmap_clear(&d.mounts);
	idmap_clear(&d.seen);
	g_ptr_array_unref(d.ns);
	g_ptr_array_unref(d.mount);
	g_array_unref(d.supers);
	g_array_unref(d.super_mounts);
	g_array_unref(d.trees);
	g_byte_array_unref(d.ns_mounts);
}

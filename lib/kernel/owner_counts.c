/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compares what was found to hold an owner with the kernel's own reference counters. References
 * beyond what was found are a hold by something unknown. Then adds the processes that keep
 * instances of bpffs which are mounted nowhere.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/owner_records.h"
#include "kernel/pin_tree.h"
#include "procfs/fdinfo.h"
#include "snapshot/owner.h"

uint32_t owners_own_ns(const struct scan *scan)
{
	struct stat st;

	return fstatat(scan->ctx->proc_fd, "self/ns/mnt", &st, 0) == 0 ? (uint32_t)st.st_ino : 0;
}

void owners_hold_root(struct owners *d, uint32_t owner, enum owner_how how)
{
	owner_add_hold(d->scan,
		       (struct owner_hold){ .owner = owner, .by = OWNER_NONE, .how = how });
}

/*
 * The file that keeps an anonymous namespace may be in a message of a socket, where it
 * is not looked for.
 */
static void check_trees(struct owners *d)
{
	for (guint i = 0; i < d->trees->len; i++) {
		const struct owned_tree *tree = &g_array_index(d->trees, struct owned_tree, i);

		if (!tree->held)
			owners_hold_root(d, tree->owner, OWNER_BY_UNKNOWN);
	}
}

/*
 * The counter of a mount is the sum over all possible processors (mnt_get_count()). The program
 * adds up the processors from 0 on, so the list of possible ones must not have holes.
 */
static bool can_count_mounts(const struct owners *d)
{
	char possible[256];
	ssize_t len = proc_text_read_at(AT_FDCWD, "/sys/devices/system/cpu/possible", possible,
					sizeof(possible));

	return d->control->kernel_ids.cpu_array && len > 0 && possible[0] == '0' &&
	       !strchr(possible, ',');
}

static void check_namespace(struct owners *d, const struct owned_ns *node,
			    const struct walk_listed *counted)
{
	int64_t opened = node->opened;

	if (counted->refcnt < 0)
		return; /* it has been freed meanwhile */
	/*
	 * A mount in no namespace is kept by a file that is opened on it. If only such mounts were
	 * found, but no such file, then they explain nothing.
	 */
	if (node->opened == node->detached)
		opened = 0;
	if (counted->refcnt > node->found + (counted->usercnt > 0) || counted->usercnt > opened)
		owners_hold_root(d, node->owner, OWNER_BY_UNKNOWN);
}

static void check_mount(struct owners *d, const struct owned_mount *node,
			const struct walk_listed *counted)
{
	int64_t expected = node->expected + (node->attached ? counted->usercnt : 0);

	if (counted->refcnt > expected + node->found)
		owners_hold_root(d, node->owner, OWNER_BY_UNKNOWN);
}

/* Reads the counters of the listed objects, and calls @check for each with its index. */
typedef void (*check_fn)(struct owners *d, guint index, const struct walk_listed *counted);

static void count_each(struct owners *d, const struct walk_listed *wanted, guint count,
		       check_fn check)
{
	struct bpf_loader *walkers = walk_state_of(d->scan)->walkers;
	struct walk_listed *list = bpf_loader_list(walkers);
	static const struct walk_listed unknown = { .refcnt = INT64_MAX };

	for (guint first = 0; first < count; first += WALK_LIST_MAX) {
		guint some = MIN(count - first, (guint)WALK_LIST_MAX);
		int err;

		memcpy(list, wanted + first, some * sizeof(*list));
		d->control->listed = some;
		err = bpf_loader_call(walkers, "walk_owner_counts", NULL, NULL);
		for (guint i = 0; i < some; i++)
			check(d, first + i, err ? &unknown : &list[i]);
	}
}

static void check_counted_namespace(struct owners *d, guint index,
				    const struct walk_listed *counted)
{
	check_namespace(d, g_ptr_array_index(d->ns, index), counted);
}

static void check_counted_mount(struct owners *d, guint index, const struct walk_listed *counted)
{
	check_mount(d, g_ptr_array_index(d->mount, index), counted);
}

/*
 * An instance is held by each of its mounts, and by a file from fsopen(2) that may become a mount.
 */
static void check_counted_super(struct owners *d, guint index, const struct walk_listed *counted)
{
	if (counted->refcnt > (int64_t)g_array_index(d->super_mounts, uint32_t, index))
		owners_hold_root(d, g_array_index(d->supers, struct walk_object, index).id,
				 OWNER_BY_UNKNOWN);
}

static void count_namespaces(struct owners *d)
{
	g_autofree struct walk_listed *wanted = g_new0(struct walk_listed, d->ns->len);

	for (guint i = 0; i < d->ns->len; i++) {
		const struct owned_ns *node = g_ptr_array_index(d->ns, i);

		wanted[i].address = node->common;
		wanted[i].id = node->inum;
		wanted[i].kind = WALK_COUNT_NS;
	}
	count_each(d, wanted, d->ns->len, check_counted_namespace);
}

static void count_mounts(struct owners *d)
{
	g_autofree struct walk_listed *wanted = g_new0(struct walk_listed, d->mount->len);
	bool can = can_count_mounts(d);

	for (guint i = 0; i < d->mount->len; i++) {
		const struct owned_mount *node = g_ptr_array_index(d->mount, i);

		wanted[i].address = node->mount;
		wanted[i].usercnt = (int64_t)node->sb;
		wanted[i].kind = WALK_COUNT_MOUNT;
		if (!can)
			owners_hold_root(d, node->owner, OWNER_BY_UNKNOWN);
	}
	if (can)
		count_each(d, wanted, d->mount->len, check_counted_mount);
}

static void count_supers(struct owners *d)
{
	g_autofree struct walk_listed *wanted = g_new0(struct walk_listed, d->supers->len);

	for (guint i = 0; i < d->supers->len; i++) {
		wanted[i].address = g_array_index(d->supers, struct walk_object, i).address;
		wanted[i].kind = WALK_COUNT_SB;
	}
	count_each(d, wanted, d->supers->len, check_counted_super);
}

void owners_count(struct owners *d)
{
	check_trees(d);
	count_namespaces(d);
	count_mounts(d);
	count_supers(d);
}

/* -------------------------------------------------- detached instances --- */

static int by_pid(gconstpointer a, gconstpointer b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The processes that hold an owner directly, each once, in ascending order. */
static GArray *pids_of(const struct scan *scan, uint32_t owner)
{
	GArray *pids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	const GArray *holds = scan->snap->holds;
	guint kept = 0;

	for (guint i = 0; i < holds->len; i++) {
		const struct owner_hold *hold = &g_array_index(holds, struct owner_hold, i);

		if (hold->owner == owner && hold->pid)
			g_array_append_val(pids, hold->pid);
	}
	g_array_sort(pids, by_pid);
	for (guint i = 0; i < pids->len; i++) {
		uint32_t pid = g_array_index(pids, uint32_t, i);

		if (!kept || g_array_index(pids, uint32_t, kept - 1) != pid)
			g_array_index(pids, uint32_t, kept++) = pid;
	}
	g_array_set_size(pids, kept);
	return pids;
}

void owners_add_pids(struct owners *d)
{
	const struct pin_tree *pins = walk_state_of(d->scan)->pins;

	for (guint i = 0; pins && i < pins->supers->len; i++) {
		const struct pin_super *super = g_ptr_array_index(pins->supers, i);
		uint32_t owner = owner_find(d->scan, OWNER_BPFFS,
					    owner_bpffs_id(super->major, super->minor));
		g_autoptr(GArray) found = NULL;

		if (super->namespaces->len)
			continue;
		found = pids_of(d->scan, owner);
		scan_bpffs_pids(d->scan, super->major, super->minor,
				(const uint32_t *)(const void *)found->data, found->len);
	}
}

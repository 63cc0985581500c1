/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel itself holds. It holds the BTF of vmlinux and that of each loaded module once:
 * the initial count (btf_parse_vmlinux(), btf_parse_module()). The programs of its preloaded
 * iterators (bpf_preload_kern.c) may have no ids; what they hold is shown here too. Every bpffs has
 * their links as maps.debug and progs.debug (populate_bpffs()).
 */
#include <string.h>

#include "holders/holders.h"
#include "kernel/bpf_source.h"
#include "kernel/pin_tree.h"
#include "uapi/syscalls.h"

#define FIELDS(X) X(KERNEL_WHY, "why")
HOLDER_FIELDS(FIELDS);

static void derive_btfs(struct scan *scan)
{
	for (guint i = 0; i < scan->snap->objects->len; i++) {
		const struct bpfrefs_object *object = g_ptr_array_index(scan->snap->objects, i);
		struct bpfrefs_ref *ref;

		if (object->key.kind != BPFREFS_KIND_BTF || object->type_number != BTF_OF_KERNEL)
			continue;
		ref = scan_add(scan, object->key, 1, 0);
		if (ref)
			ref_set_static(ref, KERNEL_WHY,
				       strcmp(object->name, "vmlinux") == 0 ? "vmlinux" : "module");
	}
}

/* Returns true if the object neither was in this scan nor has an id in the kernel now. */
static bool is_unlisted(struct scan *scan, enum bpfrefs_kind kind, uint32_t id)
{
	uint32_t next;

	if (!id)
		return true;
	if (scan_object(scan, (struct bpfrefs_key){ kind, id }))
		return false;
	return syscall_next_id(kind, id - 1, &next) != 0 || next != id;
}

static void hold_preloaded(struct scan *scan, uint32_t btf)
{
	const struct bpfrefs_key key = { BPFREFS_KIND_BTF, btf };
	struct bpfrefs_ref *ref = btf && scan_object(scan, key) ? scan_add(scan, key, 1, 0) : NULL;

	if (ref)
		ref_set_static(ref, KERNEL_WHY, "preload");
}

/* Counts each program once, however many instances of bpffs have its link. */
static void derive_preloaded(struct scan *scan, const struct pin_tree *tree)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (guint i = 0; i < tree->iters->len; i++) {
		const struct pin_iter *iter = &g_array_index(tree->iters, struct pin_iter, i);

		if (!g_hash_table_add(seen, (gpointer)&iter->prog) ||
		    !is_unlisted(scan, BPFREFS_KIND_LINK, iter->link_id) ||
		    !is_unlisted(scan, BPFREFS_KIND_PROG, iter->prog_id))
			continue;
		hold_preloaded(scan, iter->attach_btf_id);
		hold_preloaded(scan, iter->btf_id);
	}
}

static void derive(struct scan *scan)
{
	derive_btfs(scan);
	if (walk_state_of(scan)->pins)
		derive_preloaded(scan, walk_state_of(scan)->pins);
}

static int proc(struct scan *scan)
{
	scan_source(scan, "bpf(2)");
	derive_btfs(scan);
	return 0;
}

static char *says(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref, bool owned)
{
	(void)snap;
	(void)ref;
	(void)owned;
	return g_strdup("the kernel holds it");
}

static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	(void)ref;
	removal_set(removal, REMOVAL_NEVER, "the kernel itself holds it");
}

const struct holder_class holder_kernel = {
	.pub = { HOLDER_PUB("kernel"), 1u << BPFREFS_KIND_BTF },
	.id = CLASS_KERNEL,
	.no_hook = true,
	.removes = removes,
	.says = says,
	.derive = derive,
	.proc = proc,
};

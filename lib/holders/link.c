/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Links hold their program (bpf_link_init()), except struct_ops links, which have none. Some hold a
 * map: iterator links (bpf_iter_attach_map()) and sockmap links (sock_map_link_create()) hold their
 * target with a user, struct_ops links hold their map (bpf_struct_ops_link_create()). Tracing and
 * freplace links hold the program that they are attached to (bpf_tracing_prog_attach()).
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"
#include "procfs/procfs.h"
#include "uapi/uapi_info.h"

HOLDER_FIELDS(HELD_FIELDS);

static void decode(struct scan *scan, const void *record)
{
	const struct walk_link *link = record;
	struct bpfrefs_key holder = { BPFREFS_KIND_LINK, link->rec.id };

	if (link->prog_id)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, link->prog_id }, 1, 0,
			      holder, WALK_VIA_PROG);
	if (link->map_id)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, link->map_id }, 1,
			      link->map_user, holder,
			      link->map_user ? WALK_VIA_TARGET : WALK_VIA_STRUCT_OPS);
	if (link->target)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, link->target }, 1, 0,
			      holder, WALK_VIA_LINK_TARGET);
}

/* ------------------------------------------------------------ procfs --- */

/*
 * The target of a tracing link in struct bpf_link_info may be a program or a BTF, and
 * nothing shows which.
 */
static void add_targets_gap(struct scan *scan)
{
	uint32_t count = 0;

	for (guint i = 0; i < scan->snap->objects->len; i++) {
		const struct bpfrefs_object *object = scan->snap->objects->pdata[i];

		count += object->key.kind == BPFREFS_KIND_LINK &&
			 object->type_number == UAPI_LINK_TRACING;
	}
	if (count)
		scan_gap(scan, count, "targets of tracing links", 0);
}

static int proc(struct scan *scan)
{
	const struct proc_scan *proc = scan->source_data;
	const struct proc_gap gap = { &proc->edges.objects[BPFREFS_KIND_LINK], "links" };

	proc_edges_take(scan, BPFREFS_KIND_LINK);
	proc_gaps(scan, &gap, 1);
	add_targets_gap(scan);
	return 0;
}

/*
 * These links release their map when they are detached (bpf_struct_ops_map_link_detach() since 6.11,
 * sock_map_link_detach()). A program stays with its link until that is freed.
 */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	const struct bpfrefs_object *link = bpfrefs_snapshot_find(removal->snap, ref->holder);

	if (!link || ref->target.kind != BPFREFS_KIND_MAP ||
	    (link->type_number != UAPI_LINK_STRUCT_OPS && link->type_number != UAPI_LINK_SOCKMAP))
		return;
	removal_words(removal, "bpftool", "link", "detach", NULL);
	removal_id(removal, ref->holder);
}

const struct holder_class holder_link = {
	.pub = { HOLDER_PUB("link"), .holders = 1u << BPFREFS_KIND_LINK },
	.id = CLASS_LINK,
	.no_hook = true,
	.removes = removes,
	.decoders = { DECODER(walk_link, decode) },
	.proc = proc,
};

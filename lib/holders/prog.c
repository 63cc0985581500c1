/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs hold the maps that they use (resolve_pseudo_ldimm64(), bpf_prog_bind_map()), the BTF of
 * their functions (check_btf_func()), the BTF that they attach by (bpf_prog_load()), the BTFs of
 * the kernel variables and of the modules' kfuncs that they use, the program that they extend or
 * trace (bpf_prog_load()), and the struct_ops map that they are associated with
 * (bpf_prog_assoc_struct_ops()).
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"
#include "kernel/object_cache.h"
#include "procfs/procfs.h"

HOLDER_FIELDS(HELD_FIELDS);

static void decode_prog(struct scan *scan, const void *record)
{
	const struct walk_prog *prog = record;
	struct bpfrefs_key holder = { BPFREFS_KIND_PROG, prog->rec.id };

	hold_btf(scan, prog->btf_id, holder, WALK_VIA_FUNC_INFO);
	hold_btf(scan, prog->attach_btf_id, holder, WALK_VIA_ATTACH_BTF);
}

static void decode_edge(struct scan *scan, const void *record)
{
	const struct walk_edge *edge = record;
	struct bpfrefs_key target = { (enum bpfrefs_kind)edge->target, edge->target_id };

	if (edge->holder != WALK_KIND_PROG)
		return;
	if (!walk_state_of(scan)->one)
		object_cache_use(scan->ctx->object_cache, edge->rec.id,
				 edge->via == WALK_VIA_USED_MAPS ? edge->target_id : 0);
	scan_add_held(scan, target, 1, 0, (struct bpfrefs_key){ BPFREFS_KIND_PROG, edge->rec.id },
		      edge->via);
}

struct used_walk {
	struct scan *scan;
	GArray *places; /* the programs that must be read */
	int err;
};

static void add_used(const struct walk_rec *rec, void *data)
{
	struct used_walk *used = data;
	struct scan *scan = used->scan;
	struct object_cache *known = scan->ctx->object_cache;
	struct walk_object place = { ((const struct walk_prog *)(const void *)rec)->address,
				     rec->id };
	struct bpfrefs_key holder = { BPFREFS_KIND_PROG, rec->id };
	bool one = walk_state_of(scan)->one;
	const uint32_t *maps;
	uint32_t count;

	if (!one && object_cache_used(known, rec, &maps, &count)) {
		for (uint32_t i = 0; i < count; i++)
			scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, maps[i] }, 1, 0,
				      holder, WALK_VIA_USED_MAPS);
		return;
	}
	if (!memory_can_grow(used->places->len * sizeof(place), sizeof(place))) {
		used->err = -ENOMEM;
		return;
	}
	if (!one)
		object_cache_program_begin(known, rec);
	g_array_append_val(used->places, place);
}

/*
 * Most programs hold the same objects as before, which their counters show (walk_counts); only the
 * others are read. For the holders of one map the counters are not read, so all programs are.
 */
static int walk(struct scan *scan)
{
	g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(struct walk_object));
	struct used_walk used = { scan, places, 0 };
	int err;

	object_cache_each(scan->ctx->object_cache, BPFREFS_KIND_PROG, add_used, &used);
	err = used.err ? used.err : dispatch_places(scan, "walk_used", places);
	if (!err && !scan_failed(scan) && !walk_state_of(scan)->one)
		object_cache_program_end(scan->ctx->object_cache);
	return err;
}

/* ------------------------------------------------------------ procfs --- */

static int proc(struct scan *scan)
{
	const struct proc_scan *proc = scan->source_data;
	const struct proc_gap gap = { &proc->edges.objects[BPFREFS_KIND_PROG], "programs" };

	proc_edges_take(scan, BPFREFS_KIND_PROG);
	proc_gaps(scan, &gap, 1);
	scan_gap(scan, 0, "the UAPI does not show the BTFs of kernel variables that programs use",
		 0);
	return 0;
}

const struct holder_class holder_prog = {
	.pub = { HOLDER_PUB("prog"), .holders = 1u << BPFREFS_KIND_PROG },
	.id = CLASS_PROG,
	.no_hook = true,
	.removes = removal_by_process,
	.walk = walk,
	.parallel = true,
	.decoders = { DECODER(walk_prog, decode_prog), DECODER(walk_edge, decode_edge) },
	.proc = proc,
};

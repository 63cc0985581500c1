/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What programs hold: the maps they use (resolve_pseudo_ldimm64(), bpf_prog_bind_map()), the BTF of
 * their functions (check_btf_func()), the BTF they attach by (bpf_prog_load()), the BTFs of kernel
 * variables and of modules' kfuncs that they name, and the program that they are loaded for
 * (freplace, or tracing of a program: bpf_prog_load()); the struct_ops map that they are associated
 * with (bpf_prog_assoc_struct_ops()).
 */
#include "holders/holders.h"
#include "kernel/object_cache.h"
#include "kernel/bpf_source.h"

static const char *const keys[] = { "id", "name", "via", "slot", NULL };

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_prog *prog = walk_record(rec, walk_prog);
	const struct walk_edge *edge = walk_record(rec, walk_edge);
	struct bpfrefs_key holder = { BPFREFS_PROG, rec->id };

	if (prog) {
		hold_btf(scan, prog->btf_id, holder, "func_info");
		hold_btf(scan, prog->attach_btf_id, holder, "attach_btf");
		return true;
	}
	if (!edge || edge->holder != WALK_KIND_PROG)
		return false;
	if (!walk_state_of(scan)->one)
		known_use(scan->ctx->known, rec->id,
			  edge->via == WALK_VIA_USED_MAPS ? edge->target_id : 0);
	scan_add_held(scan,
		      (struct bpfrefs_key){ (enum bpfrefs_kind)edge->target, edge->target_id }, 1,
		      0, holder, walk_via_name(edge->via));
	return true;
}

struct looking {
	struct scan *scan;
	GArray *places; /* programs that must be looked into */
	int err;
};

static void tell_used(const struct walk_rec *rec, void *data)
{
	struct looking *looking = data;
	struct scan *scan = looking->scan;
	struct known *known = scan->ctx->known;
	struct walk_place place = { ((const struct walk_prog *)(const void *)rec)->address, rec->id };
	struct bpfrefs_key holder = { BPFREFS_PROG, rec->id };
	bool one = walk_state_of(scan)->one;
	const uint32_t *maps;
	uint32_t count;

	if (!one && known_used(known, rec, &maps, &count)) {
		for (uint32_t i = 0; i < count; i++)
			scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_MAP, maps[i] }, 1, 0, holder,
				      walk_via_name(WALK_VIA_USED_MAPS));
		return;
	}
	if (!memory_can_grow(looking->places->len * sizeof(place), sizeof(place))) {
		looking->err = -ENOMEM;
		return;
	}
	if (!one)
		known_use_begin(known, rec);
	g_array_append_val(looking->places, place);
}

/*
 * Most programs hold what they held: the counters say so (walk_counts), and only the others are looked
 * into. For one map alone the counters are not read.
 */
static int walk(struct scan *scan)
{
	g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(struct walk_place));
	struct looking looking = { scan, places, 0 };
	int err;

	known_each(scan->ctx->known, BPFREFS_PROG, tell_used, &looking);
	err = looking.err ? looking.err : walk_places(scan, "walk_used", places);
	if (!err && !scan_failed(scan) && !walk_state_of(scan)->one)
		known_use_end(scan->ctx->known);
	return err;
}

const struct holder_class holder_prog = {
	.pub = { "prog", keys },
	.walk = walk,
	.apart = true,
	.takes = WALK_BIT(WALK_PROG) | WALK_BIT(WALK_EDGE),
	.decode = decode,
	.proc = proc_scan_prog,
};

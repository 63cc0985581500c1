/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What programs hold: the maps they use (resolve_pseudo_ldimm64(), bpf_prog_bind_map()), the BTF of
 * their functions (check_btf_func()), the BTF they attach by (bpf_prog_load()), the BTFs of kernel
 * variables and of modules' kfuncs that they name, and the program that they are loaded for
 * (freplace, or tracing of a program: bpf_prog_load()); the struct_ops map that they are associated
 * with (bpf_prog_assoc_struct_ops()).
 */
#include "holders.h"
#include "walk-scan.h"

static const char *const keys[] = { "id", "name", "via", "slot", NULL };
static const char *const walks[] = { "walk_used", NULL };

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_prog *prog = walk_record(rec, WALK_PROG, struct walk_prog);
	const struct walk_edge *edge = walk_record(rec, WALK_EDGE, struct walk_edge);
	struct bpfrefs_key holder = { BPFREFS_PROG, rec->id };

	if (prog) {
		hold_btf(scan, prog->btf_id, holder, "func_info");
		hold_btf(scan, prog->attach_btf_id, holder, "attach_btf");
		return true;
	}
	if (!edge || edge->holder != WALK_KIND_PROG)
		return false;
	scan_add_held(scan,
		      (struct bpfrefs_key){ (enum bpfrefs_kind)edge->target, edge->target_id }, 1,
		      0, holder, walk_via_name(edge->via));
	return true;
}

const struct holder_class holder_prog = {
	.pub = { "prog", keys },
	.walks = walks,
	.apart = true,
	.takes = WALK_BIT(WALK_PROG) | WALK_BIT(WALK_EDGE),
	.decode = decode,
	.proc = proc_scan_prog,
};

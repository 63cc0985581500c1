// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of one tcx or netkit entry (struct bpf_mprog_entry): each position holds its program
 * unless a link does (bpf_mprog_attach(), tcx_prog_attach(), netkit_prog_attach()).
 */
#include "bpf/net.bpf.h"

/* at[0]: the position. */
static __always_inline int mprog_step(void)
{
	struct bpf_mprog_entry *entry = (void *)walk.net.object;
	struct walk_mprog *out = walk_room();
	struct bpf_mprog_bundle *bundle;
	struct bpf_mprog_fp *item;
	struct bpf_mprog_cp *side;
	__u64 index = walk.net.at[0];
	struct bpf_prog *prog;

	if (index >= BPF_MPROG_MAX)
		return 1;
	if (!out) {
		walk.ended = WALK_FULL;
		return 1;
	}
	item = (void *)entry + bpf_core_field_offset(struct bpf_mprog_entry, fp_items) +
	       index * bpf_core_type_size(struct bpf_mprog_fp);
	prog = BPF_CORE_READ(item, prog);
	if (!prog)
		return 1;
	bundle = BPF_CORE_READ(entry, parent);
	side = (void *)bundle + bpf_core_field_offset(struct bpf_mprog_bundle, cp_items) +
	       index * bpf_core_type_size(struct bpf_mprog_cp);
	out->position = index;
	out->count = BPF_CORE_READ(bundle, count);
	out->linked = BPF_CORE_READ(side, link) != NULL;
	walk_emit(&out->rec, WALK_MPROG, sizeof(*out), walk_prog_id(prog));
	walk.net.at[0]++;
	return 0;
}

static __always_inline bool mprogs_begin(void)
{
	struct bpf_mprog_entry *entry = (void *)walk.net.object;
	__u64 bundle;

	bundle = (__u64)BPF_CORE_READ(entry, parent);
	walk.net.gone =
		(__u64)entry != bundle + bpf_core_field_offset(struct bpf_mprog_bundle, a) &&
		(__u64)entry != bundle + bpf_core_field_offset(struct bpf_mprog_bundle, b);
	return !walk.net.gone;
}

/* Emits the programs of the entry walk.net.object. */
NET_PROGRAM_IF(bpf_core_type_exists(struct bpf_mprog_entry), walk_mprogs, mprogs_begin, mprog_step)

char LICENSE[] SEC("license") = "GPL";

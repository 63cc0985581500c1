// SPDX-License-Identifier: GPL-2.0
/*
 * What programs hold: the maps of used_maps (one reference each, taken by resolve_pseudo_ldimm64()
 * and bpf_prog_bind_map()), the BTFs of used_btfs (__add_used_btf(), BTFs of kernel variables) and
 * of kfunc_btf_tab (kfuncs of modules), and dst_prog, the program that a freplace or tracing
 * program is loaded for (bpf_prog_load()), until a link takes that reference over
 * (bpf_tracing_prog_attach()).
 */
#include "bpf/walk.bpf.h"

struct prog_list {
	__u64 list;
	__u64 at, stopped;
	__u32 holder, via;
};

/*
 * walk.resume_at counts what has been emitted of a program: its maps, its BTFs, those of its
 * kfuncs.
 */
#define PART_BTFS   (1ull << 40)
#define PART_KFUNCS (1ull << 41)

static __always_inline int stop(struct prog_list *part, __u64 at)
{
	part->stopped = at + 1;
	return 1;
}

static int emit_map(__u32 index, struct prog_list *part)
{
	__u64 at = part->at + index;
	struct bpf_map *map = NULL;

	bpf_probe_read_kernel(&map, sizeof(map), (void *)(part->list + at * sizeof(map)));
	if (walk.filter_map && (__u64)map != walk.filter_map)
		return 0;
	if (map && !walk_edge(part->holder, WALK_KIND_PROG, walk_id((__u64)map, WALK_KIND_MAP),
			      WALK_KIND_MAP, WALK_VIA_USED_MAPS, 0))
		return stop(part, at);
	return 0;
}

static int emit_btf(__u32 index, struct prog_list *part)
{
	__u64 at = part->at + index;
	struct btf *btf = NULL;
	__u64 size = part->via == WALK_VIA_USED_BTFS ? bpf_core_type_size(struct btf_mod_pair)
						     : bpf_core_type_size(struct bpf_kfunc_btf);
	__u64 offset = part->via == WALK_VIA_USED_BTFS
			       ? bpf_core_field_offset(struct btf_mod_pair, btf)
			       : bpf_core_field_offset(struct bpf_kfunc_btf, btf);

	bpf_probe_read_kernel(&btf, sizeof(btf), (void *)(part->list + at * size + offset));
	if (!btf)
		return 0;
	if (walk_full(sizeof(struct walk_btf)) ||
	    !walk_edge(part->holder, WALK_KIND_PROG, BPF_CORE_READ(btf, id), WALK_KIND_BTF,
		       part->via, 0))
		return stop(part, at);
	walk_emit_btf(btf);
	return 0;
}

/* False: the buffer is full. */
static __always_inline bool emit_assoc(struct bpf_prog *prog, __u32 holder)
{
	struct bpf_map *map;

	if (!bpf_core_field_exists(((struct bpf_prog_aux *)0)->st_ops_assoc))
		return true;
	/*
	 * a member of struct_ops maps points to its map, or to none if it is in several, and holds
	 * no reference
	 */
	if (BPF_CORE_READ(prog, type) == BPF_PROG_TYPE_STRUCT_OPS)
		return true;
	map = BPF_CORE_READ(prog, aux, st_ops_assoc);
	if (!map || (walk.filter_map && (__u64)map != walk.filter_map))
		return true;
	return walk_edge(holder, WALK_KIND_PROG, BPF_CORE_READ(map, id), WALK_KIND_MAP,
			 WALK_VIA_ST_OPS_ASSOC, 0);
}

static __always_inline int full(__u64 at)
{
	walk.ended = WALK_FULL;
	walk.resume_at = at;
	return 0;
}

/*
 * Emits what one program holds, from walk.resume_at on. Where walk.ended becomes WALK_FULL,
 * walk.resume_at says where to continue. This is global, so that it is verified once and not for
 * each state of the loop over programs.
 */
int walk_used_of(__u64 address, __u32 id)
{
	struct bpf_prog *prog = (void *)address, *target;
	__u64 begin = walk.resume_at, count;
	struct bpf_kfunc_btf_tab *tab;
	struct prog_list part = {};

	/* it was freed, see walk_counts */
	if (walk_id(address, WALK_KIND_PROG) != id)
		return 0;
	part.holder = id;
	part.list = (__u64)BPF_CORE_READ(prog, aux, used_maps);
	part.at = begin;
	part.via = WALK_VIA_USED_MAPS;
	count = BPF_CORE_READ(prog, aux, used_map_cnt);
	if (begin < count)
		bpf_loop(count - begin, emit_map, &part, 0);
	if (part.stopped)
		return full(part.stopped - 1);
	if (begin <= count && !emit_assoc(prog, part.holder))
		return full(count);
	if (walk.filter_map) /* neither BTFs nor programs were requested */
		return 0;

	part.list = (__u64)BPF_CORE_READ(prog, aux, used_btfs);
	part.at = begin >= PART_BTFS && begin < PART_KFUNCS ? begin - PART_BTFS : 0;
	part.via = WALK_VIA_USED_BTFS;
	count = BPF_CORE_READ(prog, aux, used_btf_cnt);
	if (begin < PART_KFUNCS && part.at < count)
		bpf_loop(count - part.at, emit_btf, &part, 0);
	if (part.stopped)
		return full(PART_BTFS + part.stopped - 1);

	tab = BPF_CORE_READ(prog, aux, kfunc_btf_tab);
	part.list = (__u64)tab + bpf_core_field_offset(struct bpf_kfunc_btf_tab, descs);
	part.at = begin >= PART_KFUNCS ? begin - PART_KFUNCS : 0;
	part.via = WALK_VIA_KFUNC_BTF;
	count = tab ? BPF_CORE_READ(tab, nr_descs) : 0;
	if (part.at < count)
		bpf_loop(count - part.at, emit_btf, &part, 0);
	if (part.stopped)
		return full(PART_KFUNCS + part.stopped - 1);

	target = BPF_CORE_READ(prog, aux, dst_prog);
	if (target && !walk_edge(part.holder, WALK_KIND_PROG, walk_prog_id(target), WALK_KIND_PROG,
				 WALK_VIA_TARGET, 0))
		return full(PART_KFUNCS + count);
	return 0;
}

static int prog_step(__u32 index, void *data)
{
	return walk_listed_step(walk_used_of);
}

/* Emits what the programs in walk_list hold, from walk.list_at on. */
SEC("syscall")
int walk_used(void *ctx)
{
	return walk_all_listed(prog_step);
}

char LICENSE[] SEC("license") = "GPL";

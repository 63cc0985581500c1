// SPDX-License-Identifier: GPL-2.0
/*
 * The memory cgroup that pays for a map (bpf_map_save_memcg()), and those above it. It runs only when
 * somebody reads that.
 */
#include "bpf/walk.bpf.h"

/*
 * These are in an enumeration without a name, which CO-RE cannot find. rmdir(2) sets CSS_DYING
 * (kill_css()), and some time later CSS_ONLINE is cleared (offline_css()), when the maps have been
 * handed to the cgroup above (memcg_reparent_objcgs()).
 */
#define CSS_ONLINE 2
#define CSS_DYING  16

/* A longer way to the root is cut off. */
#define LEVELS_MAX 64

struct payer_walk {
	struct cgroup *cgroup; /* NULL: the root has been emitted */
	__u32 map, dying;
};

static int payer_step(__u32 index, struct payer_walk *way)
{
	struct cgroup *cgroup = way->cgroup, *parent;
	struct walk_payer *out = walk_room();

	if (!cgroup || !out)
		return 1;
	parent = BPF_CORE_READ(cgroup, self.parent, cgroup);
	out->dying = way->dying;
	out->above = !!parent;
	if (bpf_probe_read_kernel_str(out->name, sizeof(out->name),
				      BPF_CORE_READ(cgroup, kn, name)) <= 0)
		out->name[0] = 0;
	walk_emit(&out->rec, WALK_PAYER, sizeof(*out), way->map);
	way->cgroup = parent;
	return 0;
}

/* A map for which no cgroup pays: bpf_map_get_memcg() takes the root then. */
static __always_inline void emit_root(__u32 map)
{
	struct walk_payer *out = walk_room();

	if (!out)
		return;
	out->dying = out->above = 0;
	out->name[0] = 0;
	walk_emit(&out->rec, WALK_PAYER, sizeof(*out), map);
}

/*
 * Emits the cgroup that pays for the map walk.filter_id, then the one above it, and so on up to the
 * root. The kernel runs this under RCU, which the memory cgroup of an obj_cgroup is freed after.
 */
SEC("iter/bpf_map")
int walk_payers(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct payer_walk way = { 0 };
	struct mem_cgroup *memcg;
	struct obj_cgroup *objcg;

	if (!map || map->id != walk.filter_id)
		return 0;
	if (!bpf_core_field_exists(map->objcg)) { /* without CONFIG_MEMCG */
		walk.ended = WALK_NONE;
		return 0;
	}
	way.map = map->id;
	objcg = BPF_CORE_READ(map, objcg);
	if (!objcg) {
		emit_root(map->id);
		return 0;
	}
	memcg = BPF_CORE_READ(objcg, memcg);
	way.cgroup = BPF_CORE_READ(memcg, css.cgroup);
	way.dying = (BPF_CORE_READ(memcg, css.flags) & (CSS_ONLINE | CSS_DYING)) != CSS_ONLINE;
	bpf_loop(LEVELS_MAX, payer_step, &way, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

// SPDX-License-Identifier: GPL-2.0
/*
 * BTFs that kptr fields hold: those of a map's values (btf_parse_kptr(), and btf_record_dup() for
 * each copy of a record in the template of a map of maps), and those of the structures of a BTF
 * itself (btf_parse_struct_metas()). Only the BTF of a kernel or module is counted; a program's own
 * is not.
 */
#include "bpf/walk.bpf.h"

#define FIELDS_MAX 16 /* BTF_FIELDS_MAX is 11 */

struct fields {
	__u64 record;
	__u32 holder, kind, via, count;
};

static int field_step(__u32 index, struct fields *fields)
{
	struct btf_field *field;
	struct btf *btf;
	__u32 type;

	if (index >= fields->count)
		return 1;
	field = (void *)(fields->record + bpf_core_field_offset(struct btf_record, fields) +
			 index * bpf_core_type_size(struct btf_field));
	type = BPF_CORE_READ(field, type);
	if (!(type & (walk_field_bit(BPF_KPTR_UNREF) | walk_field_bit(BPF_KPTR_REF) |
		      walk_field_bit(BPF_KPTR_PERCPU) | walk_field_bit(BPF_UPTR))))
		return 0;
	btf = BPF_CORE_READ(field, kptr.btf);
	if (!btf || !BPF_CORE_READ(btf, kernel_btf))
		return 0;
	walk_edge(fields->holder, fields->kind, BPF_CORE_READ(btf, id), WALK_KIND_BTF, fields->via,
		  0);
	return 0;
}

static int old_step(__u32 index, struct fields *fields)
{
	struct bpf_map_value_off_desc *desc;
	struct btf *btf;

	if (index >= fields->count)
		return 1;
	desc = (void *)(fields->record + bpf_core_field_offset(struct bpf_map_value_off, off) +
			index * bpf_core_type_size(struct bpf_map_value_off_desc));
	btf = BPF_CORE_READ(desc, kptr.btf);
	if (btf && BPF_CORE_READ(btf, kernel_btf))
		walk_edge(fields->holder, fields->kind, BPF_CORE_READ(btf, id), WALK_KIND_BTF,
			  fields->via, 0);
	return 0;
}

static __always_inline void emit_old(struct fields *fields, struct bpf_map *map)
{
	struct bpf_map_value_off *tab;

	if (!bpf_core_field_exists(map->kptr_off_tab))
		return;
	tab = BPF_CORE_READ(map, kptr_off_tab);
	fields->record = (__u64)tab;
	fields->count = tab ? BPF_CORE_READ(tab, nr_off) : 0; /* an ERR_PTR reads as 0 */
	if (fields->count)
		bpf_loop(FIELDS_MAX, old_step, fields, 0);
}

/* The caller has room for FIELDS_MAX edges. */
static __always_inline void emit_record(struct fields *fields, struct btf_record *record)
{
	fields->record = (__u64)record;
	fields->count = record ? BPF_CORE_READ(record, cnt) : 0;
	if (fields->count)
		bpf_loop(FIELDS_MAX, field_step, fields, 0);
}

static __always_inline void emit_map(struct fields *fields, struct bpf_map *map)
{
	if (bpf_core_field_exists(map->record))
		emit_record(fields, BPF_CORE_READ(map, record));
	else
		emit_old(fields, map);
}

SEC("iter/bpf_map")
int walk_kptrs(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map, *inner;
	struct fields fields = { .kind = WALK_KIND_MAP, .via = WALK_VIA_KPTR };

	if (!map)
		return 0;
	if (walk_full(2 * FIELDS_MAX * sizeof(struct walk_edge)))
		return WALK_AGAIN;
	fields.holder = map->id;
	emit_map(&fields, (void *)walk_scalar(ctx->map));
	inner = BPF_CORE_READ(map, inner_map_meta);
	fields.via = WALK_VIA_TEMPLATE_KPTR;
	if (inner)
		emit_map(&fields, inner);
	return 0;
}

struct metas {
	__u64 types;
	__u32 first, stopped;
};

static int meta_step(__u32 index, struct metas *metas)
{
	struct fields fields = { .kind = WALK_KIND_BTF, .via = WALK_VIA_KPTR };
	struct btf_struct_meta *meta;

	meta = (void *)(metas->types +
			(metas->first + index) * bpf_core_type_size(struct btf_struct_meta));
	if (walk_full(FIELDS_MAX * sizeof(struct walk_edge))) {
		metas->stopped = 1;
		walk.meta_at = metas->first + index;
	} else {
		fields.holder = walk.btf_id;
		emit_record(&fields, BPF_CORE_READ(meta, record));
	}
	return metas->stopped ? 1 : 0;
}

/* Emits what the structures of the BTF at walk.btf_at hold, from walk.meta_at on. */
SEC("syscall")
int walk_metas(void *ctx)
{
	struct btf *btf = (void *)walk.btf_at;
	struct btf_struct_metas *tab;
	struct metas metas = { .first = walk.meta_at };
	__u32 count;

	walk.ended = WALK_DONE;
	if (!bpf_core_field_exists(btf->struct_meta_tab))
		return 0;
	if (BPF_CORE_READ(btf, id) != walk.btf_id) {
		walk.ended = WALK_TORN;
		return 0;
	}
	tab = BPF_CORE_READ(btf, struct_meta_tab);
	count = tab ? BPF_CORE_READ(tab, cnt) : 0;
	metas.types = (__u64)tab + bpf_core_field_offset(struct btf_struct_metas, types);
	if (metas.first < count)
		bpf_loop(count - metas.first, meta_step, &metas, 0);
	if (metas.stopped)
		walk.ended = WALK_FULL;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

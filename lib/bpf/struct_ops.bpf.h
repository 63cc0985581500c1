/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations that the kernel calls: how their names are compared, and the struct_ops map that
 * registered them.
 */
#ifndef WALK_OPS_BPF_H
#define WALK_OPS_BPF_H

#include "bpf/walk.bpf.h"

/* The first eight bytes of a name, as a number. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTE(c, i) ((__u64)(c) << 8 * (i))
#else
#define BYTE(c, i) ((__u64)(c) << 8 * (7 - (i)))
#endif
#define NAME(a, b, c, d, e, f, g, h)                                                   \
	(BYTE(a, 0) | BYTE(b, 1) | BYTE(c, 2) | BYTE(d, 3) | BYTE(e, 4) | BYTE(f, 5) | \
	 BYTE(g, 6) | BYTE(h, 7))
/*
 * The owner of operations that a struct_ops map registered, BPF_MODULE_OWNER. The upper half
 * differs between architectures. The lower half cannot be that of a module, whose address is
 * aligned to cache lines.
 */
#define BPF_OWNER (0xeb9fu << 2)

/* The struct_ops map that operations with this owner are part of, or NULL. */
static __always_inline struct bpf_map *map_of_ops(const void *ops, const void *owner)
{
	if (!bpf_core_type_exists(struct bpf_struct_ops_map))
		return NULL;
	if (!ops || (__u32)(__u64)owner != BPF_OWNER)
		return NULL;
	return (void *)((__u64)ops - bpf_core_field_offset(struct bpf_struct_ops_map, kvalue) -
			bpf_core_field_offset(struct bpf_struct_ops_value, data) +
			bpf_core_field_offset(struct bpf_struct_ops_map, map));
}

#endif

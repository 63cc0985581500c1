/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects' facts under the UAPI's names: from the structures that BPF_OBJ_GET_INFO_BY_FD fills, and
 * of a map also from what the BPF iterator saw without opening a descriptor.
 */
#ifndef BPFREFS_INFO_H
#define BPFREFS_INFO_H

#include "snapshot/private.h"

/* A map's facts, in struct bpf_map_info's names. The name need not end in NUL. */
struct map_facts {
	uint32_t type, id, key_size, value_size, max_entries, map_flags;
	uint32_t ifindex, btf_vmlinux_value_type_id;
	uint64_t netns_dev, netns_ino;
	uint32_t btf_id, btf_key_type_id, btf_value_type_id, btf_vmlinux_id;
	uint64_t map_extra;
	char name[16];
	bool short_info; /* the kernel tells nothing beyond btf_value_type_id (before 5.16) */
};

/* All of a map's facts, "kind" first. */
void info_map(struct bpfrefs_info *info, const struct map_facts *facts);

#endif

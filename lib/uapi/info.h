/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The facts about objects, named as in the UAPI. They come from the structures that
 * BPF_OBJ_GET_INFO_BY_FD fills; those about a map may also come from a BPF iterator, which needs no
 * descriptor of the map.
 */
#ifndef BPFREFS_INFO_H
#define BPFREFS_INFO_H

#include "snapshot/private.h"

/* The facts about a map, named as in struct bpf_map_info. The name need not end with a NUL. */
struct map_facts {
	uint32_t type, id, key_size, value_size, max_entries, map_flags;
	uint32_t ifindex, btf_vmlinux_value_type_id;
	uint64_t netns_dev, netns_ino;
	uint32_t btf_id, btf_key_type_id, btf_value_type_id, btf_vmlinux_id;
	uint64_t map_extra;
	char name[16];
	bool short_info; /* the kernel fills nothing after btf_value_type_id (before Linux 5.16) */
};

/* Adds all facts about a map; "kind" comes first. */
void info_map(struct bpfrefs_info *info, const struct map_facts *facts);

/*
 * Whether an iterator over this target holds a map (bpf_iter_reg.attach_target takes a map then).
 */
bool info_iter_has_map(const char *target);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The structures that BPF_OBJ_GET_INFO_BY_FD fills, declared here because the oldest supported libc
 * headers do not have the newer members. The names are those of the UAPI. A kernel fills the part
 * of a structure that it knows and returns the size of that part; the rest stays zero.
 */
#ifndef BPFREFS_UAPI_INFO_H
#define BPFREFS_UAPI_INFO_H

#include "uapi/info.h"

/*
 * The end of struct bpf_map_info (hash and hash_size, since Linux 6.18) is left out: it is needed
 * only for signed maps.
 */
struct uapi_map {
	uint32_t type, id, key_size, value_size, max_entries, map_flags;
	char name[16];
	uint32_t ifindex, btf_vmlinux_value_type_id;
	uint64_t netns_dev, netns_ino;
	uint32_t btf_id, btf_key_type_id, btf_value_type_id, btf_vmlinux_id;
	uint64_t map_extra;
};

struct uapi_prog {
	uint32_t type, id;
	uint8_t tag[8];
	uint32_t jited_prog_len, xlated_prog_len;
	uint64_t jited_prog_insns, xlated_prog_insns;
	uint64_t load_time;
	uint32_t created_by_uid;
	uint32_t nr_map_ids;
	uint64_t map_ids;
	char name[16];
	uint32_t ifindex;
	uint32_t flags; /* bit 0: gpl_compatible, which is a bit field in the UAPI */
	uint64_t netns_dev, netns_ino;
	uint32_t nr_jited_ksyms, nr_jited_func_lens;
	uint64_t jited_ksyms, jited_func_lens;
	uint32_t btf_id;
	uint32_t func_info_rec_size;
	uint64_t func_info;
	uint32_t nr_func_info, nr_line_info;
	uint64_t line_info, jited_line_info;
	uint32_t nr_jited_line_info;
	uint32_t line_info_rec_size, jited_line_info_rec_size;
	uint32_t nr_prog_tags;
	uint64_t prog_tags;
	uint64_t run_time_ns, run_cnt, recursion_misses;
	uint32_t verified_insns;
	uint32_t attach_btf_obj_id, attach_btf_id;
};

/* Values of enum bpf_perf_event_type. */
enum {
	UAPI_PERF_UPROBE = 1,
	UAPI_PERF_URETPROBE,
	UAPI_PERF_KPROBE,
	UAPI_PERF_KRETPROBE,
	UAPI_PERF_TRACEPOINT,
	UAPI_PERF_EVENT,
};

/* Values of enum bpf_link_type that have facts of their own. */
enum {
	UAPI_LINK_RAW_TRACEPOINT = 1,
	UAPI_LINK_TRACING,
	UAPI_LINK_CGROUP,
	UAPI_LINK_ITER,
	UAPI_LINK_NETNS,
	UAPI_LINK_XDP,
	UAPI_LINK_PERF_EVENT,
	UAPI_LINK_KPROBE_MULTI,
	UAPI_LINK_STRUCT_OPS,
	UAPI_LINK_NETFILTER,
	UAPI_LINK_TCX,
	UAPI_LINK_UPROBE_MULTI,
	UAPI_LINK_NETKIT,
	UAPI_LINK_SOCKMAP,
	UAPI_LINK_COUNT,
};

/*
 * The members have the names and the order of those in the UAPI, so that uapi_members.h lists each
 * of them once for both. A member of 8 bytes after one of 4 is preceded by 4 bytes of padding. Do
 * not put a pointer and its length into a structure of their own: it would end with such padding,
 * where the UAPI has the next member.
 */
struct uapi_perf {
	uint32_t type;
	union {
		struct {
			uint64_t file_name;
			uint32_t name_len, offset;
			uint64_t cookie, ref_ctr_offset;
		} uprobe;
		struct {
			uint64_t func_name;
			uint32_t name_len, offset;
			uint64_t addr, missed, cookie;
		} kprobe;
		struct {
			uint64_t tp_name;
			uint32_t name_len;
			uint64_t cookie;
		} tracepoint;
		struct {
			uint64_t config;
			uint32_t type;
			uint64_t cookie;
		} event;
	};
};

struct uapi_iter {
	uint64_t target_name;
	uint32_t target_name_len;
	struct {
		uint32_t map_id;
	} map;
	union {
		struct {
			uint64_t cgroup_id;
			uint32_t order;
		} cgroup;
		struct {
			uint32_t tid, pid;
		} task;
	};
};

struct uapi_link {
	uint32_t type, id, prog_id;
	union {
		struct {
			uint64_t tp_name;
			uint32_t tp_name_len;
			uint64_t cookie;
		} raw_tracepoint;
		struct {
			uint32_t attach_type, target_obj_id, target_btf_id;
			uint64_t cookie;
		} tracing;
		struct {
			uint64_t cgroup_id;
			uint32_t attach_type;
		} cgroup;
		struct uapi_iter iter;
		struct {
			uint32_t netns_ino, attach_type;
		} netns;
		struct {
			uint32_t ifindex;
		} xdp;
		struct {
			uint32_t map_id;
		} struct_ops;
		struct {
			uint32_t pf, hooknum;
			int32_t priority;
			uint32_t flags;
		} netfilter;
		struct {
			uint64_t addrs;
			uint32_t count, flags;
			uint64_t missed, cookies;
		} kprobe_multi;
		struct {
			uint64_t path, offsets, ref_ctr_offsets, cookies;
			uint32_t path_size, count, flags, pid;
		} uprobe_multi;
		struct uapi_perf perf_event;
		struct {
			uint32_t ifindex, attach_type;
		} tcx;
		struct {
			uint32_t ifindex, attach_type;
		} netkit;
		struct {
			uint32_t map_id, attach_type;
		} sockmap;
	};
};

struct uapi_btf {
	uint64_t btf;
	uint32_t btf_size, id;
	uint64_t name;
	uint32_t name_len, kernel_btf;
};

/* The facts about a program, and the ids of the maps that it uses. */
struct prog_facts {
	struct uapi_prog raw;
	uint32_t len; /* the size of the part of @raw that the kernel filled */
	uint32_t *map_ids;
	uint32_t map_count;
};

/*
 * The facts about a link, and its string: the name of a tracepoint, an iterator's target, a
 * function, or a path.
 */
struct link_facts {
	struct uapi_link raw;
	uint32_t len;
	char text[4096];
};

struct btf_facts {
	struct uapi_btf raw;
	uint32_t len;
	char name[64];
};

/* Read the facts about the object of a descriptor. Return 0 or -errno. */
int uapi_info_map_read(int fd, struct map_facts *facts);
int uapi_info_prog_read(int fd,
			struct prog_facts *facts); /* free the result with uapi_info_prog_clear() */
void uapi_info_prog_clear(struct prog_facts *facts);
int uapi_info_link_read(int fd, struct link_facts *facts);
int uapi_info_btf_read(int fd, struct btf_facts *facts);

/* Add the facts. info_map() is declared in info.h. */
void info_prog(struct bpfrefs_info *info, const struct prog_facts *facts);
void info_link(struct bpfrefs_info *info, const struct link_facts *facts);
void info_btf(struct bpfrefs_info *info, const struct btf_facts *facts);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every member of the structures in uapi_info.h, and the structure of linux/bpf.h that it is copied
 * from: M(our structure, the UAPI's structure, the member). uapi_info.c compares them with the
 * system's header at compile time, and tests/unit/test-uapi-members.c with the BTF of the running kernel.
 * Bit fields and padding are left out, since they have no offset.
 */
#ifndef BPFREFS_UAPI_MEMBERS_H
#define BPFREFS_UAPI_MEMBERS_H

/* clang-format off */
#define UAPI_MAP_MEMBERS(M) \
	M(uapi_map, bpf_map_info, type) \
	M(uapi_map, bpf_map_info, id) \
	M(uapi_map, bpf_map_info, key_size) \
	M(uapi_map, bpf_map_info, value_size) \
	M(uapi_map, bpf_map_info, max_entries) \
	M(uapi_map, bpf_map_info, map_flags) \
	M(uapi_map, bpf_map_info, name) \
	M(uapi_map, bpf_map_info, ifindex) \
	M(uapi_map, bpf_map_info, btf_vmlinux_value_type_id) \
	M(uapi_map, bpf_map_info, netns_dev) \
	M(uapi_map, bpf_map_info, netns_ino) \
	M(uapi_map, bpf_map_info, btf_id) \
	M(uapi_map, bpf_map_info, btf_key_type_id) \
	M(uapi_map, bpf_map_info, btf_value_type_id) \
	M(uapi_map, bpf_map_info, map_extra)

#define UAPI_PROG_MEMBERS(M) \
	M(uapi_prog, bpf_prog_info, type) \
	M(uapi_prog, bpf_prog_info, id) \
	M(uapi_prog, bpf_prog_info, tag) \
	M(uapi_prog, bpf_prog_info, jited_prog_len) \
	M(uapi_prog, bpf_prog_info, xlated_prog_len) \
	M(uapi_prog, bpf_prog_info, jited_prog_insns) \
	M(uapi_prog, bpf_prog_info, xlated_prog_insns) \
	M(uapi_prog, bpf_prog_info, load_time) \
	M(uapi_prog, bpf_prog_info, created_by_uid) \
	M(uapi_prog, bpf_prog_info, nr_map_ids) \
	M(uapi_prog, bpf_prog_info, map_ids) \
	M(uapi_prog, bpf_prog_info, name) \
	M(uapi_prog, bpf_prog_info, ifindex) \
	M(uapi_prog, bpf_prog_info, netns_dev) \
	M(uapi_prog, bpf_prog_info, netns_ino) \
	M(uapi_prog, bpf_prog_info, nr_jited_ksyms) \
	M(uapi_prog, bpf_prog_info, nr_jited_func_lens) \
	M(uapi_prog, bpf_prog_info, jited_ksyms) \
	M(uapi_prog, bpf_prog_info, jited_func_lens) \
	M(uapi_prog, bpf_prog_info, btf_id) \
	M(uapi_prog, bpf_prog_info, func_info_rec_size) \
	M(uapi_prog, bpf_prog_info, func_info) \
	M(uapi_prog, bpf_prog_info, nr_func_info) \
	M(uapi_prog, bpf_prog_info, nr_line_info) \
	M(uapi_prog, bpf_prog_info, line_info) \
	M(uapi_prog, bpf_prog_info, jited_line_info) \
	M(uapi_prog, bpf_prog_info, nr_jited_line_info) \
	M(uapi_prog, bpf_prog_info, line_info_rec_size) \
	M(uapi_prog, bpf_prog_info, jited_line_info_rec_size) \
	M(uapi_prog, bpf_prog_info, nr_prog_tags) \
	M(uapi_prog, bpf_prog_info, prog_tags) \
	M(uapi_prog, bpf_prog_info, run_time_ns) \
	M(uapi_prog, bpf_prog_info, run_cnt) \
	M(uapi_prog, bpf_prog_info, recursion_misses) \
	M(uapi_prog, bpf_prog_info, verified_insns) \
	M(uapi_prog, bpf_prog_info, attach_btf_obj_id) \
	M(uapi_prog, bpf_prog_info, attach_btf_id)

#define UAPI_LINK_MEMBERS(M) \
	M(uapi_link, bpf_link_info, type) \
	M(uapi_link, bpf_link_info, id) \
	M(uapi_link, bpf_link_info, prog_id) \
	M(uapi_link, bpf_link_info, raw_tracepoint.tp_name) \
	M(uapi_link, bpf_link_info, raw_tracepoint.tp_name_len) \
	M(uapi_link, bpf_link_info, tracing.attach_type) \
	M(uapi_link, bpf_link_info, tracing.target_obj_id) \
	M(uapi_link, bpf_link_info, tracing.target_btf_id) \
	M(uapi_link, bpf_link_info, cgroup.cgroup_id) \
	M(uapi_link, bpf_link_info, cgroup.attach_type) \
	M(uapi_link, bpf_link_info, iter.target_name) \
	M(uapi_link, bpf_link_info, iter.target_name_len) \
	M(uapi_link, bpf_link_info, iter.map.map_id) \
	M(uapi_link, bpf_link_info, iter.cgroup.cgroup_id) \
	M(uapi_link, bpf_link_info, iter.cgroup.order) \
	M(uapi_link, bpf_link_info, iter.task.tid) \
	M(uapi_link, bpf_link_info, iter.task.pid) \
	M(uapi_link, bpf_link_info, netns.netns_ino) \
	M(uapi_link, bpf_link_info, netns.attach_type) \
	M(uapi_link, bpf_link_info, xdp.ifindex)

#define UAPI_BTF_MEMBERS(M) \
	M(uapi_btf, bpf_btf_info, btf) \
	M(uapi_btf, bpf_btf_info, btf_size) \
	M(uapi_btf, bpf_btf_info, id) \
	M(uapi_btf, bpf_btf_info, name) \
	M(uapi_btf, bpf_btf_info, name_len) \
	M(uapi_btf, bpf_btf_info, kernel_btf)

/* The members that the header of Linux 6.1 has. */
#define UAPI_MEMBERS(M) \
	UAPI_MAP_MEMBERS(M) UAPI_PROG_MEMBERS(M) UAPI_LINK_MEMBERS(M) UAPI_BTF_MEMBERS(M)

/* Newer members, grouped by those that were added together. */
#define UAPI_MEMBERS_STRUCT_OPS(M) /* 6.4 */ \
	M(uapi_link, bpf_link_info, struct_ops.map_id)

#define UAPI_MEMBERS_NETFILTER(M) /* 6.4 */ \
	M(uapi_link, bpf_link_info, netfilter.pf) \
	M(uapi_link, bpf_link_info, netfilter.hooknum) \
	M(uapi_link, bpf_link_info, netfilter.priority) \
	M(uapi_link, bpf_link_info, netfilter.flags)

#define UAPI_MEMBERS_PERF_EVENT(M) /* 6.6 */ \
	M(uapi_link, bpf_link_info, kprobe_multi.addrs) \
	M(uapi_link, bpf_link_info, kprobe_multi.count) \
	M(uapi_link, bpf_link_info, kprobe_multi.flags) \
	M(uapi_link, bpf_link_info, perf_event.type) \
	M(uapi_link, bpf_link_info, perf_event.uprobe.file_name) \
	M(uapi_link, bpf_link_info, perf_event.uprobe.name_len) \
	M(uapi_link, bpf_link_info, perf_event.uprobe.offset) \
	M(uapi_link, bpf_link_info, perf_event.kprobe.func_name) \
	M(uapi_link, bpf_link_info, perf_event.kprobe.name_len) \
	M(uapi_link, bpf_link_info, perf_event.kprobe.offset) \
	M(uapi_link, bpf_link_info, perf_event.kprobe.addr) \
	M(uapi_link, bpf_link_info, perf_event.tracepoint.tp_name) \
	M(uapi_link, bpf_link_info, perf_event.tracepoint.name_len) \
	M(uapi_link, bpf_link_info, perf_event.event.config) \
	M(uapi_link, bpf_link_info, perf_event.event.type)

#define UAPI_MEMBERS_TCX(M) /* 6.6 */ \
	M(uapi_link, bpf_link_info, tcx.ifindex) \
	M(uapi_link, bpf_link_info, tcx.attach_type)

#define UAPI_MEMBERS_NETKIT(M) /* 6.7 */ \
	M(uapi_link, bpf_link_info, netkit.ifindex) \
	M(uapi_link, bpf_link_info, netkit.attach_type)

#define UAPI_MEMBERS_MISSED(M) /* 6.7 */ \
	M(uapi_link, bpf_link_info, kprobe_multi.missed) \
	M(uapi_link, bpf_link_info, perf_event.kprobe.missed)

#define UAPI_MEMBERS_UPROBE_MULTI(M) /* 6.8 */ \
	M(uapi_link, bpf_link_info, uprobe_multi.path) \
	M(uapi_link, bpf_link_info, uprobe_multi.offsets) \
	M(uapi_link, bpf_link_info, uprobe_multi.ref_ctr_offsets) \
	M(uapi_link, bpf_link_info, uprobe_multi.cookies) \
	M(uapi_link, bpf_link_info, uprobe_multi.path_size) \
	M(uapi_link, bpf_link_info, uprobe_multi.count) \
	M(uapi_link, bpf_link_info, uprobe_multi.flags) \
	M(uapi_link, bpf_link_info, uprobe_multi.pid)

#define UAPI_MEMBERS_COOKIES(M) /* 6.9 */ \
	M(uapi_link, bpf_link_info, kprobe_multi.cookies) \
	M(uapi_link, bpf_link_info, perf_event.uprobe.cookie) \
	M(uapi_link, bpf_link_info, perf_event.kprobe.cookie) \
	M(uapi_link, bpf_link_info, perf_event.tracepoint.cookie) \
	M(uapi_link, bpf_link_info, perf_event.event.cookie)

#define UAPI_MEMBERS_SOCKMAP(M) /* 6.10 */ \
	M(uapi_link, bpf_link_info, sockmap.map_id) \
	M(uapi_link, bpf_link_info, sockmap.attach_type)

#define UAPI_MEMBERS_TRACING_COOKIE(M) \
	M(uapi_link, bpf_link_info, tracing.cookie)

#define UAPI_MEMBERS_RAW_TRACEPOINT_COOKIE(M) \
	M(uapi_link, bpf_link_info, raw_tracepoint.cookie)

#define UAPI_MEMBERS_REF_CTR_OFFSET(M) \
	M(uapi_link, bpf_link_info, perf_event.uprobe.ref_ctr_offset)

#define UAPI_MEMBERS_BTF_VMLINUX_ID(M) /* 6.9; padding before */ \
	M(uapi_map, bpf_map_info, btf_vmlinux_id)

#define RAW_NEWER_MEMBERS(M) \
	UAPI_MEMBERS_STRUCT_OPS(M) UAPI_MEMBERS_NETFILTER(M) UAPI_MEMBERS_PERF_EVENT(M) \
	UAPI_MEMBERS_TCX(M) UAPI_MEMBERS_NETKIT(M) UAPI_MEMBERS_MISSED(M) \
	UAPI_MEMBERS_UPROBE_MULTI(M) UAPI_MEMBERS_COOKIES(M) UAPI_MEMBERS_SOCKMAP(M) \
	UAPI_MEMBERS_TRACING_COOKIE(M) UAPI_MEMBERS_RAW_TRACEPOINT_COOKIE(M) \
	UAPI_MEMBERS_REF_CTR_OFFSET(M) UAPI_MEMBERS_BTF_VMLINUX_ID(M)
/* clang-format on */

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every member of the structures in uapi_info.h, and the structure of linux/bpf.h that it is copied
 * from: M(our structure, the UAPI's structure, the member). uapi_info.c compares them with the
 * system's header at compile time, and tests/unit/test-layout.c with the BTF of the running kernel.
 * Bit fields and padding are left out, since they have no offset.
 */
#ifndef BPFREFS_RAW_MEMBERS_H
#define BPFREFS_RAW_MEMBERS_H

/* clang-format off */
#define RAW_MAP_MEMBERS(M) \
	M(raw_map, bpf_map_info, type) \
	M(raw_map, bpf_map_info, id) \
	M(raw_map, bpf_map_info, key_size) \
	M(raw_map, bpf_map_info, value_size) \
	M(raw_map, bpf_map_info, max_entries) \
	M(raw_map, bpf_map_info, map_flags) \
	M(raw_map, bpf_map_info, name) \
	M(raw_map, bpf_map_info, ifindex) \
	M(raw_map, bpf_map_info, btf_vmlinux_value_type_id) \
	M(raw_map, bpf_map_info, netns_dev) \
	M(raw_map, bpf_map_info, netns_ino) \
	M(raw_map, bpf_map_info, btf_id) \
	M(raw_map, bpf_map_info, btf_key_type_id) \
	M(raw_map, bpf_map_info, btf_value_type_id) \
	M(raw_map, bpf_map_info, map_extra)

#define RAW_PROG_MEMBERS(M) \
	M(raw_prog, bpf_prog_info, type) \
	M(raw_prog, bpf_prog_info, id) \
	M(raw_prog, bpf_prog_info, tag) \
	M(raw_prog, bpf_prog_info, jited_prog_len) \
	M(raw_prog, bpf_prog_info, xlated_prog_len) \
	M(raw_prog, bpf_prog_info, jited_prog_insns) \
	M(raw_prog, bpf_prog_info, xlated_prog_insns) \
	M(raw_prog, bpf_prog_info, load_time) \
	M(raw_prog, bpf_prog_info, created_by_uid) \
	M(raw_prog, bpf_prog_info, nr_map_ids) \
	M(raw_prog, bpf_prog_info, map_ids) \
	M(raw_prog, bpf_prog_info, name) \
	M(raw_prog, bpf_prog_info, ifindex) \
	M(raw_prog, bpf_prog_info, netns_dev) \
	M(raw_prog, bpf_prog_info, netns_ino) \
	M(raw_prog, bpf_prog_info, nr_jited_ksyms) \
	M(raw_prog, bpf_prog_info, nr_jited_func_lens) \
	M(raw_prog, bpf_prog_info, jited_ksyms) \
	M(raw_prog, bpf_prog_info, jited_func_lens) \
	M(raw_prog, bpf_prog_info, btf_id) \
	M(raw_prog, bpf_prog_info, func_info_rec_size) \
	M(raw_prog, bpf_prog_info, func_info) \
	M(raw_prog, bpf_prog_info, nr_func_info) \
	M(raw_prog, bpf_prog_info, nr_line_info) \
	M(raw_prog, bpf_prog_info, line_info) \
	M(raw_prog, bpf_prog_info, jited_line_info) \
	M(raw_prog, bpf_prog_info, nr_jited_line_info) \
	M(raw_prog, bpf_prog_info, line_info_rec_size) \
	M(raw_prog, bpf_prog_info, jited_line_info_rec_size) \
	M(raw_prog, bpf_prog_info, nr_prog_tags) \
	M(raw_prog, bpf_prog_info, prog_tags) \
	M(raw_prog, bpf_prog_info, run_time_ns) \
	M(raw_prog, bpf_prog_info, run_cnt) \
	M(raw_prog, bpf_prog_info, recursion_misses) \
	M(raw_prog, bpf_prog_info, verified_insns) \
	M(raw_prog, bpf_prog_info, attach_btf_obj_id) \
	M(raw_prog, bpf_prog_info, attach_btf_id)

#define RAW_LINK_MEMBERS(M) \
	M(raw_link, bpf_link_info, type) \
	M(raw_link, bpf_link_info, id) \
	M(raw_link, bpf_link_info, prog_id) \
	M(raw_link, bpf_link_info, raw_tracepoint.tp_name) \
	M(raw_link, bpf_link_info, raw_tracepoint.tp_name_len) \
	M(raw_link, bpf_link_info, tracing.attach_type) \
	M(raw_link, bpf_link_info, tracing.target_obj_id) \
	M(raw_link, bpf_link_info, tracing.target_btf_id) \
	M(raw_link, bpf_link_info, cgroup.cgroup_id) \
	M(raw_link, bpf_link_info, cgroup.attach_type) \
	M(raw_link, bpf_link_info, iter.target_name) \
	M(raw_link, bpf_link_info, iter.target_name_len) \
	M(raw_link, bpf_link_info, iter.map.map_id) \
	M(raw_link, bpf_link_info, iter.cgroup.cgroup_id) \
	M(raw_link, bpf_link_info, iter.cgroup.order) \
	M(raw_link, bpf_link_info, iter.task.tid) \
	M(raw_link, bpf_link_info, iter.task.pid) \
	M(raw_link, bpf_link_info, netns.netns_ino) \
	M(raw_link, bpf_link_info, netns.attach_type) \
	M(raw_link, bpf_link_info, xdp.ifindex)

#define RAW_BTF_MEMBERS(M) \
	M(raw_btf, bpf_btf_info, btf) \
	M(raw_btf, bpf_btf_info, btf_size) \
	M(raw_btf, bpf_btf_info, id) \
	M(raw_btf, bpf_btf_info, name) \
	M(raw_btf, bpf_btf_info, name_len) \
	M(raw_btf, bpf_btf_info, kernel_btf)

/* The members that the header of Linux 6.1 has. */
#define RAW_MEMBERS(M) \
	RAW_MAP_MEMBERS(M) RAW_PROG_MEMBERS(M) RAW_LINK_MEMBERS(M) RAW_BTF_MEMBERS(M)

/* Newer members, grouped by those that were added together. */
#define RAW_MEMBERS_STRUCT_OPS(M) /* 6.4 */ \
	M(raw_link, bpf_link_info, struct_ops.map_id)

#define RAW_MEMBERS_NETFILTER(M) /* 6.4 */ \
	M(raw_link, bpf_link_info, netfilter.pf) \
	M(raw_link, bpf_link_info, netfilter.hooknum) \
	M(raw_link, bpf_link_info, netfilter.priority) \
	M(raw_link, bpf_link_info, netfilter.flags)

#define RAW_MEMBERS_PERF_EVENT(M) /* 6.6 */ \
	M(raw_link, bpf_link_info, kprobe_multi.addrs) \
	M(raw_link, bpf_link_info, kprobe_multi.count) \
	M(raw_link, bpf_link_info, kprobe_multi.flags) \
	M(raw_link, bpf_link_info, perf_event.type) \
	M(raw_link, bpf_link_info, perf_event.uprobe.file_name) \
	M(raw_link, bpf_link_info, perf_event.uprobe.name_len) \
	M(raw_link, bpf_link_info, perf_event.uprobe.offset) \
	M(raw_link, bpf_link_info, perf_event.kprobe.func_name) \
	M(raw_link, bpf_link_info, perf_event.kprobe.name_len) \
	M(raw_link, bpf_link_info, perf_event.kprobe.offset) \
	M(raw_link, bpf_link_info, perf_event.kprobe.addr) \
	M(raw_link, bpf_link_info, perf_event.tracepoint.tp_name) \
	M(raw_link, bpf_link_info, perf_event.tracepoint.name_len) \
	M(raw_link, bpf_link_info, perf_event.event.config) \
	M(raw_link, bpf_link_info, perf_event.event.type)

#define RAW_MEMBERS_TCX(M) /* 6.6 */ \
	M(raw_link, bpf_link_info, tcx.ifindex) \
	M(raw_link, bpf_link_info, tcx.attach_type)

#define RAW_MEMBERS_NETKIT(M) /* 6.7 */ \
	M(raw_link, bpf_link_info, netkit.ifindex) \
	M(raw_link, bpf_link_info, netkit.attach_type)

#define RAW_MEMBERS_MISSED(M) /* 6.7 */ \
	M(raw_link, bpf_link_info, kprobe_multi.missed) \
	M(raw_link, bpf_link_info, perf_event.kprobe.missed)

#define RAW_MEMBERS_UPROBE_MULTI(M) /* 6.8 */ \
	M(raw_link, bpf_link_info, uprobe_multi.path) \
	M(raw_link, bpf_link_info, uprobe_multi.offsets) \
	M(raw_link, bpf_link_info, uprobe_multi.ref_ctr_offsets) \
	M(raw_link, bpf_link_info, uprobe_multi.cookies) \
	M(raw_link, bpf_link_info, uprobe_multi.path_size) \
	M(raw_link, bpf_link_info, uprobe_multi.count) \
	M(raw_link, bpf_link_info, uprobe_multi.flags) \
	M(raw_link, bpf_link_info, uprobe_multi.pid)

#define RAW_MEMBERS_COOKIES(M) /* 6.9 */ \
	M(raw_link, bpf_link_info, kprobe_multi.cookies) \
	M(raw_link, bpf_link_info, perf_event.uprobe.cookie) \
	M(raw_link, bpf_link_info, perf_event.kprobe.cookie) \
	M(raw_link, bpf_link_info, perf_event.tracepoint.cookie) \
	M(raw_link, bpf_link_info, perf_event.event.cookie)

#define RAW_MEMBERS_SOCKMAP(M) /* 6.10 */ \
	M(raw_link, bpf_link_info, sockmap.map_id) \
	M(raw_link, bpf_link_info, sockmap.attach_type)

#define RAW_MEMBERS_TRACING_COOKIE(M) \
	M(raw_link, bpf_link_info, tracing.cookie)

#define RAW_MEMBERS_RAW_TRACEPOINT_COOKIE(M) \
	M(raw_link, bpf_link_info, raw_tracepoint.cookie)

#define RAW_MEMBERS_REF_CTR_OFFSET(M) \
	M(raw_link, bpf_link_info, perf_event.uprobe.ref_ctr_offset)

#define RAW_MEMBERS_BTF_VMLINUX_ID(M) /* 6.9; padding before */ \
	M(raw_map, bpf_map_info, btf_vmlinux_id)

#define RAW_NEWER_MEMBERS(M) \
	RAW_MEMBERS_STRUCT_OPS(M) RAW_MEMBERS_NETFILTER(M) RAW_MEMBERS_PERF_EVENT(M) \
	RAW_MEMBERS_TCX(M) RAW_MEMBERS_NETKIT(M) RAW_MEMBERS_MISSED(M) \
	RAW_MEMBERS_UPROBE_MULTI(M) RAW_MEMBERS_COOKIES(M) RAW_MEMBERS_SOCKMAP(M) \
	RAW_MEMBERS_TRACING_COOKIE(M) RAW_MEMBERS_RAW_TRACEPOINT_COOKIE(M) \
	RAW_MEMBERS_REF_CTR_OFFSET(M) RAW_MEMBERS_BTF_VMLINUX_ID(M)
/* clang-format on */

#endif

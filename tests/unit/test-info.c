/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The facts about objects, rendered from structures as a kernel fills them. */
#include <string.h>

#include "fixture.h"
#include "uapi/uapi_info.h"

static void check(struct bpfrefs_info *info, const char *want)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_field *field;

	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++) {
		if (field->str)
			g_string_append_printf(text, "%s: %s\n", field->key, field->str);
		else
			g_string_append_printf(text, "%s: %" G_GUINT64_FORMAT "\n", field->key,
					       field->num);
	}
	g_assert_cmpstr(text->str, ==, want);
	bpfrefs_info_free(info);
}

TEST(map)
{
	struct map_facts facts = {
		.type = 3,
		.id = 12,
		.key_size = 4,
		.value_size = 4,
		.max_entries = 8,
		.map_flags = 128,
		.btf_id = 7,
		.map_extra = UINT64_MAX,
	};
	struct bpfrefs_info *info = info_new();

	/* The name has all sixteen bytes, and no NUL. */
	memcpy(facts.name, "jump_table_12345", 16);
	info_map(info, &facts);
	check(info, "kind: map\ntype: prog_array\nid: 12\nkey_size: 4\nvalue_size: 4\n"
		    "max_entries: 8\nmap_flags: 128\nname: jump_table_12345\nifindex: 0\n"
		    "btf_vmlinux_value_type_id: 0\nnetns_dev: 0\nnetns_ino: 0\nbtf_id: 7\n"
		    "btf_key_type_id: 0\nbtf_value_type_id: 0\nmap_extra: 18446744073709551615\n");
}

/* A fact that the kernel does not fill is left out, rather than shown as 0. */
TEST(map_of_an_older_kernel)
{
	struct map_facts facts = { .type = 2, .id = 5, .short_info = true };
	struct bpfrefs_info *info = info_new();

	info_map(info, &facts);
	check(info, "kind: map\ntype: array\nid: 5\nkey_size: 0\nvalue_size: 0\nmax_entries: 0\n"
		    "map_flags: 0\nname: \nifindex: 0\nbtf_vmlinux_value_type_id: 0\n"
		    "netns_dev: 0\nnetns_ino: 0\nbtf_id: 0\nbtf_key_type_id: 0\n"
		    "btf_value_type_id: 0\n");
}

/* Only a struct_ops map has this. */
TEST(map_of_a_kernels_type)
{
	struct map_facts facts = { .type = 26, .id = 5, .btf_vmlinux_id = 3 };
	struct bpfrefs_info *info = info_new();
	bool found = false;

	info_map(info, &facts);
	for (size_t i = 0; bpfrefs_info_field(info, i); i++)
		if (strcmp(bpfrefs_info_field(info, i)->key, "btf_vmlinux_id") == 0)
			found = bpfrefs_info_field(info, i)->num == 3;
	g_assert_true(found);
	bpfrefs_info_free(info);
}

TEST(new_type)
{
	struct map_facts facts = { .type = 999, .id = 1 };
	struct bpfrefs_info *info = info_new();

	info_map(info, &facts);
	g_assert_cmpstr(bpfrefs_info_field(info, 1)->key, ==, "type");
	g_assert_null(bpfrefs_info_field(info, 1)->str);
	g_assert_cmpuint(bpfrefs_info_field(info, 1)->num, ==, 999);
	g_assert_null(bpfrefs_info_field(info, 1000));
	bpfrefs_info_free(info);
	bpfrefs_info_free(NULL);
}

/* An older kernel fills less of the structure, and returns that length. */
TEST(prog)
{
	uint32_t map_ids[] = { 1, 2, 30 };
	struct prog_facts facts = {
		.raw = { .type = 3,
			 .id = 5,
			 .tag = { 0x0a, 0xff, 0, 1, 2, 3, 4, 0x80 },
			 .jited_prog_len = 60,
			 .xlated_prog_len = 64,
			 .load_time = 123456789,
			 .created_by_uid = 1000,
			 .nr_map_ids = 3,
			 .name = "entry",
			 .flags = 1,
			 .btf_id = 9,
			 .run_cnt = 17 },
		.len = offsetof(struct uapi_prog, run_cnt),
		.map_ids = map_ids,
		.map_count = 3,
	};
	struct bpfrefs_info *info = info_new();

	info_prog(info, &facts);
	check(info, "kind: prog\ntype: sched_cls\nid: 5\ntag: 0aff000102030480\n"
		    "jited_prog_len: 60\nxlated_prog_len: 64\nload_time: 123456789\n"
		    "created_by_uid: 1000\nnr_map_ids: 3\nmap_ids: 1 2 30\nname: entry\n"
		    "ifindex: 0\ngpl_compatible: 1\nnetns_dev: 0\nnetns_ino: 0\n"
		    "nr_jited_ksyms: 0\nnr_jited_func_lens: 0\nbtf_id: 9\n"
		    "func_info_rec_size: 0\nnr_func_info: 0\nnr_line_info: 0\n"
		    "nr_jited_line_info: 0\nline_info_rec_size: 0\n"
		    "jited_line_info_rec_size: 0\nnr_prog_tags: 0\nrun_time_ns: 0\n");
}

TEST(btf)
{
	struct btf_facts facts = {
		.raw = { .btf_size = 4096, .id = 1, .kernel_btf = 1 },
		.len = sizeof(struct uapi_btf),
		.name = "vmlinux",
	};
	struct bpfrefs_info *info = info_new();

	info_btf(info, &facts);
	check(info, "kind: btf\nbtf_size: 4096\nid: 1\nname: vmlinux\nkernel_btf: 1\n");
}

/* -------------------------------------------------------------- links --- */

static void check_link(struct uapi_link raw, const char *text, const char *want)
{
	g_autofree struct link_facts *facts = g_new0(struct link_facts, 1);
	g_autofree char *all = NULL;
	struct bpfrefs_info *info = info_new();

	facts->raw = raw;
	facts->raw.id = 3;
	facts->len = sizeof(facts->raw);
	g_strlcpy(facts->text, text, sizeof(facts->text));
	all = g_strdup_printf("kind: link\ntype: %s\nid: 3\nprog_id: %u\n%s",
			      bpfrefs_enum_name(BPFREFS_ENUM_LINK_TYPE, raw.type), raw.prog_id,
			      want);
	info_link(info, facts);
	check(info, all);
}

TEST(link_detached)
{
	check_link(
		(struct uapi_link){ .type = UAPI_LINK_CGROUP, .prog_id = 4, .cgroup = { 77, 1 } },
		"", "cgroup_id: 77\nattach_type: cgroup_inet_egress\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_CGROUP, .cgroup = { 0, 1 } }, "",
		   "cgroup_id: 0\nattach_type: cgroup_inet_egress\nattached: no\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_XDP, .xdp = { 2 } }, "", "ifindex: 2\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_XDP }, "", "ifindex: 0\nattached: no\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_TCX, .tcx = { 2, 46 } }, "",
		   "ifindex: 2\nattach_type: tcx_ingress\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_NETKIT, .netkit = { 0, 54 } }, "",
		   "ifindex: 0\nattach_type: netkit_primary\nattached: no\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_NETNS, .netns = { 0, 36 } }, "",
		   "netns_ino: 0\nattach_type: sk_lookup\nattached: no\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_STRUCT_OPS, .struct_ops = { 6 } }, "",
		   "map_id: 6\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_SOCKMAP, .sockmap = { 6, 38 } }, "",
		   "map_id: 6\nattach_type: sk_skb_verdict\n");
}

TEST(link_tracing)
{
	check_link((struct uapi_link){ .type = UAPI_LINK_TRACING, .tracing = { 24, 1, 500, 0 } },
		   "", "attach_type: trace_fentry\ntarget_obj_id: 1\ntarget_btf_id: 500\n");
	check_link(
		(struct uapi_link){ .type = UAPI_LINK_RAW_TRACEPOINT, .raw_tracepoint.cookie = 9 },
		"sched_switch", "tp_name: sched_switch\ncookie: 9\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_KPROBE_MULTI,
				       .kprobe_multi = { .count = 2, .flags = 1, .missed = 5 } },
		   "", "count: 2\nflags: 1\nmissed: 5\n");
	/* An older kernel does not fill these facts, so zeros are not shown. */
	check_link((struct uapi_link){ .type = UAPI_LINK_KPROBE_MULTI }, "", "");
	check_link((struct uapi_link){ .type = UAPI_LINK_UPROBE_MULTI,
				       .uprobe_multi = { .count = 1, .pid = 10 } },
		   "/bin/sh", "path: /bin/sh\ncount: 1\nflags: 0\npid: 10\n");
	check_link(
		(struct uapi_link){ .type = UAPI_LINK_NETFILTER, .netfilter = { 2, 1, -100, 1 } },
		"", "pf: ipv4\nhooknum: local_in\npriority: -100\nflags: 1\n");
}

TEST(link_iter)
{
	check_link((struct uapi_link){ .type = UAPI_LINK_ITER, .iter.map.map_id = 8 },
		   "bpf_map_elem", "target_name: bpf_map_elem\nmap_id: 8\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_ITER, .iter.map.map_id = 8 }, "bpf_map",
		   "target_name: bpf_map\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_ITER, .iter.cgroup = { 5, 2 } }, "cgroup",
		   "target_name: cgroup\ncgroup_id: 5\norder: descendants_pre\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_ITER, .iter.task = { 0, 33 } },
		   "task_file", "target_name: task_file\npid: 33\n");
}

TEST(link_perf)
{
	check_link((struct uapi_link){ .type = UAPI_LINK_PERF_EVENT,
				       .perf_event = { .type = UAPI_PERF_TRACEPOINT } },
		   "sched:sched_switch",
		   "perf_event_type: tracepoint\ntp_name: sched:sched_switch\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_PERF_EVENT,
				       .perf_event = { .type = UAPI_PERF_KRETPROBE,
						       .kprobe = { .addr = 16, .cookie = 3 } } },
		   "do_exit",
		   "perf_event_type: kretprobe\nfunc_name: do_exit\noffset: 0\naddr: 16\n"
		   "missed: 0\ncookie: 3\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_PERF_EVENT,
				       .perf_event = { .type = UAPI_PERF_UPROBE,
						       .uprobe.offset = 256 } },
		   "/bin/sh", "perf_event_type: uprobe\nfile_name: /bin/sh\noffset: 256\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_PERF_EVENT,
				       .perf_event = { .type = UAPI_PERF_EVENT,
						       .event = { .config = 2, .type = 1 } } },
		   "", "perf_event_type: event\nevent_type: software\nconfig: 2\n");
	check_link((struct uapi_link){ .type = UAPI_LINK_PERF_EVENT }, "", "");
}

/* Linux 6.6 fills the count of a kprobe_multi link, but not the number of missed calls. */
TEST(link_missed)
{
	g_autofree struct link_facts *facts = g_new0(struct link_facts, 1);
	struct bpfrefs_info *info = info_new();

	facts->raw = (struct uapi_link){ .type = UAPI_LINK_KPROBE_MULTI,
					 .id = 3,
					 .kprobe_multi = { .count = 2 } };
	facts->len = offsetof(struct uapi_link, perf_event.kprobe.missed);
	info_link(info, facts);
	check(info, "kind: link\ntype: kprobe_multi\nid: 3\nprog_id: 0\ncount: 2\nflags: 0\n");
}

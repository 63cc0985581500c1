/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of .bpf/attachments, of a fake kernel whose links are as each test says. */
#include "bpf/records.h"
#include "fixture.h"
#include "uapi/uapi_info.h"

/* The facts about link/7; a negative error instead. */
static struct link_facts facts;
static int facts_error;

static int link_info(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **info)
{
	if (facts_error || key.id != 7)
		return facts_error ? facts_error : -ENOENT;
	*info = info_new();
	facts.raw.id = key.id;
	facts.len = sizeof(facts.raw);
	info_link(*info, &facts);
	if (facts.raw.type == UAPI_LINK_UPROBE_MULTI) {
		info_str(*info, "offsets", "64 128");
		info_str(*info, "cookies", "1 2");
	}
	return 0;
}

static const struct source kernel = { .id = BPFREFS_SOURCE_PROC, .info = link_info };

static void check(const struct bpfrefs_snapshot *snap, const char *want)
{
	struct bpfrefs_ctx ctx = { .source = &kernel, .proc_fd = -1 };
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_cmpint(bpfrefs_snapshot_to_attachments(&ctx, snap, show_write, text), ==, 0);
	g_assert_cmpstr(text->str, ==, want);
}

static struct bpfrefs_ref *attached(struct scan *scan, const char *class)
{
	return hold(scan, class, prog(5), nobody, NULL, 0);
}

static struct bpfrefs_ref *on_device(struct scan *scan, const char *class)
{
	struct bpfrefs_ref *ref = attached(scan, class);

	set(scan, ref, "ifname", "eth0", 0);
	set(scan, ref, "ifindex", NULL, 2);
	set(scan, ref, "netns", NULL, 4026531840);
	return ref;
}

/* link/7 of this type holds prog/5. */
static void linked(struct scan *scan, uint32_t type, const char *text)
{
	object(scan, link_(7), bpfrefs_enum_name(BPFREFS_ENUM_LINK_TYPE, type), false);
	program(scan, 5)->name = "a b";
	hold(scan, "link", prog(5), link_(7), "prog", 0);
	facts = (struct link_facts){ .raw = { .type = type } };
	g_strlcpy(facts.text, text, sizeof(facts.text));
	facts_error = 0;
}

/* ---------------------------------------------------------- without a link --- */

TEST_GRAPH(devices)
{
	struct bpfrefs_ref *ref;

	program(scan, 5)->name = "entry";
	program(scan, 6);
	set(scan, on_device(scan, "xdp"), "mode", "generic", 0);
	/* the dispatcher runs what devices have */
	set(scan, attached(scan, "xdp"), "mode", "dispatcher", 0);
	ref = on_device(scan, "tc");
	set(scan, ref, "parent", "ingress", 0);
	set(scan, ref, "priority", NULL, 1);
	set(scan, ref, "handle", "0x1", 0);
	ref = on_device(scan, "tcx");
	set(scan, ref, "attach_type", "tcx_egress", 0);
	set(scan, ref, "position", NULL, BPFREFS_UNKNOWN);
	snap = freeze(scan);
	check(snap,
	      "prog/5 name=entry link= xdp ifname=eth0 ifindex=2 netns=4026531840 mode=generic\n"
	      "prog/5 name=entry link= tcx ifname=eth0 ifindex=2 netns=4026531840"
	      " attach_type=tcx_egress position=?\n"
	      "prog/5 name=entry link= tc ifname=eth0 ifindex=2 netns=4026531840 parent=ingress"
	      " priority=1 handle=0x1\n");
}

TEST_GRAPH(cgroups)
{
	struct bpfrefs_ref *ref;

	program(scan, 5);
	ref = attached(scan, "cgroup");
	set(scan, ref, "path", "/a b", 0);
	set(scan, ref, "id", NULL, 77);
	set(scan, ref, "attach_type", "cgroup_inet_egress", 0);
	scan_gap(scan, 3, "processes", EACCES);
	snap = freeze(scan);
	check(snap, "prog/5 name= link= cgroup cgroup=/a\\040b cgroup_id=77"
		    " attach_type=cgroup_inet_egress\n"
		    "# cgroup: partial: 3 processes: Permission denied\n");
}

/* Two descriptors of one event, and another event that a link has too. */
TEST_GRAPH(shared)
{
	struct bpfrefs_ref *refs[5];

	linked(scan, UAPI_LINK_PERF_EVENT, "");
	for (unsigned int i = 0; i < G_N_ELEMENTS(refs); i++) {
		refs[i] = attached(scan, "perf");
		set(scan, refs[i], "share", NULL, i < 2 ? 1 : 2);
		set(scan, refs[i], "pid", NULL, 12);
		set(scan, refs[i], "fd", NULL, 3 + i);
		set(scan, refs[i], "event", "software:cpu-clock", 0);
	}
	refs[3]->holder = link_(7);
	ref_set_via(refs[4], 5, WALK_VIA_INHERITED);
	snap = freeze(scan);
	/* as before Linux 6.6: the link does not say which event it has */
	check(snap,
	      "prog/5 name=a\\040b link=7 perf_event event=software:cpu-clock\n"
	      "prog/5 name=a\\040b link= perf_event holder=12 fd=3 event=software:cpu-clock\n");
}

TEST_GRAPH(sockmaps)
{
	program(scan, 5);
	object(scan, map(12), "sockmap", true)->name = "socks";
	array(scan, 13);
	hold(scan, "map", prog(5), map(12), "skb_verdict", 0);
	slot(scan, 13, 2, 5);
	fd(scan, prog(5), 12);
	snap = freeze(scan);
	check(snap, "prog/5 name= link= sockmap map_id=12 map_name=socks via=skb_verdict\n");
}

TEST_GRAPH(sockmap_with_a_link)
{
	linked(scan, UAPI_LINK_SOCKMAP, "");
	facts.raw.sockmap.map_id = 12;
	facts.raw.sockmap.attach_type = 38;
	object(scan, map(12), "sockmap", true)->name = "socks";
	hold(scan, "link", map(12), link_(7), "target", 1);
	hold(scan, "map", prog(5), map(12), "skb_verdict", 0)->by_link = true;
	hold(scan, "map", prog(5), map(12), "stream_parser", 0);
	snap = freeze(scan);
	check(snap, "prog/5 name=a\\040b link= sockmap map_id=12 map_name=socks via=stream_parser\n"
		    "prog/5 name=a\\040b link=7 sockmap map_id=12 attach_type=sk_skb_verdict\n");
}

TEST_GRAPH(struct_ops)
{
	struct bpfrefs_ref *ref;

	program(scan, 5);
	object(scan, map(12), "struct_ops", false)->name = "ops";
	hold(scan, "map", prog(5), map(12), "struct_ops", 0);
	ref = hold(scan, "struct_ops", map(12), nobody, NULL, 0);
	set(scan, ref, "ops", "tcp_congestion_ops", 0);
	set(scan, ref, "algorithm", "mine", 0);
	/* a socket that uses it */
	set(scan, hold(scan, "socket", map(12), nobody, NULL, 0), "share", NULL, 1);
	snap = freeze(scan);
	check(snap, "prog/5 name= link= struct_ops ops=tcp_congestion_ops algorithm=mine\n");
}

/* ---------------------------------------------------------------- links --- */

TEST_GRAPH(link_of_a_device)
{
	linked(scan, UAPI_LINK_XDP, "");
	facts.raw.xdp.ifindex = 2;
	snap = freeze(scan);
	check(snap, "prog/5 name=a\\040b link=7 xdp ifindex=2 ifname=? netns=?\n");
	facts.raw.xdp.ifindex = 0; /* detached */
	check(snap, "");
	facts_error = -ENOENT; /* removed since the snapshot */
	check(snap, "");
	facts_error = -EPERM;
	check(snap, "prog/5 name=a\\040b link=7 xdp attach_type=?\n");
}

TEST_GRAPH(link_of_a_function)
{
	linked(scan, UAPI_LINK_PERF_EVENT, "/bin/a b");
	facts.raw.perf_event.type = UAPI_PERF_URETPROBE;
	facts.raw.perf_event.uprobe.offset = 64;
	snap = freeze(scan);
	check(snap, "prog/5 name=a\\040b link=7 uretprobe offset=64 path=/bin/a\\040b pid=?\n");
	facts.raw = (struct uapi_link){ .type = UAPI_LINK_TRACING, .tracing = { 24, 1, 99 } };
	check(snap, "prog/5 name=a\\040b link=7 tracing attach_type=trace_fentry target_obj_id=1"
		    " function=?\n");
	facts.raw = (struct uapi_link){ .type = UAPI_LINK_RAW_TRACEPOINT };
	check(snap, "prog/5 name=a\\040b link=7 raw_tracepoint tracepoint=/bin/a\\040b\n");
}

TEST_GRAPH(link_of_many)
{
	linked(scan, UAPI_LINK_UPROBE_MULTI, "/bin/sh");
	facts.raw.uprobe_multi.count = 2;
	facts.raw.uprobe_multi.pid = 12;
	snap = freeze(scan);
	check(snap,
	      "prog/5 name=a\\040b link=7 uprobe_multi path=/bin/sh pid=12 offset=64 cookie=1\n"
	      "prog/5 name=a\\040b link=7 uprobe_multi path=/bin/sh pid=12 offset=128 cookie=2\n");
}

/* The kernel does not say the addresses of its functions to everybody. */
TEST_GRAPH(link_of_unknown_functions)
{
	linked(scan, UAPI_LINK_KPROBE_MULTI, "");
	facts.raw.kprobe_multi.count = 2;
	snap = freeze(scan);
	check(snap, "prog/5 name=a\\040b link=7 kprobe_multi function=?\n");
}

/* It runs when somebody reads it. */
TEST_GRAPH(iterator)
{
	linked(scan, UAPI_LINK_ITER, "bpf_map");
	snap = freeze(scan);
	check(snap, "");
}

/* ---------------------------------------------------------------- items --- */

TEST_GRAPH(items)
{
	struct bpfrefs_ctx ctx = { .source = &kernel, .proc_fd = -1 };
	struct bpfrefs_filter filter = { .size = sizeof(filter), .holder = link_(7) };
	const struct bpfrefs_attachment *item;
	selection_auto *all = NULL;

	linked(scan, UAPI_LINK_UPROBE_MULTI, "/bin/sh");
	facts.raw.uprobe_multi.count = 2;
	on_device(scan, "xdp");
	snap = freeze(scan);
	g_assert_cmpint(bpfrefs_select_attachments(&ctx, snap, &filter, &all), ==, 0);
	item = bpfrefs_next_attachment(all);
	g_assert_cmpuint(item->size, ==, sizeof(*item));
	g_assert_cmpint(item->hook, ==, BPFREFS_HOOK_UPROBE_MULTI);
	g_assert_cmpint(bpfrefs_key_compare(item->prog->key, prog(5)), ==, 0);
	g_assert_cmpint(bpfrefs_key_compare(item->link, link_(7)), ==, 0);
	g_assert_cmpstr(item->keys[0], ==, "path");
	g_assert_cmpint(item->values[0].type, ==, BPFREFS_VALUE_STR);
	g_assert_nonnull(bpfrefs_next_attachment(all));
	g_assert_null(bpfrefs_next_attachment(all));
	bpfrefs_selection_free(all);
	filter = (struct bpfrefs_filter){ .size = sizeof(filter), .object = prog(6) };
	g_assert_cmpint(bpfrefs_select_attachments(&ctx, snap, &filter, &all), ==, 0);
	g_assert_null(bpfrefs_next_attachment(all));
	bpfrefs_selection_free(all);
	filter = (struct bpfrefs_filter){ .size = sizeof(filter), .pid = 1 };
	g_assert_cmpint(bpfrefs_select_attachments(&ctx, snap, &filter, &all), ==, -EINVAL);
}

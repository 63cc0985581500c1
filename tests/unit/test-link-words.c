/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a link is attached, in words: of a fake kernel's locations, and of a procfs made of files. */
#include "fixture.h"
#include "procfs/locations.h"
#include "uapi/link_words.h"
#include "uapi/uapi_info.h"

static const char mountinfo[] =
	"21 1 0:20 / / rw - ext4 /dev/vda rw\n"
	"31 21 0:4 net:[4026532001] /run/netns/blue rw - nsfs nsfs rw\n"
	"32 21 0:4 net:[4026532002] /run/netns/a\\040b rw - nsfs nsfs rw\n"
	"33 21 0:4 net:[4026532003] /run/other/red rw - nsfs nsfs rw\n"
	"34 21 0:4 mnt:[4026532004] /run/netns/mnt rw - nsfs nsfs rw\n"
	"35 21 0:4 net:[4026532005] /var/run/netns/green rw - nsfs nsfs rw\n"
	/* the second one hides the first */
	"36 21 0:4 net:[4026532006] /run/netns/pink rw - nsfs nsfs rw\n"
	"37 36 0:4 net:[4026532007] /run/netns/pink rw - nsfs nsfs rw\n";

static const char kallsyms[] = "ffffffff81000000 T first\n"
			       "ffffffff81000010 t second\n"
			       "ffffffff81000020 D datum\n"
			       "0000000000000000 T hidden\n"
			       "ffffffffc0000000 t third\t[module]\n";

/* The kernel has just this location, of a link whose id is 7. */
static const struct link_location *the_location;

static int link_locations(struct bpfrefs_ctx *ctx, uint32_t id, struct idmap *locations)
{
	g_assert_true(id == 0 || id == 7);
	g_assert_true(idmap_set(locations, 7, g_memdup2(the_location, sizeof(*the_location))));
	return 0;
}

static const struct source with_locations = { .id = BPFREFS_SOURCE_BPF,
					      .link_locations = link_locations };
static const struct source without = { .id = BPFREFS_SOURCE_PROC };

struct world {
	struct temp_dir proc;
	struct bpfrefs_ctx ctx;
};

static void world_init(struct world *world)
{
	temp_dir_init(&world->proc);
	temp_dir_file(&world->proc, "self/mountinfo", mountinfo);
	temp_dir_file(&world->proc, "kallsyms", kallsyms);
	world->ctx.proc_fd = world->proc.fd;
	world->ctx.source = &with_locations;
}

static void world_clear(struct world *world)
{
	temp_dir_clear(&world->proc);
}

#define TEST_WORLD(name) TEST_WITH(struct world, world, world_init, world_clear, name)

/* What is added to the facts about link 7. */
static void check(struct world *world, struct link_facts *facts,
		  const struct link_location *location, const char *want)
{
	struct bpfrefs_info *info = info_new();
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_field *field;
	struct link_words *words;
	size_t facts_count = 0;

	the_location = location;
	facts->raw.id = 7;
	facts->len = sizeof(facts->raw);
	info_link(info, facts);
	while (bpfrefs_info_field(info, facts_count))
		facts_count++;
	words = link_words_new(&world->ctx, 7);
	link_words_add(words, 7, info);
	link_words_free(words);
	for (size_t i = facts_count; (field = bpfrefs_info_field(info, i)); i++) {
		if (field->str)
			g_string_append_printf(text, "%s=%s ", field->key, field->str);
		else if (field->num == BPFREFS_UNKNOWN)
			g_string_append_printf(text, "%s=? ", field->key);
		else
			g_string_append_printf(text, "%s=%" G_GUINT64_FORMAT " ", field->key,
					       field->num);
	}
	g_assert_cmpstr(text->str, ==, want);
	bpfrefs_info_free(info);
}

#define CHECK(location, want, string, ...)                                   \
	do {                                                                 \
		struct link_facts facts = { .raw = { __VA_ARGS__ } };        \
                                                                             \
		g_strlcpy(facts.text, string, sizeof(facts.text));           \
		check(world, &facts, &(struct link_location)location, want); \
	} while (0)
#define AT(...)             \
	{                   \
		__VA_ARGS__ \
	}

TEST_WORLD(devices)
{
	CHECK(AT(.ifindex = 2, .netns = 4026532001, .ifname = "eth0"),
	      "ifname=eth0 netns=4026532001 netns_name=blue ", "", .type = UAPI_LINK_XDP,
	      .xdp = { 2 });
	CHECK(AT(.ifindex = 2, .netns = 4026532002, .ifname = "e", .position = 3),
	      "ifname=e netns=4026532002 netns_name=a b position=3 ", "", .type = UAPI_LINK_TCX,
	      .tcx = { 2, 46 });
	CHECK(AT(.ifindex = 2, .netns = 4026532003, .ifname = "e", .position = -1),
	      "ifname=e netns=4026532003 position=? ", "", .type = UAPI_LINK_NETKIT,
	      .netkit = { 2, 54 });
	/* the device was replaced, or removed, in between */
	CHECK(AT(.ifindex = 3, .netns = 4026532003, .ifname = "e"), "ifname=? netns=? ", "",
	      .type = UAPI_LINK_XDP, .xdp = { 2 });
	CHECK(AT(.ifindex = 0), "", "", .type = UAPI_LINK_XDP);
}

TEST_WORLD(namespaces)
{
	CHECK(AT(0), "netns=4026532005 netns_name=green ", "", .type = UAPI_LINK_NETNS,
	      .netns = { 4026532005, 36 });
	CHECK(AT(0), "netns=4026532004 ", "", .type = UAPI_LINK_NETNS, .netns = { 4026532004, 36 });
	CHECK(AT(0), "netns=4026532006 ", "", .type = UAPI_LINK_NETNS, .netns = { 4026532006, 36 });
	CHECK(AT(0), "netns=4026532007 netns_name=pink ", "", .type = UAPI_LINK_NETNS,
	      .netns = { 4026532007, 36 });
	CHECK(AT(.netns = 9), "netns=9 ", "", .type = UAPI_LINK_NETFILTER);
	CHECK(AT(.netns = 9, .detached = true), "attached=no ", "", .type = UAPI_LINK_NETFILTER);
}

TEST_WORLD(tracing)
{
	CHECK(AT(0), "tracepoint=task_rename ", "task_rename", .type = UAPI_LINK_RAW_TRACEPOINT);
	CHECK(AT(.function = "do_exit"), "function=do_exit ", "", .type = UAPI_LINK_TRACING,
	      .tracing = { .attach_type = 24 });
	CHECK(AT(.function = "task_rename"), "tracepoint=task_rename ", "",
	      .type = UAPI_LINK_TRACING, .tracing = { .attach_type = 23 });
	CHECK(AT(0), "function=? ", "", .type = UAPI_LINK_TRACING,
	      .tracing = { .attach_type = 24 });
	CHECK(AT(0), "target=bpf_map ", "bpf_map", .type = UAPI_LINK_ITER);
}

TEST_WORLD(perf_events)
{
	CHECK(AT(.cpu = 0), "path=/bin/sh ", "/bin/sh", .type = UAPI_LINK_PERF_EVENT,
	      .perf_event = { .type = UAPI_PERF_UPROBE });
	CHECK(AT(.pid = 12), "path=/bin/sh pid=12 ", "/bin/sh", .type = UAPI_LINK_PERF_EVENT,
	      .perf_event = { .type = UAPI_PERF_URETPROBE });
	/* it is called for any process, on any processor */
	CHECK(AT(.pid = 12, .cpu = 1), "tracepoint=task_rename ", "task_rename",
	      .type = UAPI_LINK_PERF_EVENT, .perf_event = { .type = UAPI_PERF_TRACEPOINT });
	CHECK(AT(.pid = 12, .cpu = 1), "function=do_exit ", "do_exit", .type = UAPI_LINK_PERF_EVENT,
	      .perf_event = { .type = UAPI_PERF_KPROBE });
	CHECK(AT(.cpu = 3), "cpu=3 ", "", .type = UAPI_LINK_PERF_EVENT,
	      .perf_event = { .type = UAPI_PERF_EVENT });
	CHECK(AT(.pid = 12, .cpu = -1), "pid=12 ", "", .type = UAPI_LINK_PERF_EVENT,
	      .perf_event = { .type = UAPI_PERF_EVENT });
	/* before Linux 6.6 */
	CHECK(AT(.pid = 12), "", "", .type = UAPI_LINK_PERF_EVENT);
}

TEST_WORLD(probes_of_older_kernels)
{
	CHECK(AT(0), "functions=? ", "", .type = UAPI_LINK_KPROBE_MULTI);
	CHECK(AT(0), "path=? offsets=? ", "", .type = UAPI_LINK_UPROBE_MULTI);
}

/* No v2 hierarchy is mounted in this world. The test of the kernel has one. */
TEST_WORLD(cgroups)
{
	CHECK(AT(0), "cgroup=? ", "", .type = UAPI_LINK_CGROUP, .cgroup = { 77, 1 });
	CHECK(AT(0), "", "", .type = UAPI_LINK_CGROUP, .cgroup = { 0, 1 });
}

TEST_WORLD(symbols)
{
	struct locations *names = locations_new(world->proc.fd);

	g_assert_cmpstr(locations_symbol(names, 0xffffffff81000000), ==, "first");
	g_assert_cmpstr(locations_symbol(names, 0xffffffff81000014), ==, "second");
	g_assert_cmpstr(locations_symbol(names, 0xffffffffc0000000), ==, "third");
	g_assert_null(locations_symbol(names, 0xffffffff81000020));
	g_assert_null(locations_symbol(names, 0xffffffff81000008));
	g_assert_null(locations_symbol(names, 0));
	locations_free(names);
}

/* What only the kernel's memory shows is unknown with the procfs source, and never absent. */
TEST_WORLD(procfs)
{
	world->ctx.source = &without;
	CHECK(AT(0), "ifname=? netns=? ", "", .type = UAPI_LINK_XDP, .xdp = { 2 });
	CHECK(AT(0), "ifname=? netns=? position=? ", "", .type = UAPI_LINK_TCX, .tcx = { 2, 46 });
	CHECK(AT(0), "netns=4026532001 netns_name=blue ", "", .type = UAPI_LINK_NETNS,
	      .netns = { 4026532001, 36 });
	CHECK(AT(0), "netns=? ", "", .type = UAPI_LINK_NETFILTER);
	CHECK(AT(0), "function=? ", "", .type = UAPI_LINK_TRACING,
	      .tracing = { .attach_type = 24 });
	CHECK(AT(0), "path=/bin/sh pid=? ", "/bin/sh", .type = UAPI_LINK_PERF_EVENT,
	      .perf_event = { .type = UAPI_PERF_UPROBE });
	CHECK(AT(0), "pid=? cpu=? ", "", .type = UAPI_LINK_PERF_EVENT,
	      .perf_event = { .type = UAPI_PERF_EVENT });
}

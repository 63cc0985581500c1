/* SPDX-License-Identifier: GPL-2.0-or-later */
/* free.sh: its text over a fake kernel, what it removes and what it leaves, and its quotes. */
#include "fixture.h"
#include "text/removal.h"

#define TAIL                                                                                       \
	"[ -z \"$failed\" ] || echo \"free.sh: steps that have failed:$failed\" >&2\n"             \
	"[ -z \"$left\" ] || echo \"free.sh: steps that are left to you:$left\" >&2\n"             \
	"[ -z \"$failed$left\" ] || exit 1\n"                                                      \
	"n=0\n"                                                                                    \
	"while [ -e \"$file\" ] && [ $n -lt 50 ]; do n=$((n + 1)); sleep 0.1; done\n"              \
	"[ ! -e \"$file\" ] || { echo 'free.sh: it is still there: read free.sh again' >&2; exit " \
	"1; }\n"

/* What follows the lines of the beginning, of which one has the time. */
static void check_script(struct fake *fake, struct bpfrefs_key key, const char *text)
{
	g_autofree char *script = NULL;
	const char *at;

	script = shown(fake, key, 0, show_script);
	g_assert_true(g_str_has_prefix(script, "#!/bin/sh\n# Frees "));
	at = strstr(script, "\n\n");
	g_assert_nonnull(at);
	g_assert_cmpstr(at + 2, ==, text);
}

static void scan_built(struct fake *fake, build_fn build)
{
	fake->build = build;
	fake_scan(fake);
}

/* The sum in the script is that of the lines that its command finds, as a shell sees it. */
TEST_SCANNED(sum)
{
	g_autofree char *script = shown(fake, fake_map, 0, show_script), *sum = NULL;
	const char *begin = strstr(script, "unpin /sys"), *end = strchr(begin, '\n') + 1;
	g_autoptr(GString) lines = g_string_new_len(begin, end - begin);

	begin = strstr(end, "unpin /sys");
	g_string_append_len(lines, begin, strchr(begin, '\n') + 1 - begin);
	sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lines->str, -1);
	g_assert_nonnull(strstr(script, sum));
	g_assert_nonnull(strstr(script, "file=/mnt/.bpf/map/12/free.sh\n"));
}

/* A pin is removed. A process, which has two descriptors, is left to the reader. */
TEST_SCANNED(pins_and_processes)
{
	check_script(fake, fake_map,
		     "# 1. map/12 pin ref=1 user=1 path=/sys/fs/bpf/app/conns ino=77\n"
		     "unpin /sys/fs/bpf/app/conns 30:77 || failed=\"$failed 1\"\n\n"
		     "# 2. map/12 pin ref=1 user=1 path=/sys/fs/bpf/other/x ino=78\n"
		     "unpin /sys/fs/bpf/other/x 30:78 || failed=\"$failed 2\"\n\n"
		     "# 3. pid 4194302 (the loader) holds it until it exits, or closes it:\n"
		     "#    link/7 fd ref=1 user=0 file=2 pid=4194302 comm=the\\040loader fd=3 "
		     "chain=link/7,prog/5,map/12\n"
		     "#kill 4194302\n"
		     "kill -0 4194302 2>/dev/null && left=\"$left 3\" && printf '%s\\n' "
		     "'pid 4194302 (the loader) holds it until it exits' >&2\n\n"
		     "# 4. pid 4194303 (the loader) holds it until it exits, or closes it:\n"
		     "#    map/12 fd ref=1 user=1 file=1 pid=4194303 comm=the\\040loader fd=9\n"
		     "#    map/12 fd ref=0 user=0 file=1 pid=4194303 comm=the\\040loader fd=10\n"
		     "#kill 4194303\n"
		     "kill -0 4194303 2>/dev/null && left=\"$left 4\" && printf '%s\\n' "
		     "'pid 4194303 (the loader) holds it until it exits' >&2\n\n" TAIL);
}

/* Programs 11 and 12 are in slots of array 1, which is pinned, and program 11 uses array 2. */
static void build_slots(struct scan *scan)
{
	array(scan, 1);
	array(scan, 2);
	program(scan, 11);
	program(scan, 12);
	pin(scan, map(1), 100);
	slot(scan, 1, 258, 11);
	slot(scan, 1, 0, 12);
	uses(scan, 11, 2);
	uses(scan, 12, 1);
}

/* A slot is cleared where that is enough, through a program too. */
TEST_FAKE(slots)
{
	const char *key = G_BYTE_ORDER == G_LITTLE_ENDIAN ? "2 1 0 0" : "0 0 1 2";
	g_autofree char *text = g_strdup_printf(
		"# 1. prog/11 map ref=1 user=0 id=1 name= via=slot slot=258 chain=prog/11,map/2\n"
		"bpftool map delete id 1 key %s || failed=\"$failed 1\"\n\n%s",
		key, TAIL);

	scan_built(fake, build_slots);
	check_script(fake, map(2), text);
}

/* What is in the slots of an array that is freed itself ends with it. */
TEST_FAKE(circle)
{
	scan_built(fake, build_slots);
	check_script(fake, map(1),
		     "# 1. map/1 pin ref=1 user=1 path=/sys/fs/bpf/x ino=100\n"
		     "unpin /sys/fs/bpf/x 30:100 || failed=\"$failed 1\"\n\n" TAIL);
}

static void build_never(struct scan *scan)
{
	object(scan, (struct bpfrefs_key){ BPFREFS_KIND_BTF, 1 }, "", false);
	object(scan, map(1), "array", true);
	pin(scan, map(1), 100);
	set(scan,
	    hold(scan, "kernel", (struct bpfrefs_key){ BPFREFS_KIND_BTF, 1 }, nobody, NULL, 0),
	    "why", "vmlinux", 0);
	hold(scan, "map", (struct bpfrefs_key){ BPFREFS_KIND_BTF, 1 }, map(1), "btf", 0);
}

/* What the kernel holds stays, so nothing is removed in vain. */
TEST_FAKE(never)
{
	scan_built(fake, build_never);
	check_script(
		fake, fake_btf,
		"# 1. btf/1 kernel ref=1 user=0 why=vmlinux\n"
		"echo 'free.sh: it cannot be freed: the kernel itself holds it' >&2\nexit 1\n");
}

static void build_gaps(struct scan *scan)
{
	object(scan, map(1), "array", true)->refcnt = 2;
	object(scan, map(2), "array", true)->refcnt = BPFREFS_UNKNOWN;
}

/* What was not found is said, and is no reason to call the object free. */
TEST_FAKE(unexplained)
{
	scan_built(fake, build_gaps);
	check_script(fake, map(1),
		     "# Nothing leads to it.\n\n"
		     "# 1. map/1 has 2 references that were not found\n"
		     "left=\"$left 1\" && printf '%s\\n' 'map/1 has 2 references that were not "
		     "found' >&2\n\n" TAIL);
	check_script(fake, map(2),
		     "# Nothing leads to it.\n\n"
		     "# 1. not all that holds map/2 could be read\n"
		     "left=\"$left 1\" && printf '%s\\n' 'not all that holds map/2 could be read' "
		     ">&2\n\n" TAIL);
}

static void build_numbered(struct scan *scan)
{
	program(scan, 11);
	for (uint64_t rule = 1; rule <= 3; rule++) {
		struct bpfrefs_ref *ref = hold(scan, "netfilter", prog(11), nobody, NULL, 0);

		set(scan, ref, "family", "ip", 0);
		set(scan, ref, "table", "filter", 0);
		set(scan, ref, "chain", "x;\nreboot", 0);
		set(scan, ref, "rule", NULL, rule);
	}
}

/*
 * A command in a comment stays there, whatever is in it: of the network namespace nothing is known, and
 * iptables-restore cannot read the name of the chain.
 */
TEST_FAKE(suggestion)
{
	g_autofree char *script = NULL;

	scan_built(fake, build_numbered);
	script = shown(fake, prog(11), 0, show_script);
	g_assert_nonnull(strstr(script, "\n#nsenter --net=NETNS sh -c "));
	g_assert_nonnull(strstr(script, "'-D x;\\012reboot 3')\""));
	g_assert_null(strstr(script, "\nreboot"));
}

TEST(quotes)
{
	static const struct {
		const char *word, *quoted;
	} words[] = {
		{ "/sys/fs/bpf/x-1_y.z", " /sys/fs/bpf/x-1_y.z" },
		{ "", " ''" },
		{ "a b", " 'a b'" },
		{ "it's", " 'it'\\''s'" },
		{ "$(x)`y`\\", " '$(x)`y`\\'" },
		{ "a\nb%s\\'\x1b\xff", " \"$(printf 'a\\012b%%s\\134'\\''\\033\\377')\"" },
		{ "end\n\n", " \"$(printf 'end')$nl$nl\"" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		g_autoptr(GString) out = g_string_new(NULL);

		removal_quote(out, words[i].word);
		g_assert_cmpstr(out->str, ==, words[i].quoted);
	}
}

TEST_SCANNED(options_that_are_refused)
{
	struct bpfrefs_script_options options = { .size = offsetof(typeof(options), major) };
	struct {
		struct bpfrefs_script_options known;
		uint64_t later;
	} newer = { { .size = sizeof(newer), .mountpoint = "/m" }, .later = 1 };
	struct bpfrefs_snapshot *snap = NULL;

	g_assert_cmpint(bpfrefs_snapshot_take(fake->fs.ctx, &snap), ==, 0);
	g_assert_cmpint(
		bpfrefs_object_to_script(fake->fs.ctx, snap, fake_map, &options, NULL, NULL), ==,
		-EINVAL);
	g_assert_cmpint(
		bpfrefs_object_to_script(fake->fs.ctx, snap, fake_map, &newer.known, NULL, NULL),
		==, -E2BIG);
	bpfrefs_snapshot_unref(snap);
}

TEST_SCANNED(removed)
{
	static const show_fn shows[] = { show_script };

	check_removed(fake, shows, G_N_ELEMENTS(shows));
}

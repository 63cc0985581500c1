/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every renderer writes, word by word. */
#include <fcntl.h>

#include "render/show.h"
#include "shown.h"

#define check(world, key, show, text)                                            \
	do {                                                                     \
		g_autofree char *shown_text = shown(world, key, FAKE_PID, show); \
		g_assert_cmpstr(shown_text, ==, text);                           \
	} while (0)

/* ---------------------------------------------------------------- text --- */

static void test_escape(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *back = NULL;
	char all[256];

	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	show_value(out, all);
	for (size_t i = 0; i < out->len; i++)
		g_assert_true(out->str[i] >= 0x21 && out->str[i] <= 0x7e);
	g_assert_cmpint(text_unescape(out->str, &back), ==, 0);
	g_assert_cmpstr(back, ==, all);
	g_string_truncate(out, 0);
	show_value(out, "a b\\\n");
	show_text(out, " a b\\\n");
	show_value(out, NULL);
	g_assert_cmpstr(out->str, ==, "a\\040b\\134\\012 a b\\134\\012?");
	g_string_truncate(out, 0);
	show_value(out, "?");
	g_assert_cmpstr(out->str, ==, "\\077");
	g_string_truncate(out, 0);
	show_text(out, show_line_start(out, "# fd: partial"));
	show_text(out, show_line_start(out, "a#"));
	g_assert_cmpstr(out->str, ==, "\\043 fd: partiala#");
}

static void test_unescape(void)
{
	static const char *const bad[] = {
		"\\", "a\\1", "\\08", "\\400", "\\000", "\\x41", "\\12"
	};
	g_autofree char *plain = NULL;
	char *none = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(text_unescape(bad[i], &none), ==, -EINVAL);
	g_assert_null(none);
	g_assert_cmpint(text_unescape("a b\\134\\101", &plain), ==, 0);
	g_assert_cmpstr(plain, ==, "a b\\A");
}

static void test_time(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	show_time(out, (struct timespec){ 86400, 45678901 });
	g_assert_cmpstr(out->str, ==, "1970-01-02T00:00:00.045Z");
}

/* ------------------------------------------------------------- records --- */

static void test_holders(void)
{
	struct world world;

	world_init(&world);
	check(&world, fake_map, show_holders,
	      "map/12 fd ref=1 user=1 file=1 pid=4194303 comm=the\\040loader fd=9\n"
	      "map/12 fd ref=0 user=0 file=1 pid=4194303 comm=the\\040loader fd=10\n"
	      "map/12 pin ref=1 user=1 path=/sys/fs/bpf/app/conns ino=77\n"
	      "map/12 pin ref=1 user=1 path=/sys/fs/bpf/other/x ino=78\n"
	      "map/12 prog ref=1 user=0 id=5 name=entry via=used_maps\n");
	check(&world, fake_btf, show_holders, "");
	world.fake.gaps = true;
	world_scan(&world);
	check(&world, fake_btf, show_holders,
	      "# fd: partial: 3 processes: Permission denied\n"
	      "# pin: unavailable: no bpffs here\n"
	      "# map: partial: one never knows\n");
	world_clear(&world);
}

static void test_unknown_fields(void)
{
	struct world world;

	world_init(&world);
	/* link/7 has a name that could not be learnt. */
	check(&world, fake_entry, show_holders,
	      "prog/5 map ref=1 user=0 id=12 name=conns via=slot slot=2\n"
	      "prog/5 link ref=1 user=0 id=7 name=? via=prog\n");
	world_clear(&world);
}

static void test_holding(void)
{
	struct world world;

	world_init(&world);
	world.fake.gaps = true;
	world_scan(&world);
	check(&world, fake_entry, show_holding,
	      "map/12 prog ref=1 user=0 id=5 name=entry via=used_maps\n");
	check(&world, fake_plain, show_holding, "# map: partial: one never knows\n");
	check(&world, fake_map, show_pid_holding,
	      "map/12 fd ref=1 user=1 file=1 pid=4194303 comm=the\\040loader fd=9\n"
	      "map/12 fd ref=0 user=0 file=1 pid=4194303 comm=the\\040loader fd=10\n"
	      "# fd: partial: 3 processes: Permission denied\n");
	world_clear(&world);
}

static void test_slots(void)
{
	struct world world;

	world_init(&world);
	check(&world, fake_map, show_slots, "2 prog/5 entry\n10 prog/6 \n");
	world_clear(&world);
}

static void test_all_holders(void)
{
	struct world world;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	world_init(&world);
	text = shown(&world, fake_map, FAKE_PID, show_all_holders);
	lines = g_strsplit(text, "\n", -1);
	g_assert_cmpuint(g_strv_length(lines), ==, 10 + 1);
	g_assert_true(g_str_has_prefix(lines[0], "map/12 fd "));
	g_assert_true(g_str_has_prefix(lines[9], "link/7 fd "));
	world_clear(&world);
}

/* A text that becomes longer than it may be fails, and the next one is whole again. */
static void test_limit(void)
{
	static const show_fn shows[] = { show_holders, show_all_holders, show_objects, show_json,
					 show_dot };
	struct world world;

	world_init(&world);
	for (size_t i = 0; i < G_N_ELEMENTS(shows); i++) {
		g_autoptr(GString) out = g_string_new(NULL);
		struct where w = { .fs = &world.fs, .key = fake_map, .snap = world.snap };

		text_set_limit(60);
		g_assert_cmpint(shows[i](&w, out), ==, -ENOMEM);
		text_set_limit(SIZE_MAX);
		g_string_truncate(out, 0);
		g_assert_cmpint(shows[i](&w, out), ==, 0);
		g_assert_cmpuint(out->len, >, 60);
	}
	world_clear(&world);
}

static void test_gone(void)
{
	static const show_fn shows[] = {
		show_info,  show_holders, show_holding,	    show_refs,
		show_slots, show_pins,	  show_pid_holding, show_comm,
	};

	check_gone(shows, G_N_ELEMENTS(shows));
}

/* ------------------------------------------------------------- objects --- */

static void test_info(void)
{
	struct world world;

	world_init(&world);
	check(&world, fake_plain, show_info,
	      "kind: map\nid: 13\ntype: hash\nname: a b\\134c\\012\\377\n");
	world_clear(&world);
}

static void test_refs(void)
{
	struct world world;

	world_init(&world);
	check(&world, fake_map, show_refs,
	      "refcnt: 4\nexplained: 4\nunexplained: 0\n"
	      "usercnt: 3\nuser_explained: 3\nuser_unexplained: 0\n"
	      "fd: ref=1 user=1\npin: ref=2 user=2\nprog: ref=1 user=0\n"
	      "state: held\nbecause: it is so\n");
	check(&world, fake_tail, show_refs,
	      "refcnt: 3\nexplained: 1\nunexplained: 2\nmap: ref=1 user=0\n"
	      "state: held\nbecause: it is so\n");
	check(&world, fake_plain, show_refs,
	      "refcnt: ?\nexplained: 1\nunexplained: ?\n"
	      "usercnt: ?\nuser_explained: 1\nuser_unexplained: ?\n"
	      "pin: ref=1 user=1\nstate: held\nbecause: it is so\n");
	world_clear(&world);
}

static void test_refs_changing(void)
{
	struct world world;

	world_init(&world);
	world.fake.changing = true;
	world_scan(&world);
	check(&world, fake_map, show_refs,
	      "refcnt: 4\nexplained: 4\nunexplained: ?\n"
	      "usercnt: 3\nuser_explained: 3\nuser_unexplained: ?\n"
	      "fd: ref=1 user=1\npin: ref=2 user=2\nprog: ref=1 user=0\n"
	      "state: held\nbecause: it is so\n# refcnt: changing\n");
	world_clear(&world);
}

/* More was found than the kernel counts: seen, and not made good by what is missing elsewhere. */
static void test_refs_negative(void)
{
	struct world world;
	struct bpfrefs_object *map;
	g_autofree char *objects = NULL;

	world_init(&world);
	map = (struct bpfrefs_object *)(uintptr_t)bpfrefs_snapshot_find(world.snap, fake_map);
	map->refcnt = 3;
	map->usercnt = 4;
	check(&world, fake_map, show_refs,
	      "refcnt: 3\nexplained: 4\nunexplained: -1\n"
	      "usercnt: 4\nuser_explained: 3\nuser_unexplained: 1\n"
	      "fd: ref=1 user=1\npin: ref=2 user=2\nprog: ref=1 user=0\n"
	      "state: held\nbecause: it is so\n");
	objects = shown(&world, fake_map, FAKE_PID, show_objects);
	g_assert_true(g_str_has_prefix(objects, "map/12 name=conns type=prog_array refcnt=3 "
						"usercnt=4 unexplained=2 "));
	world_clear(&world);
}

static void test_objects(void)
{
	struct world world;

	world_init(&world);
	world.fake.gaps = true;
	world_scan(&world);
#define END " state=held because=it\\040is\\040so\n"
	check(&world, fake_map, show_objects,
	      "map/12 name=conns type=prog_array refcnt=4 usercnt=3 unexplained=0 pins=2" END
	      "map/13 name=a\\040b\\134c\\012\\377 type=hash refcnt=? usercnt=? unexplained=? "
	      "pins=1" END "prog/5 name=entry type=xdp refcnt=2 usercnt= unexplained=0 pins=0" END
	      "prog/6 name= type=xdp refcnt=3 usercnt= unexplained=2 pins=0" END
	      "link/7 name=? type=xdp refcnt=1 usercnt= unexplained=0 pins=0" END
	      "btf/1 name= type=btf refcnt=1 usercnt= unexplained=1 pins=0" END
	      "# fd: partial: 3 processes: Permission denied\n"
	      "# pin: unavailable: no bpffs here\n"
	      "# map: partial: one never knows\n");
	world_clear(&world);
}

/* SOURCE is /app: pins elsewhere in the instance have no name below it. */
static void test_pins(void)
{
	struct world world;

	world_init(&world);
	check(&world, fake_map, show_pins, "conns\n");
	check(&world, fake_plain, show_pins, "\\043odd\\040name\n");
	world.fake.gaps = true;
	world_scan(&world);
	check(&world, fake_entry, show_pins, "# pin: unavailable: no bpffs here\n");
	world_clear(&world);
}

static void test_comm(void)
{
	struct world world;
	struct where w = { .pid = (uint32_t)getpid() };
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *comm = NULL;

	world_init(&world);
	w.fs = &world.fs;
	g_assert_true(g_file_get_contents("/proc/self/comm", &comm, NULL, NULL));
	g_assert_cmpint(show_comm(&w, out), ==, 0);
	g_assert_cmpstr(out->str, ==, comm);
	world_clear(&world);
}

/* ----------------------------------------------------- the whole system --- */

static void test_bpffs(void)
{
	struct world world;

	world_init(&world);
	world.fake.gaps = true;
	world_scan(&world);
	check(&world, fake_map, show_bpffs,
	      "0:30 pins=3 state=attached mnt_ns=4026531841 pid=1 path=/sys/fs/bpf "
	      "mnt_ns=4026532000 pid=? path=?\n"
	      "0:31 pins=0 state=detached\n"
	      "# pin: unavailable: no bpffs here\n");
	world_clear(&world);
}

/* A keeper of a directory that has no keeps. */
static struct bpfrefs_keeper *empty_keeper(struct world *world)
{
	struct bpfrefs_keeper *keeper;

	world->fs.source_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(bpfrefs_keeper_open(world->fs.ctx, world->fs.source_fd, &keeper), ==, 0);
	return keeper;
}

static bool has_line(char **lines, const char *line)
{
	return g_strv_contains((const char *const *)lines, line);
}

static void test_status(void)
{
	struct world world;
	g_autofree char *text = NULL, *failed = NULL;
	g_auto(GStrv) lines = NULL;

	world_init(&world);
	world.fs.keeper = empty_keeper(&world);
	world.fake.gaps = true;
	text = shown(&world, fake_map, FAKE_PID, show_status);
	lines = g_strsplit(text, "\n", -1);
	g_assert_true(has_line(lines, "directory: /sys/fs/bpf/app"));
	g_assert_true(has_line(lines, "options: rw,pins=symlink,max_age=0,keep=off"));
	g_assert_true(has_line(lines, "source: proc"));
	g_assert_true(has_line(lines, "class fd: a fake: partial: 3 processes: Permission denied"));
	g_assert_true(has_line(lines, "class pin: a fake: unavailable: no bpffs here"));
	g_assert_true(has_line(lines, "class prog: a fake: complete"));
	g_assert_true(has_line(lines, "scans: 2"));
	g_assert_true(has_line(lines, "objects: 6"));
	g_assert_true(has_line(lines, "references: 10"));
	g_assert_true(has_line(lines, "keeps: fd=0 pin=0 auto=0"));
	g_assert_true(has_line(lines, "control_errors: 0"));
	world.fake.collect_error = -EPERM;
	failed = shown(&world, fake_map, FAKE_PID, show_status);
	g_assert_nonnull(strstr(failed, "\nscan_failed: Operation not permitted\n"));
	bpfrefs_keeper_close(world.fs.keeper);
	close(world.fs.source_fd);
	world_clear(&world);
}

/* A record of each class, all of whose fields are as long as can be, word by word. */
static void test_each_class(void)
{
	static const char text[] = "a b\001\377";

	for (unsigned int i = 0; holder_classes[i]; i++) {
		const struct holder_class *class = holder_classes[i];
		g_autofree struct bpfrefs_ref *ref =
			g_malloc0(sizeof(*ref) + REF_FIELDS_MAX * sizeof(ref->values[0]));
		g_autoptr(GString) want = g_string_new(NULL), got = g_string_new(NULL);

		ref->target = (struct bpfrefs_key){ BPFREFS_PROG, UINT32_MAX };
		ref->class = class;
		ref->ref = ref->user = UINT32_MAX;
		g_string_printf(want, "prog/4294967295 %s ref=4294967295 user=4294967295",
				class->pub.name);
		for (unsigned int key = 0; class->pub.keys[key]; key++) {
			g_assert_cmpuint(key, <, REF_FIELDS_MAX);
			ref->keys++;
			if (key % 2)
				ref_set_static(ref, key, text);
			else
				ref_set_num(ref, key, UINT64_MAX - 1);
			g_string_append_printf(want, " %s=%s", class->pub.keys[key],
					       key % 2 ? "a\\040b\\001\\377"
						       : "18446744073709551614");
		}
		g_string_append_c(want, '\n');
		show_line(got, ref);
		g_assert_cmpstr(got->str, ==, want->str);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/text/escape", test_escape);
	g_test_add_func("/text/unescape", test_unescape);
	g_test_add_func("/text/time", test_time);
	g_test_add_func("/records/holders", test_holders);
	g_test_add_func("/records/unknown", test_unknown_fields);
	g_test_add_func("/records/holding", test_holding);
	g_test_add_func("/records/slots", test_slots);
	g_test_add_func("/records/all", test_all_holders);
	g_test_add_func("/records/gone", test_gone);
	g_test_add_func("/records/each-class", test_each_class);
	g_test_add_func("/object/info", test_info);
	g_test_add_func("/object/refs", test_refs);
	g_test_add_func("/object/changing", test_refs_changing);
	g_test_add_func("/object/negative", test_refs_negative);
	g_test_add_func("/object/objects", test_objects);
	g_test_add_func("/object/pins", test_pins);
	g_test_add_func("/object/limit", test_limit);
	g_test_add_func("/object/comm", test_comm);
	g_test_add_func("/system/bpffs", test_bpffs);
	g_test_add_func("/system/status", test_status);
	return g_test_run();
}

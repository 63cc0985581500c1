/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exact text of every file. */
#include <fcntl.h>

#include "fixture.h"
#include "render/show.h"

#define check(fake, key, show, text) check_shown(fake, key, FAKE_PID, show, text)

/* ---------------------------------------------------------------- text --- */

TEST(escape)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *back = NULL;
	char all[256];

	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	fmt_add_value(out, all);
	for (size_t i = 0; i < out->len; i++)
		g_assert_true(out->str[i] >= 0x21 && out->str[i] <= 0x7e);
	g_assert_cmpint(text_unescape(out->str, &back), ==, 0);
	g_assert_cmpstr(back, ==, all);
	g_string_truncate(out, 0);
	fmt_add_value(out, "a b\\\n");
	fmt_add_text(out, " a b\\\n");
	fmt_add_value(out, NULL);
	g_assert_cmpstr(out->str, ==, "a\\040b\\134\\012 a b\\134\\012?");
	g_string_truncate(out, 0);
	fmt_add_value(out, "?");
	g_assert_cmpstr(out->str, ==, "\\077");
	g_string_truncate(out, 0);
	fmt_add_text(out, show_line_start(out, "# fd: partial"));
	fmt_add_text(out, show_line_start(out, "a#"));
	g_assert_cmpstr(out->str, ==, "\\043 fd: partiala#");
}

TEST(unescape)
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

TEST(time)
{
	g_autoptr(GString) out = g_string_new(NULL);

	show_time(out, (struct timespec){ 86400, 45678901 });
	g_assert_cmpstr(out->str, ==, "1970-01-02T00:00:00.045Z");
}

/* ------------------------------------------------------------- records --- */

TEST_SCANNED(holders)
{
	check(fake, fake_map, show_holders,
	      "map/12 fd ref=1 user=1 file=1 pid=4194303 comm=the\\040loader fd=9\n"
	      "map/12 fd ref=0 user=0 file=1 pid=4194303 comm=the\\040loader fd=10\n"
	      "map/12 pin ref=1 user=1 path=/sys/fs/bpf/app/conns ino=77\n"
	      "map/12 pin ref=1 user=1 path=/sys/fs/bpf/other/x ino=78\n"
	      "map/12 prog ref=1 user=0 id=5 name=entry via=used_maps\n");
	check(fake, fake_btf, show_holders, "");
	fake->gaps = true;
	fake_scan(fake);
	check(fake, fake_btf, show_holders,
	      "# fd: partial: 3 processes: Permission denied\n"
	      "# pin: unavailable: no bpffs here\n"
	      "# map: partial: one never knows\n");
}

TEST_SCANNED(unknown_fields)
{
	/* The name of link/7 could not be read. */
	check(fake, fake_entry, show_holders,
	      "prog/5 map ref=1 user=0 id=12 name=conns via=slot slot=2\n"
	      "prog/5 link ref=1 user=0 id=7 name=? via=prog\n");
}

TEST_SCANNED(holding)
{
	fake->gaps = true;
	fake_scan(fake);
	check(fake, fake_entry, show_holding,
	      "map/12 prog ref=1 user=0 id=5 name=entry via=used_maps\n");
	check(fake, fake_plain, show_holding, "# map: partial: one never knows\n");
	check(fake, fake_map, show_pid_holding,
	      "map/12 fd ref=1 user=1 file=1 pid=4194303 comm=the\\040loader fd=9\n"
	      "map/12 fd ref=0 user=0 file=1 pid=4194303 comm=the\\040loader fd=10\n"
	      "# fd: partial: 3 processes: Permission denied\n");
}

TEST_SCANNED(slots)
{
	check(fake, fake_map, show_slots, "2 prog/5 entry\n10 prog/6 \n");
}

TEST_SCANNED(all_holders)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	text = shown(fake, fake_map, FAKE_PID, show_all_holders);
	lines = g_strsplit(text, "\n", -1);
	g_assert_cmpuint(g_strv_length(lines), ==, 10 + 1);
	g_assert_true(g_str_has_prefix(lines[0], "map/12 fd "));
	g_assert_true(g_str_has_prefix(lines[9], "link/7 fd "));
}

/* A text that exceeds the limit fails, and the next text is complete. */
TEST_SCANNED(limit)
{
	static const show_fn shows[] = { show_holders, show_all_holders, show_objects, show_json,
					 show_dot };

	for (size_t i = 0; i < G_N_ELEMENTS(shows); i++) {
		g_autoptr(GString) out = g_string_new(NULL);
		struct where w = { .fs = &fake->fs, .key = fake_map, .snap = fake->snap };

		text_set_limit(60);
		g_assert_cmpint(shows[i](&w, out), ==, -ENOMEM);
		text_set_limit(SIZE_MAX);
		g_string_truncate(out, 0);
		g_assert_cmpint(shows[i](&w, out), ==, 0);
		g_assert_cmpuint(out->len, >, 60);
	}
}

TEST_SCANNED(removed)
{
	static const show_fn shows[] = {
		show_info,  show_holders, show_holding,	    show_refs,
		show_slots, show_pins,	  show_pid_holding, show_comm,
	};

	check_removed(fake, shows, G_N_ELEMENTS(shows));
}

/* ------------------------------------------------------------- objects --- */

TEST_SCANNED(info)
{
	check(fake, fake_plain, show_info,
	      "kind: map\nid: 13\ntype: hash\nname: a b\\134c\\012\\377\ncharged: ?\n");
	fake->payer = "/a b\n\377";
	check(fake, fake_plain, show_info,
	      "kind: map\nid: 13\ntype: hash\nname: a b\\134c\\012\\377\n"
	      "charged: /a b\\012\\377\ncharged_state: dying\n");
	fake->payer = NULL;
	fake->payer_error = -EOPNOTSUPP;
	check(fake, fake_plain, show_info,
	      "kind: map\nid: 13\ntype: hash\nname: a b\\134c\\012\\377\n");
}

TEST_SCANNED(refs)
{
	check(fake, fake_map, show_refs,
	      "refcnt: 4\nexplained: 4\nunexplained: 0\n"
	      "usercnt: 3\nuser_explained: 3\nuser_unexplained: 0\n"
	      "fd: ref=1 user=1\npin: ref=2 user=2\nprog: ref=1 user=0\n"
	      "state: held\nbecause: it is so\n");
	check(fake, fake_tail, show_refs,
	      "refcnt: 3\nexplained: 1\nunexplained: 2\nmap: ref=1 user=0\n"
	      "state: held\nbecause: it is so\n");
	check(fake, fake_plain, show_refs,
	      "refcnt: ?\nexplained: 1\nunexplained: ?\n"
	      "usercnt: ?\nuser_explained: 1\nuser_unexplained: ?\n"
	      "pin: ref=1 user=1\nstate: held\nbecause: it is so\n");
}

TEST_SCANNED(refs_changing)
{
	fake->changing = true;
	fake_scan(fake);
	check(fake, fake_map, show_refs,
	      "refcnt: 4\nexplained: 4\nunexplained: ?\n"
	      "usercnt: 3\nuser_explained: 3\nuser_unexplained: ?\n"
	      "fd: ref=1 user=1\npin: ref=2 user=2\nprog: ref=1 user=0\n"
	      "state: held\nbecause: it is so\n# refcnt: changing\n");
}

/*
 * More references were found than the kernel counts. The difference is shown, and does
 * not make up
 * for references that are missing elsewhere.
 */
TEST_SCANNED(refs_negative)
{
	struct bpfrefs_object *map;
	g_autofree char *objects = NULL;

	map = (struct bpfrefs_object *)(uintptr_t)bpfrefs_snapshot_find(fake->snap, fake_map);
	map->refcnt = 3;
	map->usercnt = 4;
	check(fake, fake_map, show_refs,
	      "refcnt: 3\nexplained: 4\nunexplained: -1\n"
	      "usercnt: 4\nuser_explained: 3\nuser_unexplained: 1\n"
	      "fd: ref=1 user=1\npin: ref=2 user=2\nprog: ref=1 user=0\n"
	      "state: held\nbecause: it is so\n");
	objects = shown(fake, fake_map, FAKE_PID, show_objects);
	g_assert_true(g_str_has_prefix(objects, "map/12 name=conns type=prog_array refcnt=3 "
						"usercnt=4 unexplained=2 "));
}

TEST_SCANNED(objects)
{
	fake->gaps = true;
	fake->memlock = 100;
	fake_scan(fake);
	/* A program array is not opened: a scan computes it. */
	fake_object(fake, fake_map)->memlock = 1200;
#define END " state=held because=it is so\n"
	check(fake, fake_map, show_objects,
	      "map/12 name=conns type=prog_array refcnt=4 usercnt=3 unexplained=0 pins=2 "
	      "memlock=1200" END
	      "map/13 name=a\\040b\\134c\\012\\377 type=hash refcnt=? usercnt=? unexplained=? "
	      "pins=1 memlock=1300" END
	      "prog/5 name=entry type=xdp refcnt=2 usercnt= unexplained=0 pins=0 memlock=?" END
	      "prog/6 name= type=xdp refcnt=3 usercnt= unexplained=2 pins=0 memlock=?" END
	      "link/7 name=? type=xdp refcnt=1 usercnt= unexplained=0 pins=0 memlock=0" END
	      "btf/1 name= type=btf refcnt=1 usercnt= unexplained=1 pins=0 memlock=0" END
	      "# fd: partial: 3 processes: Permission denied\n"
	      "# pin: unavailable: no bpffs here\n"
	      "# map: partial: one never knows\n");
}

/* SOURCE is /app: pins outside of that directory are not listed. */
TEST_SCANNED(pins)
{
	check(fake, fake_map, show_pins, "conns\n");
	check(fake, fake_plain, show_pins, "\\043odd\\040name\n");
	fake->gaps = true;
	fake_scan(fake);
	check(fake, fake_entry, show_pins, "# pin: unavailable: no bpffs here\n");
}

TEST_SCANNED(comm)
{
	struct where w = { .pid = (uint32_t)getpid() };
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *comm = NULL;

	w.fs = &fake->fs;
	g_assert_true(g_file_get_contents("/proc/self/comm", &comm, NULL, NULL));
	g_assert_cmpint(show_comm(&w, out), ==, 0);
	g_assert_cmpstr(out->str, ==, comm);
}

/* ----------------------------------------------------- the whole system --- */

TEST_SCANNED(bpffs)
{
	fake->gaps = true;
	fake_scan(fake);
	check(fake, fake_map, show_bpffs,
	      "0:30 pins=3 state=attached mode=700 uid=0 gid=0 delegate_cmds= "
	      "delegate_maps=hash:array delegate_progs= delegate_attachs= mnt_ns=4026531841 pid=1 "
	      "path=/sys/fs/bpf "
	      "mnt_ns=4026532000 pid=? path=?\n"
	      "0:31 pins=0 state=detached mode=? uid=? gid=? delegate_cmds=? delegate_maps=? "
	      "delegate_progs=? delegate_attachs=?\n"
	      "# pin: unavailable: no bpffs here\n");
}

/* Returns a keeper whose directory has no keeps. */
static struct bpfrefs_keeper *empty_keeper(struct fake *fake)
{
	struct bpfrefs_keeper *keeper;

	fake->fs.source_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(bpfrefs_keeper_open(fake->fs.ctx, fake->fs.source_fd, &keeper), ==, 0);
	return keeper;
}

static bool has_line(char **lines, const char *line)
{
	return g_strv_contains((const char *const *)lines, line);
}

TEST_SCANNED(status)
{
	g_autofree char *text = NULL, *failed = NULL;
	g_auto(GStrv) lines = NULL;

	fake->fs.keeper = empty_keeper(fake);
	fake->gaps = true;
	text = shown(fake, fake_map, FAKE_PID, show_status);
	lines = g_strsplit(text, "\n", -1);
	g_assert_true(has_line(lines, "directory: /sys/fs/bpf/app"));
	g_assert_true(has_line(lines, "options: rw,pins=symlink,max_age=0,keep=off,self=hide"));
	g_assert_true(has_line(lines, "source: proc"));
	g_assert_true(has_line(lines, "class fd: a fake: partial: 3 processes: Permission denied"));
	g_assert_true(has_line(lines, "class pin: a fake: unavailable: no bpffs here"));
	g_assert_true(has_line(lines, "class prog: a fake: complete"));
	g_assert_true(has_line(lines, "scans: 2"));
	g_assert_true(has_line(lines, "objects: 6"));
	g_assert_true(has_line(lines, "references: 10"));
	g_assert_true(has_line(lines, "keeps: fd=0 pin=0 auto=0"));
	g_assert_true(has_line(lines, "control_errors: 0"));
	fake->collect_error = -EPERM;
	failed = shown(fake, fake_map, FAKE_PID, show_status);
	g_assert_nonnull(strstr(failed, "\nscan_failed: Operation not permitted\n"));
	bpfrefs_keeper_close(fake->fs.keeper);
	close(fake->fs.source_fd);
}

/* A record of each class whose fields are as long as possible. */
TEST(each_class)
{
	static const char text[] = "a b\001\377";

	for (unsigned int i = 0; holder_classes[i]; i++) {
		const struct holder_class *class = holder_classes[i];
		g_autofree struct bpfrefs_ref *ref =
			g_malloc0(sizeof(*ref) + REF_FIELDS_MAX * sizeof(ref->values[0]));
		g_autoptr(GString) want = g_string_new(NULL), got = g_string_new(NULL);

		ref->target = (struct bpfrefs_key){ BPFREFS_KIND_PROG, UINT32_MAX };
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
		g_assert_cmpint(bpfrefs_ref_to_record(ref, show_write, got), ==, 0);
		g_assert_cmpstr(got->str, ==, want->str);
	}
}

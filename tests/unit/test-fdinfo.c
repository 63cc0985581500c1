/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing fdinfo: only whole keys match. */
#include <fcntl.h>
#include <string.h>

#include "fixture.h"
#include "procfs/fdinfo.h"

static void check(const char *text, enum bpfrefs_kind kind, uint32_t id)
{
	struct bpfrefs_key key = { BPFREFS_KIND_NONE, 0 };

	g_assert_cmpint(fdinfo_key(text, &key), ==, id ? 0 : -EINVAL);
	g_assert_cmpint(key.kind, ==, kind);
	g_assert_cmpuint(key.id, ==, id);
}

TEST(kinds)
{
	check("pos:\t0\nflags:\t02000002\nmap_type:\t1\nkey_size:\t4\nmap_id:\t12\nfrozen:\t0\n",
	      BPFREFS_KIND_MAP, 12);
	check("prog_type:\t3\nprog_jited:\t1\nprog_id:\t7\n", BPFREFS_KIND_PROG, 7);
	check("btf_id:\t4294967295\n", BPFREFS_KIND_BTF, UINT32_MAX);
	check("link_type:\titer\nlink_id:\t3\nprog_id:\t9\n", BPFREFS_KIND_LINK, 3);
	/* A link shows its program and its target too, in any order. */
	check("prog_id:\t9\nmap_id:\t8\nlink_id:\t3\n", BPFREFS_KIND_LINK, 3);
	check("map_id:\t8", BPFREFS_KIND_MAP, 8);
}

TEST(others)
{
	check("", BPFREFS_KIND_NONE, 0);
	check("pos:\t0\nflags:\t02\n", BPFREFS_KIND_NONE, 0);
	check("old_map_id:\t5\nmap_id_old:\t5\nmap_ids:\t5\nmap_id 5\n", BPFREFS_KIND_NONE, 0);
	check("name:\tmap_id:5\n", BPFREFS_KIND_NONE, 0);
	check("map_id:\t0\n", BPFREFS_KIND_NONE, 0);
	check("map_id:\t-5\n", BPFREFS_KIND_NONE, 0);
	check("map_id:\t5x\n", BPFREFS_KIND_NONE, 0);
	check("map_id:\t\n", BPFREFS_KIND_NONE, 0);
	check("map_id:\t4294967296\n", BPFREFS_KIND_NONE, 0);
	check("map_id:\t99999999999999999999999\n", BPFREFS_KIND_NONE, 0);
}

TEST(num)
{
	uint64_t value = 0;

	g_assert_true(fdinfo_num("memlock:\t4096\n", "memlock", &value));
	g_assert_cmpuint(value, ==, 4096);
	g_assert_false(fdinfo_num("xmemlock:\t4096\n", "memlock", &value));
	g_assert_false(fdinfo_num("memlock:\n4096\n", "memlock", &value));
}

TEST(read)
{
	g_autofree char *dir = g_dir_make_tmp("bpfrefs-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "file", NULL);
	bpfrefs_autofd dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buf[6];

	g_assert_cmpint(dir_fd, >=, 0);
	g_assert_cmpint(proc_text_read_at(dir_fd, "file", buf, sizeof(buf)), ==, -ENOENT);
	g_assert_true(g_file_set_contents(path, "12345", -1, NULL));
	g_assert_cmpint(proc_text_read_at(dir_fd, "file", buf, sizeof(buf)), ==, 5);
	g_assert_cmpstr(buf, ==, "12345");
	g_assert_true(g_file_set_contents(path, "123456", -1, NULL));
	g_assert_cmpint(proc_text_read_at(dir_fd, "file", buf, sizeof(buf)), ==, -E2BIG);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(rmdir(dir), ==, 0);
}

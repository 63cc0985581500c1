/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounts of bpffs as mountinfo lists them: bind mounts, hidden mounts, escapes. */
#include "fixture.h"
#include "procfs/procfs.h"

#define ROOT "1 0 254:0 / / rw - ext4 /dev/vda rw\n"

static GPtrArray *read_text(const char *text)
{
	struct temp_dir fixture;
	GPtrArray *mounts = NULL;

	temp_dir_init(&fixture);
	temp_dir_file(&fixture, "42/mountinfo", text);
	g_assert_cmpint(mounts_read(fixture.fd, 42, &mounts), ==, 0);
	g_assert_cmpint(mounts_read(fixture.fd, 43, &mounts), ==, -ENOENT);
	g_assert_cmpint(mounts_read(fixture.fd, 0, &mounts), ==, -ENOENT);
	temp_dir_clear(&fixture);
	return mounts;
}

static const struct bpffs_mount *at(const GPtrArray *mounts, const char *target)
{
	for (guint i = 0; i < mounts->len; i++) {
		const struct bpffs_mount *mount = g_ptr_array_index(mounts, i);

		if (strcmp(mount->target, target) == 0)
			return mount;
	}
	g_error("no mount at %s", target);
}

static void check_path(const GPtrArray *mounts, uint32_t minor, const char *inner, const char *want)
{
	g_autofree char *path = mounts_path(mounts, 0, minor, inner);

	g_assert_cmpstr(path, ==, want);
}

TEST(fields)
{
	g_autoptr(GPtrArray) mounts = read_text(
		ROOT "20 1 0:20 / /sys rw shared:7 - sysfs sysfs rw\n"
		     "30 20 0:30 / /sys/fs/bpf rw,nosuid shared:9 master:1 - bpf bpf rw,mode=700\n"
		     "31 1 0:31 / /mnt/my\\040bpf\\011tab\\134 rw - bpf none rw\n"
		     "32 1 0:30 /app /srv/app rw - bpf bpf rw\n");

	g_assert_cmpuint(mounts->len, ==, 3);
	g_assert_cmpuint(at(mounts, "/sys/fs/bpf")->major, ==, 0);
	g_assert_cmpuint(at(mounts, "/sys/fs/bpf")->minor, ==, 30);
	g_assert_cmpstr(at(mounts, "/sys/fs/bpf")->root, ==, "/");
	g_assert_cmpstr(at(mounts, "/srv/app")->root, ==, "/app");
	for (guint i = 0; i < mounts->len; i++) {
		g_assert_false(((struct bpffs_mount *)mounts->pdata[i])->hidden);
		g_assert_false(((struct bpffs_mount *)mounts->pdata[i])->remote);
	}
	check_path(mounts, 30, "/", "/sys/fs/bpf");
	check_path(mounts, 30, "/app/conns", "/sys/fs/bpf/app/conns");
	check_path(mounts, 31, "/x", "/mnt/my bpf\ttab\\/x");
	check_path(mounts, 99, "/x", NULL);
}

/* Only one directory of the instance is mounted: what is outside of it cannot be reached. */
TEST(bind)
{
	g_autoptr(GPtrArray) mounts = read_text(ROOT "32 1 0:30 /app /srv/app rw - bpf bpf rw\n");

	check_path(mounts, 30, "/app", "/srv/app");
	check_path(mounts, 30, "/app/conns", "/srv/app/conns");
	check_path(mounts, 30, "/application", NULL);
	g_assert_true(mounts_have(mounts, 0, 30, "/app/conns"));
	g_assert_false(mounts_have(mounts, 0, 30, "/application"));
	check_path(mounts, 30, "/", NULL);
}

TEST(covered)
{
	/* Another filesystem is mounted on the same directory. */
	g_autoptr(GPtrArray) covered = read_text(ROOT "30 1 0:30 / /bpf rw - bpf bpf rw\n"
						      "31 30 0:31 / /bpf rw - tmpfs none rw\n");
	/* Two bpffs, one over the other: the lower one is hidden. */
	g_autoptr(GPtrArray) stacked = read_text(ROOT "30 1 0:30 / /bpf rw - bpf bpf rw\n"
						      "31 30 0:31 / /bpf rw - bpf bpf rw\n");

	g_assert_true(at(covered, "/bpf")->hidden);
	check_path(covered, 30, "/x", NULL);
	g_assert_true(((struct bpffs_mount *)stacked->pdata[0])->hidden);
	g_assert_false(((struct bpffs_mount *)stacked->pdata[1])->hidden);
	check_path(stacked, 30, "/x", NULL);
	check_path(stacked, 31, "/x", "/bpf/x");
	g_assert_true(mounts_have(stacked, 0, 30, "/x"));
	g_assert_false(mounts_have(stacked, 0, 32, "/x"));
}

TEST(above)
{
	/* A parent directory is covered by a mount, on which there is another mount. */
	g_autoptr(GPtrArray) mounts = read_text(ROOT "30 1 0:30 / /a/b/bpf rw - bpf bpf rw\n"
						     "31 1 0:31 / /a/b rw - tmpfs none rw\n"
						     "32 31 0:32 / /a/b/other rw - bpf bpf rw\n"
						     "33 1 0:33 / /a/bc rw - tmpfs none rw\n"
						     "34 1 0:34 / /a/bcd rw - bpf bpf rw\n");

	g_assert_true(at(mounts, "/a/b/bpf")->hidden);
	g_assert_false(at(mounts, "/a/b/other")->hidden);
	g_assert_false(at(mounts, "/a/bcd")->hidden);
}

TEST(grandparent)
{
	/* The filesystem that a bpffs is mounted on is covered. */
	g_autoptr(GPtrArray) mounts = read_text(ROOT "20 1 0:20 / /run rw - tmpfs none rw\n"
						     "30 20 0:30 / /run/bpf rw - bpf bpf rw\n"
						     "21 20 0:21 / /run rw - tmpfs none rw\n");

	g_assert_true(at(mounts, "/run/bpf")->hidden);
}

TEST(inner)
{
	/* A mount inside the bpffs covers a part of it. */
	g_autoptr(GPtrArray) mounts = read_text(ROOT "30 1 0:30 / /bpf rw - bpf bpf rw\n"
						     "31 30 0:31 / /bpf/app rw - tmpfs none rw\n");

	g_assert_false(at(mounts, "/bpf")->hidden);
	check_path(mounts, 30, "/app/conns", NULL);
	check_path(mounts, 30, "/app", NULL);
	check_path(mounts, 30, "/apps", "/bpf/apps");
}

TEST(root)
{
	/*
	 * A mount over "/": the root of this process stays where it is, and what is mounted on
	 * the cover cannot be reached.
	 */
	g_autoptr(GPtrArray) over = read_text(ROOT "30 1 0:30 / /bpf rw - bpf bpf rw\n"
						   "40 1 0:40 / / rw - tmpfs none rw\n"
						   "41 40 0:41 / /other rw - bpf bpf rw\n");
	/* The root of a namespace may be its own parent, or a bpffs. */
	g_autoptr(GPtrArray) self = read_text("5 5 0:5 / / rw - bpf bpf rw\n");

	g_assert_false(at(over, "/bpf")->hidden);
	g_assert_true(at(over, "/other")->hidden);
	g_assert_false(at(self, "/")->hidden);
	check_path(self, 5, "/", "/");
	check_path(self, 5, "/x", "/x");
}

TEST(remote)
{
	g_autoptr(GPtrArray) mounts =
		read_text(ROOT "20 1 0:20 / /mirror rw - fuse.bpfrefs bpf rw\n"
			       "21 20 0:21 / /mirror/dir rw - tmpfs none rw\n"
			       "30 21 0:30 / /mirror/dir/bpf rw - bpf bpf rw\n"
			       "31 1 0:31 / /bpf rw - bpf bpf rw\n");

	g_assert_true(at(mounts, "/mirror/dir/bpf")->remote);
	g_assert_false(at(mounts, "/bpf")->remote);
}

TEST(odd)
{
	/* A loop of parents, a malformed line, and an empty file. */
	g_autoptr(GPtrArray) loop = read_text("8 9 0:8 / /a rw - bpf bpf rw\n"
					      "9 8 0:9 / /b rw - tmpfs none rw\n");
	g_autoptr(GPtrArray) broken = read_text(ROOT "what is this\n"
						     "30 1 0:30 / /bpf rw - bpf bpf rw\n");
	g_autoptr(GPtrArray) empty = read_text("");

	g_assert_cmpuint(loop->len, ==, 1);
	g_assert_true(at(loop, "/a")->hidden);
	g_assert_cmpuint(broken->len, ==, 1);
	g_assert_cmpuint(empty->len, ==, 0);
}

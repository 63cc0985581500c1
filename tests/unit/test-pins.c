/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pins, read through procfs and bpf(2), in a bpffs and a mount namespace of the test. The cases
 * are skipped where a process may not create these.
 */
#include <bpf/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "fixture.h"
#include "procfs/procfs.h"
#include "uapi/syscalls.h"

static struct world {
	bool skip;
	char *dir;  /* where the bpffs is */
	int dir_fd; /* of the bpffs */
	int proc_fd;
	int map_fd;
	struct bpfrefs_key map;
	uint32_t major, minor;
	uint32_t covered; /* the pins of others that are under mounts */
} world;

static bool world_open(void)
{
	struct proc_pins pins;
	struct stat st;

	world.map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "pinned", 4, 4, 1, NULL);
	if (world.map_fd < 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("bpf", world.dir, "bpf", 0, NULL) != 0)
		return false;
	world.dir_fd = open(world.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	world.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(syscall_identify(world.map_fd, &world.map), ==, 0);
	g_assert_cmpint(fstat(world.dir_fd, &st), ==, 0);
	world.major = major(st.st_dev);
	world.minor = minor(st.st_dev);
	g_assert_cmpint(proc_pins_read(world.proc_fd, &pins), ==, 0);
	world.covered = pins.covered.count;
	proc_pins_clear(&pins);
	return true;
}

static void world_init(struct temp_dir *dir)
{
	temp_dir_init(dir);
	memset(&world, 0, sizeof(world));
	world.dir = dir->path;
	world.skip = !world_open();
}

static void world_clear(struct temp_dir *dir)
{
	if (!world.skip) {
		close(world.dir_fd);
		close(world.proc_fd);
		g_assert_cmpint(umount2(world.dir, MNT_DETACH), ==, 0);
	}
	if (world.map_fd >= 0)
		close(world.map_fd);
	temp_dir_clear(dir);
}

#define TEST_BPFFS(name) TEST_WITH(struct temp_dir, dir, world_init, world_clear, name)

static bool is_skipped(void)
{
	if (world.skip)
		g_test_skip("needs CAP_SYS_ADMIN: a mount namespace and bpf(2)");
	return world.skip;
}

static char *full(const char *path)
{
	return g_build_filename(world.dir, path, NULL);
}

static void make_dir(const char *path, mode_t mode)
{
	g_autofree char *dir = full(path);

	g_assert_cmpint(mkdir(dir, mode), ==, 0);
	g_assert_cmpint(chmod(dir, mode), ==, 0);
}

static void pin_map(const char *path)
{
	g_autofree char *file = full(path);

	g_assert_cmpint(bpf_obj_pin(world.map_fd, file), ==, 0);
}

static void drop(const char *path)
{
	g_autofree char *file = full(path);

	g_assert_cmpint(remove(file), ==, 0);
}

/* Checks the pins of the test's bpffs, in order. */
static void check(const struct proc_pins *pins, const char *want)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *text = NULL;

	for (guint i = 0; i < pins->pins->len; i++) {
		const struct proc_pin *p = &g_array_index(pins->pins, struct proc_pin, i);

		if (p->major != world.major || p->minor != world.minor)
			continue;
		g_assert_cmpint(bpfrefs_key_compare(p->key, world.map), ==, 0);
		g_ptr_array_add(lines,
				g_strdup_printf("%s first=%d keep=%s here=%d", p->inner, p->first,
						bpfrefs_keep_name(p->keep), p->pid == 0));
	}
	g_ptr_array_add(lines, NULL);
	text = g_strjoinv("\n", (char **)lines->pdata);
	g_assert_cmpstr(text, ==, want);
}

/*
 * Gaps are counted for the whole system, where other tests create mounts and pins too, so this
 * waits until those are removed.
 */
static void read_and_check(const char *want, uint32_t covered)
{
	struct proc_pins pins;

	for (int i = 0;; i++) {
		g_assert_cmpint(proc_pins_read(world.proc_fd, &pins), ==, 0);
		check(&pins, want);
		if (i == 100 ||
		    (pins.covered.count == world.covered + covered && !pins.pinned.count))
			break;
		proc_pins_clear(&pins);
		g_usleep(20000);
	}
	g_assert_cmpuint(pins.covered.count, ==, world.covered + covered);
	g_assert_cmpuint(pins.pinned.count, ==, 0);
	proc_pins_clear(&pins);
}

/* ---------------------------------------------------------------- bpf.c --- */

TEST_BPFFS(by_descriptor)
{
	g_autofree char *link = NULL, *own = NULL;
	struct bpfrefs_key key;
	int fd;

	if (is_skipped())
		return;
	g_assert_cmpint(syscall_pin_at(world.map_fd, world.dir_fd, "x"), ==, 0);
	g_assert_cmpint(syscall_pin_at(world.map_fd, world.dir_fd, "x"), ==, -EEXIST);
	g_assert_cmpint(syscall_pin_at(world.map_fd, world.dir_fd, "a.b"), ==, -EPERM);
	g_assert_cmpint(syscall_pin_at(world.map_fd, world.dir_fd, "no/x"), ==, -EINVAL);
	g_assert_cmpint(syscall_pin_at(world.map_fd, world.dir_fd, ""), ==, -EINVAL);
	fd = syscall_get_at(world.dir_fd, "x");
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(syscall_identify(fd, &key), ==, 0);
	g_assert_cmpint(bpfrefs_key_compare(key, world.map), ==, 0);
	g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
	close(fd);
	g_assert_cmpint(syscall_identify(world.dir_fd, &key), ==, -EINVAL);

	/*
	 * What is not a pin is refused, and also a symlink to a pin: anyone who may write there
	 * can choose its target.
	 */
	make_dir("d", 0755);
	link = full("l");
	own = full("x");
	g_assert_cmpint(symlink(own, link), ==, 0);
	g_assert_cmpint(syscall_get_at(world.dir_fd, "none"), ==, -ENOENT);
	g_assert_cmpint(syscall_get_at(world.dir_fd, "d"), ==, -EINVAL);
	g_assert_cmpint(syscall_get_at(world.dir_fd, "l"), ==, -EINVAL);
	g_assert_cmpint(syscall_get_at(world.dir_fd, "d/x"), ==, -EINVAL);
	g_assert_cmpint(syscall_get_at(world.dir_fd, ".."), ==, -EXDEV);
	drop("l");
	drop("d");
	drop("x");
}

TEST_BPFFS(by_id)
{
	struct bpfrefs_info *info = NULL;
	struct bpfrefs_key key;
	uint32_t id = 0;
	int fd;

	if (is_skipped())
		return;
	g_assert_cmpint(syscall_next_id(BPFREFS_KIND_MAP, world.map.id - 1, &id), ==, 0);
	g_assert_cmpuint(id, ==, world.map.id);
	g_assert_cmpint(syscall_next_id(BPFREFS_KIND_MAP, UINT32_MAX, &id), ==, -ENOENT);
	g_assert_cmpint(syscall_next_id(BPFREFS_KIND_MAP, INT32_MAX, &id), ==, -ENOENT);
	g_assert_cmpint(syscall_open_id(BPFREFS_KIND_MAP, INT32_MAX), ==, -ENOENT);
	g_assert_cmpint(syscall_open_id(BPFREFS_KIND_NONE, 1), ==, -EINVAL);
	fd = syscall_open_id(BPFREFS_KIND_MAP, world.map.id);
	g_assert_cmpint(syscall_identify(fd, &key), ==, 0);
	g_assert_cmpuint(key.id, ==, world.map.id);
	g_assert_cmpint(uapi_info_read(fd, BPFREFS_KIND_MAP, &info), ==, 0);
	g_assert_cmpstr(bpfrefs_info_field(info, 1)->str, ==, "array");
	g_assert_cmpuint(bpfrefs_info_field(info, 2)->num, ==, world.map.id);
	g_assert_cmpstr(bpfrefs_info_field(info, 7)->str, ==, "pinned");
	bpfrefs_info_free(info);
	close(fd);
}

/* ----------------------------------------------------------------- pins --- */

TEST_BPFFS(pins)
{
	g_autofree char *from = full("b"), *to = full("d/a");

	if (is_skipped())
		return;
	read_and_check("", 0);
	make_dir("d", 0755);
	pin_map("b");
	g_assert_cmpint(link(from, to), ==, 0);
	read_and_check("/b first=1 keep=off here=1\n/d/a first=0 keep=off here=1", 0);
	drop("b");
	read_and_check("/d/a first=1 keep=off here=1", 0);
	drop("d/a");
	drop("d");
}

/*
 * A pin is a keep only below directories of root with mode 0700, and only by the name of its
 * object.
 */
TEST_BPFFS(keeps)
{
	g_autofree char *keep = g_strdup_printf("bpfrefs/keep/map_%u", world.map.id);
	g_autofree char *other = g_strdup_printf("bpfrefs/keep/map_%u", world.map.id + 1);
	g_autofree char *kept = NULL, *open = NULL, *top = full("bpfrefs");

	if (is_skipped())
		return;
	make_dir("bpfrefs", 0700);
	make_dir("bpfrefs/keep", 0700);
	pin_map(keep);
	kept = g_strdup_printf("/%s first=1 keep=pin here=1", keep);
	open = g_strdup_printf("/%s first=1 keep=off here=1", keep);
	read_and_check(kept, 0);
	g_assert_cmpint(chmod(top, 0755), ==, 0);
	read_and_check(open, 0);
	g_assert_cmpint(chmod(top, 0700), ==, 0);
	drop(keep);
	pin_map(other);
	g_free(open);
	open = g_strdup_printf("/%s first=1 keep=off here=1", other);
	read_and_check(open, 0);
	drop(other);
	drop("bpfrefs/keep");
	drop("bpfrefs");
}

/* A process in another mount namespace, until it is killed. */
static pid_t spawn_namespace(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNS) != 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	g_assert_cmpint(pid, >, 0);
	close(ready[1]);
	g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
	close(ready[0]);
	return pid;
}

/*
 * A pin that is covered here may be visible in another mount namespace. If it is visible in none,
 * there is a gap.
 */
TEST_BPFFS(covered)
{
	g_autofree char *below = full("d"), *file = full("d/deep/x"), *other = full("y");
	pid_t pid;

	if (is_skipped())
		return;
	make_dir("d", 0755);
	make_dir("d/deep", 0755);
	pin_map("d/deep/x");
	pin_map("y");
	pid = spawn_namespace();
	g_assert_cmpint(mount("none", below, "tmpfs", 0, NULL), ==, 0);
	read_and_check("/d/deep/x first=1 keep=off here=0\n/y first=1 keep=off here=1", 0);
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	read_and_check("/y first=1 keep=off here=1", 1);
	g_assert_cmpint(umount2(below, 0), ==, 0);

	/* A bind mount of one pin covers another pin. */
	g_assert_cmpint(mount(file, other, NULL, MS_BIND, NULL), ==, 0);
	read_and_check("/d/deep/x first=1 keep=off here=1", 1);
	g_assert_cmpint(umount2(other, 0), ==, 0);
	drop("y");
	drop("d/deep/x");
	drop("d/deep");
	drop("d");
}

/* The whole bpffs is covered: it is counted, and its pins are not read. */
TEST_BPFFS(hidden)
{
	struct proc_pins before, after;

	if (is_skipped())
		return;
	pin_map("x");
	g_assert_cmpint(proc_pins_read(world.proc_fd, &before), ==, 0);
	g_assert_cmpint(mount("none", world.dir, "tmpfs", 0, NULL), ==, 0);
	g_assert_cmpint(proc_pins_read(world.proc_fd, &after), ==, 0);
	g_assert_cmpint(umount2(world.dir, 0), ==, 0);
	check(&before, "/x first=1 keep=off here=1");
	check(&after, "");
	g_assert_cmpuint(after.instances.count, ==, before.instances.count + 1);
	proc_pins_clear(&before);
	proc_pins_clear(&after);
	drop("x");
}

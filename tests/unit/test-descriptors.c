/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors of processes, read from a directory in place of /proc, and compared by a fake
 * kcmp(2).
 */
#include "fixture.h"
#include "procfs/procfs.h"

/* The open file of each descriptor, as the fake kcmp(2) orders them. */
struct fake_fd {
	uint32_t tid, fd, file;
};

struct fake_table {
	uint32_t tid, table;
};

static struct {
	const struct fake_fd *fds;
	const struct fake_table *tables;
	int error;     /* the result of every comparison */
	uint32_t dies; /* this thread exits after so many comparisons: */
	unsigned int after, calls;
} fake;

static int file_of(uint32_t tid, uint32_t fd)
{
	if (tid == fake.dies && fake.calls++ >= fake.after)
		return -ESRCH;
	for (const struct fake_fd *f = fake.fds; f && f->tid; f++)
		if (f->tid == tid && f->fd == fd)
			return (int)f->file;
	return -EBADF;
}

static int table_of(uint32_t tid)
{
	for (const struct fake_table *t = fake.tables; t && t->tid; t++)
		if (t->tid == tid)
			return (int)t->table;
	return -ESRCH;
}

static int fake_compare(uint32_t tid_a, uint32_t tid_b, int what, uint32_t a, uint32_t b)
{
	int x = what == PROC_COMPARE_FILE ? file_of(tid_a, a) : table_of(tid_a);
	int y = what == PROC_COMPARE_FILE ? file_of(tid_b, b) : table_of(tid_b);

	if (fake.error)
		return fake.error;
	if (x < 0 || y < 0)
		return x < 0 ? x : y;
	return x == y ? 0 : x < y ? 1 : 2;
}

static void add_fd(const struct temp_dir *proc, const char *table, unsigned int fd,
		   const char *target, const char *fdinfo)
{
	g_autofree char *link = g_strdup_printf("%s/fd/%u", table, fd);
	g_autofree char *info = g_strdup_printf("%s/fdinfo/%u", table, fd);

	temp_dir_link(proc, link, target);
	temp_dir_file(proc, info, fdinfo);
}

static void add_process(const struct temp_dir *proc, uint32_t pid, const char *comm)
{
	g_autofree char *name = g_strdup_printf("%u/comm", pid);
	g_autofree char *task = g_strdup_printf("%u/task/%u", pid, pid);
	g_autofree char *fds = g_strdup_printf("%u/fd", pid);

	temp_dir_file(proc, name, comm);
	temp_dir_mkdir(proc, task);
	temp_dir_mkdir(proc, fds);
}

static void check(const struct proc_fds *fds, const char *want)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < fds->files->len; i++) {
		const struct proc_file *file = &g_array_index(fds->files, struct proc_file, i);
		char key[BPFREFS_KEY_MAX];

		if (!file->gone)
			g_string_append_printf(text, "%s pid=%u tid=%u fd=%u file=%u\n",
					       bpfrefs_key_format(file->key, key), file->pid,
					       file->tid, file->fd, file->file);
	}
	g_assert_cmpstr(text->str, ==, want);
}

static void proc_init(struct temp_dir *proc)
{
	memset(&fake, 0, sizeof(fake));
	temp_dir_init(proc);
}

#define TEST_PROC(name) TEST_WITH(struct temp_dir, proc, proc_init, temp_dir_clear, name)

TEST_PROC(kinds)
{
	struct proc_fds fds;

	add_process(proc, 10, "agent one\n");
	add_fd(proc, "10", 0, "/dev/null", "pos:\t0\n");
	add_fd(proc, "10", 3, "anon_inode:bpf-map", "map_type:\t1\nmap_id:\t12\n");
	add_fd(proc, "10", 4, "anon_inode:bpf-prog", "prog_id:\t5\n");
	add_fd(proc, "10", 5, "anon_inode:bpf_link", "link_id:\t7\nprog_id:\t5\n");
	add_fd(proc, "10", 6, "anon_inode:bpf-link", "link_id:\t8\nprog_id:\t5\n");
	add_fd(proc, "10", 7, "anon_inode:btf", "btf_id:\t2\n");
	add_fd(proc, "10", 8, "anon_inode:bpf_iter", "pos:\t0\n");
	add_fd(proc, "10", 9, "anon_inode:[eventpoll]", "map_id:\t12\n");
	add_fd(proc, "10", 11, "/tmp/anon_inode:bpf-map", "map_id:\t12\n");
	add_fd(proc, "10", 12, "anon_inode:bpf-token", "allowed_cmds:\t0\n");
	add_process(proc, 11, "idle\n");
	temp_dir_file(proc, "self/comm", "x\n");
	g_assert_cmpint(proc_fds_read(proc->fd, fake_compare, &fds), ==, 0);
	check(&fds, "map/12 pid=10 tid=0 fd=3 file=1\nprog/5 pid=10 tid=0 fd=4 file=2\n"
		    "link/7 pid=10 tid=0 fd=5 file=3\nlink/8 pid=10 tid=0 fd=6 file=4\n"
		    "btf/2 pid=10 tid=0 fd=7 file=5\n");
	g_assert_cmpuint(fds.iters->len, ==, 1);
	g_assert_cmpuint(g_array_index(fds.iters, struct proc_file, 0).fd, ==, 8);
	g_assert_cmpstr(g_hash_table_lookup(fds.comms, GUINT_TO_POINTER(10)), ==, "agent one");
	g_assert_cmpuint(g_hash_table_size(fds.comms), ==, 1);
	g_assert_cmpuint(fds.processes.count, ==, 0);
	g_assert_cmpuint(fds.descriptors.count, ==, 0);
	proc_fds_clear(&fds);
}

/*
 * Five descriptors of one map in two processes: three open files, which kcmp(2) orders otherwise.
 */
TEST_PROC(shared)
{
	static const struct fake_fd kernel[] = { { 10, 3, 70 }, { 10, 4, 20 }, { 10, 5, 70 },
						 { 20, 3, 90 }, { 20, 4, 20 }, { 0 } };
	struct proc_fds fds;

	fake.fds = kernel;
	add_process(proc, 10, "a\n");
	add_process(proc, 20, "b\n");
	for (const struct fake_fd *f = kernel; f->tid; f++) {
		g_autofree char *pid = g_strdup_printf("%u", f->tid);

		add_fd(proc, pid, f->fd, "anon_inode:bpf-map", "map_id:\t12\n");
	}
	g_assert_cmpint(proc_fds_read(proc->fd, fake_compare, &fds), ==, 0);
	check(&fds, "map/12 pid=10 tid=0 fd=3 file=1\nmap/12 pid=10 tid=0 fd=4 file=2\n"
		    "map/12 pid=10 tid=0 fd=5 file=1\nmap/12 pid=20 tid=0 fd=3 file=3\n"
		    "map/12 pid=20 tid=0 fd=4 file=2\n");
	proc_fds_clear(&fds);
}

/* With many descriptors, the list of distinct files stays sorted. */
TEST(many)
{
	enum { COUNT = 400, FILES = 37 };
	struct fake_fd kernel[COUNT + 1] = { 0 };
	uint32_t number[FILES] = { 0 };
	struct proc_fds fds = { 0 };

	fds.files = g_array_new(FALSE, TRUE, sizeof(struct proc_file));
	for (uint32_t i = 0; i < COUNT; i++) {
		struct proc_file file = { .key = { BPFREFS_KIND_MAP, 1 }, .pid = 10, .fd = i };

		kernel[i] = (struct fake_fd){ 10, i, i * 7919 % FILES };
		g_array_append_val(fds.files, file);
	}
	fake.fds = kernel;
	proc_files_identify(&fds, fake_compare);
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t *seen = &number[kernel[i].file];
		uint32_t file = g_array_index(fds.files, struct proc_file, i).file;

		if (!*seen)
			*seen = file;
		g_assert_cmpuint(file, ==, *seen);
		g_assert_cmpuint(file, <=, FILES);
	}
	g_array_unref(fds.files);
}

TEST_PROC(threads)
{
	/* Thread 11 shares the table of the main thread; 12 and 13 share a copy of it. */
	static const struct fake_table tables[] = {
		{ 10, 1 }, { 11, 1 }, { 12, 2 }, { 13, 2 }, { 0 }
	};
	static const struct fake_fd kernel[] = { { 10, 3, 5 }, { 12, 3, 5 }, { 12, 4, 6 }, { 0 } };
	struct proc_fds fds;

	fake.fds = kernel;
	fake.tables = tables;
	add_process(proc, 10, "a\n");
	temp_dir_mkdir(proc, "10/task/11");
	add_fd(proc, "10", 3, "anon_inode:bpf-map", "map_id:\t12\n");
	add_fd(proc, "10/task/11", 3, "anon_inode:bpf-map", "map_id:\t12\n");
	for (int tid = 12; tid <= 13; tid++) {
		g_autofree char *table = g_strdup_printf("10/task/%d", tid);

		add_fd(proc, table, 3, "anon_inode:bpf-map", "map_id:\t12\n");
		add_fd(proc, table, 4, "anon_inode:bpf-map", "map_id:\t12\n");
	}
	g_assert_cmpint(proc_fds_read(proc->fd, fake_compare, &fds), ==, 0);
	check(&fds, "map/12 pid=10 tid=0 fd=3 file=1\nmap/12 pid=10 tid=12 fd=3 file=1\n"
		    "map/12 pid=10 tid=12 fd=4 file=2\n");
	proc_fds_clear(&fds);
}

/* The first process exits while its descriptors are compared: those of the second one stay. */
TEST_PROC(exit)
{
	static const struct fake_fd kernel[] = { { 10, 3, 5 }, { 20, 3, 5 }, { 30, 3, 5 }, { 0 } };
	struct proc_fds fds;

	fake.fds = kernel;
	fake.dies = 10;
	add_process(proc, 10, "a\n");
	add_process(proc, 20, "b\n");
	add_process(proc, 30, "c\n");
	for (const struct fake_fd *f = kernel; f->tid; f++) {
		g_autofree char *pid = g_strdup_printf("%u", f->tid);

		add_fd(proc, pid, f->fd, "anon_inode:bpf-map", "map_id:\t12\n");
	}
	g_assert_cmpint(proc_fds_read(proc->fd, fake_compare, &fds), ==, 0);
	check(&fds, "map/12 pid=20 tid=0 fd=3 file=2\nmap/12 pid=30 tid=0 fd=3 file=2\n");
	g_assert_cmpuint(fds.descriptors.count, ==, 0);
	proc_fds_clear(&fds);

	/* It exits later: another descriptor of the same file replaces its descriptor. */
	fake.calls = 0;
	fake.after = 1;
	g_assert_cmpint(proc_fds_read(proc->fd, fake_compare, &fds), ==, 0);
	check(&fds, "map/12 pid=20 tid=0 fd=3 file=1\nmap/12 pid=30 tid=0 fd=3 file=1\n");
	proc_fds_clear(&fds);
}

/* A kernel that lacks kcmp(2) or denies it: there is a gap, and no descriptor is lost. */
TEST_PROC(refused)
{
	struct proc_fds fds;

	fake.error = -ENOSYS;
	add_process(proc, 10, "a\n");
	add_fd(proc, "10", 3, "anon_inode:bpf-map", "map_id:\t12\n");
	add_fd(proc, "10", 4, "anon_inode:bpf-map", "map_id:\t12\n");
	g_assert_cmpint(proc_fds_read(proc->fd, fake_compare, &fds), ==, 0);
	check(&fds, "map/12 pid=10 tid=0 fd=3 file=1\nmap/12 pid=10 tid=0 fd=4 file=2\n");
	g_assert_cmpuint(fds.descriptors.count, ==, 1);
	g_assert_cmpint(fds.descriptors.error, ==, ENOSYS);
	proc_fds_clear(&fds);
}

/*
 * A process that cannot be read is counted, one that has exited is not, and the others are
 * listed.
 */
TEST_PROC(unreadable)
{
	struct proc_fds fds;

	add_process(proc, 10, "a\n");
	temp_dir_link(proc, "10/fd/3", "anon_inode:bpf-map");
	temp_dir_mkdir(proc, "10/fdinfo/3"); /* reading it fails with EISDIR, for root too */
	temp_dir_mkdir(proc, "11");	     /* without fd: it has exited */
	add_process(proc, 12, "b\n");
	temp_dir_link(proc, "12/fd/3", "anon_inode:bpf-map"); /* closed before fdinfo was read */
	add_fd(proc, "12", 4, "anon_inode:bpf-map", "map_id:\t12\n");
	g_assert_cmpint(proc_fds_read(proc->fd, fake_compare, &fds), ==, 0);
	check(&fds, "map/12 pid=12 tid=0 fd=4 file=1\n");
	g_assert_cmpuint(fds.processes.count, ==, 1);
	g_assert_cmpint(fds.processes.error, ==, EISDIR);
	proc_fds_clear(&fds);
}

TEST_PROC(comm)
{
	char comm[32];

	temp_dir_file(proc, "10/comm", "two\nlines\n");
	g_assert_true(proc_comm(proc->fd, 10, comm));
	g_assert_cmpstr(comm, ==, "two\nlines");
	temp_dir_file(proc, "10/comm", "");
	g_assert_true(proc_comm(proc->fd, 10, comm));
	g_assert_cmpstr(comm, ==, "");
	g_assert_false(proc_comm(proc->fd, 11, comm));
}

/*
 * Each mount namespace is read through one process, or through a thread of one whose main thread has
 * exited; hidden and partial mounts come last.
 */
TEST_PROC(places)
{
	static const struct {
		uint32_t pid, minor, mnt_ns;
		const char *target;
	} want[] = { { 0, 30, 100, "/bpf" },
		     { 0, 30, 100, "/app" },
		     { 30, 31, 200, "/c" },
		     { 0, 31, 100, "/low" },
		     { 72, 32, 300, "/t" } };
	struct proc_pins pins = { 0 };

	temp_dir_link(proc, "self/ns/mnt", "mnt:[100]");
	temp_dir_file(proc, "self/mountinfo",
		      "1 0 254:0 / / rw - ext4 x rw\n"
		      "30 1 0:30 /app /app rw - bpf bpf rw\n"
		      "31 1 0:30 / /bpf rw - bpf bpf rw\n"
		      "32 1 0:31 / /low rw - bpf bpf rw\n"
		      "33 32 0:33 / /low rw - tmpfs x rw\n");
	temp_dir_link(proc, "20/ns/mnt", "mnt:[100]");
	temp_dir_link(proc, "30/ns/mnt", "mnt:[200]");
	temp_dir_file(proc, "30/mountinfo",
		      "1 0 254:0 / / rw - ext4 x rw\n"
		      "42 1 0:31 / /c rw - bpf bpf rw\n");
	temp_dir_link(proc, "40/ns/mnt", "mnt:[200]");
	temp_dir_mkdir(proc, "50");
	temp_dir_link(proc, "60/ns/mnt", "nonsense");
	temp_dir_mkdir(proc, "70/task/70");
	temp_dir_mkdir(proc, "70/task/71");
	temp_dir_mkdir(proc, "70/task/72");
	temp_dir_mkdir(proc, "70/task/73");
	temp_dir_link(proc, "72/ns/mnt", "mnt:[300]");
	temp_dir_file(proc, "72/mountinfo",
		      "1 0 254:0 / / rw - ext4 x rw\n"
		      "43 1 0:32 / /t rw - bpf bpf rw\n");
	temp_dir_link(proc, "73/ns/mnt", "mnt:[400]");
	pins.places = g_array_new(FALSE, TRUE, sizeof(struct proc_mount));
	pins.others = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
	g_assert_cmpint(proc_mounts_read(proc->fd, &pins), ==, 0);
	g_assert_cmpuint(pins.places->len, ==, G_N_ELEMENTS(want));
	for (guint i = 0; i < G_N_ELEMENTS(want); i++) {
		const struct proc_mount *place = &g_array_index(pins.places, struct proc_mount, i);

		g_assert_cmpuint(place->pid, ==, want[i].pid);
		g_assert_cmpuint(place->mount->minor, ==, want[i].minor);
		g_assert_cmpstr(place->mount->target, ==, want[i].target);
		g_assert_cmpuint(place->mnt_ns, ==, want[i].mnt_ns);
	}
	g_assert_cmpuint(pins.namespaces.count, ==, 1);
	g_array_unref(pins.places);
	g_ptr_array_unref(pins.own);
	g_ptr_array_unref(pins.others);
}

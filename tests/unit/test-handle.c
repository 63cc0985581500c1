/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open files: what may be opened how, frozen text, sizes while open. */
#include <fcntl.h>

#include "fake.h"

/* These stand in for caller.c, which the linker then leaves out. */

static int admin_answer, admin_checks;

int caller_is_admin(const struct caller *caller)
{
	(void)caller;
	admin_checks++;
	return admin_answer;
}

void caller_describe(const struct caller *caller, pid_t *pid, char comm[32])
{
	*pid = caller->tid;
	g_strlcpy(comm, "tester", 32);
}

int caller_enter(const struct caller *caller)
{
	(void)caller;
	return 0;
}

void caller_leave(void)
{
}

static const struct caller somebody = { .tid = 42 };

static uint64_t find(struct fs *fs, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	struct entry entry = { .ino = tree_root_ino() };

	for (char **name = names; *name; name++)
		g_assert_cmpint(tree_lookup(fs, entry.ino, *name, &entry), ==, 0);
	return entry.ino;
}

static int open_at(struct fs *fs, const char *path, int flags, struct handle **handle,
		   size_t *length)
{
	return handle_open(fs, find(fs, path), flags, &somebody, handle, length);
}

static void test_read(void)
{
	struct fs fs;
	struct fake fake;
	struct handle *handle;
	size_t length;
	const char *data;

	fake_init(&fs, &fake);
	g_assert_cmpint(open_at(&fs, "map/12/slots", O_RDONLY, &handle, &length), ==, 0);
	g_assert_cmpuint(length, ==, strlen("2 prog/5 entry\n10 prog/6 \n"));
	g_assert_cmpint(handle_read(handle, 0, 4096, &data), ==, (ssize_t)length);
	g_assert_cmpmem(data, 14, "2 prog/5 entry", 14);
	g_assert_cmpint(handle_read(handle, 2, 6, &data), ==, 6);
	g_assert_cmpmem(data, 6, "prog/5", 6);
	g_assert_cmpint(handle_read(handle, (off_t)length, 10, &data), ==, 0);
	g_assert_cmpint(handle_read(handle, INT64_MAX, 10, &data), ==, 0);
	g_assert_cmpint(handle_read(handle, -1, 10, &data), ==, -EINVAL);
	handle_release(&fs, handle);
	fake_clear(&fs, &fake);
}

/* So much may be open, and then no more until some is closed; half of it is root's. */
static void test_room(void)
{
	const struct caller root = { .tid = 1 }, other = { .tid = 2, .uid = 1000 };
	struct handle *handles[3], *more;
	uint64_t ino;
	size_t length;
	struct fs fs;
	struct fake fake;

	fake_init(&fs, &fake);
	ino = find(&fs, "map/12/slots");
	g_assert_cmpint(handle_open(&fs, ino, O_RDONLY, &root, &handles[0], &length), ==, 0);
	handle_release(&fs, handles[0]);
	handles_free(fs.handles);
	fs.handles = handles_new(length * 3 + length / 2);
	for (int i = 0; i < 3; i++)
		g_assert_cmpint(
			handle_open(&fs, ino, O_RDONLY, i ? &root : &other, &handles[i], &length),
			==, 0);
	g_assert_cmpint(handle_open(&fs, ino, O_RDONLY, &root, &more, &length), ==, -ENOMEM);
	handle_release(&fs, handles[2]);
	g_assert_cmpint(handle_open(&fs, ino, O_RDONLY, &other, &more, &length), ==, -ENOMEM);
	g_assert_cmpint(handle_open(&fs, ino, O_RDONLY, &root, &handles[2], &length), ==, 0);
	for (int i = 0; i < 3; i++)
		handle_release(&fs, handles[i]);
	/* the first is never too large */
	handles_free(fs.handles);
	fs.handles = handles_new(1);
	g_assert_cmpint(handle_open(&fs, ino, O_RDONLY, &other, &more, &length), ==, 0);
	handle_release(&fs, more);
	fake_clear(&fs, &fake);
}

static void test_too_many(void)
{
	const struct caller root = { .tid = 1 };
	g_autoptr(GPtrArray) open = g_ptr_array_new();
	struct handle *handle;
	uint64_t ino;
	size_t length;
	struct fs fs;
	struct fake fake;
	int err;

	fake_init(&fs, &fake);
	admin_answer = 0;
	ino = find(&fs, "control");
	while ((err = handle_open(&fs, ino, O_WRONLY, &root, &handle, &length)) == 0)
		g_ptr_array_add(open, handle);
	g_assert_cmpint(err, ==, -EMFILE);
	g_assert_cmpuint(open->len, ==, 65536);
	for (guint i = 0; i < open->len; i++)
		handle_release(&fs, open->pdata[i]);
	g_assert_cmpint(handle_open(&fs, ino, O_WRONLY, &root, &handle, &length), ==, 0);
	handle_release(&fs, handle);
	fake_clear(&fs, &fake);
}

/* The size is there while the file is open, and only then; of several the longest. */
static void test_size(void)
{
	struct fs fs;
	struct fake fake;
	struct handle *one, *two;
	struct entry entry;
	size_t shorter, longer;
	uint64_t ino;

	fake_init(&fs, &fake);
	ino = find(&fs, "pid/4194303/holding");
	g_assert_cmpint(handle_open(&fs, ino, O_RDONLY, &somebody, &one, &shorter), ==, 0);
	fake.more_fds = true;
	g_assert_cmpint(handle_open(&fs, ino, O_RDONLY, &somebody, &two, &longer), ==, 0);
	g_assert_cmpuint(shorter, <, longer);
	g_assert_cmpuint(handles_length(fs.handles, ino), ==, longer);
	g_assert_cmpint(tree_getattr(&fs, ino, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, (off_t)longer);
	g_assert_cmpint(entry.attr.st_mtim.tv_sec, >, 1000);
	g_assert_cmpfloat(entry.attr_timeout, ==, 0);
	handle_release(&fs, two);
	g_assert_cmpuint(handles_length(fs.handles, ino), ==, shorter);
	handle_release(&fs, one);
	g_assert_cmpuint(handles_length(fs.handles, ino), ==, 0);
	g_assert_cmpint(tree_getattr(&fs, ino, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 0);
	g_assert_cmpint(entry.attr.st_mtim.tv_sec, ==, 1000);
	g_assert_cmpfloat(entry.attr_timeout, >, 60);
	fake_clear(&fs, &fake);
}

/* A reply outlasts the file that it reads, and the daemon may end with files open. */
static void test_lifetime(void)
{
	struct fs fs;
	struct fake fake;
	struct handle *read, *left;
	const char *data;
	size_t length;

	fake_init(&fs, &fake);
	g_assert_cmpint(open_at(&fs, "map/12/info", O_RDONLY, &read, &length), ==, 0);
	g_assert_cmpint(open_at(&fs, "map/12/info", O_RDONLY, &left, &length), ==, 0);
	g_assert_cmpint(handle_read(handle_ref(read), 0, 9, &data), ==, 9);
	handle_release(&fs, read);
	g_assert_cmpmem(data, 9, "kind: map", 9);
	handle_unref(read);
	g_assert_cmpuint(handles_length(fs.handles, find(&fs, "map/12/info")), ==, length);
	fake_clear(&fs, &fake);
}

static void test_modes(void)
{
	static const struct {
		const char *path;
		int flags, result;
	} tries[] = {
		{ "map/12/holders", O_RDONLY, 0 },     { "map/12/holders", O_WRONLY, -EACCES },
		{ "map/12/holders", O_RDWR, -EACCES }, { "control", O_WRONLY, 0 },
		{ "control", O_RDWR | O_APPEND, 0 },   { "map/12/pin", O_WRONLY | O_TRUNC, 0 },
		{ "map/12/pin", O_RDWR, 0 },	       { "map", O_RDONLY, -EISDIR },
		{ "source", O_RDONLY, -EINVAL },       { "events", O_RDWR, -EACCES },
	};
	struct fs fs;
	struct fake fake;

	fake_init(&fs, &fake);
	for (size_t i = 0; i < G_N_ELEMENTS(tries); i++) {
		struct handle *handle;
		size_t length;
		int err = open_at(&fs, tries[i].path, tries[i].flags, &handle, &length);

		g_assert_cmpint(err, ==, tries[i].result);
		if (!err)
			handle_release(&fs, handle);
	}
	g_assert_cmpuint(errlog_count(fs.errors), ==, 0);
	fake_clear(&fs, &fake);
}

/* Opening for writing needs no scan, only the object. */
static void test_write_only(void)
{
	struct fs fs;
	struct fake fake;
	struct handle *handle;
	size_t length;
	uint64_t ino;

	fake_init(&fs, &fake);
	ino = find(&fs, "map/12/pin");
	admin_checks = 0;
	g_assert_cmpint(handle_open(&fs, ino, O_WRONLY, &somebody, &handle, &length), ==, 0);
	g_assert_cmpuint(length, ==, 0);
	g_assert_cmpint(fake.scans, ==, 0);
	/* One check at the open, and one for each write. */
	g_assert_cmpint(admin_checks, ==, 1);
	g_assert_cmpint(handle_check_write(&fs, handle, &somebody, "", 0), ==, 0);
	g_assert_cmpint(handle_write(&fs, handle, &somebody, "", 0), ==, 0);
	g_assert_cmpint(admin_checks, ==, 2);
	handle_release(&fs, handle);
	g_assert_cmpint(handle_open(&fs, ino - 12 + 99, O_WRONLY, &somebody, &handle, &length), ==,
			-ENOENT);
	g_assert_cmpint(handle_open(&fs, ino, O_RDONLY, &somebody, &handle, &length), ==, 0);
	g_assert_cmpint(handle_check_write(&fs, handle, &somebody, "x", 1), ==, -EBADF);
	handle_release(&fs, handle);
	fake_clear(&fs, &fake);
}

/* Refused at open, and again at each write through a descriptor that was inherited. */
static void test_admin(void)
{
	struct fs fs;
	struct fake fake;
	struct handle *handle;
	size_t length;
	g_autoptr(GString) log = g_string_new(NULL);

	fake_init(&fs, &fake);
	admin_answer = -EPERM;
	g_assert_cmpint(open_at(&fs, "map/12/keep", O_WRONLY, &handle, &length), ==, -EPERM);
	admin_answer = 0;
	g_assert_cmpint(open_at(&fs, "map/12/keep", O_WRONLY, &handle, &length), ==, 0);
	admin_answer = -EPERM;
	g_assert_cmpint(handle_check_write(&fs, handle, &somebody, "fd\n", 3), ==, -EPERM);
	admin_answer = 0;
	handle_release(&fs, handle);
	errlog_show(fs.errors, log);
	g_assert_nonnull(strstr(log->str, " pid=42 comm=tester command=map/12/keep EPERM: "));
	g_assert_nonnull(strstr(log->str, " command=map/12/keep\\040fd EPERM: the calling "));
	fake_clear(&fs, &fake);
}

static void test_scan_error(void)
{
	struct fs fs;
	struct fake fake;
	struct handle *handle;
	size_t length;

	fake_init(&fs, &fake);
	fake.collect_error = -EPERM;
	g_assert_cmpint(open_at(&fs, "objects", O_RDONLY, &handle, &length), ==, -EPERM);
	g_assert_cmpint(open_at(&fs, "map/12/info", O_RDONLY, &handle, &length), ==, 0);
	handle_release(&fs, handle);
	fake_clear(&fs, &fake);
}

/* What max_age allows to be shown may be older than the process that is asked about. */
static void test_newer_than_view(void)
{
	struct fs fs;
	struct fake fake;
	struct handle *handle;
	struct where w = { .pid = FAKE_PID };
	size_t length;
	int scans;

	fake_init(&fs, &fake);
	view_free(fs.view);
	fs.opt.max_age = 3600 * 1000;
	fs.view = view_new(fs.ctx, fs.opt.max_age);
	g_assert_cmpint(open_at(&fs, "objects", O_RDONLY, &handle, &length), ==, 0);
	handle_release(&fs, handle);
	scans = fake.scans;
	g_assert_cmpint(open_at(&fs, "map/12/refs", O_RDONLY, &handle, &length), ==, 0);
	handle_release(&fs, handle);
	g_assert_cmpint(fake.scans, ==, scans);
	w.row = tree;
	while (w.row->in != DIR_PID || strcmp(w.row->name, "holding") != 0)
		w.row++;
	w.pid = 7;
	g_assert_cmpint(handle_open(&fs, node_ino(tree, &w), O_RDONLY, &somebody, &handle, &length),
			==, -ENOENT);
	g_assert_cmpint(fake.scans, >, scans);
	fake_clear(&fs, &fake);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/handle/read", test_read);
	g_test_add_func("/handle/size", test_size);
	g_test_add_func("/handle/room", test_room);
	g_test_add_func("/handle/too-many", test_too_many);
	g_test_add_func("/handle/lifetime", test_lifetime);
	g_test_add_func("/handle/modes", test_modes);
	g_test_add_func("/handle/write-only", test_write_only);
	g_test_add_func("/handle/admin", test_admin);
	g_test_add_func("/handle/scan-error", test_scan_error);
	g_test_add_func("/handle/newer", test_newer_than_view);
	return g_test_run();
}

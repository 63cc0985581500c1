/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files: which may be opened with which flags, that their text does not change, and their
 * sizes.
 */
#include <fcntl.h>

#include "fixture.h"

/* These replace the functions of caller.c, which the linker then leaves out. */

static int admin_answer, admin_checks;

int caller_is_admin(const struct caller *caller)
{
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

TEST_FAKE(read)
{
	struct handle *handle;
	size_t length;
	const char *data;

	g_assert_cmpint(open_at(&fake->fs, "map/12/slots", O_RDONLY, &handle, &length), ==, 0);
	g_assert_cmpuint(length, ==, strlen("2 prog/5 entry\n10 prog/6 \n"));
	g_assert_cmpint(handle_read(handle, 0, 4096, &data), ==, (ssize_t)length);
	g_assert_cmpmem(data, 14, "2 prog/5 entry", 14);
	g_assert_cmpint(handle_read(handle, 2, 6, &data), ==, 6);
	g_assert_cmpmem(data, 6, "prog/5", 6);
	g_assert_cmpint(handle_read(handle, (off_t)length, 10, &data), ==, 0);
	g_assert_cmpint(handle_read(handle, INT64_MAX, 10, &data), ==, 0);
	g_assert_cmpint(handle_read(handle, -1, 10, &data), ==, -EINVAL);
	handle_release(&fake->fs, handle);
}

/* Readers of one snapshot share one text, which counts once, until the last of them closes it. */
TEST_FAKE(shared_text)
{
	struct handle *handles[3];
	const char *data[3];
	size_t length;

	view_free(fake->fs.view);
	fake->fs.view = view_new(fake->fs.ctx, 3600 * 1000);
	handles_free(fake->fs.handles);
	fake->fs.handles = handles_new(1);
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(open_at(&fake->fs, "objects", O_RDONLY, &handles[i], &length), ==,
				0);
		g_assert_cmpint(handle_read(handles[i], 0, 1, &data[i]), ==, 1);
	}
	g_assert_true(data[0] == data[1]);
	/* another file, and another snapshot, have another text: there is no room for that */
	g_assert_cmpint(open_at(&fake->fs, "holders", O_RDONLY, &handles[2], &length), ==, -ENOMEM);
	view_invalidate(fake->fs.view);
	g_assert_cmpint(open_at(&fake->fs, "objects", O_RDONLY, &handles[2], &length), ==, -ENOMEM);
	handle_release(&fake->fs, handles[0]);
	g_assert_cmpint(handle_read(handles[1], 0, 1, &data[2]), ==, 1);
	g_assert_true(data[2] == data[1]);
	handle_release(&fake->fs, handles[1]);
	g_assert_cmpint(open_at(&fake->fs, "holders", O_RDONLY, &handles[2], &length), ==, 0);
	handle_release(&fake->fs, handles[2]);
}

struct sharing {
	struct fs *fs;
	struct handle *handles[8];
	gint opened;
};

static gpointer open_objects(gpointer data)
{
	struct sharing *sharing = data;
	struct handle *handle;
	size_t length;

	g_assert_cmpint(open_at(sharing->fs, "objects", O_RDONLY, &handle, &length), ==, 0);
	sharing->handles[g_atomic_int_add(&sharing->opened, 1)] = handle;
	return NULL;
}

/* Readers that open a file at the same time get one text, whoever of them renders it. */
TEST_FAKE(text_shared_by_threads)
{
	struct sharing sharing = { .fs = &fake->fs };
	GThread *threads[G_N_ELEMENTS(sharing.handles)];
	struct bpfrefs_snapshot *snap;
	const char *first, *other;

	view_free(fake->fs.view);
	fake->fs.view = view_new(fake->fs.ctx, 3600 * 1000);
	g_assert_cmpint(view_get(fake->fs.view, &snap), ==, 0);
	bpfrefs_snapshot_unref(snap);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new(NULL, open_objects, &sharing);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
	g_assert_cmpint(handle_read(sharing.handles[0], 0, 1, &first), ==, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
		g_assert_cmpint(handle_read(sharing.handles[i], 0, 1, &other), ==, 1);
		g_assert_true(other == first);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		handle_release(&fake->fs, sharing.handles[i]);
}

/* The texts of open files are limited in size, and half of the limit is for root. */
TEST_FAKE(room)
{
	const struct caller root = { .tid = 1 }, other = { .tid = 2, .uid = 1000 };
	struct handle *handles[3], *more;
	uint64_t ino;
	size_t length;

	ino = find(&fake->fs, "map/12/slots");
	g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, &root, &handles[0], &length), ==, 0);
	handle_release(&fake->fs, handles[0]);
	handles_free(fake->fs.handles);
	fake->fs.handles = handles_new(length * 3 + length / 2);
	for (int i = 0; i < 3; i++)
		g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, i ? &root : &other,
					    &handles[i], &length),
				==, 0);
	g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, &root, &more, &length), ==, -ENOMEM);
	handle_release(&fake->fs, handles[2]);
	g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, &other, &more, &length), ==, -ENOMEM);
	g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, &root, &handles[2], &length), ==, 0);
	for (int i = 0; i < 3; i++)
		handle_release(&fake->fs, handles[i]);
	/* the first one is never too large */
	handles_free(fake->fs.handles);
	fake->fs.handles = handles_new(1);
	g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, &other, &more, &length), ==, 0);
	handle_release(&fake->fs, more);
}

TEST_FAKE(too_many)
{
	const struct caller root = { .tid = 1 };
	g_autoptr(GPtrArray) open = g_ptr_array_new();
	struct handle *handle;
	uint64_t ino;
	size_t length;
	int err;

	admin_answer = 0;
	ino = find(&fake->fs, "control");
	while ((err = handle_open(&fake->fs, ino, O_WRONLY, &root, &handle, &length)) == 0)
		g_ptr_array_add(open, handle);
	g_assert_cmpint(err, ==, -EMFILE);
	g_assert_cmpuint(open->len, ==, 65536);
	for (guint i = 0; i < open->len; i++)
		handle_release(&fake->fs, open->pdata[i]);
	g_assert_cmpint(handle_open(&fake->fs, ino, O_WRONLY, &root, &handle, &length), ==, 0);
	handle_release(&fake->fs, handle);
}

/* A file has a size only while it is open: that of its longest text. */
TEST_FAKE(size)
{
	struct handle *one, *two;
	struct entry entry;
	size_t shorter, longer;
	uint64_t ino;

	ino = find(&fake->fs, "pid/4194303/holding");
	g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, &somebody, &one, &shorter), ==, 0);
	fake->more_fds = true;
	g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, &somebody, &two, &longer), ==, 0);
	g_assert_cmpuint(shorter, <, longer);
	g_assert_cmpuint(handles_length(fake->fs.handles, ino), ==, longer);
	g_assert_cmpint(tree_getattr(&fake->fs, ino, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, (off_t)longer);
	g_assert_cmpint(entry.attr.st_mtim.tv_sec, >, 1000);
	g_assert_cmpfloat(entry.attr_timeout, ==, 0);
	handle_release(&fake->fs, two);
	g_assert_cmpuint(handles_length(fake->fs.handles, ino), ==, shorter);
	handle_release(&fake->fs, one);
	g_assert_cmpuint(handles_length(fake->fs.handles, ino), ==, 0);
	g_assert_cmpint(tree_getattr(&fake->fs, ino, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 0);
	g_assert_cmpint(entry.attr.st_mtim.tv_sec, ==, 1000);
	g_assert_cmpfloat(entry.attr_timeout, >, 60);
}

/* A reply may outlast the open file, and the daemon may end with files open. */
TEST_FAKE(lifetime)
{
	struct handle *read, *left;
	const char *data;
	size_t length;

	g_assert_cmpint(open_at(&fake->fs, "map/12/info", O_RDONLY, &read, &length), ==, 0);
	g_assert_cmpint(open_at(&fake->fs, "map/12/info", O_RDONLY, &left, &length), ==, 0);
	g_assert_cmpint(handle_read(handle_ref(read), 0, 9, &data), ==, 9);
	handle_release(&fake->fs, read);
	g_assert_cmpmem(data, 9, "kind: map", 9);
	handle_unref(read);
	g_assert_cmpuint(handles_length(fake->fs.handles, find(&fake->fs, "map/12/info")), ==,
			 length);
}

TEST_FAKE(modes)
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

	for (size_t i = 0; i < G_N_ELEMENTS(tries); i++) {
		struct handle *handle;
		size_t length;
		int err = open_at(&fake->fs, tries[i].path, tries[i].flags, &handle, &length);

		g_assert_cmpint(err, ==, tries[i].result);
		if (!err)
			handle_release(&fake->fs, handle);
	}
	g_assert_cmpuint(errlog_count(fake->fs.errors), ==, 0);
}

/* Opening a file for writing needs no scan, only the object. */
TEST_FAKE(write_only)
{
	struct handle *handle;
	size_t length;
	uint64_t ino;

	ino = find(&fake->fs, "map/12/pin");
	admin_checks = 0;
	g_assert_cmpint(handle_open(&fake->fs, ino, O_WRONLY, &somebody, &handle, &length), ==, 0);
	g_assert_cmpuint(length, ==, 0);
	g_assert_cmpint(fake->scans, ==, 0);
	/* The caller is checked once at the open, and once for each write. */
	g_assert_cmpint(admin_checks, ==, 1);
	g_assert_cmpint(handle_check_write(&fake->fs, handle, &somebody, "", 0), ==, 0);
	g_assert_cmpint(handle_write(&fake->fs, handle, &somebody, "", 0), ==, 0);
	g_assert_cmpint(admin_checks, ==, 2);
	handle_release(&fake->fs, handle);
	g_assert_cmpint(
		handle_open(&fake->fs, ino - 12 + 99, O_WRONLY, &somebody, &handle, &length), ==,
		-ENOENT);
	g_assert_cmpint(handle_open(&fake->fs, ino, O_RDONLY, &somebody, &handle, &length), ==, 0);
	g_assert_cmpint(handle_check_write(&fake->fs, handle, &somebody, "x", 1), ==, -EBADF);
	handle_release(&fake->fs, handle);
}

/*
 * A caller without privileges is refused at the open, and at each write through an inherited
 * descriptor.
 */
TEST_FAKE(admin)
{
	struct handle *handle;
	size_t length;
	g_autoptr(GString) log = g_string_new(NULL);

	admin_answer = -EPERM;
	g_assert_cmpint(open_at(&fake->fs, "map/12/keep", O_WRONLY, &handle, &length), ==, -EPERM);
	admin_answer = 0;
	g_assert_cmpint(open_at(&fake->fs, "map/12/keep", O_WRONLY, &handle, &length), ==, 0);
	admin_answer = -EPERM;
	g_assert_cmpint(handle_check_write(&fake->fs, handle, &somebody, "fd\n", 3), ==, -EPERM);
	admin_answer = 0;
	handle_release(&fake->fs, handle);
	errlog_show(fake->fs.errors, log);
	g_assert_nonnull(strstr(log->str, " pid=42 comm=tester command=map/12/keep EPERM: "));
	g_assert_nonnull(strstr(log->str, " command=map/12/keep\\040fd EPERM: the calling "));
}

TEST_FAKE(scan_error)
{
	struct handle *handle;
	size_t length;

	fake->collect_error = -EPERM;
	g_assert_cmpint(open_at(&fake->fs, "objects", O_RDONLY, &handle, &length), ==, -EPERM);
	g_assert_cmpint(open_at(&fake->fs, "map/12/info", O_RDONLY, &handle, &length), ==, 0);
	handle_release(&fake->fs, handle);
}

/* A snapshot that max_age allows may be older than the process whose file is opened. */
TEST_FAKE(newer_than_view)
{
	struct handle *handle;
	struct where w = { .pid = FAKE_PID };
	size_t length;
	int scans;

	view_free(fake->fs.view);
	fake->fs.opt.max_age = 3600 * 1000;
	fake->fs.view = view_new(fake->fs.ctx, fake->fs.opt.max_age);
	g_assert_cmpint(open_at(&fake->fs, "objects", O_RDONLY, &handle, &length), ==, 0);
	handle_release(&fake->fs, handle);
	scans = fake->scans;
	g_assert_cmpint(open_at(&fake->fs, "map/12/refs", O_RDONLY, &handle, &length), ==, 0);
	handle_release(&fake->fs, handle);
	g_assert_cmpint(fake->scans, ==, scans);
	w.row = tree;
	while (w.row->in != DIR_PID || strcmp(w.row->name, "holding") != 0)
		w.row++;
	w.pid = 7;
	g_assert_cmpint(
		handle_open(&fake->fs, node_ino(tree, &w), O_RDONLY, &somebody, &handle, &length),
		==, -ENOENT);
	g_assert_cmpint(fake->scans, >, scans);
}

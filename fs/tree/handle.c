/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open virtual files. A file has a text that was rendered when it was opened, or accepts
 * commands, or both.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "control/ctl.h"
#include "events/events.h"
#include "tree/node.h"
#include "tree/trim.h"

/* The limit of open virtual files. The kernel and the daemon allocate memory for each of them. */
#define HANDLES_MAX 65536
/*
 * The texts of the whole system may be large, so only this many of each file are rendered at a
 * time.
 */
#define LARGE_AT_ONCE 2

struct handle {
	gatomicrefcount count; /* one for the open file, and one for each reply in progress */
	uint64_t ino;
	GString *text; /* owned; empty if the file is open for writing only, or has a reader */
	struct reader *reader; /* owned; NULL except for events */
	struct timespec when;  /* the time of the text's snapshot */
	bool writable;
	bool others; /* opened by a user other than root */
};

struct handle *handle_ref(struct handle *handle)
{
	g_atomic_ref_count_inc(&handle->count);
	return handle;
}

void handle_unref(struct handle *handle)
{
	if (!g_atomic_ref_count_dec(&handle->count))
		return;
	if (handle->reader)
		events_close(handle->reader);
	g_string_free(handle->text, TRUE);
	g_free(handle);
}

/* All handles of one inode. */
struct opened {
	gint64 ino;	    /* the table's key points here */
	GPtrArray *handles; /* borrowed */
};

/* The number of open files, and the bytes of their texts. */
struct account {
	guint files;
	uint64_t bytes;
};

struct handles {
	GMutex lock;	    /* protects the members below */
	GHashTable *by_ino; /* ino -> owned struct opened */
	uint64_t room;	    /* the limit of all texts together, in bytes */
	struct account all, others;
	GCond made;	       /* signalled when a large text is finished */
	GHashTable *in_making; /* row -> the number of its texts that are being rendered */
};

/* ----------------------------------------------------------- registry --- */

static void opened_free(gpointer data)
{
	struct opened *opened = data;

	g_ptr_array_unref(opened->handles);
	g_free(opened);
}

struct handles *handles_new(uint64_t room)
{
	struct handles *handles = g_new0(struct handles, 1);

	handles->room = room;
	g_cond_init(&handles->made);
	handles->in_making = g_hash_table_new(NULL, NULL);
	g_mutex_init(&handles->lock);
	handles->by_ino = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, opened_free);
	return handles;
}

/* When the kernel unmounts, it does not wait for the last files to be released. */
static void release_all(struct handles *handles)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, handles->by_ino);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct opened *opened = value;

		for (guint i = 0; i < opened->handles->len; i++)
			handle_unref(opened->handles->pdata[i]);
	}
}

void handles_free(struct handles *handles)
{
	if (!handles)
		return;
	release_all(handles);
	g_hash_table_unref(handles->by_ino);
	g_hash_table_unref(handles->in_making);
	g_cond_clear(&handles->made);
	g_mutex_clear(&handles->lock);
	g_free(handles);
}

/*
 * Checks the limits for one more text of @bytes. One file may always be open, since otherwise a
 * text larger than the limit could never be read.
 */
static int account_check(const struct account *account, uint64_t bytes, uint64_t room, guint files)
{
	if (account->files >= files)
		return -EMFILE;
	return account->files && account->bytes + bytes > room ? -ENOMEM : 0;
}

static int handles_check(const struct handles *handles, const struct handle *handle)
{
	uint64_t bytes = handle->text->len;
	int err = account_check(&handles->all, bytes, handles->room, HANDLES_MAX);

	/* Half of the room is left to root, so that other users cannot keep root from reading. */
	if (!err && handle->others)
		err = account_check(&handles->others, bytes, handles->room / 2, HANDLES_MAX / 2);
	return err;
}

static void account_add(struct handles *handles, const struct handle *handle, int sign)
{
	struct account *const accounts[] = { &handles->all, &handles->others };

	for (int i = 0; i < (handle->others ? 2 : 1); i++) {
		accounts[i]->files += (guint)sign;
		accounts[i]->bytes += (uint64_t)((int64_t)handle->text->len * sign);
	}
}

/* Returns -ENOMEM or -EMFILE if a limit is reached. */
static int handles_add(struct handles *handles, struct handle *handle)
{
	gint64 ino = (gint64)handle->ino;
	struct opened *opened;
	int err;

	g_mutex_lock(&handles->lock);
	err = handles_check(handles, handle);
	if (err) {
		g_mutex_unlock(&handles->lock);
		return err;
	}
	account_add(handles, handle, 1);
	opened = g_hash_table_lookup(handles->by_ino, &ino);
	if (!opened) {
		opened = g_new0(struct opened, 1);
		opened->ino = ino;
		opened->handles = g_ptr_array_new();
		g_hash_table_insert(handles->by_ino, &opened->ino, opened);
	}
	g_ptr_array_add(opened->handles, handle);
	g_mutex_unlock(&handles->lock);
	return 0;
}

static void handles_remove(struct handles *handles, struct handle *handle)
{
	gint64 ino = (gint64)handle->ino;
	struct opened *opened;

	g_mutex_lock(&handles->lock);
	opened = g_hash_table_lookup(handles->by_ino, &ino);
	if (opened && g_ptr_array_remove_fast(opened->handles, handle)) {
		account_add(handles, handle, -1);
		if (!opened->handles->len)
			g_hash_table_remove(handles->by_ino, &ino);
	}
	g_mutex_unlock(&handles->lock);
}

bool handles_peek(struct handles *handles, uint64_t ino, size_t *length, struct timespec *when)
{
	const struct handle *longest = NULL;
	const struct opened *opened;
	gint64 key = (gint64)ino;

	if (!handles)
		return false;
	g_mutex_lock(&handles->lock);
	opened = g_hash_table_lookup(handles->by_ino, &key);
	for (guint i = 0; opened && i < opened->handles->len; i++) {
		const struct handle *handle = opened->handles->pdata[i];

		if (!longest || handle->text->len > longest->text->len)
			longest = handle;
	}
	if (longest && length)
		*length = longest->text->len;
	if (longest && when)
		*when = longest->when;
	g_mutex_unlock(&handles->lock);
	return longest != NULL;
}

size_t handles_length(struct handles *handles, uint64_t ino)
{
	size_t length = 0;

	handles_peek(handles, ino, &length, NULL);
	return length;
}

/* --------------------------------------------------------------- open --- */

static struct timespec wall_time(const struct bpfrefs_snapshot *snap)
{
	uint64_t ns = bpfrefs_snapshot_stats(snap).wall_ns;

	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u),
				  .tv_nsec = (long)(ns % 1000000000u) };
}

/*
 * Limits how many texts of one large file are rendered at a time. A caller waits only for others
 * that read the same file.
 */
static void begin_large(struct handles *handles, const struct node *row)
{
	guint others;

	g_mutex_lock(&handles->lock);
	while ((others = GPOINTER_TO_UINT(g_hash_table_lookup(handles->in_making, row))) >=
	       LARGE_AT_ONCE)
		g_cond_wait(&handles->made, &handles->lock);
	g_hash_table_insert(handles->in_making, (gpointer)row, GUINT_TO_POINTER(others + 1));
	g_mutex_unlock(&handles->lock);
}

static void end_large(struct handles *handles, const struct node *row)
{
	guint with_this;

	g_mutex_lock(&handles->lock);
	with_this = GPOINTER_TO_UINT(g_hash_table_lookup(handles->in_making, row));
	g_hash_table_insert(handles->in_making, (gpointer)row, GUINT_TO_POINTER(with_this - 1));
	g_cond_broadcast(&handles->made);
	g_mutex_unlock(&handles->lock);
}

static int show(struct where *w, GString *out)
{
	bool large = w->row->in == DIR_ROOT;
	char *shrunk;
	int err;

	if (large)
		begin_large(w->fs->handles, w->row);
	err = w->row->show(w, out);
	if (large)
		end_large(w->fs->handles, w->row);
	/*
	 * GString doubles its allocation as it grows. This text lives long, so the rest is
	 * returned.
	 */
	shrunk = g_try_realloc(out->str, out->len + 1);
	if (shrunk) {
		out->str = shrunk;
		out->allocated_len = out->len + 1;
	}
	return err;
}

static int render_snapshot(struct where *w, struct handle *handle,
			   int (*get)(struct view *view, struct bpfrefs_snapshot **snap))
{
	struct bpfrefs_snapshot *snap;
	int err = w->row->need == NEED_HOLDERS ? view_one(w->fs->view, w->key, &snap) : -EAGAIN;

	if (err == -EAGAIN)
		err = get(w->fs->view, &snap);
	if (err)
		return err;
	w->snap = snap;
	handle->when = wall_time(snap);
	g_string_truncate(handle->text, 0);
	err = show(w, handle->text);
	w->snap = NULL;
	bpfrefs_snapshot_unref(snap);
	return err;
}

static int render(struct where *w, struct handle *handle)
{
	int err;

	if (w->row->need == NEED_READER)
		return events_open(w->fs->events, handle->others, &handle->reader);
	if (w->row->need == NEED_NOTHING) {
		clock_gettime(CLOCK_REALTIME, &handle->when);
		return w->row->show(w, handle->text);
	}
	err = render_snapshot(w, handle, view_get);
	/* An object that is younger than a snapshot allowed by max_age needs a new snapshot. */
	if (err == -ENOENT && w->fs->opt.max_age)
		err = render_snapshot(w, handle, view_fresh);
	return err;
}

static int check_access(const struct where *w, int flags, const struct caller *caller)
{
	int mode = flags & O_ACCMODE;

	if (!S_ISREG(w->row->mode))
		return S_ISDIR(w->row->mode) ? -EISDIR : -EINVAL;
	if (mode == O_RDONLY)
		return w->row->show || w->row->need == NEED_READER ? 0 : -EACCES;
	/*
	 * As in sysfs: permission bits do not stop root, so a file without a store function
	 * refuses here.
	 */
	if (!w->row->store)
		return -EACCES;
	return ctl_open(w, caller);
}

int handle_open(struct fs *fs, uint64_t ino, int flags, const struct caller *caller,
		struct handle **out, size_t *length)
{
	struct handle *handle;
	struct where w;
	int err = node_where(tree, fs, ino, &w);

	if (!err)
		err = check_access(&w, flags, caller);
	if (err)
		return err;
	handle = g_new0(struct handle, 1);
	g_atomic_ref_count_init(&handle->count);
	handle->ino = ino;
	handle->writable = (flags & O_ACCMODE) != O_RDONLY;
	handle->others = caller->uid != 0;
	handle->text = g_string_new(NULL);
	handle->when = fs->started;
	if ((flags & O_ACCMODE) != O_WRONLY)
		err = render(&w, handle);
	else
		err = node_exists(&w);
	if (!err)
		err = handles_add(fs->handles, handle);
	if (err) {
		handle_unref(handle);
		return err;
	}
	*length = handle->text->len;
	*out = handle;
	return 0;
}

struct reader *handle_reader(const struct handle *handle)
{
	return handle->reader;
}

ssize_t handle_read(struct handle *handle, off_t offset, size_t size, const char **data)
{
	size_t length = handle->text->len;

	*data = handle->text->str;
	if (offset < 0)
		return -EINVAL;
	if ((uint64_t)offset >= length)
		return 0;
	*data += offset;
	return (ssize_t)MIN(size, length - (size_t)offset);
}

int handle_check_write(struct fs *fs, const struct handle *handle, const struct caller *caller,
		       const char *data, size_t size)
{
	struct where w;
	int err = node_where(tree, fs, handle->ino, &w);

	if (err)
		return err;
	return handle->writable ? ctl_check_write(&w, caller, data, size) : -EBADF;
}

ssize_t handle_write(struct fs *fs, struct handle *handle, const struct caller *caller,
		     const char *data, size_t size)
{
	struct where w;
	int err = node_where(tree, fs, handle->ino, &w);

	return err ? err : ctl_write(&w, caller, data, size);
}

void handle_release(struct fs *fs, struct handle *handle)
{
	handles_remove(fs->handles, handle);
	handle_unref(handle);
	trim_touch(fs->trim);
}

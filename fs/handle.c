/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open virtual files: text that was frozen at open, the right to write commands, or both. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "node.h"

struct handle {
	gatomicrefcount count; /* one while it is open, one for each reply that is under way */
	uint64_t ino;
	GString *text;	      /* owned; empty where it is open for writing only */
	struct timespec when; /* the moment that the text is true of */
	bool writable;
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
	g_string_free(handle->text, TRUE);
	g_free(handle);
}

/* All handles of one inode. */
struct opened {
	gint64 ino;	    /* the table's key points here */
	GPtrArray *handles; /* borrowed */
};

struct handles {
	GMutex lock;	    /* protects the table */
	GHashTable *by_ino; /* ino -> owned struct opened */
	/*
	 * Held over a command, scan and all, and taken with no other lock held: of two who remove
	 * one of the last two pins each, the second must see what the first did.
	 */
	GMutex command;
};

/* ----------------------------------------------------------- registry --- */

static void opened_free(gpointer data)
{
	struct opened *opened = data;

	g_ptr_array_unref(opened->handles);
	g_free(opened);
}

struct handles *handles_new(void)
{
	struct handles *handles = g_new0(struct handles, 1);

	g_mutex_init(&handles->lock);
	g_mutex_init(&handles->command);
	handles->by_ino = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, opened_free);
	return handles;
}

/* The kernel does not wait for the last files to be released when it unmounts. */
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
	g_mutex_clear(&handles->command);
	g_mutex_clear(&handles->lock);
	g_free(handles);
}

void handles_begin_command(struct handles *handles)
{
	g_mutex_lock(&handles->command);
}

void handles_end_command(struct handles *handles)
{
	g_mutex_unlock(&handles->command);
}

static void handles_add(struct handles *handles, struct handle *handle)
{
	gint64 ino = (gint64)handle->ino;
	struct opened *opened;

	g_mutex_lock(&handles->lock);
	opened = g_hash_table_lookup(handles->by_ino, &ino);
	if (!opened) {
		opened = g_new0(struct opened, 1);
		opened->ino = ino;
		opened->handles = g_ptr_array_new();
		g_hash_table_insert(handles->by_ino, &opened->ino, opened);
	}
	g_ptr_array_add(opened->handles, handle);
	g_mutex_unlock(&handles->lock);
}

static void handles_remove(struct handles *handles, struct handle *handle)
{
	gint64 ino = (gint64)handle->ino;
	struct opened *opened;

	g_mutex_lock(&handles->lock);
	opened = g_hash_table_lookup(handles->by_ino, &ino);
	if (opened && g_ptr_array_remove_fast(opened->handles, handle) && !opened->handles->len)
		g_hash_table_remove(handles->by_ino, &ino);
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

static int render_snapshot(struct where *w, struct handle *handle,
			   int (*get)(struct view *view, struct bpfrefs_snapshot **snap))
{
	struct bpfrefs_snapshot *snap;
	int err = get(w->fs->view, &snap);

	if (err)
		return err;
	w->snap = snap;
	handle->when = wall_time(snap);
	g_string_truncate(handle->text, 0);
	err = w->row->show(w, handle->text);
	w->snap = NULL;
	bpfrefs_snapshot_unref(snap);
	return err;
}

static int render(struct where *w, struct handle *handle)
{
	int err;

	if (w->row->need == NEED_NOTHING) {
		clock_gettime(CLOCK_REALTIME, &handle->when);
		return w->row->show(w, handle->text);
	}
	err = render_snapshot(w, handle, view_get);
	/* It may be younger than a snapshot that max_age allows. */
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
		return w->row->show ? 0 : -EACCES;
	/* As in sysfs: root passes the permission bits, and still there is nothing to write to. */
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
	handle->text = g_string_new(NULL);
	handle->when = fs->started;
	if ((flags & O_ACCMODE) != O_WRONLY)
		err = render(&w, handle);
	else
		err = node_exists(&w);
	if (err) {
		handle_unref(handle);
		return err;
	}
	handles_add(fs->handles, handle);
	*length = handle->text->len;
	*out = handle;
	return 0;
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

ssize_t handle_write(struct fs *fs, struct handle *handle, const struct caller *caller,
		     const char *data, size_t size)
{
	struct where w;
	ssize_t taken;
	int err = node_where(tree, fs, handle->ino, &w);

	if (err)
		return err;
	if (!handle->writable)
		return -EBADF;
	handles_begin_command(fs->handles);
	taken = ctl_write(&w, caller, data, size);
	handles_end_command(fs->handles);
	return taken;
}

void handle_release(struct fs *fs, struct handle *handle)
{
	handles_remove(fs->handles, handle);
	handle_unref(handle);
}

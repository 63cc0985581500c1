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
#include "tree/handle.h"
#include "tree/node.h"

/* --------------------------------------------------------------- open --- */

static struct timespec wall_time(const struct bpfrefs_snapshot *snap)
{
	uint64_t ns = bpfrefs_snapshot_stats(snap)->wall_ns;

	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u),
				  .tv_nsec = (long)(ns % 1000000000u) };
}

/* GString doubles its allocation as it grows. A text lives long, so the rest is returned. */
static void shrink(GString *text)
{
	char *shrunk = g_try_realloc(text->str, text->len + 1);

	if (shrunk) {
		text->str = shrunk;
		text->allocated_len = text->len + 1;
	}
}

static int render_text(struct where *w, struct handle *handle)
{
	struct handle_text *text = handle->text;
	int err;

	text->started_ns = bpfrefs_snapshot_stats(w->snap)->started_ns;
	text->when = wall_time(w->snap);
	g_string_truncate(text->text, 0);
	err = w->row->show(w, text->text);
	shrink(text->text);
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
	if (!handles_share(w->fs->handles, handle, bpfrefs_snapshot_stats(snap)->started_ns))
		err = render_text(w, handle);
	if (err)
		handles_rendered(w->fs->handles, handle);
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
		clock_gettime(CLOCK_REALTIME, &handle->text->when);
		return w->row->show(w, handle->text->text);
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
	handle->text = handle_text_new();
	handle->text->when = fs->started;
	if ((flags & O_ACCMODE) != O_WRONLY)
		err = render(&w, handle);
	else
		err = node_exists(&w);
	if (!err)
		err = handles_add(fs->handles, handle);
	handles_rendered(fs->handles, handle);
	if (err) {
		handle_unref(handle);
		return err;
	}
	*length = handle->text->text->len;
	*out = handle;
	return 0;
}

struct reader *handle_reader(const struct handle *handle)
{
	return handle->reader;
}

ssize_t handle_read(struct handle *handle, off_t offset, size_t size, const char **data)
{
	size_t length = handle->text->text->len;

	*data = handle->text->text->str;
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
	view_touch(fs->view);
}

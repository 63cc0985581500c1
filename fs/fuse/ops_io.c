/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations on open files and directories. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "fuse/ops.h"
#include "mirror/mirror.h"

/* -------------------------------------------------------------- files --- */

static struct mirror_file *file_of(const struct fuse_file_info *fi)
{
	return (struct mirror_file *)(uintptr_t)fi->fh;
}

static void release(struct fs *fs, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	if (is_virtual(ino))
		handle_release(fs, handle_of(fi));
	else
		mirror_release(fs->mirror, file_of(fi));
}

/*
 * Sets the text's length in the kernel before the file is open, by storing the text's last byte
 * in the page cache (FUSE_NOTIFY_STORE). sendfile(2) reads nothing from a file of size 0, not
 * even with direct_io. From then on getattr returns the same length. If this fails, the file
 * looks empty to sendfile(2) but not to read(2).
 */
static void store_length(fuse_req_t req, fuse_ino_t ino, struct handle *handle, size_t length)
{
	struct fuse_bufvec last = FUSE_BUFVEC_INIT(1);
	const char *data;

	if (!length || handle_read(handle, (off_t)length - 1, 1, &data) != 1)
		return;
	last.buf[0].mem = (void *)data;
	fuse_lowlevel_notify_store(session_of(req)->fuse, ino, (off_t)length - 1, &last, 0);
}

static int open_virtual(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct caller caller = caller_of(req);
	struct handle *handle;
	size_t length = 0;
	int err = handle_open(fs_of(req), ino, fi->flags, &caller, &handle, &length);

	if (err)
		return err;
	fi->fh = (uintptr_t)handle;
	store_length(req, ino, handle, length);
	return 0;
}

static int open_pin(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct caller caller = caller_of(req);
	struct mirror_file *file;
	int err = mirror_open(fs_of(req)->mirror, &caller, ino, fi->flags, &file);

	/*
	 * To read the inode flags, the kernel opens the file itself, without O_LARGEFILE, which
	 * open(2) adds (fuse_priv_ioctl_prepare()). A caller who may not open it gets the answer
	 * that others get: there are no inode flags. The kernel has refused a 32-bit program
	 * already.
	 */
	if (err == -EACCES && fi->flags == O_RDONLY)
		return -ENOTTY;
	if (err)
		return err;
	fi->fh = (uintptr_t)file;
	fi->nonseekable = 1; /* lseek(2) fails with ESPIPE, as on the file of a pin */
	return 0;
}

void op_open(const struct fuse_call *call)
{
	struct fuse_file_info *fi = call->fi;
	fuse_req_t req = call->req;
	fuse_ino_t ino = call->ino;
	int err = is_virtual(ino) ? open_virtual(req, ino, fi) : open_pin(req, ino, fi);

	if (err) {
		reply_result(req, err);
		return;
	}
	fi->direct_io = 1;
	if (is_virtual(ino) && handle_reader(handle_of(fi)))
		err = compat_reply_stream(req, fi);
	else
		err = fuse_reply_open(req, fi);
	if (err == -ENOENT) /* interrupted: the kernel will not release it */
		release(fs_of(req), ino, fi);
}

static void read_pin(fuse_req_t req, struct mirror_file *file, size_t size, off_t offset)
{
	g_autofree char *buf = g_try_malloc(size);
	ssize_t len = buf ? mirror_read(file, buf, size, offset) : -ENOMEM;

	if (len < 0)
		reply_result(req, (int)len);
	else
		fuse_reply_buf(req, buf, (size_t)len);
}

static void reply_text(void *request, const char *data, size_t size)
{
	fuse_reply_buf(request, data, size);
}

static void reply_error(void *request, int err)
{
	reply_result(request, err);
}

static bool is_interrupted(void *request)
{
	return fuse_req_interrupted(request);
}

static void wake(void *poll)
{
	fuse_lowlevel_notify_poll(poll);
}

static void drop(void *poll)
{
	fuse_pollhandle_destroy(poll);
}

const struct events_calls ops_events_calls = {
	.reply = reply_text,
	.fail = reply_error,
	.interrupted = is_interrupted,
	.wake = wake,
	.drop = drop,
};

/* libfuse keeps the request until this function returns, even if another thread replies to it. */
static void on_interrupt(fuse_req_t req, void *data)
{
	events_interrupt(data, req);
}

static void read_events(const struct fuse_call *call, struct reader *reader)
{
	/*
	 * Registered before the reader waits: the reader either sees the interrupt, or is woken
	 * by it.
	 */
	fuse_req_interrupt_func(call->req, on_interrupt, fs_of(call->req)->events);
	events_read(reader, call->req, call->size, call->fi->flags & O_NONBLOCK);
}

void op_read(const struct fuse_call *call)
{
	struct handle *handle;
	const char *data;
	ssize_t len;

	if (!is_virtual(call->ino)) {
		read_pin(call->req, file_of(call->fi), call->size, call->offset);
		return;
	}
	handle = handle_ref(handle_of(call->fi));
	if (handle_reader(handle)) {
		read_events(call, handle_reader(handle));
		handle_unref(handle);
		return;
	}
	len = handle_read(handle, call->offset, call->size, &data);
	if (len < 0)
		reply_result(call->req, (int)len);
	else
		fuse_reply_buf(call->req, data, (size_t)len);
	handle_unref(handle);
}

void op_poll(const struct fuse_call *call)
{
	struct reader *reader = is_virtual(call->ino) ? handle_reader(handle_of(call->fi)) : NULL;
	/*
	 * The events that the kernel itself returns for files without a poll operation
	 * (DEFAULT_POLLMASK).
	 */
	unsigned int events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

	if (reader)
		events = events_poll(reader, call->poll) ? POLLIN | POLLRDNORM : 0;
	else if (call->poll)
		fuse_pollhandle_destroy(call->poll);
	fuse_reply_poll(call->req, events);
}

/* The offset is ignored: one write is one command, and files of bpffs have no writable offsets. */
void op_write(const struct fuse_call *call)
{
	struct caller caller = caller_of(call->req);
	ssize_t len;

	if (is_virtual(call->ino))
		len = handle_write(fs_of(call->req), handle_of(call->fi), &caller, call->data,
				   call->size);
	else
		len = mirror_write(file_of(call->fi), call->data, call->size);
	if (len < 0)
		reply_result(call->req, (int)len);
	else
		fuse_reply_write(call->req, (size_t)len);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	reply_result(req, is_virtual(ino) ? 0 : mirror_fsync(file_of(fi), data_only != 0));
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	release(fs_of(req), ino, fi);
	fuse_reply_err(req, 0);
}

/* -------------------------------------------------------- directories --- */

/*
 * Cookies of the mount's root, which lists .bpf between ".." and the first entry of bpffs. They
 * are bpffs's cookie of ".." with a mark: COOKIE_BEFORE if .bpf comes next, COOKIE_BEHIND if .bpf
 * has been listed.
 */
#define COOKIE_BEFORE ((off_t)1 << 61)
#define COOKIE_BEHIND ((off_t)1 << 62)
#define COOKIE_MARKS  (COOKIE_BEFORE | COOKIE_BEHIND)

/* A directory listing while it is filled. */
struct dir_reply {
	fuse_req_t req;
	fuse_ino_t dir;
	bool plus;
	bool look_up; /* the names of the mirror are looked up for the reply: look_up_entry() */
	char *buf;
	size_t size, used;
	GArray *counted; /* inode numbers whose lookup was counted for an entry of this reply */
};

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The number of bytes that an entry takes in the buffer. */
static size_t entry_size(const struct dir_reply *list, const char *name)
{
	return list->plus ? fuse_add_direntry_plus(list->req, NULL, 0, name, NULL, 0)
			  : fuse_add_direntry(list->req, NULL, 0, name, NULL, 0);
}

static void add_entry(struct dir_reply *list, const char *name, const struct entry *entry,
		      off_t cookie)
{
	struct fuse_entry_param param = op_entry_param(entry);
	char *at = list->buf + list->used;
	size_t left = list->size - list->used;

	list->used += list->plus
			      ? fuse_add_direntry_plus(list->req, at, left, name, &param, cookie)
			      : fuse_add_direntry(list->req, at, left, name, &param.attr, cookie);
}

/*
 * For readdirplus of the mirror: looks up an entry. Returns false if the name no longer exists.
 * An entry whose lookup fails for another reason is listed with node id 0, so that the kernel
 * looks it up when it needs it. So are all entries with max_age=0: the kernel may not use the
 * answer, and would look up each name again.
 */
static bool look_up_entry(struct dir_reply *list, const char *name, struct entry *entry)
{
	struct fs *fs = fs_of(list->req);
	struct entry found;
	int err;

	if (!list->look_up)
		return true;
	err = mirror_lookup_listed(fs->mirror, list->dir, name, &found);
	if (err)
		return err != -ENOENT;
	*entry = found;
	g_array_append_val(list->counted, found.ino);
	return true;
}

static bool fill_virtual(void *data, const char *name, const struct entry *entry, off_t cookie)
{
	struct dir_reply *list = data;
	struct entry copy = *entry;

	if (list->used + entry_size(list, name) > list->size)
		return false;
	if (is_dot(name))
		copy.ino = 0; /* the kernel counts no lookup for "." and ".." */
	add_entry(list, name, &copy, cookie);
	return true;
}

/* Lists .bpf, unless bpffs has a real entry of that name, which the mirror lists. */
static bool fill_tree_root(struct dir_reply *list, off_t cookie)
{
	struct fs *fs = fs_of(list->req);
	struct entry entry;

	if (mirror_lookup(fs->mirror, 0, FUSE_ROOT_ID, ".bpf", &entry) == 0) {
		mirror_forget(fs->mirror, entry.ino, 1);
		return true;
	}
	if (tree_getattr(fs, tree_root_ino(), &entry) != 0)
		return true;
	return fill_virtual(list, ".bpf", &entry, (cookie & ~COOKIE_MARKS) | COOKIE_BEHIND);
}

static bool fill_mirror(void *data, const char *name, const struct entry *entry, off_t cookie)
{
	struct dir_reply *list = data;
	struct entry copy = *entry;
	bool before = list->dir == FUSE_ROOT_ID && strcmp(name, "..") == 0;

	if (list->used + entry_size(list, name) > list->size)
		return false;
	if (!is_dot(name) && !look_up_entry(list, name, &copy))
		return true;
	add_entry(list, name, &copy, before ? cookie | COOKIE_BEFORE : cookie);
	return before ? fill_tree_root(list, cookie) : true;
}

static int fill_listing(struct dir_reply *list, off_t cookie, const struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(list->req);

	if (is_virtual(list->dir))
		return tree_readdir(fs, list->dir, cookie, fill_virtual, list);
	list->look_up =
		list->plus && fs->opt.max_age && mirror_check_inside(fs->mirror, list->dir) == 0;
	if (cookie & COOKIE_BEFORE && !fill_tree_root(list, cookie))
		return 0;
	return mirror_readdir((struct mirror_dir *)(uintptr_t)fi->fh, cookie & ~COOKIE_MARKS,
			      fill_mirror, list);
}

static void forget_counted(struct fs *fs, const GArray *counted)
{
	for (guint i = 0; i < counted->len; i++)
		mirror_forget(fs->mirror, g_array_index(counted, uint64_t, i), 1);
}

void op_readdir(const struct fuse_call *call)
{
	struct dir_reply list = { .req = call->req,
				  .dir = call->ino,
				  .plus = call->operation == CALL_READDIRPLUS,
				  .size = call->size };
	g_autoptr(GArray) counted = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_autofree char *buf = g_try_malloc(call->size);
	struct fs *fs = fs_of(call->req);
	int err = -ENOMEM;

	list.buf = buf;
	list.counted = counted;
	if (buf)
		err = fill_listing(&list, call->offset, call->fi);
	/* Entries found before an error are listed first. The next request gets the error. */
	if (err && !list.used) {
		reply_result(call->req, err);
		return;
	}
	if (fuse_reply_buf(call->req, buf, list.used) == -ENOENT)
		forget_counted(fs, counted);
}

static int open_dir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct caller caller = caller_of(req);
	struct mirror_dir *dir;
	int err;

	if (is_virtual(ino)) /* the cookie contains all that is needed to continue */
		return 0;
	err = mirror_opendir(fs_of(req)->mirror, &caller, ino, &dir);
	if (!err)
		fi->fh = (uintptr_t)dir;
	return err;
}

static void release_dir(fuse_ino_t ino, const struct fuse_file_info *fi)
{
	if (!is_virtual(ino))
		mirror_releasedir((struct mirror_dir *)(uintptr_t)fi->fh);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int err = open_dir(req, ino, fi);

	if (err)
		reply_result(req, err);
	else if (fuse_reply_open(req, fi) == -ENOENT)
		release_dir(ino, fi);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	release_dir(ino, fi);
	fuse_reply_err(req, 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chooses the thread that serves an operation. libfuse has a fixed number of threads, and an
 * operation may wait for a scan, for another command, or for the program of a BPF iterator. If
 * all threads waited, no request would be served any more, not even one that needs no scan. So
 * operations that may wait are served by a part of libfuse's threads, and beyond that by a pool
 * of threads. A request that finds no free thread is queued, which takes little memory: each
 * thread of the system has at most one request. Commands are run one after the other by a thread
 * of their own.
 */
#include "fuse/dispatch.h"

#include <signal.h>
#include <string.h>

#include "control/ctl.h"

/* How many of libfuse's threads may serve operations that may wait. */
#define WAITING_MAX (SESSION_THREADS - SESSION_THREADS / 4)
/*
 * The size of the pool. Its threads share scans (view.c), and the memory of texts is bounded
 * (handle.c).
 */
#define POOL_MAX 256

struct dispatcher {
	gint waiting;	       /* libfuse's threads that serve operations that may wait */
	GThreadPool *pool;     /* serves such operations when WAITING_MAX threads do so already */
	GThreadPool *commands; /* has one thread */
};

/* A copy of a call, kept until a thread of a pool serves it. */
struct queued_call {
	struct fuse_call call;
	struct fuse_file_info fi;
	char text[]; /* copies of name and new_name, or of data */
};

/* --------------------------------------------------------------- table --- */

enum lane {
	LANE_HERE,     /* does not wait: the current thread serves it */
	LANE_WAITS,    /* may wait */
	LANE_COMMANDS, /* served one at a time, in the order of arrival */
	LANE_REPLIED,  /* was refused and has its reply */
};

static enum lane waits(const struct fuse_call *call)
{
	(void)call;
	return LANE_WAITS;
}

static enum lane waits_if_virtual(const struct fuse_call *call)
{
	return is_virtual(call->ino) ? LANE_WAITS : LANE_HERE;
}

/* A dotted name in a directory of the mirror may be .bpf or a twin. */
static enum lane waits_if_virtual_or_dotted(const struct fuse_call *call)
{
	return is_virtual(call->ino) || *call->name == '.' ? LANE_WAITS : LANE_HERE;
}

static bool has_reader(const struct fuse_call *call)
{
	return is_virtual(call->ino) && handle_reader(handle_of(call->fi));
}

/* A virtual file has its text ready. A read of a pin runs the program of an iterator. */
static enum lane waits_unless_text(const struct fuse_call *call)
{
	return !is_virtual(call->ino) || has_reader(call) ? LANE_WAITS : LANE_HERE;
}

static enum lane waits_if_events(const struct fuse_call *call)
{
	return has_reader(call) ? LANE_WAITS : LANE_HERE;
}

/* A caller without the right to write gets the error at once, and cannot fill the queue. */
static enum lane command_if_virtual(const struct fuse_call *call)
{
	const struct caller caller = caller_of(call->req);
	int err;

	if (!is_virtual(call->ino))
		return LANE_HERE;
	err = handle_check_write(fs_of(call->req), handle_of(call->fi), &caller, call->data,
				 call->size);
	if (err)
		reply_result(call->req, err);
	return err ? LANE_REPLIED : LANE_COMMANDS;
}

/* With guard, a removal takes a snapshot and decides by it, as the command "unpin" does. */
static enum lane command_if_guarded(const struct fuse_call *call)
{
	return fs_of(call->req)->opt.guard ? LANE_COMMANDS : LANE_HERE;
}

static const struct {
	enum lane (*lane)(const struct fuse_call *call);
	void (*serve)(const struct fuse_call *call);
} operations[] = {
	[CALL_LOOKUP] = { waits_if_virtual_or_dotted, op_lookup },
	[CALL_GETATTR] = { waits_if_virtual, op_getattr },
	[CALL_READLINK] = { waits_if_virtual, op_readlink },
	[CALL_OPEN] = { waits, op_open },
	[CALL_READ] = { waits_unless_text, op_read },
	[CALL_POLL] = { waits_if_events, op_poll },
	[CALL_READDIR] = { waits_if_virtual, op_readdir },
	[CALL_READDIRPLUS] = { waits_if_virtual, op_readdir },
	[CALL_WRITE] = { command_if_virtual, op_write },
	[CALL_UNLINK] = { command_if_guarded, op_unlink },
	[CALL_RENAME] = { command_if_guarded, op_rename },
};

/* --------------------------------------------------------------- queue --- */

static void serve_queued(gpointer data, gpointer unused)
{
	struct queued_call *queued = data;

	(void)unused;
	if (queued->call.req)
		operations[queued->call.operation].serve(&queued->call);
	g_free(queued);
}

static const char *copy(char **at, const char *from, size_t size)
{
	char *to = *at;

	if (!from)
		return NULL;
	memcpy(to, from, size);
	*at += size;
	return to;
}

static void refuse(const struct fuse_call *call, int err)
{
	if (call->poll)
		fuse_pollhandle_destroy(call->poll);
	reply_result(call->req, err);
}

static void queue(GThreadPool *pool, const struct fuse_call *call)
{
	size_t name = call->name ? strlen(call->name) + 1 : 0;
	size_t new_name = call->new_name ? strlen(call->new_name) + 1 : 0;
	size_t data = call->data ? call->size : 0;
	struct queued_call *queued = g_try_malloc0(sizeof(*queued) + name + new_name + data);
	char *at;

	if (!queued) {
		refuse(call, -ENOMEM);
		return;
	}
	at = queued->text;
	queued->call = *call;
	queued->call.name = copy(&at, call->name, name);
	queued->call.new_name = copy(&at, call->new_name, new_name);
	queued->call.data = copy(&at, call->data, data);
	if (call->fi) {
		queued->fi = *call->fi;
		queued->call.fi = &queued->fi;
	}
	/* If GLib cannot create a thread, the call waits for an existing one. */
	g_thread_pool_push(pool, queued, NULL);
}

static void dispatch(const struct fuse_call *call)
{
	struct dispatcher *dispatcher = session_of(call->req)->dispatcher;
	enum lane lane = operations[call->operation].lane(call);

	if (lane == LANE_REPLIED)
		return;
	if (lane == LANE_COMMANDS) {
		queue(dispatcher->commands, call);
		return;
	}
	if (lane == LANE_HERE) {
		operations[call->operation].serve(call);
		return;
	}
	if (g_atomic_int_add(&dispatcher->waiting, 1) < WAITING_MAX)
		operations[call->operation].serve(call);
	else
		queue(dispatcher->pool, call);
	/*
	 * While a call is queued the counter is one too high, so that other calls may be queued
	 * needlessly.
	 */
	g_atomic_int_add(&dispatcher->waiting, -1);
}

#define DISPATCH(...) dispatch(&(const struct fuse_call){ __VA_ARGS__ })

void dispatch_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	DISPATCH(.operation = CALL_LOOKUP, .req = req, .ino = parent, .name = name);
}

void dispatch_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	DISPATCH(.operation = CALL_GETATTR, .req = req, .ino = ino, .fi = fi);
}

void dispatch_readlink(fuse_req_t req, fuse_ino_t ino)
{
	DISPATCH(.operation = CALL_READLINK, .req = req, .ino = ino);
}

void dispatch_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	DISPATCH(.operation = CALL_OPEN, .req = req, .ino = ino, .fi = fi);
}

void dispatch_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		   struct fuse_file_info *fi)
{
	DISPATCH(.operation = CALL_READ, .req = req, .ino = ino, .size = size, .offset = offset,
		 .fi = fi);
}

void dispatch_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
		   struct fuse_pollhandle *poll)
{
	DISPATCH(.operation = CALL_POLL, .req = req, .ino = ino, .fi = fi, .poll = poll);
}

void dispatch_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	DISPATCH(.operation = CALL_READDIR, .req = req, .ino = ino, .size = size, .offset = offset,
		 .fi = fi);
}

void dispatch_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			  struct fuse_file_info *fi)
{
	DISPATCH(.operation = CALL_READDIRPLUS, .req = req, .ino = ino, .size = size,
		 .offset = offset, .fi = fi);
}

void dispatch_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	/* One byte more than the longest command is enough to see that a command is too long. */
	size_t taken = is_virtual(ino) ? MIN(size, CTL_COMMAND_MAX + 1) : size;

	DISPATCH(.operation = CALL_WRITE, .req = req, .ino = ino, .data = buf, .size = taken,
		 .offset = offset, .fi = fi);
}

void dispatch_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	DISPATCH(.operation = CALL_UNLINK, .req = req, .ino = parent, .name = name);
}

void dispatch_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		     const char *new_name, unsigned int flags)
{
	DISPATCH(.operation = CALL_RENAME, .req = req, .ino = parent, .name = name,
		 .new_parent = new_parent, .new_name = new_name, .flags = flags);
}

/* --------------------------------------------------------- begin and end --- */

struct dispatcher *dispatch_new(void)
{
	struct dispatcher *dispatcher = g_new0(struct dispatcher, 1);
	struct queued_call *first = g_new0(struct queued_call, 1);
	g_autoptr(GError) error = NULL;
	sigset_t all, before;

	/*
	 * Only the loop's thread shall get signals. GLib creates the threads of a shared
	 * pool from a thread that is created here, and which passes on its signal mask.
	 */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	dispatcher->pool = g_thread_pool_new(serve_queued, NULL, POOL_MAX, FALSE, NULL);
	/*
	 * The first thread of each pool is created now and stays, because a thread may not be
	 * available later. The commands pool is exclusive and keeps its thread. In the shared
	 * pool, a maximum idle time of 0 means that an idle thread never ends.
	 */
	dispatcher->commands = g_thread_pool_new(serve_queued, NULL, 1, TRUE, &error);
	g_thread_pool_set_max_idle_time(0);
	if (!error)
		g_thread_pool_push(dispatcher->pool, first, &error);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		return dispatcher;
	/* The pushed call waits for a thread that was not created. */
	g_thread_pool_free(dispatcher->commands, TRUE, TRUE);
	g_thread_pool_free(dispatcher->pool, TRUE, TRUE);
	g_free(first);
	g_free(dispatcher);
	return NULL;
}

void dispatch_free(struct dispatcher *dispatcher)
{
	if (!dispatcher)
		return;
	g_thread_pool_free(dispatcher->commands, FALSE, TRUE);
	g_thread_pool_free(dispatcher->pool, FALSE, TRUE);
	g_free(dispatcher);
}

/*
 * Left out on purpose: create (the kernel then calls mknod, which gets bpffs's EACCES); flush (so
 * that a shell's ">" takes no round trip for each dup2(2)); access (default_permissions decides
 * it).
 */
const struct fuse_lowlevel_ops fs_ops = {
	.init = op_init,
	.lookup = dispatch_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = dispatch_getattr,
	.setattr = op_setattr,
	.readlink = dispatch_readlink,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = dispatch_unlink,
	.rmdir = op_rmdir,
	.rename = dispatch_rename,
	.open = dispatch_open,
	.read = dispatch_read,
	.write = dispatch_write,
	.fsync = op_fsync,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = dispatch_readdir,
	.readdirplus = dispatch_readdirplus,
	.releasedir = op_releasedir,
	.poll = dispatch_poll,
	.ioctl = op_ioctl,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who waits, and who shall not have to. libfuse has a fixed number of threads; requests that may wait
 * (for a scan, for another command, for the program of an iterator) are served by them as long as
 * some are left for the rest. Others wait in a queue of their own: as requests, which cost some bytes
 * each, and no more than one for each thread of the system that asks.
 */
#include "ops-turn.h"

#include <signal.h>
#include <string.h>

#include "ctl.h"

/* How many of libfuse's threads may be busy with what may wait. */
#define SLOW_HERE (SESSION_THREADS - SESSION_THREADS / 4)
/* Threads beyond those. They wait together for one scan; what they make is bounded (handle.c). */
#define SLOW_THERE 256

struct turns {
	gint here;	     /* of libfuse's threads, those that serve what may wait */
	GThreadPool *slow;   /* what may wait, when those are enough */
	GThreadPool *orders; /* commands, one after the other */
};

/* One request, and how it is served. While it is served here, all pointers are the caller's. */
struct turn {
	void (*run)(const struct turn *turn);
	fuse_req_t req;
	fuse_ino_t ino, new_parent;
	const char *name, *new_name, *data;
	size_t size;
	off_t offset;
	unsigned int flags;
	struct fuse_file_info *fi;
	struct fuse_pollhandle *poll; /* owned by whoever serves it */
};

/* The same, kept for later. */
struct waiting {
	struct turn turn;
	struct fuse_file_info fi;
	char text[]; /* name and new_name, or data */
};

static void run_waiting(gpointer data, gpointer unused)
{
	struct waiting *waiting = data;

	(void)unused;
	if (waiting->turn.run)
		waiting->turn.run(&waiting->turn);
	g_free(waiting);
}

/* What comes with a request and is not its reply's. */
static void drop(const struct turn *turn)
{
	if (turn->poll)
		fuse_pollhandle_destroy(turn->poll);
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

static void wait_in(GThreadPool *pool, const struct turn *turn)
{
	size_t name = turn->name ? strlen(turn->name) + 1 : 0;
	size_t new_name = turn->new_name ? strlen(turn->new_name) + 1 : 0;
	size_t data = turn->data ? turn->size : 0;
	struct waiting *waiting = g_try_malloc0(sizeof(*waiting) + name + new_name + data);
	char *at;

	if (!waiting) {
		drop(turn);
		reply_result(turn->req, -ENOMEM);
		return;
	}
	at = waiting->text;
	waiting->turn = *turn;
	waiting->turn.name = copy(&at, turn->name, name);
	waiting->turn.new_name = copy(&at, turn->new_name, new_name);
	waiting->turn.data = copy(&at, turn->data, data);
	if (turn->fi) {
		waiting->fi = *turn->fi;
		waiting->turn.fi = &waiting->fi;
	}
	/* Where no thread can be made it waits for one that there is. */
	g_thread_pool_push(pool, waiting, NULL);
}

static struct turns *turns_of(fuse_req_t req)
{
	return session_of(req)->turns;
}

static void serve_slow(const struct turn *turn)
{
	struct turns *turns = turns_of(turn->req);

	if (g_atomic_int_add(&turns->here, 1) < SLOW_HERE)
		turn->run(turn);
	else
		wait_in(turns->slow, turn);
	/* Counted too high for a moment by those who did not stay: some then wait needlessly. */
	g_atomic_int_add(&turns->here, -1);
}

/* -------------------------------------------------------- what may wait --- */

static void run_lookup(const struct turn *turn)
{
	op_lookup(turn->req, turn->ino, turn->name);
}

void turn_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct turn turn = { .run = run_lookup, .req = req, .ino = parent, .name = name };

	if (is_virtual(parent) || *name == '.')
		serve_slow(&turn);
	else
		op_lookup(req, parent, name);
}

static void run_getattr(const struct turn *turn)
{
	op_getattr(turn->req, turn->ino, turn->fi);
}

void turn_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct turn turn = { .run = run_getattr, .req = req, .ino = ino, .fi = fi };

	if (is_virtual(ino))
		serve_slow(&turn);
	else
		op_getattr(req, ino, fi);
}

static void run_readlink(const struct turn *turn)
{
	op_readlink(turn->req, turn->ino);
}

void turn_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const struct turn turn = { .run = run_readlink, .req = req, .ino = ino };

	if (is_virtual(ino))
		serve_slow(&turn);
	else
		op_readlink(req, ino);
}

static void run_open(const struct turn *turn)
{
	op_open(turn->req, turn->ino, turn->fi);
}

void turn_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct turn turn = { .run = run_open, .req = req, .ino = ino, .fi = fi };

	serve_slow(&turn);
}

static void run_read(const struct turn *turn)
{
	op_read(turn->req, turn->ino, turn->size, turn->offset, turn->fi);
}

void turn_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	const struct turn turn = {
		.run = run_read, .req = req, .ino = ino, .size = size, .offset = offset, .fi = fi
	};

	/* Of a virtual file the text is there; for events one may look; a pin's iterator may run. */
	if (is_virtual(ino) && !handle_reader(handle_of(fi)))
		op_read(req, ino, size, offset, fi);
	else
		serve_slow(&turn);
}

static void run_poll(const struct turn *turn)
{
	op_poll(turn->req, turn->ino, turn->fi, turn->poll);
}

void turn_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	       struct fuse_pollhandle *poll)
{
	const struct turn turn = {
		.run = run_poll, .req = req, .ino = ino, .fi = fi, .poll = poll
	};

	if (is_virtual(ino) && handle_reader(handle_of(fi)))
		serve_slow(&turn);
	else
		op_poll(req, ino, fi, poll);
}

static void run_readdir(const struct turn *turn)
{
	op_readdir(turn->req, turn->ino, turn->size, turn->offset, turn->fi);
}

void turn_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		  struct fuse_file_info *fi)
{
	const struct turn turn = {
		.run = run_readdir, .req = req, .ino = ino, .size = size, .offset = offset, .fi = fi
	};

	if (is_virtual(ino))
		serve_slow(&turn);
	else
		op_readdir(req, ino, size, offset, fi);
}

static void run_readdirplus(const struct turn *turn)
{
	op_readdirplus(turn->req, turn->ino, turn->size, turn->offset, turn->fi);
}

void turn_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	const struct turn turn = { .run = run_readdirplus,
				   .req = req,
				   .ino = ino,
				   .size = size,
				   .offset = offset,
				   .fi = fi };

	if (is_virtual(ino))
		serve_slow(&turn);
	else
		op_readdirplus(req, ino, size, offset, fi);
}

/* ------------------------------------------------------------ commands --- */

static void run_write(const struct turn *turn)
{
	op_write(turn->req, turn->ino, turn->data, turn->size, turn->offset, turn->fi);
}

void turn_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
		struct fuse_file_info *fi)
{
	const struct caller caller = caller_of(req);
	const struct turn turn = { .run = run_write,
				   .req = req,
				   .ino = ino,
				   .data = buf,
				   /* enough to be seen to be too much */
				   .size = MIN(size, CTL_COMMAND_MAX + 1),
				   .offset = offset,
				   .fi = fi };

	/* Who may not command is told so at once, and cannot fill the queue. */
	if (is_virtual(ino) && caller_is_admin(&caller) == 0)
		wait_in(turns_of(req)->orders, &turn);
	else
		op_write(req, ino, buf, size, offset, fi);
}

static void run_unlink(const struct turn *turn)
{
	op_unlink(turn->req, turn->ino, turn->name);
}

void turn_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct turn turn = { .run = run_unlink, .req = req, .ino = parent, .name = name };

	if (fs_of(req)->opt.guard)
		wait_in(turns_of(req)->orders, &turn);
	else
		op_unlink(req, parent, name);
}

static void run_rename(const struct turn *turn)
{
	op_rename(turn->req, turn->ino, turn->name, turn->new_parent, turn->new_name, turn->flags);
}

void turn_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		 const char *new_name, unsigned int flags)
{
	const struct turn turn = { .run = run_rename,
				   .req = req,
				   .ino = parent,
				   .name = name,
				   .new_parent = new_parent,
				   .new_name = new_name,
				   .flags = flags };

	if (fs_of(req)->opt.guard)
		wait_in(turns_of(req)->orders, &turn);
	else
		op_rename(req, parent, name, new_parent, new_name, flags);
}

/* --------------------------------------------------------------- begin --- */

struct turns *turns_new(void)
{
	struct turns *turns = g_new0(struct turns, 1);
	struct waiting *first = g_new0(struct waiting, 1);
	g_autoptr(GError) error = NULL;
	sigset_t all, before;

	/* Signals are for the thread of the loop to see. GLib makes threads by one that it makes now. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	turns->slow = g_thread_pool_new(run_waiting, NULL, SLOW_THERE, FALSE, NULL);
	/*
	 * The first thread of each is made now and stays, since there may be no memory for one when it
	 * is wanted: commands have a thread of their own, and one that has nothing to do never ends.
	 */
	turns->orders = g_thread_pool_new(run_waiting, NULL, 1, TRUE, &error);
	g_thread_pool_set_max_idle_time(0);
	if (!error)
		g_thread_pool_push(turns->slow, first, &error);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		return turns;
	/* What is pushed waits for a thread, which there will not be. */
	g_thread_pool_free(turns->orders, TRUE, TRUE);
	g_thread_pool_free(turns->slow, TRUE, TRUE);
	g_free(first);
	g_free(turns);
	return NULL;
}

void turns_free(struct turns *turns)
{
	if (!turns)
		return;
	g_thread_pool_free(turns->orders, FALSE, TRUE);
	g_thread_pool_free(turns->slow, FALSE, TRUE);
	g_free(turns);
}

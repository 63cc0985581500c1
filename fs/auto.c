/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread behind automatic keeps. It sleeps without a timeout until a program is loaded or
 * somebody asks for a keep; only while there are automatic keeps does it look, about once a second,
 * whether a root still leads to them: nothing in the kernel would tell.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs.h"

#define TICK_MS 1000
/* Looking costs two scans: at most this part of the time, on systems where those are long. */
#define TICK_SHARE  20
#define TICK_MAX_MS 60000

struct auto_keep {
	struct fs *fs;
	struct bpfrefs_watch *watch; /* with keep=auto, else NULL */
	int wake_fd;		     /* eventfd: look again, or stop */
	gint stopping;
	int last_error; /* the one told last, so that a lasting failure is told once */
	int tick_ms;
	GThread *thread;
};

/* A failure has nobody to tell it to but the log. */
static void note(struct auto_keep *a, const char *what, int result)
{
	if (result > 0)
		view_invalidate(a->fs->view);
	if (result < 0 && result != a->last_error)
		errlog_add(a->fs->errors, NULL, what, result, g_strerror(-result));
	a->last_error = MIN(result, 0);
}

static void on_event(enum bpfrefs_event event, uint32_t prog_id, void *data)
{
	struct auto_keep *a = data;

	switch (event) {
	case BPFREFS_EVENT_LOAD:
		note(a, "keep=auto", bpfrefs_keep_program(a->fs->keeper, prog_id));
		break;
	case BPFREFS_EVENT_LOST:
		note(a, "keep=auto", bpfrefs_keep_all(a->fs->keeper));
		break;
	case BPFREFS_EVENT_UNLOAD:
		break; /* the next tick sees what it leaves */
	}
}

static void drain(int fd)
{
	uint64_t count;

	/* Non-blocking: nothing there is as good as something. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

/* Sleeps until something happened or the time is up. */
static void wait_for_work(struct auto_keep *a, int timeout_ms)
{
	struct pollfd wake = { .fd = a->wake_fd, .events = POLLIN };
	int got;

	if (a->watch)
		got = bpfrefs_watch_wait(a->watch, a->wake_fd, timeout_ms, on_event, a);
	else
		got = poll(&wake, 1, timeout_ms) > 0 ? -ECANCELED : 0;
	if (got == -ECANCELED) {
		drain(a->wake_fd);
	} else if (got < 0 && got != -EINTR) {
		note(a, "keep=auto", got);
		/* A subscription that fails for good must not make a loop of it. */
		if (poll(&wake, 1, TICK_MS) > 0)
			drain(a->wake_fd);
	}
}

static void let_go(struct auto_keep *a)
{
	gint64 begun = g_get_monotonic_time(), took_ms;
	int released = bpfrefs_keep_release(a->fs->keeper);

	note(a, "auto", released == -EAGAIN ? 0 : released);
	took_ms = (g_get_monotonic_time() - begun) / 1000;
	a->tick_ms = (int)CLAMP(took_ms * TICK_SHARE, TICK_MS, TICK_MAX_MS);
}

static gpointer run(gpointer data)
{
	struct auto_keep *a = data;
	gint64 due = 0;

	while (!g_atomic_int_get(&a->stopping)) {
		gint64 now = g_get_monotonic_time() / 1000;
		int timeout_ms = -1;

		if (bpfrefs_keep_count(a->fs->keeper, BPFREFS_KEEP_AUTO) > 0) {
			if (!due)
				due = now + a->tick_ms;
			if (now >= due) {
				let_go(a);
				due = 0;
				continue;
			}
			timeout_ms = (int)(due - now);
		} else {
			due = 0;
		}
		wait_for_work(a, timeout_ms);
	}
	return NULL;
}

static void auto_free(struct auto_keep *a)
{
	if (a->wake_fd >= 0)
		close(a->wake_fd);
	bpfrefs_watch_close(a->watch);
	g_free(a);
}

int auto_start(struct fs *fs, bool all, struct auto_keep **out)
{
	struct auto_keep *a = g_new0(struct auto_keep, 1);
	GError *error = NULL;
	int err;

	a->fs = fs;
	a->tick_ms = TICK_MS;
	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = a->wake_fd < 0 ? -errno : 0;
	if (!err && all)
		err = bpfrefs_watch_open(&a->watch);
	/* After subscribing, so that what is loaded meanwhile is told. */
	if (!err && all)
		err = MIN(bpfrefs_keep_all(fs->keeper), 0);
	if (!err) {
		a->thread = g_thread_try_new("auto", run, a, &error);
		err = a->thread ? 0 : -EAGAIN;
		g_clear_error(&error);
	}
	if (err) {
		auto_free(a);
		return err;
	}
	fs->auto_keep = *out = a;
	return 0;
}

void auto_wake(struct auto_keep *a)
{
	uint64_t one = 1;

	/* Fails only where so many are waiting already that one more says nothing new. */
	if (a && write(a->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void auto_stop(struct auto_keep *a)
{
	if (!a)
		return;
	a->fs->auto_keep = NULL;
	g_atomic_int_set(&a->stopping, 1);
	auto_wake(a);
	g_thread_join(a->thread);
	auto_free(a);
}

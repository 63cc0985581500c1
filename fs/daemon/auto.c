/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads behind automatic keeps. With keep=auto there is one for each CPU, which sleeps until a
 * program is loaded there, and holds what it uses at once: it never waits for a scan. Another lets
 * go: only while there are automatic keeps does it look, about once a second, whether a root still
 * leads to them: nothing in the kernel would tell.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs.h"

#define TICK_MS 1000
/* Looking costs two scans: at most this part of the time, on systems where those are long. */
#define TICK_SHARE  20
#define TICK_MAX_MS 60000

/* Looks after what is loaded on one CPU. */
struct watcher {
	struct auto_keep *a;
	int cpu;
	struct bpfrefs_watch *watch;
	GThread *thread;
	int last_error;
};

/* Descriptors that are held at once where loads come in a rush. */
#define ROOM 4095

struct auto_keep {
	struct fs *fs;
	struct watcher *watchers; /* with keep=auto, else NULL */
	int watcher_count;
	int stop_fd;		     /* eventfd: readable from the end's beginning on */
	int wake_fd;		     /* eventfd: look again, or stop */
	gint stopping;
	int tick_ms;
	GThread *releaser;
};

/* A failure has nobody to tell it to but the log. A lasting one is told once: *last is a thread's. */
static void note(struct auto_keep *a, const char *what, int result, int *last)
{
	if (result < 0 && result != *last)
		errlog_add(a->fs->errors, NULL, what, result, g_strerror(-result));
	*last = MIN(result, 0);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	/* Fails only where so many are waiting already that one more says nothing new. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static void drain(int fd)
{
	uint64_t count;

	/* Non-blocking: nothing there is as good as something. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

/* ------------------------------------------------------------ watching --- */

/*
 * A loader that exits takes its arrays' slots with it, however many others want the processor. So
 * the thread has the lowest real-time priority, for a few system calls at each load, and stays on
 * the CPU of the loads that it is told of: elsewhere it could have to wait until another's long
 * system call is over, while here the loader's own must be, and it then runs before the loader does.
 * Without the privilege, or while the CPU is offline, it goes as it can.
 */
static void hurry(int cpu)
{
	const struct sched_param param = { .sched_priority = 1 };
	cpu_set_t *set = CPU_ALLOC((size_t)cpu + 1);
	size_t size = CPU_ALLOC_SIZE((size_t)cpu + 1);

	if (set) {
		CPU_ZERO_S(size, set);
		CPU_SET_S((size_t)cpu, size, set);
		sched_setaffinity(0, size, set);
		CPU_FREE(set);
	}
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
}

static void on_event(enum bpfrefs_event event, uint32_t prog_id, void *data)
{
	struct watcher *watcher = data;
	struct bpfrefs_keeper *keeper = watcher->a->fs->keeper;
	int kept = 0;

	if (event == BPFREFS_EVENT_LOAD) {
		kept = bpfrefs_keep_program(keeper, prog_id, true);
	} else if (event == BPFREFS_EVENT_LOST) {
		hurry(watcher->cpu); /* it may have come just now */
		kept = bpfrefs_keep_all(keeper, true);
	}
	note(watcher->a, "keep=auto", kept, &watcher->last_error);
	/* What else there is to do takes locks that others may hold for long: not here. */
	if (kept > 0)
		signal_fd(watcher->a->wake_fd);
}

static gpointer watch_run(gpointer data)
{
	struct watcher *watcher = data;
	struct auto_keep *a = watcher->a;

	hurry(watcher->cpu);
	while (!g_atomic_int_get(&a->stopping)) {
		struct pollfd stop = { .fd = a->stop_fd, .events = POLLIN };
		int got = bpfrefs_watch_wait(watcher->watch, a->stop_fd, -1, on_event, watcher);

		if (got >= 0 || got == -ECANCELED || got == -EINTR)
			continue;
		note(a, "keep=auto", got, &watcher->last_error);
		/* A subscription that fails for good must not make a loop of it. */
		poll(&stop, 1, TICK_MS);
	}
	return NULL;
}

/* ---------------------------------------------------------- letting go --- */

static void let_go(struct auto_keep *a, int *last_error)
{
	gint64 begun = g_get_monotonic_time(), took_ms;
	int released = bpfrefs_keep_release(a->fs->keeper);

	note(a, "auto", released == -EAGAIN ? 0 : released, last_error);
	if (released > 0)
		view_invalidate(a->fs->view);
	took_ms = (g_get_monotonic_time() - begun) / 1000;
	a->tick_ms = (int)CLAMP(took_ms * TICK_SHARE, TICK_MS, TICK_MAX_MS);
}

/* Are there any, or may there be some in a moment? Then it is not worth falling asleep. */
static bool has_keeps(struct auto_keep *a)
{
	return a->watchers || bpfrefs_keep_count(a->fs->keeper, BPFREFS_KEEP_AUTO) != 0;
}

static gpointer release_run(gpointer data)
{
	struct auto_keep *a = data;
	int last_error = 0;
	gint64 due = 0;

	while (!g_atomic_int_get(&a->stopping)) {
		struct pollfd wake = { .fd = a->wake_fd, .events = POLLIN };
		gint64 now = g_get_monotonic_time() / 1000;

		if (!has_keeps(a))
			due = 0;
		else if (!due)
			due = now + a->tick_ms;
		if (due && now >= due) {
			let_go(a, &last_error);
			due = 0;
		} else if (poll(&wake, 1, due ? (int)(due - now) : -1) > 0) {
			drain(a->wake_fd);
			view_invalidate(a->fs->view); /* what is kept has changed */
		}
	}
	return NULL;
}

/* ------------------------------------------------------- start and stop --- */

static void end_thread(GThread *thread)
{
	if (thread)
		g_thread_join(thread);
}

static void auto_free(struct auto_keep *a)
{
	g_atomic_int_set(&a->stopping, 1);
	if (a->stop_fd >= 0)
		signal_fd(a->stop_fd);
	if (a->wake_fd >= 0)
		signal_fd(a->wake_fd);
	for (int i = 0; i < a->watcher_count; i++) {
		end_thread(a->watchers[i].thread);
		bpfrefs_watch_close(a->watchers[i].watch);
	}
	end_thread(a->releaser);
	g_free(a->watchers);
	if (a->stop_fd >= 0)
		close(a->stop_fd);
	if (a->wake_fd >= 0)
		close(a->wake_fd);
	g_free(a);
}

static int start_watcher(struct watcher *watcher, struct auto_keep *a, int cpu)
{
	int err = bpfrefs_watch_open(cpu, &watcher->watch);

	watcher->a = a;
	watcher->cpu = cpu;
	if (err)
		return err;
	watcher->thread = g_thread_try_new("watch", watch_run, watcher, NULL);
	return watcher->thread ? 0 : -EAGAIN;
}

/*
 * A table of descriptors that has to grow keeps whoever opens one waiting for a grace period of RCU,
 * where it has threads already. (Where there is not so much to be had, it grows as it must.)
 */
static void make_room(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, ROOM);

	if (high >= 0)
		close(high);
}

static int start_watching(struct auto_keep *a)
{
	int err = 0;

	make_room(a->stop_fd);
	/* Those that may come, too. */
	a->watcher_count = MAX((int)sysconf(_SC_NPROCESSORS_CONF), 1);
	a->watchers = g_new0(struct watcher, a->watcher_count);
	for (int cpu = 0; !err && cpu < a->watcher_count; cpu++)
		err = start_watcher(&a->watchers[cpu], a, cpu);
	/* After subscribing, so that what is loaded meanwhile is told. */
	return err ? err : MIN(bpfrefs_keep_all(a->fs->keeper, false), 0);
}

int auto_start(struct fs *fs, bool all, struct auto_keep **out)
{
	struct auto_keep *a = g_new0(struct auto_keep, 1);
	int err;

	a->fs = fs;
	a->tick_ms = TICK_MS;
	a->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->wake_fd = a->stop_fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = a->wake_fd < 0 ? -errno : 0;
	if (!err && all)
		err = start_watching(a);
	if (!err) {
		a->releaser = g_thread_try_new("auto", release_run, a, NULL);
		err = a->releaser ? 0 : -EAGAIN;
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
	if (a)
		signal_fd(a->wake_fd);
}

void auto_stop(struct auto_keep *a)
{
	if (!a)
		return;
	a->fs->auto_keep = NULL;
	auto_free(a);
}

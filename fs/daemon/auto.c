/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads behind automatic keeps. With keep=auto, one thread for each CPU sleeps until a
 * program is loaded there and immediately opens the program arrays it uses, without waiting for a
 * scan. Another thread keeps what was opened, and releases keeps. While there are automatic keeps it
 * checks about once a second whether a root still leads to their objects, because the kernel sends
 * no event when the last root is removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs.h"

#define TICK_MS 1000
/*
 * A check takes two scans. The time between checks is at least TICK_SHARE times as long as a
 * check.
 */
#define TICK_SHARE  20
#define TICK_MAX_MS 60000

/* Opens the program arrays of programs that are loaded on one CPU. */
struct watcher {
	struct auto_keep *a;
	int cpu;
	struct bpfrefs_watch *watch;
	GThread *thread;
	int last_error;
};

/* The most descriptors that the daemon is expected to open when many programs load at once. */
#define ROOM 4095

struct auto_keep {
	struct fs *fs;
	struct watcher *watchers; /* with keep=auto, else NULL */
	int watcher_count;
	GThread *keeper;
	int stop_fd; /* eventfd: readable from the moment when the threads shall stop */
	int wake_fd; /* eventfd: there is something to keep, or to release, or to stop */
	gint stopping;
	int tick_ms;
};

/*
 * Logs a failure, which has no caller that would get it. A repeated failure is logged once: @last
 * is the calling thread's last error.
 */
static void log_failure(struct auto_keep *a, const char *what, int result, int *last)
{
	if (result < 0 && result != *last)
		errlog_add(a->fs->errors, NULL, what, result, g_strerror(-result));
	*last = MIN(result, 0);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	/* A full counter fails, and then the descriptor is readable already. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static void drain(int fd)
{
	uint64_t count;

	/* The descriptor is non-blocking. An empty counter fails, and that is as good as a read. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

/* ------------------------------------------------------------ watching --- */

/*
 * When a loader exits, the kernel clears its program arrays, however many other tasks want the
 * CPU. So this thread needs a few system calls before the loader can run again. It has the lowest
 * real-time priority, and it runs on the CPU whose loads it watches: there the loader's system
 * call is over when the thread wakes, and the loader itself is the task that is preempted. One
 * thread for all CPUs wakes on the CPU where it ran last, and has to wait for the end of what a task
 * there does in the kernel: on a busy machine it lost arrays that their loaders had left after more
 * than a millisecond (docs/design.md). Without CAP_SYS_NICE, or while the CPU is offline, the thread
 * runs with the usual priority or on any CPU.
 */
static void set_rt_priority(int cpu)
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

/*
 * Opens the arrays of all programs, and keeps them at once with @pin. Returns how many were opened.
 * An error for one program must not leave the arrays of the others unkept.
 */
static int keep_all(struct auto_keep *a, bool pin)
{
	uint32_t id = 0;
	int count = 0, failed = 0, wait_ms;
	int err;

	while ((err = bpfrefs_next_id(a->fs->ctx, BPFREFS_KIND_PROG, id, &id)) == 0) {
		int opened = bpfrefs_keep_program(a->fs->keeper, id);

		if (opened > 0 && pin)
			failed = MIN(failed, bpfrefs_keep_pending(a->fs->keeper, &wait_ms));
		failed = MIN(failed, opened);
		count += MAX(opened, 0);
	}
	if (err != -ENOENT)
		return err;
	return failed ? failed : count;
}

static void on_event(enum bpfrefs_event event, uint32_t prog_id, void *data)
{
	struct watcher *watcher = data;
	struct auto_keep *a = watcher->a;
	int opened = 0;

	if (event == BPFREFS_EVENT_LOAD) {
		opened = bpfrefs_keep_program(a->fs->keeper, prog_id);
	} else if (event == BPFREFS_EVENT_LOST) {
		set_rt_priority(watcher->cpu); /* the lost load may have been a moment ago */
		opened = keep_all(a, false);
	}
	log_failure(a, "keep=auto", opened, &watcher->last_error);
	/*
	 * Other work, such as view_invalidate(), takes locks that other threads may hold for
	 * long.
	 */
	if (opened)
		signal_fd(a->wake_fd);
}

static gpointer watch_run(gpointer data)
{
	struct watcher *watcher = data;
	struct auto_keep *a = watcher->a;

	set_rt_priority(watcher->cpu);
	while (!g_atomic_int_get(&a->stopping)) {
		struct pollfd stop = { .fd = a->stop_fd, .events = POLLIN };
		int got = bpfrefs_watch_wait(watcher->watch, -1, on_event, watcher);

		if (got >= 0 || got == -ECANCELED)
			continue;
		log_failure(a, "keep=auto", got, &watcher->last_error);
		/* A wait that fails every time must not become a busy loop. */
		poll(&stop, 1, TICK_MS);
	}
	return NULL;
}

/* ----------------------------------------- keeping, and releasing keeps --- */

static void release_keeps(struct auto_keep *a, int *last_error)
{
	gint64 begun = g_get_monotonic_time(), took_ms;
	int released = bpfrefs_keep_release(a->fs->keeper);

	log_failure(a, "auto", released, last_error);
	if (released > 0)
		view_invalidate(a->fs->view);
	took_ms = (g_get_monotonic_time() - begun) / 1000;
	a->tick_ms = (int)CLAMP(took_ms * TICK_SHARE, TICK_MS, TICK_MAX_MS);
}

/* Returns whether there are automatic keeps, or may soon be some because of keep=auto. */
static bool has_keeps(struct auto_keep *a)
{
	return a->watchers || bpfrefs_keep_count(a->fs->keeper, BPFREFS_KEEP_AUTO) != 0;
}

/* Keeps what was opened. Returns when to do that again, in milliseconds, or -1. */
static int keep_pending(struct auto_keep *a, int *last_error)
{
	int wait_ms, kept = bpfrefs_keep_pending(a->fs->keeper, &wait_ms);

	log_failure(a, "keep=auto", kept, last_error);
	if (kept > 0)
		view_invalidate(a->fs->view);
	return wait_ms;
}

static gpointer keep_run(gpointer data)
{
	struct auto_keep *a = data;
	int keep_error = 0, release_error = 0;
	gint64 due = 0;

	while (!g_atomic_int_get(&a->stopping)) {
		struct pollfd wake = { .fd = a->wake_fd, .events = POLLIN };
		gint64 wait_ms = keep_pending(a, &keep_error);
		gint64 now = g_get_monotonic_time() / 1000;

		if (!has_keeps(a))
			due = 0;
		else if (!due)
			due = now + a->tick_ms;
		if (due && now >= due) {
			release_keeps(a, &release_error);
			due = 0;
			continue;
		}
		if (due && (wait_ms < 0 || due - now < wait_ms))
			wait_ms = due - now;
		if (poll(&wake, 1, (int)wait_ms) > 0) {
			drain(a->wake_fd);
			view_invalidate(a->fs->view); /* the set of kept objects has changed */
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
	end_thread(a->keeper);
	g_free(a->watchers);
	if (a->stop_fd >= 0)
		close(a->stop_fd);
	if (a->wake_fd >= 0)
		close(a->wake_fd);
	g_free(a);
}

/*
 * Grows the descriptor table in advance. In a process with several threads, expand_fdtable()
 * waits for an RCU grace period, which would delay a keep. If RLIMIT_NOFILE is lower, the table
 * grows on demand.
 */
static void make_room(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, ROOM);

	if (high >= 0)
		close(high);
}

static int start_thread(const char *name, GThreadFunc run, gpointer data, GThread **thread)
{
	*thread = g_thread_try_new(name, run, data, NULL);
	return *thread ? 0 : -EAGAIN;
}

static int start_watcher(struct watcher *watcher, struct auto_keep *a, int cpu)
{
	int err = bpfrefs_watch_open(cpu, a->stop_fd, &watcher->watch);

	watcher->a = a;
	watcher->cpu = cpu;
	return err ? err : start_thread("watch", watch_run, watcher, &watcher->thread);
}

static int start_watching(struct auto_keep *a)
{
	int err = 0;

	make_room(a->stop_fd);
	/* CPUs that are not online yet count too. */
	a->watcher_count = MAX((int)sysconf(_SC_NPROCESSORS_CONF), 1);
	a->watchers = g_new0(struct watcher, a->watcher_count);
	for (int cpu = 0; !err && cpu < a->watcher_count; cpu++)
		err = start_watcher(&a->watchers[cpu], a, cpu);
	/* After the subscription, so that no program that is loaded meanwhile is missed. */
	return err ? err : MIN(keep_all(a, true), 0);
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
	if (!err)
		err = start_thread("auto", keep_run, a, &a->keeper);
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

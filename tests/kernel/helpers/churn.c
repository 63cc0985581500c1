// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Short-lived loaders of program arrays while a bpfrefs runs with keep=auto:
 * mkobj churn BPFFS COUNT SEED.
 *
 * Each loader is a process that makes one or two arrays, some of which hold themselves through
 * their slots' programs, loads an entry program that jumps through them, attaches it to something
 * that outlives it (a pin, a socket) or to nothing, and exits: at once, or a millisecond or more
 * after it attached. A while later the entry program is run: its tail calls show whether the array
 * was cleared. Then the root is removed, and at the end all must be freed.
 *
 * Prints what did not go as it must, and then a line of KEY=NUMBER.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../random/random.h"
#include "churn.h"
#include "mkobj.h"

/* At once, this many; what is done is looked at when the kernel must have cleared what it clears. */
enum { PARALLEL = 3, BATCH = 60, CLEARED_MS = 300, GONE_MS = 120000, KEPT_MS = 30000 };

/*
 * How long a loader lives on after it attached, if it does not exit at once: LIFE_US, or CHURN_LIFE_US
 * in the environment, where a millisecond is not a millisecond (tests/vm), and up to LIFE_MORE_US more.
 */
enum { LIFE_US = 1000, LIFE_MORE_US = 3000 };

enum root { NO_ROOT, BY_PIN, BY_SOCKET, ROOTS };

/* What a loader is to do, and what it says: in memory that it shares with us. */
struct loader {
	enum graph graph;
	enum root root;
	bool lives, timed;
	unsigned int life_us;
	int socket[2];
	char pin[256];
	/* its own */
	struct made made;
	uint64_t kept_ns; /* from the load of the entry program; 0: not measured */
	uint64_t end_ns;  /* when it exited, CLOCK_MONOTONIC */
	int error;
};

static struct {
	const char *bpffs;
	uint64_t random;
	unsigned int life_us;
	unsigned int lived, lost, instant, kept, unrooted, failed, left, exist, times;
	uint32_t *time_us;
} all;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_us(unsigned int us)
{
	struct timespec ts = { us / 1000000, (long)(us % 1000000) * 1000 };

	while (nanosleep(&ts, &ts) != 0)
		;
}

/* ---------------------------------------------------------- the loader --- */

static int attach(const struct loader *loader)
{
	int fd = loader->made.entry_fd;

	if (loader->root == BY_PIN)
		return bpf_obj_pin(fd, loader->pin);
	if (loader->root == BY_SOCKET &&
	    setsockopt(loader->socket[0], SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)) != 0)
		return -errno;
	return 0;
}

/* Waits until the pin of the keep is seen; @since is when the entry program's load returned. */
static int await_keep(struct loader *loader, int watch, uint64_t since)
{
	struct pollfd poll_watch = { .fd = watch, .events = POLLIN };
	char path[256], events[4096];

	snprintf(path, sizeof(path), "%s/bpfrefs/auto/map_%u", all.bpffs, loader->made.array_id[0]);
	while (access(path, F_OK) != 0) {
		if (now_ns() - since > KEPT_MS * 1000000ull)
			return -ETIMEDOUT;
		if (poll(&poll_watch, 1, KEPT_MS) == 1 && read(watch, events, sizeof(events)) < 0)
			return -errno;
	}
	loader->kept_ns = now_ns() - since;
	return 0;
}

static void loader_run(struct loader *loader)
{
	char place[256];
	int watch = -1;

	if (loader->timed) {
		watch = inotify_init1(IN_CLOEXEC);
		snprintf(place, sizeof(place), "%s/bpfrefs/auto", all.bpffs);
		if (watch < 0 || inotify_add_watch(watch, place, IN_CREATE) < 0) {
			loader->error = -errno;
			return;
		}
	}
	loader->error = graph_make(loader->graph, &loader->made);
	if (!loader->error && loader->timed)
		loader->error = await_keep(loader, watch, now_ns());
	if (!loader->error)
		loader->error = attach(loader);
	if (!loader->error && loader->lives)
		sleep_us(loader->life_us);
	loader->end_ns = now_ns();
}

/* ---------------------------------------------------------- the parent --- */

static void loader_plan(struct loader *loader, unsigned int number)
{
	*loader = (struct loader){
		.graph = (enum graph)below(&all.random, GRAPHS),
		.root = (enum root)below(&all.random, ROOTS),
		.lives = below(&all.random, 3) != 0,
		.timed = number % 8 == 0,
		.life_us = all.life_us + below(&all.random, LIFE_MORE_US),
		.socket = { -1, -1 },
	};
	/* In the others the array is used by a program that is loaded earlier. */
	if (loader->timed)
		loader->graph = PLAIN;
	snprintf(loader->pin, sizeof(loader->pin), "%s/entry%u", all.bpffs, number);
	if (loader->root == BY_SOCKET &&
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, loader->socket) != 0)
		loader->error = -errno;
}

static pid_t loader_start(struct loader *loader)
{
	pid_t pid = fork();

	if (pid == 0) {
		loader_run(loader);
		_exit(0);
	}
	if (pid < 0)
		loader->error = -errno;
	return pid;
}

static void complain(const struct loader *loader, const char *what)
{
	printf("# map/%u, graph %d, root %d, %s, until %.6f: %s\n", loader->made.array_id[0],
	       loader->graph, loader->root, loader->lives ? "lived" : "instant exit",
	       (double)loader->end_ns / 1e9, what);
}

/* Do the tail calls of a loader that has exited still work? */
static void loader_judge(struct loader *loader)
{
	int fd, works;

	if (loader->error) {
		complain(loader, strerror(-loader->error));
		all.failed++;
		return;
	}
	if (loader->kept_ns)
		all.time_us[all.times++] = (uint32_t)(loader->kept_ns / 1000);
	if (loader->root == NO_ROOT) {
		all.unrooted++;
		return;
	}
	fd = bpf_prog_get_fd_by_id(loader->made.entry_id);
	works = fd < 0 ? fd : graph_works(fd);
	if (fd >= 0)
		close(fd);
	if (works < 0) {
		complain(loader, strerror(-works));
		all.failed++;
	} else if (loader->lives || loader->timed) {
		all.lived++;
		all.lost += !works;
		if (!works)
			complain(loader, "cleared");
	} else {
		all.instant++;
		all.kept += works != 0;
	}
}

static void loader_unroot(const struct loader *loader)
{
	if (loader->root == BY_PIN)
		unlink(loader->pin);
	for (int i = 0; i < 2; i++)
		if (loader->socket[i] >= 0)
			close(loader->socket[i]);
}

static void run_batch(struct loader *loaders, unsigned int first, unsigned int count)
{
	unsigned int running = 0;

	for (unsigned int i = 0; i < count; i++) {
		loader_plan(&loaders[i], first + i);
		if (!loaders[i].error && loader_start(&loaders[i]) > 0)
			running++;
		for (; running >= PARALLEL; running--)
			wait(NULL);
	}
	for (; running; running--)
		wait(NULL);
	sleep_us(CLEARED_MS * 1000);
	for (unsigned int i = 0; i < count; i++)
		loader_judge(&loaders[i]);
	for (unsigned int i = 0; i < count; i++)
		loader_unroot(&loaders[i]);
}

static bool keep_is_kept(uint32_t id)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/bpfrefs/auto/map_%u", all.bpffs, id);
	return access(path, F_OK) == 0;
}

static bool map_exists(uint32_t id)
{
	uint32_t next;

	return bpf_map_get_next_id(id - 1, &next) == 0 && next == id;
}

/*
 * The keeps of all arrays must be released now that no root is left. Arrays that exist all the same are
 * reported:
 * another bpfrefs may keep them, and the kernel leaks an array that somebody opens by its id in the
 * moment between its last close and its clearing, as bpftool does.
 */
static void await_end(const struct loader *loaders, unsigned int count)
{
	uint64_t end = now_ns() + GONE_MS * 1000000ull;

	for (unsigned int i = 0; i < count; i++) {
		for (int a = 0; a < 2; a++) {
			uint32_t id = loaders[i].made.array_id[a];

			while (id && keep_is_kept(id) && now_ns() < end)
				sleep_us(20000);
			if (id && keep_is_kept(id)) {
				complain(&loaders[i], "is still kept");
				all.left++;
			}
		}
	}
	sleep_us(CLEARED_MS * 1000);
	for (unsigned int i = 0; i < 2 * count; i++) {
		uint32_t id = loaders[i / 2].made.array_id[i % 2];

		all.exist += id && map_exists(id);
	}
}

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int churn_run(char **args)
{
	unsigned int count = (unsigned int)atoi(args[1]);
	const char *life = getenv("CHURN_LIFE_US");
	struct loader *loaders;

	all.bpffs = args[0];
	all.random = strtoull(args[2], NULL, 0) | 1;
	all.life_us = life ? (unsigned int)atoi(life) : LIFE_US;
	all.time_us = calloc(count, sizeof(*all.time_us));
	loaders = mmap(NULL, count * sizeof(*loaders), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!all.time_us || loaders == MAP_FAILED)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i += BATCH)
		run_batch(loaders + i, i, count - i < BATCH ? count - i : BATCH);
	await_end(loaders, count);
	qsort(all.time_us, all.times, sizeof(*all.time_us), by_time);
	printf("lived=%u lost=%u instant=%u kept=%u unrooted=%u failed=%u left=%u exist=%u "
	       "times=%u "
	       "median_us=%u p99_us=%u max_us=%u\n",
	       all.lived, all.lost, all.instant, all.kept, all.unrooted, all.failed, all.left,
	       all.exist, all.times, all.times ? all.time_us[all.times / 2] : 0,
	       all.times ? all.time_us[all.times * 99 / 100] : 0,
	       all.times ? all.time_us[all.times - 1] : 0);
	return 0;
}

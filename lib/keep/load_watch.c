/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Program loads and unloads, told by the kernel's perf events: a software event that counts nothing,
 * on every CPU, with bpf_event set. It needs no BPF program, and tells a load before the loader's
 * own bpf(2) returns (perf_event_bpf_event()).
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "snapshot/private.h"

/* Pages of one ring beside its control page: room for some 2,700 events between two looks. */
#define RING_PAGES 16

/* The largest CPU number that a kernel can be built for, some times over. */
#define CPU_MAX 65536

/* How often, at most, to look which CPUs are there. */
#define CPUS_EVERY_MS 1000

/* The start of a PERF_RECORD_BPF_EVENT; a tag follows. */
struct bpf_record {
	struct perf_event_header header;
	uint16_t type, flags;
	uint32_t id;
};

struct ring {
	uint32_t cpu;
	int fd;
	struct perf_event_mmap_page *page;
};

struct bpfrefs_watch {
	int cpu;	   /* the only one, or -1: every CPU */
	GArray *rings; /* struct ring, by cpu */
	size_t page_size;
	gint64 cpus_read; /* when, g_get_monotonic_time() */
	bool lost;	  /* to be told at the next wait */
};

/* Where events go during one wait. */
struct sink {
	void (*fn)(enum bpfrefs_event event, uint32_t prog_id, void *data);
	void *data;
	int count;
};

static void tell(struct sink *sink, enum bpfrefs_event event, uint32_t id)
{
	sink->fn(event, id, sink->data);
	if (sink->count < INT32_MAX)
		sink->count++;
}

/* --------------------------------------------------------------- rings --- */

static size_t ring_size(const struct bpfrefs_watch *watch)
{
	return (1 + RING_PAGES) * watch->page_size;
}

static int ring_open(const struct bpfrefs_watch *watch, uint32_t cpu, struct ring *ring)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.bpf_event = 1,
		/* Wake at the first byte: records that are no samples do not count as events. */
		.watermark = 1,
		.wakeup_watermark = 1,
	};
	void *page;

	ring->cpu = cpu;
	ring->fd = (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (ring->fd < 0)
		return -errno;
	page = mmap(NULL, ring_size(watch), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (page == MAP_FAILED) {
		int err = -errno;

		close(ring->fd);
		return err;
	}
	ring->page = page;
	return 0;
}

static void ring_close(const struct bpfrefs_watch *watch, const struct ring *ring)
{
	munmap(ring->page, ring_size(watch));
	close(ring->fd);
}

/* Copies @size bytes at @at, which counts up for ever; the ring is @room bytes, a power of two. */
static void ring_copy(const uint8_t *base, uint64_t room, uint64_t at, void *to, size_t size)
{
	uint64_t start = at & (room - 1);
	size_t first = MIN(size, (size_t)(room - start));

	memcpy(to, base + start, first);
	memcpy((uint8_t *)to + first, base, size - first);
}

static void tell_record(struct sink *sink, const struct bpf_record *record)
{
	if (record->header.type == PERF_RECORD_LOST) {
		tell(sink, BPFREFS_EVENT_LOST, 0);
		return;
	}
	if (record->header.type != PERF_RECORD_BPF_EVENT || record->header.size < sizeof(*record))
		return;
	if (record->type == PERF_BPF_EVENT_PROG_LOAD)
		tell(sink, BPFREFS_EVENT_LOAD, record->id);
	else if (record->type == PERF_BPF_EVENT_PROG_UNLOAD)
		tell(sink, BPFREFS_EVENT_UNLOAD, record->id);
}

static void ring_drain(const struct bpfrefs_watch *watch, const struct ring *ring,
		       struct sink *sink)
{
	const uint8_t *base = (const uint8_t *)ring->page + watch->page_size;
	uint64_t room = RING_PAGES * watch->page_size;
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->page->data_tail;

	while (tail < head) {
		struct bpf_record record = { 0 };
		size_t size;

		if (head - tail >= sizeof(record.header))
			ring_copy(base, room, tail, &record.header, sizeof(record.header));
		size = record.header.size;
		if (size < sizeof(record.header) || size > head - tail) {
			/* Not what a kernel writes; what follows cannot be told apart any more. */
			tell(sink, BPFREFS_EVENT_LOST, 0);
			tail = head;
			break;
		}
		ring_copy(base, room, tail, &record, MIN(size, sizeof(record)));
		tail += size;
		tell_record(sink, &record);
	}
	__atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
}

/* ---------------------------------------------------------------- CPUs --- */

/* Which CPUs are online: a bit each, from a list like "0-3,5". */
static int cpus_parse(const char *list, uint8_t *online)
{
	const char *at = list;

	while (*at && *at != '\n') {
		char *end;
		unsigned long first = strtoul(at, &end, 10), last = first;

		if (end == at)
			return -EINVAL;
		if (*end == '-') {
			at = end + 1;
			last = strtoul(at, &end, 10);
			if (end == at)
				return -EINVAL;
		}
		if (last < first || last >= CPU_MAX)
			return -EINVAL;
		for (unsigned long cpu = first; cpu <= last; cpu++)
			online[cpu / 8] |= (uint8_t)(1 << cpu % 8);
		at = *end == ',' ? end + 1 : end;
	}
	return 0;
}

static int cpus_read(uint8_t *online)
{
	bpfrefs_autofd fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	if (len < 0)
		return -errno;
	text[len] = '\0';
	return cpus_parse(text, online);
}

static bool cpu_is_online(const uint8_t *online, uint32_t cpu)
{
	return online[cpu / 8] >> cpu % 8 & 1;
}

/* Opens a ring on each CPU that has none; -ENODEV is a CPU that went meanwhile. */
static int rings_add(struct bpfrefs_watch *watch, const uint8_t *online)
{
	guint at = 0;

	for (uint32_t cpu = 0; cpu < CPU_MAX; cpu++) {
		struct ring ring;
		int err;

		if (at < watch->rings->len &&
		    g_array_index(watch->rings, struct ring, at).cpu == cpu) {
			at++;
			continue;
		}
		if (!cpu_is_online(online, cpu) || (watch->cpu >= 0 && (int)cpu != watch->cpu))
			continue;
		err = ring_open(watch, cpu, &ring);
		if (err == -ENODEV)
			continue;
		if (err)
			return err;
		g_array_insert_val(watch->rings, at, ring);
		at++;
		/* What was loaded there before this moment was told to nobody. */
		watch->lost = true;
	}
	return 0;
}

/*
 * Follows CPUs that come and go. An event does not survive its CPU's going (perf_event_exit_cpu()),
 * so the ring of one that went is closed, and opened anew if the CPU comes back.
 */
static int rings_update(struct bpfrefs_watch *watch)
{
	g_autofree uint8_t *online = g_new0(uint8_t, CPU_MAX / 8);
	int err = cpus_read(online);

	if (err)
		return err;
	watch->cpus_read = g_get_monotonic_time();
	for (guint i = watch->rings->len; i-- > 0;) {
		const struct ring *ring = &g_array_index(watch->rings, struct ring, i);

		if (cpu_is_online(online, ring->cpu))
			continue;
		ring_close(watch, ring);
		g_array_remove_index(watch->rings, i);
		watch->lost = true;
	}
	return rings_add(watch, online);
}

/* -------------------------------------------------------------- public --- */

int bpfrefs_watch_open(int cpu, struct bpfrefs_watch **out)
{
	struct bpfrefs_watch *watch = g_new0(struct bpfrefs_watch, 1);
	int err;

	watch->cpu = MAX(cpu, -1);
	watch->page_size = (size_t)sysconf(_SC_PAGESIZE);
	watch->rings = g_array_new(FALSE, FALSE, sizeof(struct ring));
	err = rings_update(watch);
	if (!err && watch->rings->len == 0 && cpu < 0)
		err = -ENODEV;
	if (err) {
		bpfrefs_watch_close(watch);
		return err;
	}
	watch->lost = false; /* whoever opens a subscription looks at everything first */
	*out = watch;
	return 0;
}

void bpfrefs_watch_close(struct bpfrefs_watch *watch)
{
	if (!watch)
		return;
	for (guint i = 0; i < watch->rings->len; i++)
		ring_close(watch, &g_array_index(watch->rings, struct ring, i));
	g_array_unref(watch->rings);
	g_free(watch);
}

/* Waits for any ring or @stop_fd: 1 something is there, 0 the timeout, -ECANCELED, -errno. */
static int rings_poll(const struct bpfrefs_watch *watch, int stop_fd, int timeout_ms)
{
	guint count = watch->rings->len;
	g_autofree struct pollfd *fds = g_new0(struct pollfd, count + 1);
	int ready;

	for (guint i = 0; i < count; i++)
		fds[i] = (struct pollfd){ g_array_index(watch->rings, struct ring, i).fd, POLLIN,
					  0 };
	fds[count] = (struct pollfd){ stop_fd, POLLIN, 0 }; /* poll(2) skips a negative one */
	ready = poll(fds, count + 1, timeout_ms);
	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	return fds[count].revents ? -ECANCELED : ready > 0;
}

/* Tells what there is, and follows the CPUs when it is time to. */
static int rings_tell(struct bpfrefs_watch *watch, struct sink *sink)
{
	int err = 0;

	for (guint i = 0; i < watch->rings->len; i++)
		ring_drain(watch, &g_array_index(watch->rings, struct ring, i), sink);
	if (g_get_monotonic_time() - watch->cpus_read >= CPUS_EVERY_MS * G_GINT64_CONSTANT(1000))
		err = rings_update(watch);
	if (watch->lost) {
		watch->lost = false;
		tell(sink, BPFREFS_EVENT_LOST, 0);
	}
	return err;
}

int bpfrefs_watch_wait(struct bpfrefs_watch *watch, int stop_fd, int timeout_ms,
		       void (*fn)(enum bpfrefs_event event, uint32_t prog_id, void *data),
		       void *data)
{
	struct sink sink = { fn, data, 0 };
	gint64 start = g_get_monotonic_time();
	gint64 left_ms = timeout_ms;
	int err;

	for (;;) {
		/* In slices: nobody wakes us when a CPU comes. */
		int slice = timeout_ms < 0 ? CPUS_EVERY_MS : (int)MIN(left_ms, CPUS_EVERY_MS);

		err = rings_poll(watch, stop_fd, slice);
		if (err >= 0)
			err = rings_tell(watch, &sink);
		if (err)
			return err;
		if (timeout_ms >= 0)
			left_ms = timeout_ms - (g_get_monotonic_time() - start) / 1000;
		if (sink.count || (timeout_ms >= 0 && left_ms <= 0))
			return sink.count;
	}
}

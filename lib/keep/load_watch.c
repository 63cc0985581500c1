/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Program loads and unloads, from perf events: a software event that counts nothing
 * (PERF_COUNT_SW_DUMMY) on every CPU, with attr.bpf_event set. That needs no BPF program, and a
 * load is reported before bpf(2) returns to the loader (perf_event_bpf_event() in bpf_prog_load()).
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "snapshot/private.h"

/*
 * The number of data pages of a ring buffer, in addition to its control page: room for about 2,700
 * events between two reads.
 */
#define RING_PAGES 16

/* Greater than the number of CPUs that any kernel can be configured for (CONFIG_NR_CPUS). */
#define CPU_MAX 65536

/* The most ring buffers that are read after one epoll_wait(2). */
#define READY_MAX 64

/* The shortest time between two reads of the list of online CPUs. */
#define CPUS_EVERY_MS 1000

/* The beginning of a PERF_RECORD_BPF_EVENT. The tag of the program follows. */
struct bpf_record {
	struct perf_event_header header;
	uint16_t type, flags;
	uint32_t id;
};

struct perf_ring {
	int fd;
	struct perf_event_mmap_page *page;
};

struct bpfrefs_watch {
	int cpu;	  /* the only CPU, or -1: every CPU */
	GPtrArray *rings; /* by CPU: owned struct perf_ring, or NULL if the CPU is not online */
	int epoll_fd;	  /* all rings, and with the pointer NULL the descriptor that ends a wait */
	size_t page_size;
	gint64 cpus_read; /* when the list of online CPUs was read: g_get_monotonic_time() */
	bool lost;	  /* the next wait reports BPFREFS_EVENT_LOST */
};

/* The callback that events are reported to during one wait. */
struct sink {
	void (*fn)(enum bpfrefs_event event, uint32_t prog_id, void *data);
	void *data;
	int count;
};

static void emit(struct sink *sink, enum bpfrefs_event event, uint32_t id)
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

static int epoll_add(const struct bpfrefs_watch *watch, int fd, struct perf_ring *ring)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = ring };

	return epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static void ring_close(const struct bpfrefs_watch *watch, struct perf_ring *ring)
{
	if (!ring)
		return;
	if (ring->page != MAP_FAILED)
		munmap(ring->page, ring_size(watch));
	if (ring->fd >= 0)
		close(ring->fd);
	g_free(ring);
}

static int ring_open(const struct bpfrefs_watch *watch, uint32_t cpu, struct perf_ring *ring)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.bpf_event = 1,
		/* Wakes poll(2) at the first byte: wakeup_events counts only samples. */
		.watermark = 1,
		.wakeup_watermark = 1,
	};

	ring->fd = (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (ring->fd < 0)
		return -errno;
	ring->page = mmap(NULL, ring_size(watch), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	return ring->page == MAP_FAILED ? -errno : epoll_add(watch, ring->fd, ring);
}

/*
 * Copies @size bytes from position @at of a ring buffer. Positions only increase; the size @room of
 * the ring buffer is a power of two.
 */
static void ring_copy(const uint8_t *base, uint64_t room, uint64_t at, void *to, size_t size)
{
	uint64_t start = at & (room - 1);
	size_t first = MIN(size, (size_t)(room - start));

	memcpy(to, base + start, first);
	memcpy((uint8_t *)to + first, base, size - first);
}

static void emit_record(struct sink *sink, const struct bpf_record *record)
{
	if (record->header.type == PERF_RECORD_LOST) {
		emit(sink, BPFREFS_EVENT_LOST, 0);
		return;
	}
	if (record->header.type != PERF_RECORD_BPF_EVENT || record->header.size < sizeof(*record))
		return;
	if (record->type == PERF_BPF_EVENT_PROG_LOAD)
		emit(sink, BPFREFS_EVENT_LOAD, record->id);
	else if (record->type == PERF_BPF_EVENT_PROG_UNLOAD)
		emit(sink, BPFREFS_EVENT_UNLOAD, record->id);
}

static void ring_drain(const struct bpfrefs_watch *watch, const struct perf_ring *ring,
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
			/*
			 * A kernel does not write such a record. Where the next one begins is
			 * unknown.
			 */
			emit(sink, BPFREFS_EVENT_LOST, 0);
			tail = head;
			break;
		}
		ring_copy(base, room, tail, &record, MIN(size, sizeof(record)));
		tail += size;
		emit_record(sink, &record);
	}
	__atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
}

/* ---------------------------------------------------------------- CPUs --- */

/* Parses a list of CPUs such as "0-3,5" into a bitmap. */
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

static int ring_add(struct bpfrefs_watch *watch, uint32_t cpu)
{
	struct perf_ring *ring = g_new(struct perf_ring, 1);
	int err;

	*ring = (struct perf_ring){ .fd = -1, .page = MAP_FAILED };
	err = ring_open(watch, cpu, ring);
	if (err) {
		ring_close(watch, ring);
		return err == -ENODEV ? 0 : err; /* the CPU went offline meanwhile */
	}
	if (cpu >= watch->rings->len)
		g_ptr_array_set_size(watch->rings, (gint)cpu + 1);
	watch->rings->pdata[cpu] = ring;
	/* Programs that were loaded on that CPU before were not reported. */
	watch->lost = true;
	return 0;
}

/*
 * Opens and closes ring buffers as CPUs go online and offline. An event does not survive when its
 * CPU goes offline (perf_event_exit_cpu()), so its ring buffer is closed, and a new one is opened
 * when the CPU is online again.
 */
static int rings_update(struct bpfrefs_watch *watch)
{
	g_autofree uint8_t *online = g_new0(uint8_t, CPU_MAX / 8);
	int err = cpus_read(online);

	if (err)
		return err;
	watch->cpus_read = g_get_monotonic_time();
	for (uint32_t cpu = 0; !err && cpu < CPU_MAX; cpu++) {
		bool has_ring = cpu < watch->rings->len && watch->rings->pdata[cpu];
		bool wants_ring =
			cpu_is_online(online, cpu) && (watch->cpu < 0 || (int)cpu == watch->cpu);

		if (wants_ring && !has_ring) {
			err = ring_add(watch, cpu);
		} else if (has_ring && !wants_ring) {
			ring_close(watch, watch->rings->pdata[cpu]);
			watch->rings->pdata[cpu] = NULL;
			watch->lost = true;
		}
	}
	return err;
}

/* -------------------------------------------------------------- public --- */

int bpfrefs_watch_open(int cpu, int stop_fd, struct bpfrefs_watch **out)
{
	struct bpfrefs_watch *watch = g_new0(struct bpfrefs_watch, 1);
	int err;

	watch->cpu = MAX(cpu, -1);
	watch->page_size = (size_t)sysconf(_SC_PAGESIZE);
	watch->rings = g_ptr_array_new();
	watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = watch->epoll_fd < 0 ? -errno : 0;
	if (!err && stop_fd >= 0)
		err = epoll_add(watch, stop_fd, NULL);
	if (!err)
		err = rings_update(watch);
	if (!err && watch->rings->len == 0 && cpu < 0)
		err = -ENODEV;
	if (err) {
		bpfrefs_watch_close(watch);
		return err;
	}
	watch->lost = false; /* the caller reads the state of the system after this call */
	*out = watch;
	return 0;
}

void bpfrefs_watch_close(struct bpfrefs_watch *watch)
{
	if (!watch)
		return;
	for (guint cpu = 0; cpu < watch->rings->len; cpu++)
		ring_close(watch, watch->rings->pdata[cpu]);
	g_ptr_array_unref(watch->rings);
	if (watch->epoll_fd >= 0)
		close(watch->epoll_fd);
	g_free(watch);
}

/* Waits for ring buffers, and reports what is in them. -ECANCELED: the wait was ended. */
static int rings_poll(const struct bpfrefs_watch *watch, int timeout_ms, struct sink *sink)
{
	struct epoll_event ready[READY_MAX];
	int count = epoll_wait(watch->epoll_fd, ready, READY_MAX, timeout_ms);
	int err = 0;

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		if (ready[i].data.ptr)
			ring_drain(watch, ready[i].data.ptr, sink);
		else
			err = -ECANCELED;
	}
	return err;
}

/* Reads the list of online CPUs if it is time to. */
static int cpus_check(struct bpfrefs_watch *watch, struct sink *sink)
{
	int err = 0;

	if (g_get_monotonic_time() - watch->cpus_read >= CPUS_EVERY_MS * G_GINT64_CONSTANT(1000))
		err = rings_update(watch);
	if (watch->lost) {
		watch->lost = false;
		emit(sink, BPFREFS_EVENT_LOST, 0);
	}
	return err;
}

int bpfrefs_watch_wait(struct bpfrefs_watch *watch, int timeout_ms,
		       void (*fn)(enum bpfrefs_event event, uint32_t prog_id, void *data),
		       void *data)
{
	struct sink sink = { fn, data, 0 };
	gint64 start = g_get_monotonic_time();
	gint64 left_ms = timeout_ms;

	for (;;) {
		/* In slices, since epoll_wait(2) does not return when a CPU goes online. */
		int slice = timeout_ms < 0 ? CPUS_EVERY_MS : (int)MIN(left_ms, CPUS_EVERY_MS);
		int err = rings_poll(watch, slice, &sink);

		if (!err)
			err = cpus_check(watch, &sink);
		if (err)
			return err;
		if (timeout_ms >= 0)
			left_ms = timeout_ms - (g_get_monotonic_time() - start) / 1000;
		if (sink.count || (timeout_ms >= 0 && left_ms <= 0))
			return sink.count;
	}
}

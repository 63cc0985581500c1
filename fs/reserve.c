/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A few regions, of which the newest gives. In each, chunks stand one behind the other, with their
 * size before them; one that is looked for is the first that is large enough. It is slow, and used
 * when nothing else is left.
 */
#include "reserve.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

/* What requests under way may need to come to their end; it is part of what the daemon always has. */
#define REGION_SIZE ((size_t)4 << 20)
/* Parts of old ones may stay in use for long: a thread's buffer, an open file's text. */
#define REGIONS	    8
#define UNIT	    16

struct chunk {
	size_t size; /* this header included, a multiple of UNIT */
	size_t used;
};

struct region {
	_Atomic(char *) start; /* NULL: none */
	atomic_size_t used;
};

/*
 * One a process, as malloc(3) is. In a structure whose lock is never held while memory is asked for
 * otherwise.
 */
static struct {
	pthread_mutex_t lock;
	struct region regions[REGIONS];
	atomic_uint current;
	atomic_bool given; /* something, once: until then no pointer is ours */
} reserve = { .lock = PTHREAD_MUTEX_INITIALIZER };

static __thread bool entered;

static struct chunk *chunk_at(char *start, size_t offset)
{
	return (struct chunk *)(void *)(start + offset);
}

static struct region *region_of(const void *memory)
{
	uintptr_t at = (uintptr_t)memory;

	if (!atomic_load_explicit(&reserve.given, memory_order_relaxed))
		return NULL;
	for (unsigned int i = 0; i < REGIONS; i++) {
		uintptr_t start = (uintptr_t)atomic_load(&reserve.regions[i].start);

		if (start && at - start < REGION_SIZE)
			return &reserve.regions[i];
	}
	return NULL;
}

static bool region_open(struct region *region)
{
	char *start = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (start == MAP_FAILED)
		return false;
	for (size_t at = 0; at < REGION_SIZE; at += 4096) /* where it could not be populated */
		*(volatile char *)(start + at) = 0;
	chunk_at(start, 0)->size = REGION_SIZE;
	atomic_store(&region->used, 0);
	atomic_store(&region->start, start);
	return true;
}

int reserve_open(void)
{
	return region_open(&reserve.regions[0]) ? 0 : -ENOMEM;
}

/* Cuts a free chunk in two; the second one is free. */
static void cut(struct chunk *chunk, size_t size)
{
	struct chunk *rest = chunk_at((char *)chunk, size);

	if (chunk->size == size)
		return;
	rest->size = chunk->size - size;
	rest->used = 0;
	chunk->size = size;
}

/* Where in a free chunk memory of that alignment begins, less its header: 0 or room for a chunk. */
static size_t skip_to(const struct chunk *chunk, size_t alignment)
{
	uintptr_t memory = (uintptr_t)(chunk + 1);

	return ((memory + alignment - 1) & ~(uintptr_t)(alignment - 1)) - memory;
}

/* Joins a free chunk with the free ones behind it. */
static void join(const char *start, struct chunk *chunk)
{
	const char *end = start + REGION_SIZE;

	for (;;) {
		struct chunk *next = chunk_at((char *)chunk, chunk->size);

		if ((const char *)next == end || next->used)
			return;
		chunk->size += next->size;
	}
}

static void *take(struct region *region, size_t size, size_t alignment)
{
	char *start = atomic_load(&region->start);

	for (size_t at = 0; start && at < REGION_SIZE; at += chunk_at(start, at)->size) {
		struct chunk *chunk = chunk_at(start, at);
		size_t skip;

		if (chunk->used)
			continue;
		join(start, chunk);
		skip = skip_to(chunk, alignment);
		if (chunk->size < skip + size)
			continue;
		if (skip) {
			cut(chunk, skip);
			chunk = chunk_at(start, at + skip);
		}
		cut(chunk, size);
		chunk->used = 1;
		atomic_fetch_add(&region->used, size);
		return chunk + 1;
	}
	return NULL;
}

void *reserve_alloc(size_t size, size_t alignment)
{
	void *memory;

	if (size > REGION_SIZE || alignment > REGION_SIZE)
		return NULL;
	size = (size + sizeof(struct chunk) + UNIT - 1) & ~(size_t)(UNIT - 1);
	alignment = alignment < UNIT ? UNIT : alignment;
	pthread_mutex_lock(&reserve.lock);
	atomic_store(&reserve.given, true);
	memory = take(&reserve.regions[atomic_load(&reserve.current)], size, alignment);
	pthread_mutex_unlock(&reserve.lock);
	return memory;
}

size_t reserve_size(const void *memory)
{
	return region_of(memory) ? ((const struct chunk *)memory - 1)->size - sizeof(struct chunk)
				 : 0;
}

/* An old region is given back when the last of what it gave is. */
static void drop_if_old(struct region *region)
{
	char *start = atomic_load(&region->start);

	if (region == &reserve.regions[atomic_load(&reserve.current)] || atomic_load(&region->used))
		return;
	atomic_store(&region->start, NULL);
	munmap(start, REGION_SIZE);
}

bool reserve_free(void *memory)
{
	struct region *region = region_of(memory);
	struct chunk *chunk = (struct chunk *)memory - 1;

	if (!region)
		return false;
	pthread_mutex_lock(&reserve.lock);
	chunk->used = 0;
	atomic_fetch_sub(&region->used, chunk->size);
	drop_if_old(region);
	pthread_mutex_unlock(&reserve.lock);
	return true;
}

bool reserve_is_low(void)
{
	return atomic_load(&reserve.regions[atomic_load(&reserve.current)].used) > REGION_SIZE / 4;
}

bool reserve_is_whole(void)
{
	unsigned int old;

	if (!reserve_is_low())
		return true;
	pthread_mutex_lock(&reserve.lock);
	old = atomic_load(&reserve.current);
	for (unsigned int i = 0; i < REGIONS && reserve_is_low(); i++) {
		if (atomic_load(&reserve.regions[i].start))
			continue;
		if (!region_open(&reserve.regions[i]))
			break;
		atomic_store(&reserve.current, i);
		drop_if_old(&reserve.regions[old]);
	}
	pthread_mutex_unlock(&reserve.lock);
	return !reserve_is_low();
}

bool reserve_spares(size_t size)
{
	/* not malloc(3), which would give of the reserve (malloc.c) */
	void *memory = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);

	if (memory == MAP_FAILED)
		return false;
	munmap(memory, size + 1);
	return !reserve_is_low();
}

void reserve_enter(void)
{
	entered = true;
}

bool reserve_is_entered(void)
{
	return entered;
}

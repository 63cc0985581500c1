/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * malloc(3) and its family, the C library's own with the reserve behind them; part of the daemon alone.
 * GLib, libfuse and the rest of the process find these before the C library's.
 *
 * aligned_alloc(3) is for who can do without (lib/memory.h), and never given from the reserve.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reserve.h"

/* glibc's manual, "Replacing malloc", asks for all of these together. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

#define PLAIN 16

/*
 * What is so large is either asked for by who takes no for an answer (libbpf, libmount), or a buffer
 * of a new thread of libfuse's, without which that would end the session.
 */
#define LARGE ((size_t)64 * 1024)

/* For how long a request waits that others may give something back: 10 ms so many times. */
#define WAITS 100

/*
 * The reserve, or what comes free. Only who serves a request and asks for much is ever given NULL: to
 * GLib that would be the end of the process, and to wait is not.
 */
static void *from_reserve(size_t size, size_t alignment)
{
	const struct timespec moment = { 0, 10 * 1000 * 1000 };
	void *memory = reserve_alloc(size, alignment);
	int saved = errno;

	for (unsigned int i = 0; !memory; i++) {
		if (size > LARGE && reserve_is_entered() && i >= WAITS)
			break;
		if (size > SIZE_MAX / 4)
			break;
		nanosleep(&moment, NULL);
		memory = alignment > PLAIN ? __libc_memalign(alignment, size) : __libc_malloc(size);
		if (!memory)
			memory = reserve_alloc(size, alignment);
	}
	errno = memory ? saved : ENOMEM;
	return memory;
}

void *malloc(size_t size)
{
	void *memory = __libc_malloc(size);

	return memory ? memory : from_reserve(size, PLAIN);
}

void *calloc(size_t count, size_t size)
{
	void *memory = __libc_calloc(count, size);
	size_t bytes;

	if (memory)
		return memory;
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	memory = from_reserve(bytes, PLAIN);
	return memory ? memset(memory, 0, bytes) : NULL;
}

/* To somewhere else, since it does not fit where it is. */
static void *move(void *old, size_t old_size, size_t size)
{
	void *memory = malloc(size);

	if (!memory)
		return NULL;
	memcpy(memory, old, old_size < size ? old_size : size);
	free(old);
	return memory;
}

void *realloc(void *old, size_t size)
{
	size_t reserved = old ? reserve_size(old) : 0, usable;
	void *memory;

	if (reserved && size)
		return move(old, reserved, size);
	if (reserved) {
		free(old);
		return NULL;
	}
	memory = __libc_realloc(old, size);
	if (memory || (old && !size))
		return memory;
	usable = old ? malloc_usable_size(old) : 0;
	if (old && size <= usable) /* it was to become smaller */
		return old;
	return old ? move(old, usable, size) : from_reserve(size, PLAIN);
}

void free(void *memory)
{
	int saved = errno;

	if (memory && !reserve_free(memory))
		__libc_free(memory);
	errno = saved;
}

void *memalign(size_t alignment, size_t size)
{
	void *memory = __libc_memalign(alignment, size);

	return memory ? memory : from_reserve(size, alignment);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	void *got;

	if (alignment % sizeof(void *) || !alignment || alignment & (alignment - 1))
		return EINVAL;
	got = memalign(alignment, size);
	if (!got)
		return ENOMEM;
	*memory = got;
	return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return __libc_memalign(alignment, size);
}

void *valloc(size_t size)
{
	return memalign(4096, size);
}

void *pvalloc(size_t size)
{
	return memalign(4096, (size + 4095) & ~(size_t)4095);
}

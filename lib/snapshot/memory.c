/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Smaller allocations are not checked beforehand. */
#define LARGE ((size_t)32 * 1024)

void *memory_try(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	return calloc(1, bytes ? bytes : 1);
}

/*
 * Uses mmap(2), since an allocation with malloc(3) that is freed again would change how it serves
 * later ones (M_MMAP_THRESHOLD is dynamic).
 */
bool memory_available(size_t size)
{
	void *result;

	if (size <= LARGE)
		return true;
	result = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (result == MAP_FAILED)
		return false;
	munmap(result, size);
	return true;
}

/* The smallest power of two that is not less than @size. */
static size_t above(size_t size)
{
	return size > 1 ? (size_t)1 << (64 - __builtin_clzl(size - 1)) : 1;
}

bool memory_can_grow(size_t now, size_t more)
{
	size_t then = now + more;

	/*
	 * The array is copied if it cannot grow in place, which takes both sizes at the same time.
	 */
	return above(now) == above(then) || memory_available(above(then));
}

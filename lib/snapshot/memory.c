/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* What is smaller than that is asked for as everything else is. */
#define LARGE ((size_t)32 * 1024)

void *memory_try(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	return calloc(1, bytes ? bytes : 1);
}

/* By mmap(2): what malloc(3) gave and got back would change how it serves what follows. */
bool memory_is_there(size_t size)
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

/* The power of two that is not less. */
static size_t above(size_t size)
{
	return size > 1 ? (size_t)1 << (64 - __builtin_clzl(size - 1)) : 1;
}

bool memory_can_grow(size_t now, size_t more)
{
	size_t then = now + more;

	/* the old one and the new one at a time, where the new one cannot be where the old one is */
	return above(now) == above(then) || memory_is_there(above(then));
}

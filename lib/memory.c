/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What malloc(3) wants, too. */
#define ALIGNMENT 16
/* What is smaller than that is asked for as everything else is. */
#define LARGE ((size_t)32 * 1024)

/*
 * aligned_alloc(3), since no other call in the process uses it: a program that keeps a reserve for
 * those who cannot be refused (the daemon, fs/reserve.h) can tell us from them.
 */
static void *ask(size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	return aligned_alloc(ALIGNMENT, (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
}

void *memory_try(size_t count, size_t size)
{
	size_t bytes;
	void *result;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	bytes = bytes ? bytes : 1;
	result = ask(bytes);
	if (result)
		memset(result, 0, bytes);
	return result;
}

bool memory_is_there(size_t size)
{
	void *result = ask(size);

	free(result);
	return result != NULL;
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
	return then <= LARGE || above(now) == above(then) || memory_is_there(above(then));
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The allocator, below what the daemon defines itself (fs/malloc.c): where these give NULL it meets the
 * same as where the kernel gives no memory. What it maps itself then fails too.
 */
#include "fault.h"

#include <dlfcn.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

#define ALLOCATE(name, params, args)                            \
	void *name params                                       \
	{                                                       \
		static __typeof__(&(name)) next;                \
                                                                \
		if (!next)                                      \
			next = NEXT(name);                      \
		return fails(ALLOCATION, #name) ? NULL : next args; \
	}

/* clang-format off */
ALLOCATE(__libc_malloc, (size_t size), (size))
ALLOCATE(__libc_calloc, (size_t count, size_t size), (count, size))
ALLOCATE(__libc_realloc, (void *memory, size_t size), (memory, size))
ALLOCATE(__libc_memalign, (size_t alignment, size_t size), (alignment, size))
/* clang-format on */

void *mmap64(void *at, size_t size, int prot, int flags, int fd, __off64_t offset)
{
	static __typeof__(&mmap64) next;

	if (!next)
		next = NEXT(mmap64);
	if (fails(fd < 0 ? ALLOCATION : CALL, "mmap64"))
		return MAP_FAILED;
	return next(at, size, prot, flags, fd, offset);
}

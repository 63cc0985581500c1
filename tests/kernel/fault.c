// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into the daemon: lets the Nth call fail of those that ask the kernel for something by
 * name or by descriptor, bpf(2) among them. Who tests says which, in a file that both map:
 * FAULT_CONTROL names it. Not read(2): libfuse itself lives by it.
 */
/* Both names of each call are to be had here, not one for the other. */
#undef _FILE_OFFSET_BITS

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct control {
	uint32_t armed, error;
	uint64_t at, count;
	char name[48]; /* of the call that failed */
} *control;

static struct control nothing;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULT_CONTROL");
	long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	control = &nothing;
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (map != MAP_FAILED)
		control = map;
	close((int)fd);
}

static int fails(const char *name)
{
	if (!control || !__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE))
		return 0;
	if (__atomic_add_fetch(&control->count, 1, __ATOMIC_ACQ_REL) != control->at)
		return 0;
	snprintf(control->name, sizeof(control->name), "%s", name);
	errno = (int)control->error;
	return 1;
}

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long arg[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (!next)
		next = NEXT(syscall);
	if (number == SYS_bpf && fails("bpf"))
		return -1;
	if (number == SYS_openat2 && fails("openat2"))
		return -1;
	return next(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		mode_t mode;                                                                       \
		va_list args;                                                                      \
                                                                                                   \
		va_start(args, flags);                                                             \
		mode = mode_of(flags, args);                                                       \
		va_end(args);                                                                      \
		return fails(#name) ? -1 : NEXT(name)(path, flags, mode);                          \
	}
#define OPENAT(name)                                                                               \
	int name(int dir, const char *path, int flags, ...)                                        \
	{                                                                                          \
		mode_t mode;                                                                       \
		va_list args;                                                                      \
                                                                                                   \
		va_start(args, flags);                                                             \
		mode = mode_of(flags, args);                                                       \
		va_end(args);                                                                      \
		return fails(#name) ? -1 : NEXT(name)(dir, path, flags, mode);                     \
	}
#define CALL(type, failed, name, params, args)                                                     \
	type name params                                                                           \
	{                                                                                          \
		return fails(#name) ? (failed) : NEXT(name) args;                                  \
	}

/* clang-format off */
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
CALL(int, -1, fstat64, (int fd, struct stat64 *st), (fd, st))
CALL(int, -1, fstatat64, (int d, const char *p, struct stat64 *st, int f), (d, p, st, f))
CALL(int, -1, statx, (int d, const char *p, int f, unsigned int m, struct statx *st), (d, p, f, m, st))
CALL(int, -1, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
CALL(int, -1, unlinkat, (int d, const char *p, int f), (d, p, f))
CALL(int, -1, linkat, (int d, const char *p, int e, const char *q, int f), (d, p, e, q, f))
CALL(int, -1, symlinkat, (const char *t, int d, const char *p), (t, d, p))
CALL(int, -1, renameat2, (int d, const char *p, int e, const char *q, unsigned int f), (d, p, e, q, f))
CALL(ssize_t, -1, readlink, (const char *p, char *b, size_t n), (p, b, n))
CALL(ssize_t, -1, readlinkat, (int d, const char *p, char *b, size_t n), (d, p, b, n))
CALL(ssize_t, -1, getdents64, (int fd, void *b, size_t n), (fd, b, n))
CALL(ssize_t, -1, pread64, (int fd, void *b, size_t n, off64_t o), (fd, b, n, o))
CALL(DIR *, NULL, fdopendir, (int fd), (fd))
/* clang-format on */

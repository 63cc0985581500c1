// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The calls that enter the kernel, of all that the daemon and its libraries call (nm -D); not those
 * that cannot fail or whose failure nobody is to see (close, munmap, futex). Of read(2) and writev(2)
 * not libfuse's own: by those it talks to the kernel, and ends where they fail.
 */
/* Both names of each call are to be had here, not one for the other. */
#undef _FILE_OFFSET_BITS

#include "fault.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/*
 * FAULT_REFUSE names programs, each followed by a comma: they begin by reading a register that has no
 * value, so that the kernel's own verifier refuses them.
 */
static bool is_refused(const union bpf_attr *attr, long size)
{
	const char *names = getenv("FAULT_REFUSE");
	char name[sizeof(attr->prog_name) + 1];

	if (!names || size < (long)offsetof(union bpf_attr, prog_ifindex))
		return false;
	snprintf(name, sizeof(name), "%.*s,", (int)sizeof(attr->prog_name) - 1, attr->prog_name);
	return attr->prog_name[0] && strstr(names, name);
}

static long load_broken(long (*next)(long, ...), const union bpf_attr *attr, long size)
{
	static const struct bpf_insn broken = { .code = BPF_ALU64 | BPF_MOV | BPF_X,
						.dst_reg = BPF_REG_0,
						.src_reg = BPF_REG_9 };
	union bpf_attr copy = { 0 };
	struct bpf_insn *insns = calloc(attr->insn_cnt, sizeof(*insns));
	long fd;

	if (!insns)
		return -1;
	memcpy(&copy, attr, (size_t)size < sizeof(copy) ? (size_t)size : sizeof(copy));
	memcpy(insns, (const void *)(uintptr_t)attr->insns, attr->insn_cnt * sizeof(*insns));
	insns[0] = broken;
	copy.insns = (uintptr_t)insns;
	fd = next(SYS_bpf, (long)BPF_PROG_LOAD, (long)&copy, size);
	free(insns);
	return fd;
}

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	char name[24];
	long arg[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (!next)
		next = NEXT(syscall);
	/* GLib takes the scheduler's settings over into a pool's new thread, and ends the process if it may not. */
	if (number != SYS_futex && number != SYS_gettid && number != SYS_sched_setattr) {
		snprintf(name, sizeof(name), number == SYS_bpf ? "bpf" : "syscall %ld", number);
		if (fails(name))
			return -1;
	}
	if (number == SYS_bpf && arg[0] == BPF_PROG_LOAD &&
	    is_refused((const void *)arg[1], arg[2])) /* NOLINT(performance-no-int-to-ptr) */
		return load_broken(next, (const void *)arg[1],
				   arg[2]); /* NOLINT(performance-no-int-to-ptr) */
	return next(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPEN(name)                                                        \
	int name(const char *path, int flags, ...)                        \
	{                                                                 \
		mode_t mode;                                              \
		va_list args;                                             \
                                                                          \
		va_start(args, flags);                                    \
		mode = mode_of(flags, args);                              \
		va_end(args);                                             \
		return fails(#name) ? -1 : NEXT(name)(path, flags, mode); \
	}
#define OPENAT(name)                                                           \
	int name(int dir, const char *path, int flags, ...)                    \
	{                                                                      \
		mode_t mode;                                                   \
		va_list args;                                                  \
                                                                               \
		va_start(args, flags);                                         \
		mode = mode_of(flags, args);                                   \
		va_end(args);                                                  \
		return fails(#name) ? -1 : NEXT(name)(dir, path, flags, mode); \
	}
/* Of calls with one argument more, whatever it is. */
#define WITH_ARGUMENT(name, what)                                        \
	int name(int fd, what request, ...)                              \
	{                                                                \
		va_list args;                                            \
		void *arg;                                               \
                                                                         \
		va_start(args, request);                                 \
		arg = va_arg(args, void *);                              \
		va_end(args);                                            \
		return fails(#name) ? -1 : NEXT(name)(fd, request, arg); \
	}
/* NOLINTBEGIN(bugprone-macro-parentheses): parameters and arguments have their own */
#define CALL_(type, failed, name, params, args)                   \
	type name params                                          \
	{                                                         \
		return fails(#name) ? (failed) : NEXT(name) args; \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

/* clang-format off */
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
WITH_ARGUMENT(fcntl, int)
WITH_ARGUMENT(fcntl64, int)
WITH_ARGUMENT(ioctl, unsigned long)
CALL_(int, -1, access, (const char *p, int m), (p, m))
CALL_(int, -1, faccessat, (int d, const char *p, int m, int f), (d, p, m, f))
CALL_(int, -1, stat, (const char *p, struct stat *st), (p, st))
CALL_(int, -1, stat64, (const char *p, struct stat64 *st), (p, st))
CALL_(int, -1, lstat, (const char *p, struct stat *st), (p, st))
CALL_(int, -1, lstat64, (const char *p, struct stat64 *st), (p, st))
CALL_(int, -1, fstat, (int fd, struct stat *st), (fd, st))
CALL_(int, -1, fstat64, (int fd, struct stat64 *st), (fd, st))
CALL_(int, -1, fstatat, (int d, const char *p, struct stat *st, int f), (d, p, st, f))
CALL_(int, -1, fstatat64, (int d, const char *p, struct stat64 *st, int f), (d, p, st, f))
CALL_(int, -1, statx, (int d, const char *p, int f, unsigned int m, struct statx *st), (d, p, f, m, st))
CALL_(int, -1, statfs64, (const char *p, struct statfs64 *st), (p, st))
CALL_(int, -1, fstatfs, (int fd, struct statfs *st), (fd, st))
CALL_(int, -1, fstatfs64, (int fd, struct statfs64 *st), (fd, st))
CALL_(int, -1, fstatvfs64, (int fd, struct statvfs64 *st), (fd, st))
CALL_(int, -1, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
CALL_(int, -1, mknodat, (int d, const char *p, mode_t m, dev_t v), (d, p, m, v))
CALL_(int, -1, unlinkat, (int d, const char *p, int f), (d, p, f))
CALL_(int, -1, linkat, (int d, const char *p, int e, const char *q, int f), (d, p, e, q, f))
CALL_(int, -1, symlinkat, (const char *t, int d, const char *p), (t, d, p))
CALL_(int, -1, renameat2, (int d, const char *p, int e, const char *q, unsigned int f), (d, p, e, q, f))
CALL_(int, -1, chmod, (const char *p, mode_t m), (p, m))
CALL_(int, -1, fchownat, (int d, const char *p, uid_t u, gid_t g, int f), (d, p, u, g, f))
CALL_(int, -1, utimensat, (int d, const char *p, const struct timespec t[2], int f), (d, p, t, f))
CALL_(int, -1, truncate64, (const char *p, off64_t n), (p, n))
CALL_(int, -1, ftruncate64, (int fd, off64_t n), (fd, n))
CALL_(int, -1, fsync, (int fd), (fd))
CALL_(int, -1, fdatasync, (int fd), (fd))
CALL_(off64_t, -1, lseek64, (int fd, off64_t o, int w), (fd, o, w))
CALL_(ssize_t, -1, readlink, (const char *p, char *b, size_t n), (p, b, n))
CALL_(ssize_t, -1, readlinkat, (int d, const char *p, char *b, size_t n), (d, p, b, n))
CALL_(ssize_t, -1, getdents64, (int fd, void *b, size_t n), (fd, b, n))
CALL_(ssize_t, -1, pread64, (int fd, void *b, size_t n, off64_t o), (fd, b, n, o))
CALL_(ssize_t, -1, write, (int fd, const void *b, size_t n), (fd, b, n))
CALL_(DIR *, NULL, fdopendir, (int fd), (fd))
CALL_(DIR *, NULL, opendir, (const char *p), (p))
CALL_(struct dirent *, NULL, readdir, (DIR *d), (d))
CALL_(struct dirent64 *, NULL, readdir64, (DIR *d), (d))
CALL_(FILE *, NULL, fopen, (const char *p, const char *m), (p, m))
CALL_(FILE *, NULL, fopen64, (const char *p, const char *m), (p, m))
CALL_(FILE *, NULL, fdopen, (int fd, const char *m), (fd, m))
CALL_(int, -1, socket, (int f, int t, int p), (f, t, p))
CALL_(int, -1, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
CALL_(int, -1, setsockopt, (int fd, int l, int o, const void *v, socklen_t n), (fd, l, o, v, n))
CALL_(ssize_t, -1, send, (int fd, const void *b, size_t n, int f), (fd, b, n, f))
CALL_(ssize_t, -1, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))
CALL_(int, -1, poll, (struct pollfd *p, nfds_t n, int t), (p, n, t))
CALL_(int, -1, epoll_create1, (int f), (f))
CALL_(int, -1, epoll_ctl, (int e, int o, int fd, struct epoll_event *v), (e, o, fd, v))
CALL_(int, -1, epoll_wait, (int e, struct epoll_event *v, int n, int t), (e, v, n, t))
CALL_(int, -1, eventfd, (unsigned int n, int f), (n, f))
CALL_(int, -1, memfd_create, (const char *n, unsigned int f), (n, f))
CALL_(int, -1, pipe2, (int fd[2], int f), (fd, f))
CALL_(int, -1, dup2, (int fd, int n), (fd, n))
CALL_(int, -1, fsopen, (const char *n, unsigned int f), (n, f))
CALL_(int, -1, fsconfig, (int fd, unsigned int c, const char *k, const void *v, int a), (fd, c, k, v, a))
CALL_(int, -1, fsmount, (int fd, unsigned int f, unsigned int a), (fd, f, a))
CALL_(int, -1, unshare, (int f), (f))
CALL_(int, -1, setns, (int fd, int f), (fd, f))
CALL_(int, -1, uname, (struct utsname *u), (u))
/* These say who one was, whether it was changed or not. */
CALL_(int, NEXT(setfsuid)((uid_t)-1), setfsuid, (uid_t u), (u))
CALL_(int, NEXT(setfsgid)((gid_t)-1), setfsgid, (gid_t g), (g))
/* Says why itself, and only that. */
CALL_(int, EAGAIN, pthread_create, (pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *d), (t, a, run, d))
/* clang-format on */

ssize_t read(int fd, void *buf, size_t size)
{
	static ssize_t (*next)(int, void *, size_t);

	if (!next)
		next = NEXT(read);
	return !is_of_libfuse(__builtin_return_address(0)) && fails("read") ? -1
									    : next(fd, buf, size);
}

/* What the C library maps for its allocator is not seen here. */
void *mmap64(void *at, size_t size, int prot, int flags, int fd, off64_t offset)
{
	static __typeof__(&mmap64) next;

	if (!next)
		next = NEXT(mmap64);
	return fd >= 0 && fails("mmap64") ? MAP_FAILED : next(at, size, prot, flags, fd, offset);
}

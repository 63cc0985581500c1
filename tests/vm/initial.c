/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the container of service.sh: a library that is loaded into bpfrefs before others. bpfrefs runs
 * only in the initial pid namespace, and systemd is the first process of another one. With this,
 * /proc/self/ns/pid has the initial namespace's inode number, and bpfrefs starts. Pids in its answers
 * are then wrong, so that the container's cases do not look at them.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

/* PROC_PID_INIT_INO of include/linux/proc_ns.h */
#define INITIAL_PID_NS 0xEFFFFFFCu

static const char name[] = "self/ns/pid";

__attribute__((visibility("default"))) int fstatat64(int fd, const char *path, struct stat64 *st,
						     int flags)
{
	static int (*next)(int, const char *, struct stat64 *, int);
	size_t length = strlen(path);
	int ret;

	if (!next)
		next = (int (*)(int, const char *, struct stat64 *, int))(uintptr_t)dlsym(
			RTLD_NEXT, "fstatat64");
	ret = next(fd, path, st, flags);
	if (ret == 0 && length >= strlen(name) && strcmp(path + length - strlen(name), name) == 0)
		st->st_ino = INITIAL_PID_NS;
	return ret;
}

__attribute__((visibility("default"))) int stat64(const char *path, struct stat64 *st)
{
	return fstatat64(AT_FDCWD, path, st, 0);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into the daemon: makes calls to the kernel fail. The test chooses which, in a file that both
 * map. The place that a call is made from is identified by some return addresses on the stack: a function
 * that opens files for many callers is as many places.
 */
#include "fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Callers that distinguish one place from another, from the call on. */
#define DEPTH 6

static struct control *control;
static uintptr_t libfuse_start, libfuse_end;
static __thread bool busy;

static int find_libfuse(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	(void)data;
	if (!strstr(info->dlpi_name, "libfuse3"))
		return 0;
	libfuse_start = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t end =
			info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;

		libfuse_end = end > libfuse_end ? end : libfuse_end;
	}
	return 1;
}

bool is_of_libfuse(const void *return_address)
{
	uintptr_t at = (uintptr_t)return_address;

	return at >= libfuse_start && at < libfuse_end;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULT_CONTROL");
	long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	void *frames[4], *map;

	backtrace(frames, 4); /* the first time it loads a library */
	dl_iterate_phdr(find_libfuse, NULL);
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (map != MAP_FAILED)
		__atomic_store_n(&control, map, __ATOMIC_RELEASE);
	syscall(SYS_close, fd);
}

/*
 * libfuse's loop sleeps so: a signal (FAULT_SIGNAL) comes after it has looked, and before it sleeps. The
 * request with which all begins has been answered by then: that would wake it too.
 */
int sem_wait(sem_t *sem)
{
	static int (*next)(sem_t *);
	static bool sent;
	const char *number = getenv("FAULT_SIGNAL");

	if (!next)
		next = NEXT(sem_wait);
	if (number && !sent) {
		sent = true;
		usleep(300000);
		raise(atoi(number));
	}
	return next(sem);
}

static uint64_t site_of(const char *name)
{
	void *frames[2 + DEPTH];
	int count = backtrace(frames, 2 + DEPTH);
	uint64_t hash = 14695981039346656037u;

	for (int i = 2; i < count; i++)
		hash = (hash ^ (uintptr_t)frames[i]) * 1099511628211u;
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return hash ? hash : 1;
}

static void list(const char *name)
{
	uint64_t hash = site_of(name);

	for (uint64_t i = 0; i < SITES; i++) {
		struct site *site = &control->sites[(hash + i) % SITES];
		uint64_t none = 0;

		if (__atomic_compare_exchange_n(&site->hash, &none, hash, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			snprintf(site->name, sizeof(site->name), "%s", name);
		else if (none != hash)
			continue;
		__atomic_add_fetch(&site->count, 1, __ATOMIC_ACQ_REL);
		return;
	}
}

static bool is_chosen(const char *name)
{
	uint64_t number;

	if (control->how == PLACE && site_of(name) != control->site)
		return false;
	number = __atomic_add_fetch(&control->count, 1, __ATOMIC_ACQ_REL);
	if (control->how == LIST)
		list(name);
	return (control->how == NTH || control->how == PLACE) && number == control->at;
}

bool fails(const char *name)
{
	int saved = errno;
	bool chosen;

	if (!control || busy || !__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE))
		return false;
	busy = true;
	chosen = is_chosen(name);
	if (chosen && __atomic_add_fetch(&control->failed, 1, __ATOMIC_ACQ_REL) == 1)
		snprintf(control->name, sizeof(control->name), "%s", name);
	busy = false;
	errno = chosen ? (int)control->error : saved;
	return chosen;
}

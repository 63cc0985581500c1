// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Times single actions, one a line of standard input, and answers each with a line `WALL CPU COUNT`:
 * nanoseconds, nanoseconds of this process's own, and how much was seen.
 *
 *   walk         the bare walk of all descriptor tables; COUNT: descriptors of BPF objects
 *   iterate      the bare iterators over maps, programs and links; COUNT: objects
 *   seen         nothing; COUNT: open descriptors of any kind that the last walk saw
 *   read N PATH  opens, reads to the end and closes PATH, N times; COUNT: bytes of one reading
 *
 * The actions of bpfrefs and those that bound it are timed by one process this way, in turn.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bound.h"
/* see kernel/skeleton.h */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-align"
#include "bound.skel.h"
#pragma GCC diagnostic pop

static char buffer[1 << 20];

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* ------------------------------------------------------------ the bounds --- */

static void probe(struct bound *skeleton, unsigned int kind, int fd)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skeleton->bss->bound.probe_fd = (unsigned int)fd;
	if (fd < 0 || bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.bound_probe), &opts))
		die("probing how the kernel marks files of BPF objects");
	skeleton->bss->bound.release[kind] = skeleton->bss->bound.probed;
}

static unsigned int type_of_file(void)
{
	struct btf *vmlinux = btf__load_vmlinux_btf();
	int type = vmlinux ? btf__find_by_name_kind(vmlinux, "file", BTF_KIND_STRUCT) : 0;

	btf__free(vmlinux);
	return type > 0 ? (unsigned int)type : 0;
}

static struct bound *bound_new(void)
{
	struct bound *skeleton = bound__open();

	if (!skeleton)
		die("the bare walks");
	skeleton->rodata->file_type = type_of_file();
	if (bound__load(skeleton) || bound__attach(skeleton))
		die("the bare walks");
	probe(skeleton, 0, bpf_map__fd(skeleton->maps.records));
	probe(skeleton, 1, bpf_program__fd(skeleton->progs.bound_maps));
	probe(skeleton, 2, bpf_link__fd(skeleton->links.bound_maps));
	probe(skeleton, 3, bpf_object__btf_fd(skeleton->obj));
	return skeleton;
}

static void run_iterator(const struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));
	ssize_t n;
	char byte;

	if (fd < 0)
		die("an iterator");
	do
		n = read(fd, &byte, 1);
	while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	if (n < 0)
		die("reading an iterator");
	close(fd);
}

static unsigned long walk(struct bound *skeleton)
{
	skeleton->bss->bound.found = skeleton->bss->bound.seen = 0;
	run_iterator(skeleton->links.bound_tasks);
	return skeleton->bss->bound.found;
}

static unsigned long iterate(struct bound *skeleton)
{
	skeleton->bss->bound.found = 0;
	run_iterator(skeleton->links.bound_maps);
	run_iterator(skeleton->links.bound_progs);
	run_iterator(skeleton->links.bound_links);
	return skeleton->bss->bound.found;
}

/* --------------------------------------------------------------- reading --- */

/* As cat does it: open, read to the end, close. */
static unsigned long read_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	unsigned long bytes = 0;
	ssize_t n;

	if (fd < 0)
		die(path);
	while ((n = read(fd, buffer, 128 * 1024)) > 0)
		bytes += (unsigned long)n;
	if (n < 0)
		die(path);
	close(fd);
	return bytes;
}

static unsigned long act(struct bound *skeleton, const char *line)
{
	unsigned long count, times, result = 0;
	char path[4096];

	if (sscanf(line, "walk %lu", &times) == 1) {
		for (count = 0; count < times; count++)
			result = walk(skeleton);
		return result;
	}
	if (strcmp(line, "seen") == 0)
		return skeleton->bss->bound.seen;
	if (strcmp(line, "iterate") == 0)
		return iterate(skeleton);
	if (sscanf(line, "read %lu %4095[^\n]", &times, path) == 2) {
		for (count = 0; count < times; count++)
			result = read_file(path);
		return result;
	}
	fprintf(stderr, "measure: what is %s?\n", line);
	exit(2);
}

int main(void)
{
	struct rlimit memory = { RLIM_INFINITY, RLIM_INFINITY };
	struct bound *skeleton;
	char line[4200];

	setrlimit(RLIMIT_MEMLOCK, &memory);
	skeleton = bound_new();
	while (fgets(line, sizeof(line), stdin)) {
		long long wall, cpu;
		unsigned long count;

		line[strcspn(line, "\n")] = '\0';
		wall = now(CLOCK_MONOTONIC);
		cpu = now(CLOCK_PROCESS_CPUTIME_ID);
		count = act(skeleton, line);
		cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		wall = now(CLOCK_MONOTONIC) - wall;
		printf("%lld %lld %lu\n", wall, cpu, count);
		fflush(stdout);
	}
	bound__destroy(skeleton);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes very many holders of one object, more than one buffer of a walk has room for, prints its key,
 * and waits for its standard input to end: `mkobj many fds N`, `slots N`, `inner N`,
 * `pins N DIRECTORY`, `links N DIRECTORY`. Or very many objects, held by one: `maps N`.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mkobj.h"

static int prog_new(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "many", "GPL", insns, 2, NULL);
}

static int map_new(unsigned int type, unsigned int key_size, unsigned int count, int inner)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = inner < 0 ? 0 : (__u32)inner);

	return bpf_map_create(type, "many", key_size, 4, count, &opts);
}

static int make_fds(unsigned int count, const char *unused)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 4, 1, -1);
	struct rlimit limit;

	(void)unused;
	/* as far as the hard limit lets us: raising that takes CAP_SYS_RESOURCE */
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -errno;
	for (unsigned int i = 1; fd >= 0 && i < count; i++)
		if (dup(fd) < 0)
			return -errno;
	return fd;
}

/* Every second slot, so that the filled ones do not lie side by side. */
static int make_slots(unsigned int count, const char *unused)
{
	int prog = prog_new(), map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, count * 2, -1);

	(void)unused;
	for (unsigned int i = 0; map >= 0 && i < count; i++) {
		unsigned int key = i * 2 + 1;

		if (bpf_map_update_elem(map, &key, &prog, BPF_ANY) != 0)
			return -errno;
	}
	return prog;
}

/* Long keys fill a buffer with few of them: each update waits for a grace period. */
static int make_inner(unsigned int count, const char *unused)
{
	int inner = map_new(BPF_MAP_TYPE_ARRAY, 4, 1, -1);
	char key[256] = { 0 };
	int map = map_new(BPF_MAP_TYPE_HASH_OF_MAPS, sizeof(key), count, inner);

	(void)unused;
	for (unsigned int i = 0; map >= 0 && i < count; i++) {
		memcpy(key, &i, sizeof(i));
		if (bpf_map_update_elem(map, key, &inner, BPF_ANY) != 0)
			return -errno;
	}
	return inner;
}

static int make_pins(unsigned int count, const char *directory)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 4, 1, -1);
	char path[4096];

	for (unsigned int i = 0; fd >= 0 && i < count; i++) {
		snprintf(path, sizeof(path), "%s/a-name-of-some-length-%u", directory, i);
		if (bpf_obj_pin(fd, path) != 0)
			return -errno;
	}
	return fd;
}

/* One pin of very many names. */
static int make_links(unsigned int count, const char *directory)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 4, 1, -1);
	char first[4096], path[4096];

	snprintf(first, sizeof(first), "%s/a-name-of-some-length-0", directory);
	if (fd >= 0 && bpf_obj_pin(fd, first) != 0)
		return -errno;
	for (unsigned int i = 1; fd >= 0 && i < count; i++) {
		snprintf(path, sizeof(path), "%s/a-name-of-some-length-%u", directory, i);
		if (link(first, path) != 0)
			return -errno;
	}
	return fd;
}

/* So many maps, each of which nothing but a slot holds; the map with the slots. */
static int make_maps(unsigned int count, const char *unused)
{
	enum { BATCH = 1000 };
	int inner = map_new(BPF_MAP_TYPE_ARRAY, 4, 1, -1);
	int map = map_new(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, count, inner);

	(void)unused;
	for (unsigned int done = 0; map >= 0 && done < count;) {
		unsigned int keys[BATCH];
		int maps[BATCH];
		__u32 batch = 0;

		/* in batches: each update waits for a grace period */
		for (; batch < BATCH && done + batch < count; batch++) {
			keys[batch] = done + batch;
			maps[batch] = map_new(BPF_MAP_TYPE_ARRAY, 4, 1, -1);
			if (maps[batch] < 0)
				return -errno;
		}
		done += batch;
		if (bpf_map_update_batch(map, keys, maps, &batch, NULL) != 0)
			return -errno;
		for (__u32 i = 0; i < batch; i++)
			close(maps[i]);
	}
	return map;
}

int many_run(char **args)
{
	static const struct {
		const char *name;
		int (*make)(unsigned int count, const char *directory);
	} kinds[] = {
		{ "fds", make_fds },   { "slots", make_slots }, { "inner", make_inner },
		{ "maps", make_maps }, { "pins", make_pins },	{ "links", make_links },
	};
	unsigned int count = (unsigned int)strtoul(args[1], NULL, 10);
	struct rlimit memory = { RLIM_INFINITY, RLIM_INFINITY };
	char byte, key[KEY_ROOM];
	int fd = -EINVAL;

	setrlimit(RLIMIT_MEMLOCK, &memory);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(args[0], kinds[i].name) == 0)
			fd = kinds[i].make(count, args[2]);
	if (fd < 0)
		return fd;
	puts(key_of(fd, key));
	return read(STDIN_FILENO, &byte, 1) < 0 ? -errno : 0;
}

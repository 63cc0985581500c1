// SPDX-License-Identifier: GPL-2.0-or-later
/* The commands of mkobj that put objects into others: entries, attachments, callbacks in values. */
#include "mkobj.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RING_SIZE = 64 };

/* Newer than our headers' floor. */
enum { MAP_FLAG_LINK = 1 << 13, ATTACH_STRUCT_OPS = 44 };

/*
 * entry MAP KEY NUMBER PROG [count=]: struct bpf_devmap_val (an ifindex) or bpf_cpumap_val (a queue's
 * size), at that key and those after it
 */
static int cmd_entry(char **args)
{
	uint32_t key = (uint32_t)strtoul(args[1], NULL, 0);
	uint32_t value[2] = { (uint32_t)strtoul(args[2], NULL, 0), (uint32_t)var_get(args[3]) };
	uint32_t end = key + option_num(args, "count", 1);
	int error = 0;

	for (; !error && key < end; key++)
		error = bpf_map_update_elem(var_get(args[0]), &key, value, BPF_ANY);
	return error;
}

/* attach PROG MAP TYPE */
static int cmd_attach(char **args)
{
	return bpf_prog_attach(var_get(args[0]), var_get(args[1]), attach_type(args[2]), 0);
}

/* unattach PROG MAP TYPE */
static int cmd_unattach(char **args)
{
	return bpf_prog_detach2(var_get(args[0]), var_get(args[1]), attach_type(args[2]));
}

/*
 * mkobj cgroup attach|detach PROG_ID CGROUP TYPE FLAGS: without a link. TYPE in libbpf's words
 * ("cgroup_inet_ingress"), FLAGS a number.
 */
int cgroup_run(char **args)
{
	int prog = bpf_prog_get_fd_by_id((unsigned int)strtoul(args[1], NULL, 10));
	int cgroup = open(args[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC), type = attach_type(args[3]);

	if (type < 0 || prog < 0 || cgroup < 0)
		return errno ? -errno : -EINVAL;
	if (strcmp(args[0], "attach") == 0)
		return bpf_prog_attach(prog, cgroup, (enum bpf_attach_type)type,
				       (unsigned int)strtoul(args[4], NULL, 0));
	return bpf_prog_detach2(prog, cgroup, (enum bpf_attach_type)type);
}

/* xsk VAR MAP INDEX: a new AF_XDP socket with a ring, in that slot of an xskmap */
static int cmd_xsk(char **args)
{
	uint32_t index = (uint32_t)strtoul(args[2], NULL, 0);
	int size = RING_SIZE, error = 0;
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_XDP, XDP_RX_RING, &size, sizeof(size)) < 0)
		error = -errno;
	if (!error)
		error = bpf_map_update_elem(var_get(args[1]), &index, &fd, BPF_ANY);
	if (error) {
		close(fd);
		return error;
	}
	return var_set(args[0], fd);
}

/*
 * xdp_btf VAR: a function, at the place of btf's, that has the argument which a program that can be
 * replaced must have
 */
static int cmd_xdp_btf(char **args)
{
	struct btf *btf = btf__new_empty();
	int error, fd;

	if (!btf)
		return -errno;
	error = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	if (error > 0)
		error = btf__add_func_proto(btf, 1);
	if (error > 0)
		error = btf__add_func_param(btf, "ctx", 4);
	if (error >= 0)
		error = btf__add_func(btf, "entry", BTF_FUNC_GLOBAL, 2);
	if (error > 0)
		error = btf__add_ptr(btf, 5);
	if (error > 0)
		error = btf__add_struct(btf, "xdp_md", 4);
	if (error > 0)
		error = btf__add_field(btf, "data", 1, 0, 0);
	if (error >= 0)
		error = btf__load_into_kernel(btf);
	fd = error < 0 ? error : fcntl(btf__fd(btf), F_DUPFD_CLOEXEC, 3);
	btf__free(btf);
	return var_set(args[0], fd);
}

/* freplace VAR PROG: a link to the program that it was loaded for */
static int cmd_freplace(char **args)
{
	return var_set(args[0],
		       bpf_link_create(var_get(args[1]), 0, (enum bpf_attach_type)0, NULL));
}

static void *ring;

/* ring XSK: maps the socket's ring; unring: ends that */
static int cmd_ring(char **args)
{
	void *at = mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED,
			var_get(args[0]), XDP_PGOFF_RX_RING);

	if (at == MAP_FAILED)
		return -errno;
	ring = at;
	return 0;
}

static int cmd_unring(char **args)
{
	(void)args;
	return munmap(ring, (size_t)getpagesize()) < 0 ? -errno : 0;
}

static struct bpf_object *loaded;

static int cmd_unload(char **args)
{
	(void)args;
	bpf_object__close(loaded);
	loaded = NULL;
	return 0;
}

static bool among(char **names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* load FILE NAME... [flags=]: those maps, with these flags, and programs of a file, until unload */
static int cmd_load(char **args)
{
	struct bpf_program *program;
	struct bpf_map *map;
	int error;

	cmd_unload(NULL);
	loaded = bpf_object__open_file(args[0], NULL);
	if (!loaded)
		return -errno;
	bpf_object__for_each_program(program, loaded)
		bpf_program__set_autoload(program, among(args + 1, bpf_program__name(program)));
	bpf_object__for_each_map(map, loaded)
	{
		bpf_map__set_autocreate(map, among(args + 1, bpf_map__name(map)));
		bpf_map__set_map_flags(map, option_num(args, "flags", bpf_map__map_flags(map)));
	}
	error = bpf_object__load(loaded);
	if (error)
		cmd_unload(NULL);
	return error;
}

/* take VAR NAME: a map or program of what is loaded */
static int cmd_take(char **args)
{
	struct bpf_program *program;
	struct bpf_map *map;
	int fd;

	if (!loaded)
		return -ENOENT;
	program = bpf_object__find_program_by_name(loaded, args[1]);
	map = bpf_object__find_map_by_name(loaded, args[1]);
	fd = map ? bpf_map__fd(map) : program ? bpf_program__fd(program) : -1;
	return fd < 0 ? -ENOENT : var_set(args[0], fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

/*
 * register VAR NAME: a struct_ops map of what is loaded, which stays so when all descriptors go; with
 * flag BPF_F_LINK as long as the link VAR
 */
static int cmd_register(char **args)
{
	struct bpf_map *map = loaded ? bpf_object__find_map_by_name(loaded, args[1]) : NULL;
	struct bpf_link *link = map ? bpf_map__attach_struct_ops(map) : NULL;
	int fd;

	if (!link)
		return map ? -errno : -ENOENT;
	if (!(bpf_map__map_flags(map) & MAP_FLAG_LINK)) {
		bpf_link__disconnect(link);
		bpf_link__destroy(link);
		return 0;
	}
	if (libbpf_major_version() > 1 || libbpf_minor_version() > 1) {
		fd = fcntl(bpf_link__fd(link), F_DUPFD_CLOEXEC, 3);
	} else { /* which does not know of such links */
		fd = bpf_link_create(bpf_map__fd(map), 0, (enum bpf_attach_type)ATTACH_STRUCT_OPS,
				     NULL);
		bpf_link__disconnect(link);
	}
	bpf_link__destroy(link);
	return var_set(args[0], fd);
}

const struct cmd object_cmds[] = {
	/* clang-format off */
	{ "entry",    4, cmd_entry },
	{ "attach",   3, cmd_attach },
	{ "unattach", 3, cmd_unattach },
	{ "xsk",      3, cmd_xsk },
	{ "xdp_btf",  1, cmd_xdp_btf },
	{ "freplace", 2, cmd_freplace },
	{ "ring",     1, cmd_ring },
	{ "unring",   0, cmd_unring },
	{ "load",     2, cmd_load },
	{ "unload",   0, cmd_unload },
	{ "take",     2, cmd_take },
	{ "register", 2, cmd_register },
	{ NULL,       0, NULL },
	/* clang-format on */
};

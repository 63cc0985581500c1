/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that makes and holds what keep-random's graphs are made of. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keep-random.h"

struct maker {
	int dir_fd;
	const char *dir;
	int array[ARRAYS], prog[PROGS], socket[PROGS];
};

static int load_prog(const struct maker *maker, const bool *uses)
{
	struct bpf_insn insns[2 * ARRAYS + 2];
	int n = 0;

	for (int a = 0; a < ARRAYS; a++) {
		if (!uses[a])
			continue;
		insns[n++] = (struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
						.dst_reg = BPF_REG_1,
						.src_reg = BPF_PSEUDO_MAP_FD,
						.imm = maker->array[a] };
		insns[n++] = (struct bpf_insn){ 0 };
	}
	insns[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	insns[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "random", "GPL", insns, (size_t)n, NULL);
}

static int pin(const struct maker *maker, int fd, char kind, int index)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%c%d", maker->dir, kind, index);
	return bpf_obj_pin(fd, path);
}

static int attach_socket(int *fd, int prog)
{
	*fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	return setsockopt(*fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) ? -errno : 0;
}

static int build_progs(struct maker *maker, const struct graph *graph, struct reply *reply)
{
	for (int p = 0; p < PROGS; p++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);
		int err = 0, fd = load_prog(maker, graph->uses[p]);

		if (fd < 0)
			return fd;
		maker->prog[p] = fd;
		if (graph->roots.prog_pin[p])
			err = pin(maker, fd, 'p', p);
		if (!err && graph->roots.prog_socket[p])
			err = attach_socket(&maker->socket[p], fd);
		if (!err)
			err = bpf_obj_get_info_by_fd(fd, &info, &len);
		if (err)
			return err;
		reply->prog_id[p] = info.id;
	}
	return 0;
}

static int build(struct maker *maker, const struct graph *graph, struct reply *reply)
{
	int err;

	for (int a = 0; a < ARRAYS; a++) {
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);
		int fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "random", 4, 4, SLOTS, NULL);

		if (fd < 0)
			return fd;
		maker->array[a] = fd;
		err = graph->roots.array_pin[a] ? pin(maker, fd, 'a', a) : 0;
		if (!err)
			err = bpf_obj_get_info_by_fd(fd, &info, &len);
		if (err)
			return err;
		reply->array_id[a] = info.id;
	}
	err = build_progs(maker, graph, reply);
	for (uint32_t a = 0; !err && a < ARRAYS; a++)
		for (uint32_t s = 0; !err && s < SLOTS; s++)
			if (graph->slots[a][s] >= 0)
				err = bpf_map_update_elem(maker->array[a], &s,
							  &maker->prog[graph->slots[a][s]],
							  BPF_ANY);
	return err;
}

static void drop_fd(int *fd, bool stays)
{
	if (stays || *fd < 0)
		return;
	close(*fd);
	*fd = -1;
}

static void drop_pin(const struct maker *maker, char kind, int index, bool stays)
{
	char name[16];

	snprintf(name, sizeof(name), "%c%d", kind, index);
	if (!stays)
		unlinkat(maker->dir_fd, name, 0);
}

static void drop(struct maker *maker, const struct roots *roots)
{
	for (int p = 0; p < PROGS; p++) {
		drop_fd(&maker->prog[p], roots->prog_fd[p]);
		drop_fd(&maker->socket[p], roots->prog_socket[p]);
		drop_pin(maker, 'p', p, roots->prog_pin[p]);
	}
	for (int a = 0; a < ARRAYS; a++) {
		drop_fd(&maker->array[a], roots->array_fd[a]);
		drop_pin(maker, 'a', a, roots->array_pin[a]);
	}
}

int maker_run(int socket_fd, const char *dir, int dir_fd)
{
	static const struct roots none;
	struct maker maker = { .dir = dir, .dir_fd = dir_fd };
	struct request request;

	memset(maker.array, -1, sizeof(maker.array));
	memset(maker.prog, -1, sizeof(maker.prog));
	memset(maker.socket, -1, sizeof(maker.socket));
	while (read(socket_fd, &request, sizeof(request)) == sizeof(request)) {
		struct reply reply = { 0 };

		if (request.op == BUILD)
			reply.error = build(&maker, &request.graph, &reply);
		else
			drop(&maker, request.op == DROP ? &request.graph.roots : &none);
		if (write(socket_fd, &reply, sizeof(reply)) != sizeof(reply))
			return 1;
		if (request.op == END)
			return 0;
	}
	return 1;
}

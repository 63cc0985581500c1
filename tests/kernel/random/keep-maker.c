/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that makes and holds the objects of the graphs. */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keep.h"

struct maker {
	int dir_fd;
	const char *dir;
	int array[ARRAYS], prog[PROGS], socket[PROGS];
};

static int pin(const struct maker *maker, int fd, char kind, int index)
{
	char name[16];

	snprintf(name, sizeof(name), "%c%d", kind, index);
	return graph_pin(maker->dir, name, fd);
}

static int build_progs(struct maker *maker, const struct graph *graph, struct reply *reply)
{
	for (int p = 0; p < PROGS; p++) {
		int err = 0, fd = graph_prog(maker->array, graph->uses[p]);

		if (fd < 0)
			return fd;
		maker->prog[p] = fd;
		if (graph->roots.prog_pin[p])
			err = pin(maker, fd, 'p', p);
		if (!err && graph->roots.prog_socket[p]) {
			maker->socket[p] = graph_socket(fd);
			err = maker->socket[p] < 0 ? maker->socket[p] : 0;
		}
		if (!err)
			err = graph_id(fd, false, &reply->prog_id[p]);
		if (err)
			return err;
	}
	return 0;
}

static int build(struct maker *maker, const struct graph *graph, struct reply *reply)
{
	int err;

	for (int a = 0; a < ARRAYS; a++) {
		int fd = graph_array();

		if (fd < 0)
			return fd;
		maker->array[a] = fd;
		err = graph->roots.array_pin[a] ? pin(maker, fd, 'a', a) : 0;
		if (!err)
			err = graph_id(fd, true, &reply->array_id[a]);
		if (err)
			return err;
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

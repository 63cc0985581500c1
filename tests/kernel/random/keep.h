/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the three parts of the tester "keep" share: the graph, its model, the process that makes it. */
#ifndef KEEP_H
#define KEEP_H

#include "graphs.h"

struct roots {
	bool array_fd[ARRAYS], array_pin[ARRAYS];
	bool prog_fd[PROGS], prog_pin[PROGS], prog_socket[PROGS];
};

struct graph {
	bool uses[PROGS][ARRAYS];
	int slots[ARRAYS][SLOTS]; /* a program's index or -1 */
	struct roots roots;
};

struct model {
	struct graph graph;
	bool kept[ARRAYS];
	bool array_freed[ARRAYS], prog_freed[PROGS];
	uint32_t array_id[ARRAYS], prog_id[PROGS];
};

enum op { BUILD, DROP, END };

struct request {
	enum op op;
	struct graph graph;
};

struct reply {
	int error;
	uint32_t array_id[ARRAYS], prog_id[PROGS];
};

/* The nodes of the graph of bpfrefs(5): of each array two, then the programs. */
enum { OBJECT = 0, USER = ARRAYS, PROG = 2 * ARRAYS, NODES = 2 * ARRAYS + PROGS };

/* Counts references as the kernel does until nothing is freed or cleared any more. */
void model_count(struct model *model);
/* What a root leads to. */
void model_reach(const struct model *model, bool reached[NODES]);

/*
 * The process that holds the graph's things: does what requests on @socket_fd say, pins in @dir.
 * Returns at END, or when the other end closes, so also if the test dies.
 */
int maker_run(int socket_fd, const char *dir, int dir_fd);

#endif

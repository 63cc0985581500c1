/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the testers of graphs share: arrays and programs that hold each other, on a bpffs of their own. */
#ifndef GRAPHS_H
#define GRAPHS_H

#include <stddef.h>

#include "bpfrefs.h"
#include "random.h"

enum { ARRAYS = 4, PROGS = 6, OBJECTS = ARRAYS + PROGS, SLOTS = 3 };

/* What passes while the kernel's deferred frees run, and while other processes hold an object. */
enum { PATIENCE_MS = 10000, STEP_MS = 5 };

struct lab {
	char dir[32]; /* a bpffs in a mount namespace of our own, which ends with this process */
	int dir_fd;
	struct bpfrefs_ctx *ctx;
	bool disturbed; /* by another process of this machine, which holds what is ours */
};

enum outcome lab_mount(struct run *run, struct lab *lab);
/* The library's context; skips where the BPF programs cannot be loaded. */
enum outcome lab_open(struct run *run, struct lab *lab);
/* What a disturbance makes of a wrong outcome. Closes and unmounts. */
enum outcome lab_close(struct run *run, struct lab *lab, enum outcome outcome);
void lab_wait_step(void);

/* A descriptor, or -errno. The program uses those of the @arrays for which @uses is true. */
int graph_prog(const int arrays[ARRAYS], const bool uses[ARRAYS]);
int graph_array(void);
/* 0 or -errno. */
int graph_id(int fd, bool is_map, uint32_t *id);
/* A socket that holds the program, or -errno. */
int graph_socket(int prog);
/* Pins as @name in the bpffs. 0 or -errno. */
int graph_pin(const char *dir, const char *name, int fd);

/* Prints a reference to an object. */
void print_holder(const struct bpfrefs_ref *ref);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the load generator share. */
#ifndef LOAD_H
#define LOAD_H

#include <sys/types.h>

struct size {
	/* objects, and processes that hold some of them */
	unsigned int maps, progs, links, pins, processes, fds;
	/* what else a node of a cluster has (node.c) */
	unsigned int pods, mounts, cgroups, sockets, mappers, mappings, agent, churn;
	unsigned int pause; /* microseconds between two changes of a mapper */
	char cgroup[256];   /* a directory of cgroup v2, in which the cgroups are made */
};

struct load {
	struct size size;
	int *maps, *progs;
	unsigned int *map_ids, *prog_ids;
	pid_t *pids, *node_pids;
	unsigned int node_count; /* processes in node_pids */
};

/* Prints what failed, with errno, and exits. The other processes end with this one (PDEATHSIG). */
__attribute__((noreturn)) void load_die(const char *what);

/* How many processes node_make() starts. */
unsigned int node_processes(const struct size *size);

/* Makes the pods, cgroups and processes of a node. @directory: in a bpffs. Every process writes a
 * byte to @ready once it has made what it is for. */
void node_make(struct load *load, const char *directory, int ready);

/* Removes the cgroups. All processes have ended. */
void node_remove(const struct load *load);

#endif

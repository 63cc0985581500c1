/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Graphs of arrays and programs that churn.c's loaders make (churn-graph.c). */
#ifndef CHURN_H
#define CHURN_H

#include <stdint.h>

enum graph {
	PLAIN, /* the entry program jumps through an array of two leaves */
	SELF,  /* one of the leaves uses the array itself */
	RING,  /* two arrays whose slots' programs use each other's */
	GRAPHS,
};

struct made {
	uint32_t array_id[2], entry_id; /* 0: none */
	int entry_fd;
};

/* 0 or -errno. The entry program is loaded last. What is made is open in this process. */
int graph_make(enum graph graph, struct made *made);
/* Do the entry program's tail calls reach what they should? 1 or 0, or -errno. */
int graph_works(int entry_fd);

#endif

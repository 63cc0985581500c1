/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a selection whose items are objects that marks in the graph have reached, or have not. */
#ifndef BPFREFS_ANSWER_H
#define BPFREFS_ANSWER_H

#include "graph/graph.h"
#include "snapshot/select.h"

struct graph_answer {
	struct graph *graph;
	struct mark *mark, *before; /* @before: what the exit of processes is compared with */
	union {
		struct bpfrefs_retained retained;
		struct bpfrefs_unused unused;
	} item; /* the last one that was returned */
};

/* Sets the state. There is no memory for it if @mark is NULL. */
static inline struct graph_answer *answer_new(struct bpfrefs_selection *selection)
{
	struct graph_answer *answer = selection->state = g_new0(struct graph_answer, 1);

	answer->graph = graph_new(selection->snap);
	answer->mark = mark_new(answer->graph);
	return answer;
}

static inline void answer_free(void *state)
{
	struct graph_answer *answer = state;

	mark_free(answer->mark);
	mark_free(answer->before);
	graph_free(answer->graph);
	g_free(answer);
}

#endif

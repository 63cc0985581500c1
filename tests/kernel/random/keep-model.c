/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which objects must be kept, and which freed, by two rules that have to agree. */
#include "keep.h"

/* True if the array was cleared or freed. */
static bool count_array(struct model *model, int a)
{
	struct graph *graph = &model->graph;
	int user = graph->roots.array_fd[a] + graph->roots.array_pin[a] + model->kept[a];
	bool was_freed = model->array_freed[a], changed = false;
	int ref = user;

	for (int s = 0; user == 0 && s < SLOTS; s++) {
		changed |= graph->slots[a][s] >= 0;
		graph->slots[a][s] = -1;
	}
	for (int p = 0; p < PROGS; p++)
		ref += !model->prog_freed[p] && graph->uses[p][a];
	model->array_freed[a] = ref == 0;
	return changed || model->array_freed[a] != was_freed;
}

/* True if the program was freed. */
static bool count_prog(struct model *model, int p)
{
	const struct graph *graph = &model->graph;
	const struct roots *roots = &graph->roots;
	bool was_freed = model->prog_freed[p];
	int ref = roots->prog_fd[p] + roots->prog_pin[p] + roots->prog_socket[p];

	for (int a = 0; a < ARRAYS; a++)
		for (int s = 0; s < SLOTS; s++)
			ref += graph->slots[a][s] == p;
	model->prog_freed[p] = ref == 0;
	return model->prog_freed[p] != was_freed;
}

void model_count(struct model *model)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (int a = 0; a < ARRAYS; a++)
			changed |= count_array(model, a);
		for (int p = 0; p < PROGS; p++)
			changed |= count_prog(model, p);
	}
}

static void edges(const struct model *model, bool leads[NODES][NODES])
{
	for (int a = 0; a < ARRAYS; a++) {
		leads[USER + a][OBJECT + a] = true;
		leads[OBJECT + a][USER + a] = model->kept[a];
		for (int s = 0; s < SLOTS; s++)
			if (model->graph.slots[a][s] >= 0)
				leads[USER + a][PROG + model->graph.slots[a][s]] = true;
		for (int p = 0; p < PROGS; p++)
			leads[PROG + p][OBJECT + a] = model->graph.uses[p][a];
	}
}

/* By Warshall's closure. */
void model_reach(const struct model *model, bool reached[NODES])
{
	const struct roots *roots = &model->graph.roots;
	bool leads[NODES][NODES] = { 0 };
	bool root[NODES] = { 0 };

	edges(model, leads);
	for (int a = 0; a < ARRAYS; a++)
		root[USER + a] = roots->array_fd[a] || roots->array_pin[a];
	for (int p = 0; p < PROGS; p++)
		root[PROG + p] = roots->prog_fd[p] || roots->prog_pin[p] || roots->prog_socket[p];
	for (int k = 0; k < NODES; k++)
		for (int i = 0; i < NODES; i++)
			for (int j = 0; j < NODES; j++)
				leads[i][j] |= leads[i][k] && leads[k][j];
	for (int i = 0; i < NODES; i++) {
		reached[i] = root[i];
		for (int j = 0; j < NODES; j++)
			reached[i] |= root[j] && leads[j][i];
	}
}

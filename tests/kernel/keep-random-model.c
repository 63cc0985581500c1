/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must be kept, and what must be gone, by two rules that have to agree. */
#include "keep-random.h"

void model_count(struct model *model)
{
	struct graph *graph = &model->graph;
	bool changed = true;

	while (changed) {
		changed = false;
		for (int a = 0; a < ARRAYS; a++) {
			int user = graph->roots.array_fd[a] + graph->roots.array_pin[a] +
				   model->kept[a];
			int ref = user;

			for (int s = 0; user == 0 && s < SLOTS; s++) {
				changed |= graph->slots[a][s] >= 0;
				graph->slots[a][s] = -1;
			}
			for (int p = 0; p < PROGS; p++)
				ref += !model->prog_gone[p] && graph->uses[p][a];
			changed |= ref == 0 && !model->array_gone[a];
			model->array_gone[a] = ref == 0;
		}
		for (int p = 0; p < PROGS; p++) {
			int ref = graph->roots.prog_fd[p] + graph->roots.prog_pin[p] +
				  graph->roots.prog_socket[p];

			for (int a = 0; a < ARRAYS; a++)
				for (int s = 0; s < SLOTS; s++)
					ref += graph->slots[a][s] == p;
			changed |= ref == 0 && !model->prog_gone[p];
			model->prog_gone[p] = ref == 0;
		}
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

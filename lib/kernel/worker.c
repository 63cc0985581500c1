/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/worker.h"

#include <sched.h>

/*
 * The scheduler mostly puts a new thread on the processor of its parent. Each then waits some
 * milliseconds for the other, as long as the whole work takes.
 */
static void avoid_this_cpu(pthread_attr_t *attributes)
{
	int here = sched_getcpu();
	cpu_set_t processors;

	if (here < 0 || here >= CPU_SETSIZE ||
	    sched_getaffinity(0, sizeof(processors), &processors) != 0)
		return;
	CPU_CLR((size_t)here, &processors);
	if (CPU_COUNT(&processors) > 0)
		pthread_attr_setaffinity_np(attributes, sizeof(processors), &processors);
}

bool worker_begin(struct worker *worker, void *(*fn)(void *), void *data)
{
	pthread_attr_t attributes;

	*worker = (struct worker){ .fn = fn, .data = data };
	if (pthread_attr_init(&attributes) != 0)
		return false;
	avoid_this_cpu(&attributes);
	worker->begun = pthread_create(&worker->thread, &attributes, fn, data) == 0;
	pthread_attr_destroy(&attributes);
	return worker->begun;
}

void worker_end(struct worker *worker)
{
	if (worker->begun)
		pthread_join(worker->thread, NULL);
	else
		worker->fn(worker->data);
}

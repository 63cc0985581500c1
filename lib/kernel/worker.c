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

bool beside_begin(struct beside *beside, void *(*fn)(void *), void *data)
{
	pthread_attr_t attributes;

	*beside = (struct beside){ .fn = fn, .data = data };
	if (pthread_attr_init(&attributes) != 0)
		return false;
	avoid_this_cpu(&attributes);
	beside->begun = pthread_create(&beside->thread, &attributes, fn, data) == 0;
	pthread_attr_destroy(&attributes);
	return beside->begun;
}

void beside_end(struct beside *beside)
{
	if (beside->begun)
		pthread_join(beside->thread, NULL);
	else
		beside->fn(beside->data);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/worker.h"

#include <sched.h>

/*
 * The scheduler puts a new thread on its parent's processor more often than not, and then each waits
 * for the other for some ms, which is as long as all of it takes.
 */
static void elsewhere(pthread_attr_t *attributes)
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
	elsewhere(&attributes);
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

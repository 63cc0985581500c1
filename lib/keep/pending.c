/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queues of program arrays that are to be kept automatically: keep_auto.c fills and empties them. */
#include "keep/keep.h"

/*
 * The thread that handles program loads may have a real-time priority (fs/daemon/auto.c). The mutex
 * passes that on to the thread that holds it: otherwise that thread could wait for a CPU for long,
 * while arrays are freed with their loaders.
 */
void pending_init(struct bpfrefs_keeper *keeper)
{
	pthread_mutexattr_t inherit;
	pthread_condattr_t monotonic;

	pthread_mutexattr_init(&inherit);
	pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&keeper->queues, &inherit);
	pthread_mutexattr_destroy(&inherit);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->more, &monotonic);
	pthread_condattr_destroy(&monotonic);
	g_queue_init(&keeper->pending_keeps);
	g_queue_init(&keeper->pending_clears);
	keeper->types = g_hash_table_new(NULL, NULL);
}

/*
 * If the only user reference of an array is the descriptor opened here, either the array has been
 * cleared, or the kernel has scheduled the work that will clear it (prog_array_map_clear()), or its
 * loader exited after the descriptor was opened, and the array is intact and can be kept. Once such
 * a work must have run, the slots say which. The descriptor is held until then in any case (pin.h,
 * pin_object_open()), by a thread, since the next loader does not wait.
 */

static int pending_by_fd(gconstpointer data, gconstpointer fd)
{
	return ((const struct pending_clear *)data)->fd != GPOINTER_TO_INT(fd);
}

/* ------------------------------------- arrays without another user reference --- */

int pending_by_id(gconstpointer data, gconstpointer id)
{
	return ((const struct pending_clear *)data)->id != GPOINTER_TO_UINT(id);
}

bool pending_find(struct bpfrefs_keeper *keeper, gconstpointer what, GCompareFunc by)
{
	bool found;

	pthread_mutex_lock(&keeper->queues);
	found = g_queue_find_custom(&keeper->pending_clears, what, by) != NULL;
	pthread_mutex_unlock(&keeper->queues);
	return found;
}

bool pending_has(struct bpfrefs_keeper *keeper, int fd)
{
	return pending_find(keeper, GINT_TO_POINTER(fd), pending_by_fd);
}

unsigned int pending_count(struct bpfrefs_keeper *keeper)
{
	unsigned int count;

	pthread_mutex_lock(&keeper->queues);
	count = keeper->pending_clears.length;
	pthread_mutex_unlock(&keeper->queues);
	return count;
}

void pending_finish(struct bpfrefs_keeper *keeper)
{
	pthread_mutex_lock(&keeper->queues);
	keeper->stop = true;
	pthread_cond_signal(&keeper->more);
	pthread_mutex_unlock(&keeper->queues);
	if (keeper->worker)
		g_thread_join(keeper->worker);
	g_hash_table_unref(keeper->types);
	pthread_cond_destroy(&keeper->more);
	pthread_mutex_destroy(&keeper->queues);
}

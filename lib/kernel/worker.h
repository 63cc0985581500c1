/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread for a part of what is asked for now; the daemon's own answers use it too. */
#ifndef BPFREFS_BESIDE_H
#define BPFREFS_BESIDE_H

#include <pthread.h>
#include <stdbool.h>

struct beside {
	void *(*fn)(void *);
	void *data;
	pthread_t thread;
	bool begun;
};

/*
 * Has a thread call @fn, on another processor than the caller's where there is one. False: there can
 * be no thread.
 */
bool beside_begin(struct beside *beside, void *(*fn)(void *), void *data);
/* Waits until it has returned; where there was no thread, calls it now. */
void beside_end(struct beside *beside);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A worker thread that runs one function, for scans and for answers of the daemon. */
#ifndef BPFREFS_WORKER_H
#define BPFREFS_WORKER_H

#include <pthread.h>
#include <stdbool.h>

struct worker {
	void *(*fn)(void *);
	void *data;
	pthread_t thread;
	bool begun;
};

/*
 * Starts a thread that calls @fn, on another processor than the caller's if the process may use
 * one. Returns false if there can be no thread.
 */
bool worker_begin(struct worker *worker, void *(*fn)(void *), void *data);
/* Waits until @fn has returned. If there was no thread, calls @fn now. */
void worker_end(struct worker *worker);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory kept for the moment when there is no other. GLib ends the process where malloc(3) gives
 * NULL, and the daemon must not end for what others do: so malloc.c gives from here then. What that
 * lasts for are the requests under way; until it is whole again no new one begins that needs memory.
 */
#ifndef RESERVE_H
#define RESERVE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Maps the reserve and touches it, so that it is memory and not only a promise. -ENOMEM. Without it,
 * as in the unit tests, nothing below ever says that memory is short.
 */
int reserve_open(void);

/* @size bytes, aligned to @alignment (a power of two), or NULL. Any thread. */
void *reserve_alloc(size_t size, size_t alignment);
/* The size of what reserve_alloc() gave; 0: it did not. */
size_t reserve_size(const void *memory);
/* Takes back what reserve_alloc() gave; false: it did not. */
bool reserve_free(void *memory);

/* A good part of it is given away: what can end, shall end. */
bool reserve_is_low(void);
/* The same, but tries to have a whole one again first. True: this request may begin. */
bool reserve_is_whole(void);

/* Could one have so much, and leave the reserve as it is? It may be gone a moment later. */
bool reserve_spares(size_t size);

/*
 * This thread serves a request: it is answered with an error rather than kept waiting for memory.
 * Others, libfuse's between two requests, are nobody's and wait.
 */
void reserve_enter(void);
bool reserve_is_entered(void);

#endif

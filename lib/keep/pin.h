/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening objects and pins for a moment, without harm to program arrays. */
#ifndef BPFREFS_PIN_H
#define BPFREFS_PIN_H

#include "snapshot/private.h"

/*
 * In microseconds. Longer than the kernel takes until it has run the work that clears a program
 * array (prog_array_map_clear()).
 */
#define CLEAR_WAIT_US 50000L

/*
 * Whether a descriptor of a map that the caller holds is its only user reference: usercnt was 0
 * before, or the others were released since. 1 or 0, or -errno; -EOPNOTSUPP if the source cannot
 * find out. ctx->lock is held.
 */
int pin_object_alone(struct bpfrefs_ctx *ctx, uint32_t map_id);

/*
 * Opens an object. If it is a program array without another user reference, waits until the kernel
 * must have cleared it: prog_array_map_clear() takes a reference and schedules a work that drops
 * it. If usercnt becomes 0 again before the work has run, schedule_work() does nothing, and the
 * second reference is never dropped. ctx->lock is held.
 */
int pin_object_open(struct bpfrefs_ctx *ctx, struct bpfrefs_key key);

/* bpfrefs_pin_identify() with ctx->lock held. */
int pin_identify_locked(int dir_fd, const char *name, struct bpfrefs_key *key);
/*
 * The same without opening the pin, for links on a read-only bpffs. Takes a snapshot, so the lock
 * is not held. -EROFS: the snapshot does not have the pin.
 */
int pin_identify_unopened(struct bpfrefs_ctx *ctx, int dir_fd, const char *name,
			  struct bpfrefs_key *key);

#endif

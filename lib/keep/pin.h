/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors that we open for a moment, without harm to program arrays. */
#ifndef BPFREFS_PIN_H
#define BPFREFS_PIN_H

#include "snapshot/private.h"

/* Longer than the kernel takes to run the deferred clear of a program array. */
#define SETTLE_US 50000L

/*
 * Is the descriptor that we hold of a map its only user reference: was usercnt 0 when we opened it,
 * or have the others gone since? 1 or 0; -EOPNOTSUPP where the source cannot tell. ctx->lock is held.
 */
int object_alone(struct bpfrefs_ctx *ctx, uint32_t map_id);

/*
 * Opens an object with ctx->lock held, and where it is a program array without any other user
 * reference, waits until its clearing is over. If usercnt went back to 0 before the kernel has run
 * that (prog_array_map_clear() schedules it), the reference that it holds would never be put.
 */
int object_open_settled(struct bpfrefs_ctx *ctx, struct bpfrefs_key key);

/* bpfrefs_pin_identify() with ctx->lock held. */
int pin_identify_locked(int dir_fd, const char *name, struct bpfrefs_key *key);
/*
 * The same without opening the pin, for links on a read-only bpffs: by a snapshot, so without the
 * lock. -EROFS: the snapshot does not have it.
 */
int pin_identify_unopened(struct bpfrefs_ctx *ctx, int dir_fd, const char *name,
			  struct bpfrefs_key *key);

#endif

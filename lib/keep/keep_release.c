/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Automatic keeps are released, all at once, when no root leads to them. */
#include <stdlib.h>

#include "keep/keep.h"

/* Takes a snapshot and lists the automatic keeps that no root leads to. */
static int garbage(struct bpfrefs_ctx *ctx, struct bpfrefs_key **keys, size_t *count)
{
	struct bpfrefs_snapshot *snap;
	int err = bpfrefs_snapshot_take(ctx, &snap);

	if (err)
		return err;
	err = bpfrefs_graph_garbage(snap, keys, count);
	bpfrefs_snapshot_unref(snap);
	return err;
}

static int key_order(const void *a, const void *b)
{
	return bpfrefs_key_compare(*(const struct bpfrefs_key *)a, *(const struct bpfrefs_key *)b);
}

/*
 * Unlinks the pins of @keys in the directory of this keeper: all at once, since the objects may
 * hold each other. Returns how many.
 */
static int unlink_all(struct bpfrefs_keeper *keeper, const struct bpfrefs_key *keys, size_t count)
{
	bpfrefs_autofd dir = keep_dirs_open(keeper->source_fd, BPFREFS_KEEP_AUTO, false);
	int removed = 0, err = 0;

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	for (size_t i = 0; i < count; i++) {
		char name[KEEP_NAME_MAX];
		int has = keep_dirs_has(dir, keys[i]);

		if (has <= 0) {
			err = has ? has : err;
			continue;
		}
		if (unlinkat(dir, keep_name(keys[i], name), 0) == 0)
			removed++;
		else if (errno != ENOENT)
			err = -errno;
	}
	/*
	 * An error is returned only if none was removed. If it persists, a later call returns it.
	 */
	return removed ? removed : err;
}

static int release(struct bpfrefs_keeper *keeper, struct bpfrefs_key **first,
		   struct bpfrefs_key **second)
{
	int err = bpfrefs_keep_count(keeper, BPFREFS_KEEP_AUTO);
	size_t count, again, agreed = 0;

	if (err <= 0)
		return err; /* there are none, so no snapshot is needed */
	err = garbage(keeper->ctx, first, &count);
	if (err || count == 0)
		return err;
	err = garbage(keeper->ctx, second, &again);
	if (err)
		return err;
	for (size_t i = 0; i < again; i++)
		if (bsearch(&(*second)[i], *first, count, sizeof(**first), key_order))
			(*second)[agreed++] = (*second)[i];
	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	err = unlink_all(keeper, *second, agreed);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	return err;
}

static int take_late_error(struct bpfrefs_keeper *keeper)
{
	int err;

	pthread_mutex_lock(&keeper->queues);
	err = keeper->late_error;
	keeper->late_error = 0;
	pthread_mutex_unlock(&keeper->queues);
	return err;
}

int bpfrefs_keep_release(struct bpfrefs_keeper *keeper)
{
	struct bpfrefs_key *first = NULL, *second = NULL;
	int count = take_late_error(keeper);

	if (!count)
		count = release(keeper, &first, &second);

	free(first);
	free(second);
	/* a class was not read completely, so a root may have been missed: nothing is released */
	return count == -EAGAIN ? 0 : count;
}

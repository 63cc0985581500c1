/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Automatic keeps: program arrays kept as programs that use them are loaded, and let go together
 * when no root leads to them.
 */
#include <stdlib.h>

#include "bpf.h"
#include "keep.h"
#include "pin.h"
#include "raw.h"

/* Maps whose type is remembered; ids are not reused before all of 2^31 were. */
#define ARRAYS_MAX 65536

/* Slots looked at to tell whether an array still has any; where there are more, it may. */
#define SLOTS_MAX 65536

enum { IS_ARRAY = 1, IS_OTHER = 2 };

/* ------------------------------------------------------------- settling --- */

/*
 * An array whose only user reference turns out to be ours is either cleared, or about to be by a
 * work that the kernel has scheduled, or its loader has gone just now, after we opened it: then it
 * is whole and ours to keep. Which one shows when such a work must have run. The descriptor is held
 * until then in any case (object_open_settled() says why), by a thread, for the next loader does
 * not wait.
 */

bool settling_has(struct bpfrefs_keeper *keeper, int fd)
{
	for (GList *l = keeper->settling.head; l; l = l->next)
		if (((const struct settling *)l->data)->fd == fd)
			return true;
	return false;
}

static bool settling_has_id(struct bpfrefs_keeper *keeper, uint32_t id)
{
	for (GList *l = keeper->settling.head; l; l = l->next)
		if (((const struct settling *)l->data)->id == id)
			return true;
	return false;
}

static bool has_slots(int fd)
{
	struct map_facts facts;
	uint32_t prog;

	/* What cannot be read may be there. */
	if (raw_map_read(fd, &facts) != 0 || facts.max_entries > SLOTS_MAX)
		return true;
	for (uint32_t i = 0; i < facts.max_entries; i++)
		if (bpf_map_lookup(fd, &i, &prog) != -ENOENT)
			return true;
	return false;
}

static int pin_auto(struct bpfrefs_keeper *keeper, int fd, uint32_t id)
{
	bpfrefs_autofd dir = keepdir_open(keeper->source_fd, BPFREFS_KEEP_AUTO, true);
	struct bpfrefs_key key = { BPFREFS_MAP, id };
	char name[KEEP_NAME_MAX];

	return dir < 0 ? dir : bpf_pin_at(fd, dir, keep_name(key, name));
}

/* Both locks are held. */
static void settle(struct bpfrefs_keeper *keeper, const struct settling *one)
{
	struct bpfrefs_key key = { BPFREFS_MAP, one->id };

	/* Empty, but held by someone again: it may yet be filled. Where the pin fails, nobody is
	 * there to be told, and the array shows as cleared. */
	if ((has_slots(one->fd) || object_alone(keeper->ctx, one->id) == 0) &&
	    is_kept(keeper, key) == 0)
		pin_auto(keeper, one->fd, one->id);
	g_hash_table_remove(keeper->ctx->kept, GINT_TO_POINTER(one->fd));
	close(one->fd);
}

static gpointer settler_run(gpointer data)
{
	struct bpfrefs_keeper *keeper = data;

	g_mutex_lock(&keeper->lock);
	while (!keeper->stop || keeper->settling.head) {
		g_autofree struct settling *one = NULL;
		const struct settling *next = g_queue_peek_head(&keeper->settling);

		if (!next) {
			g_cond_wait(&keeper->settling_more, &keeper->lock);
			continue;
		}
		if (g_get_monotonic_time() < next->until) {
			g_cond_wait_until(&keeper->settling_more, &keeper->lock, next->until);
			continue;
		}
		one = g_queue_pop_head(&keeper->settling);
		g_mutex_lock(&keeper->ctx->lock);
		settle(keeper, one);
		g_mutex_unlock(&keeper->ctx->lock);
	}
	g_mutex_unlock(&keeper->lock);
	return NULL;
}

/* Takes the descriptor. Both locks are held. */
static void settle_later(struct bpfrefs_keeper *keeper, int fd, uint32_t id)
{
	struct settling *one = g_new(struct settling, 1);

	*one = (struct settling){ fd, id, g_get_monotonic_time() + SETTLE_US };
	if (!keeper->settler)
		keeper->settler = g_thread_try_new("settler", settler_run, keeper, NULL);
	if (!keeper->settler) {
		g_usleep(SETTLE_US);
		settle(keeper, one);
		g_free(one);
		return;
	}
	kept_add(keeper->ctx, fd, (struct bpfrefs_key){ BPFREFS_MAP, id });
	g_queue_push_tail(&keeper->settling, one);
	g_cond_signal(&keeper->settling_more);
}

void settling_finish(struct bpfrefs_keeper *keeper)
{
	g_mutex_lock(&keeper->lock);
	keeper->stop = true;
	g_cond_signal(&keeper->settling_more);
	g_mutex_unlock(&keeper->lock);
	if (keeper->settler)
		g_thread_join(keeper->settler);
}

/* ------------------------------------------------------- keeping arrays --- */

static void remember(struct bpfrefs_keeper *keeper, uint32_t id, int what)
{
	if (g_hash_table_size(keeper->arrays) >= ARRAYS_MAX)
		g_hash_table_remove_all(keeper->arrays);
	g_hash_table_insert(keeper->arrays, GUINT_TO_POINTER(id), GINT_TO_POINTER(what));
}

/* An array that we know and that is not kept was cleared, or let go: no hurry, so ask first. */
static bool is_cleared(struct bpfrefs_ctx *ctx, uint32_t id)
{
	uint64_t usercnt;

	return ctx->source->map_usercnt && ctx->source->map_usercnt(ctx, id, &usercnt) == 0 &&
	       usercnt == 0;
}

/* 1 newly kept, 0 not, -errno. Both locks are held. */
static int keep_open_array(struct bpfrefs_keeper *keeper, int *fd, uint32_t id)
{
	struct bpfrefs_key key = { BPFREFS_MAP, id };
	int kept = is_kept(keeper, key);
	int err;

	if (kept)
		return kept < 0 ? kept : 0;
	if (object_alone(keeper->ctx, id) == 1) {
		settle_later(keeper, fd_steal(fd), id);
		return 0;
	}
	err = pin_auto(keeper, *fd, id);
	return err ? err : 1;
}

static int keep_map(struct bpfrefs_keeper *keeper, uint32_t id)
{
	int known = GPOINTER_TO_INT(g_hash_table_lookup(keeper->arrays, GUINT_TO_POINTER(id)));
	struct bpfrefs_key key = { BPFREFS_MAP, id };
	bpfrefs_autofd fd = -1;
	struct map_facts facts;
	int err;

	if (known == IS_OTHER || settling_has_id(keeper, id))
		return 0;
	if (known == IS_ARRAY) {
		int kept = is_kept(keeper, key);

		if (kept || is_cleared(keeper->ctx, id))
			return kept < 0 ? kept : 0;
	}
	fd = bpf_open_id(BPFREFS_MAP, id);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = raw_map_read(fd, &facts);
	if (err)
		return err;
	remember(keeper, id, facts.type == MAP_TYPE_PROG_ARRAY ? IS_ARRAY : IS_OTHER);
	return facts.type == MAP_TYPE_PROG_ARRAY ? keep_open_array(keeper, &fd, id) : 0;
}

/* The program is let go of before its maps are looked at: its own descriptor has told all. */
static int read_program(uint32_t id, struct prog_facts *facts)
{
	bpfrefs_autofd fd = bpf_open_id(BPFREFS_PROG, id);

	return fd < 0 ? fd : raw_prog_read(fd, facts);
}

static int keep_program_locked(struct bpfrefs_keeper *keeper, uint32_t prog_id)
{
	struct prog_facts facts;
	int err = read_program(prog_id, &facts);
	int count = 0;

	if (err)
		return err == -ENOENT ? 0 : err;
	for (uint32_t i = 0; i < facts.map_count; i++) {
		int kept = keep_map(keeper, facts.map_ids[i]);

		if (kept < 0)
			err = kept;
		else
			count += kept;
	}
	raw_prog_clear(&facts);
	return err ? err : count;
}

int bpfrefs_keep_program(struct bpfrefs_keeper *keeper, uint32_t prog_id)
{
	int kept;

	g_mutex_lock(&keeper->lock);
	g_mutex_lock(&keeper->ctx->lock);
	kept = keep_program_locked(keeper, prog_id);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	return kept;
}

int bpfrefs_keep_all(struct bpfrefs_keeper *keeper)
{
	uint32_t id = 0;
	int count = 0, failed = 0;
	int err;

	/* One program's failure is no reason to leave the others' arrays. */
	while ((err = bpfrefs_next_id(keeper->ctx, BPFREFS_PROG, id, &id)) == 0) {
		int kept = bpfrefs_keep_program(keeper, id);

		if (kept < 0)
			failed = kept;
		else
			count += kept;
	}
	if (err != -ENOENT)
		return err;
	return failed ? failed : count;
}

/* -------------------------------------------------------------- release --- */

/* The keeps that are garbage in a snapshot of now. */
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

/* Unlinks those of @keys that are in our own directory: what belongs together goes together. */
static int unlink_all(struct bpfrefs_keeper *keeper, const struct bpfrefs_key *keys, size_t count)
{
	bpfrefs_autofd dir = keepdir_open(keeper->source_fd, BPFREFS_KEEP_AUTO, false);
	int gone = 0, err = 0;

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	for (size_t i = 0; i < count; i++) {
		char name[KEEP_NAME_MAX];
		int has = keepdir_has(dir, keys[i]);

		if (has <= 0) {
			err = has ? has : err;
			continue;
		}
		if (unlinkat(dir, keep_name(keys[i], name), 0) == 0)
			gone++;
		else if (errno != ENOENT)
			err = -errno;
	}
	/* An error that lasts is told when nothing else is. */
	return gone ? gone : err;
}

static int release(struct bpfrefs_keeper *keeper, struct bpfrefs_key **first,
		   struct bpfrefs_key **second)
{
	size_t count, again, agreed = 0;
	int err = garbage(keeper->ctx, first, &count);

	if (err || count == 0)
		return err;
	err = garbage(keeper->ctx, second, &again);
	if (err)
		return err;
	for (size_t i = 0; i < again; i++)
		if (bsearch(&(*second)[i], *first, count, sizeof(**first), key_order))
			(*second)[agreed++] = (*second)[i];
	g_mutex_lock(&keeper->lock);
	g_mutex_lock(&keeper->ctx->lock);
	err = unlink_all(keeper, *second, agreed);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	return err;
}

int bpfrefs_keep_release(struct bpfrefs_keeper *keeper)
{
	struct bpfrefs_key *first = NULL, *second = NULL;
	int count = release(keeper, &first, &second);

	free(first);
	free(second);
	return count == -EAGAIN ? 0 : count; /* a gap: nothing can be said, so nothing goes */
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Automatic keeps: program arrays kept as programs that use them are loaded. (keep-release.c lets
 * them go.)
 */
#include <linux/bpf.h>
#include <time.h>

#include "uapi/syscalls.h"
#include "keep/keep.h"
#include "keep/pin.h"
#include "uapi/uapi_info.h"

/* Maps whose type is remembered; ids are not reused before all of 2^31 were. */
#define ARRAYS_MAX 65536

/* Slots looked at to tell whether an array still has any; where there are more, it may. */
#define SLOTS_MAX 65536

enum { IS_ARRAY = 1, IS_OTHER = 2 };

/* ------------------------------------------------------ what is known --- */

/*
 * Who catches may have a real-time priority (fs/auto.c), and then lends it to who holds the lock:
 * else that one could wait for the processor, and all loaders' arrays with it.
 */
void settling_init(struct bpfrefs_keeper *keeper)
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
	g_queue_init(&keeper->caught);
	g_queue_init(&keeper->settling);
	keeper->types = g_hash_table_new(NULL, NULL);
}

/* The map's type as far as it is remembered: IS_ARRAY, IS_OTHER, 0. */
static int recall(struct bpfrefs_keeper *keeper, uint32_t id)
{
	int what;

	pthread_mutex_lock(&keeper->queues);
	what = GPOINTER_TO_INT(g_hash_table_lookup(keeper->types, GUINT_TO_POINTER(id)));
	pthread_mutex_unlock(&keeper->queues);
	return what;
}

static void remember(struct bpfrefs_keeper *keeper, uint32_t id, int what)
{
	pthread_mutex_lock(&keeper->queues);
	if (g_hash_table_size(keeper->types) >= ARRAYS_MAX)
		g_hash_table_remove_all(keeper->types);
	g_hash_table_insert(keeper->types, GUINT_TO_POINTER(id), GINT_TO_POINTER(what));
	pthread_mutex_unlock(&keeper->queues);
}

/* ------------------------------------------------------------- settling --- */

/*
 * An array whose only user reference turns out to be ours is either cleared, or about to be by a
 * work that the kernel has scheduled, or its loader has gone just now, after we opened it: then it
 * is whole and ours to keep. Which one shows when such a work must have run. The descriptor is held
 * until then in any case (object_open_settled() says why), by a thread, for the next loader does
 * not wait.
 */

static int settling_by_fd(gconstpointer data, gconstpointer fd)
{
	return ((const struct settling *)data)->fd != GPOINTER_TO_INT(fd);
}

static int settling_by_id(gconstpointer data, gconstpointer id)
{
	return ((const struct settling *)data)->id != GPOINTER_TO_UINT(id);
}

static bool settling_find(struct bpfrefs_keeper *keeper, gconstpointer what, GCompareFunc by)
{
	bool found;

	pthread_mutex_lock(&keeper->queues);
	found = g_queue_find_custom(&keeper->settling, what, by) != NULL;
	pthread_mutex_unlock(&keeper->queues);
	return found;
}

bool settling_has(struct bpfrefs_keeper *keeper, int fd)
{
	return settling_find(keeper, GINT_TO_POINTER(fd), settling_by_fd);
}

unsigned int settling_count(struct bpfrefs_keeper *keeper)
{
	unsigned int count;

	pthread_mutex_lock(&keeper->queues);
	count = keeper->settling.length;
	pthread_mutex_unlock(&keeper->queues);
	return count;
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
static int settle(struct bpfrefs_keeper *keeper, const struct settling *one)
{
	struct bpfrefs_key key = { BPFREFS_MAP, one->id };
	int err = 0;

	/* First, so that it is not taken for a keep of mode fd. */
	g_hash_table_remove(keeper->ctx->kept, GINT_TO_POINTER(one->fd));
	/* Empty, but held by someone again: it may yet be filled. */
	if (has_slots(one->fd) || object_alone(keeper->ctx, one->id) == 0) {
		err = is_kept(keeper, key);
		if (!err)
			err = pin_auto(keeper, one->fd, one->id);
	}
	close(one->fd);
	return MIN(err, 0);
}

static gpointer settler_run(gpointer data);

/* keeper->queues is held. False: there is none, and cannot be one now. */
static bool settler_start(struct bpfrefs_keeper *keeper)
{
	if (!keeper->settler)
		keeper->settler = g_thread_try_new("settler", settler_run, keeper, NULL);
	return keeper->settler != NULL;
}

/* Takes the descriptor. Both locks are held. */
static int settle_later(struct bpfrefs_keeper *keeper, int fd, uint32_t id)
{
	struct settling *one = g_new(struct settling, 1);
	bool later;
	int err;

	*one = (struct settling){ fd, id, g_get_monotonic_time() + SETTLE_US };
	kept_add(keeper, fd, (struct bpfrefs_key){ BPFREFS_MAP, id });
	pthread_mutex_lock(&keeper->queues);
	later = settler_start(keeper);
	if (later) {
		g_queue_push_tail(&keeper->settling, one);
		pthread_cond_signal(&keeper->more);
	}
	pthread_mutex_unlock(&keeper->queues);
	if (later)
		return 0;
	g_usleep(SETTLE_US);
	err = settle(keeper, one);
	g_free(one);
	return err;
}

/* ------------------------------------------------------- keeping arrays --- */

/* An array that we know and that is not kept was cleared, or let go: no hurry, so ask first. */
static bool is_cleared(struct bpfrefs_ctx *ctx, uint32_t id)
{
	uint64_t usercnt;

	return ctx->source->map_usercnt && ctx->source->map_usercnt(ctx, id, &usercnt) == 0 &&
	       usercnt == 0;
}

/* 1 newly kept, 0 not (it is, or is gone, or will show), -errno. Both locks are held. */
static int keep_array(struct bpfrefs_keeper *keeper, int *fd, uint32_t id)
{
	struct bpfrefs_key key = { BPFREFS_MAP, id };
	int kept = is_kept(keeper, key);
	int err;

	if (kept || settling_find(keeper, GUINT_TO_POINTER(id), settling_by_id))
		return MIN(kept, 0);
	if (*fd < 0) {
		if (is_cleared(keeper->ctx, id))
			return 0;
		*fd = bpf_open_id(BPFREFS_MAP, id);
	}
	if (*fd < 0)
		return *fd == -ENOENT ? 0 : *fd;
	if (object_alone(keeper->ctx, id) == 1)
		return settle_later(keeper, fd_steal(fd), id);
	err = pin_auto(keeper, *fd, id);
	return err ? err : 1;
}

/* Takes the descriptor. */
static int keep_caught(struct bpfrefs_keeper *keeper, const struct caught *one)
{
	bpfrefs_autofd fd = one->fd;
	int kept;

	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	kept = keep_array(keeper, &fd, one->id);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	return kept;
}

/* ------------------------------------------------------------ the settler --- */

/* Called and returns with keeper->queues held, and gives it up for the work. */
static int settler_place(struct bpfrefs_keeper *keeper)
{
	g_autofree struct caught *one = g_queue_pop_head(&keeper->caught);
	int kept;

	pthread_mutex_unlock(&keeper->queues);
	kept = keep_caught(keeper, one);
	pthread_mutex_lock(&keeper->queues);
	return MIN(kept, 0);
}

static int settler_settle(struct bpfrefs_keeper *keeper)
{
	g_autofree struct settling *one = NULL;
	int err;

	pthread_mutex_unlock(&keeper->queues);
	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	pthread_mutex_lock(&keeper->queues);
	one = g_queue_pop_head(&keeper->settling);
	pthread_mutex_unlock(&keeper->queues);
	err = settle(keeper, one);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	pthread_mutex_lock(&keeper->queues);
	return err;
}

/* Until a moment of g_get_monotonic_time(), or until there is more. */
static void wait_until(struct bpfrefs_keeper *keeper, gint64 moment)
{
	const struct timespec ts = { .tv_sec = moment / G_USEC_PER_SEC,
				     .tv_nsec = moment % G_USEC_PER_SEC * 1000 };

	pthread_cond_timedwait(&keeper->more, &keeper->queues, &ts);
}

static gpointer settler_run(gpointer data)
{
	struct bpfrefs_keeper *keeper = data;

	pthread_mutex_lock(&keeper->queues);
	while (!keeper->stop || keeper->caught.head || keeper->settling.head) {
		const struct settling *next = g_queue_peek_head(&keeper->settling);
		int err = 0;

		if (keeper->caught.head)
			err = settler_place(keeper);
		else if (!next)
			pthread_cond_wait(&keeper->more, &keeper->queues);
		else if (g_get_monotonic_time() < next->until)
			wait_until(keeper, next->until);
		else
			err = settler_settle(keeper);
		if (err)
			keeper->late_error = err;
	}
	pthread_mutex_unlock(&keeper->queues);
	return NULL;
}

void settling_finish(struct bpfrefs_keeper *keeper)
{
	pthread_mutex_lock(&keeper->queues);
	keeper->stop = true;
	pthread_cond_signal(&keeper->more);
	pthread_mutex_unlock(&keeper->queues);
	if (keeper->settler)
		g_thread_join(keeper->settler);
	g_hash_table_unref(keeper->types);
	pthread_cond_destroy(&keeper->more);
	pthread_mutex_destroy(&keeper->queues);
}

/* Leaves it to the settler; does it itself where there can be none. */
static int keep_later(struct bpfrefs_keeper *keeper, const struct caught *one)
{
	bool later;

	pthread_mutex_lock(&keeper->queues);
	later = settler_start(keeper);
	if (later) {
		g_queue_push_tail(&keeper->caught, g_memdup2(one, sizeof(*one)));
		pthread_cond_signal(&keeper->more);
	}
	pthread_mutex_unlock(&keeper->queues);
	return later ? 1 : keep_caught(keeper, one);
}

/* ----------------------------------------------------------- catching --- */

/*
 * A loader may be gone in a moment, and a walk takes many: so what a program uses is opened first,
 * which holds it, with no lock that a walk or a command holds. Such a walk may meet the descriptor:
 * that is one of our process, as it shows. What follows has time.
 */

/* The program is let go of before its maps are looked at: its own descriptor has told all. */
static int read_program(uint32_t id, struct prog_facts *facts)
{
	bpfrefs_autofd fd = bpf_open_id(BPFREFS_PROG, id);

	return fd < 0 ? fd : raw_prog_read(fd, facts);
}

/* 1: it is (perhaps) a program array, and in *one, open unless it was known. 0 not, -errno. */
static int catch_map(struct bpfrefs_keeper *keeper, uint32_t id, struct caught *one)
{
	int known = recall(keeper, id), err;
	bpfrefs_autofd fd = -1;
	struct map_facts facts;

	*one = (struct caught){ -1, id };
	if (known)
		return known == IS_ARRAY;
	fd = bpf_open_id(BPFREFS_MAP, id);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = raw_map_read(fd, &facts);
	if (err)
		return err;
	remember(keeper, id, facts.type == BPF_MAP_TYPE_PROG_ARRAY ? IS_ARRAY : IS_OTHER);
	if (facts.type != BPF_MAP_TYPE_PROG_ARRAY)
		return 0;
	one->fd = fd_steal(&fd);
	return 1;
}

/* Catches all of them before anything is done that takes time. */
static int keep_maps(struct bpfrefs_keeper *keeper, const uint32_t *ids, uint32_t id_count,
		     bool soon)
{
	g_autofree struct caught *all = g_new(struct caught, id_count);
	uint32_t caught = 0;
	int count = 0, err = 0;

	for (uint32_t i = 0; i < id_count; i++) {
		int got = catch_map(keeper, ids[i], &all[caught]);

		if (got > 0)
			caught++;
		else if (got < 0)
			err = got;
	}
	for (uint32_t i = 0; i < caught; i++) {
		int kept = soon ? keep_later(keeper, &all[i]) : keep_caught(keeper, &all[i]);

		if (kept < 0)
			err = kept;
		else
			count += kept;
	}
	return err ? err : count;
}

int bpfrefs_keep_program(struct bpfrefs_keeper *keeper, uint32_t prog_id, bool soon)
{
	struct prog_facts facts;
	int err = read_program(prog_id, &facts);
	int count;

	if (err)
		return err == -ENOENT ? 0 : err;
	count = keep_maps(keeper, facts.map_ids, facts.map_count, soon);
	raw_prog_clear(&facts);
	return count;
}

int bpfrefs_keep_all(struct bpfrefs_keeper *keeper, bool soon)
{
	uint32_t id = 0;
	int count = 0, failed = 0;
	int err;

	/* One program's failure is no reason to leave the others' arrays. */
	while ((err = bpfrefs_next_id(keeper->ctx, BPFREFS_PROG, id, &id)) == 0) {
		int kept = bpfrefs_keep_program(keeper, id, soon);

		if (kept < 0)
			failed = kept;
		else
			count += kept;
	}
	if (err != -ENOENT)
		return err;
	return failed ? failed : count;
}

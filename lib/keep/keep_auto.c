/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Automatic keeps: the program arrays that a program uses are kept when the program is loaded.
 * keep_release.c releases them.
 */
#include <linux/bpf.h>
#include <time.h>

#include "keep/keep.h"
#include "keep/pin.h"
#include "uapi/syscalls.h"
#include "uapi/uapi_info.h"

/*
 * The greatest number of maps whose type is cached. The kernel assigns ids cyclically
 * (idr_alloc_cyclic()), so that an id is used again only after 2^31 others.
 */
#define ARRAYS_MAX 65536

/*
 * The greatest number of slots that are read to find out whether an array has a program. An array
 * that is larger is treated as if it had one.
 */
#define SLOTS_MAX 65536

enum { IS_ARRAY = 1, IS_OTHER = 2 };

/* ---------------------------------------------------- types of maps --- */

/* Returns the cached type of a map: IS_ARRAY, IS_OTHER, or 0 if it is unknown. */
static int cached_type(struct bpfrefs_keeper *keeper, uint32_t id)
{
	int what;

	pthread_mutex_lock(&keeper->queues);
	what = GPOINTER_TO_INT(g_hash_table_lookup(keeper->types, GUINT_TO_POINTER(id)));
	pthread_mutex_unlock(&keeper->queues);
	return what;
}

static void cache_type(struct bpfrefs_keeper *keeper, uint32_t id, int what)
{
	pthread_mutex_lock(&keeper->queues);
	if (g_hash_table_size(keeper->types) >= ARRAYS_MAX)
		g_hash_table_remove_all(keeper->types);
	g_hash_table_insert(keeper->types, GUINT_TO_POINTER(id), GINT_TO_POINTER(what));
	pthread_mutex_unlock(&keeper->queues);
}

static bool has_slots(int fd)
{
	struct map_facts facts;
	uint32_t prog;

	/* A slot that cannot be read may have a program. */
	if (uapi_info_map_read(fd, &facts) != 0 || facts.max_entries > SLOTS_MAX)
		return true;
	for (uint32_t i = 0; i < facts.max_entries; i++)
		if (syscall_map_lookup(fd, &i, &prog) != -ENOENT)
			return true;
	return false;
}

static int pin_auto(struct bpfrefs_keeper *keeper, int fd, uint32_t id)
{
	bpfrefs_autofd dir = keep_dirs_open(keeper->source_fd, BPFREFS_KEEP_AUTO, true);
	struct bpfrefs_key key = { BPFREFS_KIND_MAP, id };
	char name[KEEP_NAME_MAX];

	return dir < 0 ? dir : syscall_pin_at(fd, dir, keep_name(key, name));
}

/* Keeps the array if it was not cleared. Takes the descriptor. Both locks are held. */
static int finish_pending_clear(struct bpfrefs_keeper *keeper, const struct pending_clear *one)
{
	struct bpfrefs_key key = { BPFREFS_KIND_MAP, one->id };
	int err = 0;

	/* It is removed first, so that it does not count as a keep of mode fd. */
	g_hash_table_remove(keeper->ctx->kept, GINT_TO_POINTER(one->fd));
	/* An empty array that has another user reference again may be filled later. */
	if (has_slots(one->fd) || pin_object_alone(keeper->ctx, one->id) == 0) {
		err = keep_is_kept(keeper, key);
		if (!err)
			err = pin_auto(keeper, one->fd, one->id);
	}
	close(one->fd);
	return MIN(err, 0);
}

static gpointer worker_run(gpointer data);

/*
 * Starts the thread if it is not running. False if that is impossible now. keeper->queues is held.
 */
static bool worker_start(struct bpfrefs_keeper *keeper)
{
	if (!keeper->worker)
		keeper->worker = g_thread_try_new("auto-keeps", worker_run, keeper, NULL);
	return keeper->worker != NULL;
}

/* Queues an array until it must have been cleared. Takes the descriptor. Both locks are held. */
static int add_pending_clear(struct bpfrefs_keeper *keeper, int fd, uint32_t id)
{
	struct pending_clear *one = g_new(struct pending_clear, 1);
	bool later;
	int err;

	*one = (struct pending_clear){ fd, id, g_get_monotonic_time() + CLEAR_WAIT_US };
	keep_fd_add(keeper, fd, (struct bpfrefs_key){ BPFREFS_KIND_MAP, id });
	pthread_mutex_lock(&keeper->queues);
	later = worker_start(keeper);
	if (later) {
		g_queue_push_tail(&keeper->pending_clears, one);
		pthread_cond_signal(&keeper->more);
	}
	pthread_mutex_unlock(&keeper->queues);
	if (later)
		return 0;
	g_usleep(CLEAR_WAIT_US);
	err = finish_pending_clear(keeper, one);
	g_free(one);
	return err;
}

/* ------------------------------------------------------- keeping arrays --- */

/*
 * Whether the usercnt of an array is 0. Only for one that was seen before: if it is not kept, it
 * was cleared or released, and there is time to read the usercnt before it is opened.
 */
static bool is_cleared(struct bpfrefs_ctx *ctx, uint32_t id)
{
	uint64_t usercnt;

	return ctx->source->map_usercnt && ctx->source->map_usercnt(ctx, id, &usercnt) == 0 &&
	       usercnt == 0;
}

/*
 * Keeps an array. Returns 1 if it is newly kept; 0 if it was kept already, does not exist any more,
 * or was queued; or -errno. Both locks are held.
 */
static int keep_array(struct bpfrefs_keeper *keeper, int *fd, uint32_t id)
{
	struct bpfrefs_key key = { BPFREFS_KIND_MAP, id };
	int kept = keep_is_kept(keeper, key);
	int err;

	if (kept || pending_find(keeper, GUINT_TO_POINTER(id), pending_by_id))
		return MIN(kept, 0);
	if (*fd < 0) {
		if (is_cleared(keeper->ctx, id))
			return 0;
		*fd = syscall_open_id(BPFREFS_KIND_MAP, id);
	}
	if (*fd < 0)
		return *fd == -ENOENT ? 0 : *fd;
	if (pin_object_alone(keeper->ctx, id) == 1)
		return add_pending_clear(keeper, fd_steal(fd), id);
	err = pin_auto(keeper, *fd, id);
	return err ? err : 1;
}

/* Takes both locks and keeps an array. Takes the descriptor. */
static int keep_now(struct bpfrefs_keeper *keeper, const struct pending_keep *one)
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

/* ------------------------------------------------------------- the thread --- */

/* Called with keeper->queues held, which is released during the work. */
static int handle_pending_keep(struct bpfrefs_keeper *keeper)
{
	g_autofree struct pending_keep *one = g_queue_pop_head(&keeper->pending_keeps);
	int kept;

	pthread_mutex_unlock(&keeper->queues);
	kept = keep_now(keeper, one);
	pthread_mutex_lock(&keeper->queues);
	return MIN(kept, 0);
}

static int handle_pending_clear(struct bpfrefs_keeper *keeper)
{
	g_autofree struct pending_clear *one = NULL;
	int err;

	pthread_mutex_unlock(&keeper->queues);
	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	pthread_mutex_lock(&keeper->queues);
	one = g_queue_pop_head(&keeper->pending_clears);
	pthread_mutex_unlock(&keeper->queues);
	err = finish_pending_clear(keeper, one);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	pthread_mutex_lock(&keeper->queues);
	return err;
}

/* Waits until a time of g_get_monotonic_time(), or until keeper->more is signalled. */
static void wait_until(struct bpfrefs_keeper *keeper, gint64 moment)
{
	const struct timespec ts = { .tv_sec = moment / G_USEC_PER_SEC,
				     .tv_nsec = moment % G_USEC_PER_SEC * 1000 };

	pthread_cond_timedwait(&keeper->more, &keeper->queues, &ts);
}

static gpointer worker_run(gpointer data)
{
	struct bpfrefs_keeper *keeper = data;

	pthread_mutex_lock(&keeper->queues);
	while (!keeper->stop || keeper->pending_keeps.head || keeper->pending_clears.head) {
		const struct pending_clear *next = g_queue_peek_head(&keeper->pending_clears);
		int err = 0;

		if (keeper->pending_keeps.head)
			err = handle_pending_keep(keeper);
		else if (!next)
			pthread_cond_wait(&keeper->more, &keeper->queues);
		else if (g_get_monotonic_time() < next->until)
			wait_until(keeper, next->until);
		else
			err = handle_pending_clear(keeper);
		if (err)
			keeper->late_error = err;
	}
	pthread_mutex_unlock(&keeper->queues);
	return NULL;
}

/* Queues an array for the thread. Keeps it at once if there can be no thread. */
static int add_pending_keep(struct bpfrefs_keeper *keeper, const struct pending_keep *one)
{
	bool later;

	pthread_mutex_lock(&keeper->queues);
	later = worker_start(keeper);
	if (later) {
		g_queue_push_tail(&keeper->pending_keeps, g_memdup2(one, sizeof(*one)));
		pthread_cond_signal(&keeper->more);
	}
	pthread_mutex_unlock(&keeper->queues);
	return later ? 1 : keep_now(keeper, one);
}

/* ------------------------------------------------------ program loads --- */

/*
 * A loader may exit at any moment, and a scan takes longer than that. So what a program uses is
 * opened first, which holds it, without any lock that is held during a scan or a command. A scan
 * may find such a descriptor, and shows it as one of this process, which is correct. The rest can
 * wait for the locks.
 */

/*
 * The program is closed before its maps are opened: reading its facts is all that it is needed for.
 */
static int read_program(uint32_t id, struct prog_facts *facts)
{
	bpfrefs_autofd fd = syscall_open_id(BPFREFS_KIND_PROG, id);

	return fd < 0 ? fd : uapi_info_prog_read(fd, facts);
}

/*
 * Returns 1 and fills @one if the map is a program array, opened unless its type was cached; 0 if
 * it is none or does not exist any more; or -errno.
 */
static int open_array(struct bpfrefs_keeper *keeper, uint32_t id, struct pending_keep *one)
{
	int type = cached_type(keeper, id), err;
	bpfrefs_autofd fd = -1;
	struct map_facts facts;

	*one = (struct pending_keep){ -1, id };
	if (type)
		return type == IS_ARRAY;
	fd = syscall_open_id(BPFREFS_KIND_MAP, id);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = uapi_info_map_read(fd, &facts);
	if (err)
		return err;
	cache_type(keeper, id, facts.type == BPF_MAP_TYPE_PROG_ARRAY ? IS_ARRAY : IS_OTHER);
	if (facts.type != BPF_MAP_TYPE_PROG_ARRAY)
		return 0;
	one->fd = fd_steal(&fd);
	return 1;
}

/* Opens all program arrays before anything is done that may take long. */
static int keep_maps(struct bpfrefs_keeper *keeper, const uint32_t *ids, uint32_t id_count,
		     bool soon)
{
	g_autofree struct pending_keep *all = g_new(struct pending_keep, id_count);
	uint32_t opened = 0;
	int count = 0, err = 0;

	for (uint32_t i = 0; i < id_count; i++) {
		int got = open_array(keeper, ids[i], &all[opened]);

		if (got > 0)
			opened++;
		else if (got < 0)
			err = got;
	}
	for (uint32_t i = 0; i < opened; i++) {
		int kept = soon ? add_pending_keep(keeper, &all[i]) : keep_now(keeper, &all[i]);

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
	uapi_info_prog_clear(&facts);
	return count;
}

int bpfrefs_keep_all(struct bpfrefs_keeper *keeper, bool soon)
{
	uint32_t id = 0;
	int count = 0, failed = 0;
	int err;

	/* An error for one program must not leave the arrays of the others unkept. */
	while ((err = bpfrefs_next_id(keeper->ctx, BPFREFS_KIND_PROG, id, &id)) == 0) {
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Automatic keeps: the program arrays that a program uses are opened when the program is loaded, and
 * kept when the locks can be had. They are released, all at once, when no root leads to them.
 */
#include <linux/bpf.h>
#include <stdlib.h>

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

/* A program array that is to be kept as soon as the locks can be taken. */
struct opened_array {
	/*
	 * A descriptor, which holds it; -1: not opened, since it was seen before and need not be
	 * held at once.
	 */
	int fd;
	uint32_t id;
};

/* ---------------------------------------------------------- the keeper --- */

/*
 * The thread that opens arrays may have a real-time priority (fs/daemon/auto.c). The mutex passes
 * that on to the thread that holds it: otherwise that thread could wait for a CPU for long, while
 * arrays are freed with their loaders.
 */
static void opened_lock_init(struct bpfrefs_keeper *keeper)
{
	pthread_mutexattr_t inherit;

	pthread_mutexattr_init(&inherit);
	pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&keeper->opened_lock, &inherit);
	pthread_mutexattr_destroy(&inherit);
}

int bpfrefs_keeper_open(struct bpfrefs_ctx *ctx, int source_fd, struct bpfrefs_keeper **out)
{
	struct bpfrefs_keeper *keeper;

	if (source_fd < 0)
		return -EBADF;
	keeper = g_new0(struct bpfrefs_keeper, 1);
	keeper->ctx = ctx;
	keeper->source_fd = source_fd;
	g_mutex_init(&keeper->lock);
	opened_lock_init(keeper);
	keeper->opened = g_array_new(FALSE, FALSE, sizeof(struct opened_array));
	keeper->types = g_hash_table_new(NULL, NULL);
	*out = keeper;
	return 0;
}

void bpfrefs_keeper_close(struct bpfrefs_keeper *keeper)
{
	int wait_ms;

	if (!keeper)
		return;
	while (bpfrefs_keep_pending(keeper, &wait_ms), wait_ms >= 0)
		g_usleep((gulong)wait_ms * 1000);
	keep_fd_close_all(keeper);
	g_array_unref(keeper->opened);
	g_hash_table_unref(keeper->types);
	pthread_mutex_destroy(&keeper->opened_lock);
	g_mutex_clear(&keeper->lock);
	g_free(keeper);
}

/* ------------------------------------------------------------- opening --- */

/*
 * A loader may exit at any moment, and a scan takes longer than that. So what a program uses is
 * opened first, which holds it, without any lock that is held during a scan or a command. A scan
 * may find such a descriptor, and shows it as one of this process, which is correct. The rest can
 * wait for the locks.
 */

/* Returns the cached type of a map: IS_ARRAY, IS_OTHER, or 0 if it is unknown. */
static int cached_type(struct bpfrefs_keeper *keeper, uint32_t id)
{
	int what;

	pthread_mutex_lock(&keeper->opened_lock);
	what = GPOINTER_TO_INT(g_hash_table_lookup(keeper->types, GUINT_TO_POINTER(id)));
	pthread_mutex_unlock(&keeper->opened_lock);
	return what;
}

static void cache_type(struct bpfrefs_keeper *keeper, uint32_t id, int what)
{
	pthread_mutex_lock(&keeper->opened_lock);
	if (g_hash_table_size(keeper->types) >= ARRAYS_MAX)
		g_hash_table_remove_all(keeper->types);
	g_hash_table_insert(keeper->types, GUINT_TO_POINTER(id), GINT_TO_POINTER(what));
	pthread_mutex_unlock(&keeper->opened_lock);
}

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
static int open_array(struct bpfrefs_keeper *keeper, uint32_t id, struct opened_array *one)
{
	int type = cached_type(keeper, id), err;
	bpfrefs_autofd fd = -1;
	struct map_facts facts;

	*one = (struct opened_array){ -1, id };
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

int bpfrefs_keep_program(struct bpfrefs_keeper *keeper, uint32_t prog_id)
{
	struct prog_facts facts;
	int err = read_program(prog_id, &facts);
	int count = 0;

	if (err)
		return err == -ENOENT ? 0 : err;
	for (uint32_t i = 0; i < facts.map_count; i++) {
		struct opened_array one;
		int got = open_array(keeper, facts.map_ids[i], &one);

		err = MIN(got, err);
		if (got <= 0)
			continue;
		pthread_mutex_lock(&keeper->opened_lock);
		g_array_append_val(keeper->opened, one);
		pthread_mutex_unlock(&keeper->opened_lock);
		count++;
	}
	uapi_info_prog_clear(&facts);
	return err ? err : count;
}

/* ------------------------------------------------------------- keeping --- */

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
	int err = dir < 0 ? dir : syscall_pin_at(fd, dir, keep_name(key, name));

	return err ? err : 1;
}

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
 * or must be held first (keep_fd_add()); or -errno. Takes the descriptor. Both locks are held.
 */
static int keep_array(struct bpfrefs_keeper *keeper, const struct opened_array *one)
{
	struct bpfrefs_key key = { BPFREFS_KIND_MAP, one->id };
	bpfrefs_autofd fd = one->fd;
	int kept = keep_is_kept(keeper, key);

	if (kept || keep_is_held(keeper, key))
		return MIN(kept, 0);
	if (fd < 0) {
		if (is_cleared(keeper->ctx, one->id))
			return 0;
		fd = syscall_open_id(BPFREFS_KIND_MAP, one->id);
	}
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (pin_object_alone(keeper->ctx, one->id) != 1)
		return pin_auto(keeper, fd, one->id);
	keep_fd_add(keeper, fd_steal(&fd), key, g_get_monotonic_time() + CLEAR_WAIT_US);
	return 0;
}

/*
 * If the only user reference of an array is the descriptor opened here, either the array has been
 * cleared, or the kernel has scheduled the work that will clear it (prog_array_map_clear()), or its
 * loader exited after the descriptor was opened, and the array is intact and can be kept. Once such
 * a work must have run, the slots say which. The descriptor is held until then in any case (pin.h,
 * pin_object_open()). Returns as keep_array() does. Both locks are held.
 */
static int keep_if_intact(struct bpfrefs_keeper *keeper, int fd, struct bpfrefs_key key)
{
	int kept;

	/* An empty array that has another user reference again may be filled later. */
	if (!has_slots(fd) && pin_object_alone(keeper->ctx, key.id) != 0)
		return 0;
	kept = keep_is_kept(keeper, key);
	return kept ? MIN(kept, 0) : pin_auto(keeper, fd, key.id);
}

static int add_result(int sum, int result)
{
	return sum < 0 || result < 0 ? MIN(sum, result) : sum + result;
}

/* Keeps what was opened. Both locks are held. */
static int keep_opened(struct bpfrefs_keeper *keeper)
{
	g_autoptr(GArray) opened = NULL;
	int count = 0;

	pthread_mutex_lock(&keeper->opened_lock);
	opened = keeper->opened;
	keeper->opened = g_array_new(FALSE, FALSE, sizeof(struct opened_array));
	pthread_mutex_unlock(&keeper->opened_lock);
	for (guint i = 0; i < opened->len; i++)
		count = add_result(
			count, keep_array(keeper, &g_array_index(opened, struct opened_array, i)));
	return count;
}

/* Keeps those that were held for long enough, and sets when the next one will be. */
static int keep_held(struct bpfrefs_keeper *keeper, int *wait_ms)
{
	gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
	GHashTableIter iter;
	gpointer fd, value;
	int count = 0;

	g_hash_table_iter_init(&iter, keeper->ctx->kept);
	while (g_hash_table_iter_next(&iter, &fd, &value)) {
		const struct kept *kept = value;

		if (kept->keeper != keeper || !kept->until)
			continue;
		if (kept->until > now) {
			next = MIN(next, kept->until);
			continue;
		}
		count = add_result(count, keep_if_intact(keeper, GPOINTER_TO_INT(fd), kept->key));
		close(GPOINTER_TO_INT(fd));
		g_hash_table_iter_remove(&iter);
	}
	*wait_ms = next == G_MAXINT64 ? -1 : (int)((next - now) / 1000) + 1;
	return count;
}

int bpfrefs_keep_pending(struct bpfrefs_keeper *keeper, int *wait_ms)
{
	int count;

	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	count = keep_opened(keeper);
	count = add_result(count, keep_held(keeper, wait_ms));
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	return count;
}

/* ----------------------------------------------------------- releasing --- */

/* Takes a snapshot and returns the automatic keeps that no root leads to, in the order of the keys. */
static int garbage(struct bpfrefs_ctx *ctx, GArray *keys)
{
	struct bpfrefs_selection *selection = NULL;
	const struct bpfrefs_object *object;
	struct bpfrefs_snapshot *snap;
	int err = bpfrefs_snapshot_take(ctx, &snap);

	if (err)
		return err;
	err = bpfrefs_select_garbage(snap, NULL, &selection);
	while ((object = bpfrefs_next_object(selection)))
		g_array_append_val(keys, object->key);
	bpfrefs_selection_free(selection);
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
static int unlink_all(struct bpfrefs_keeper *keeper, const GArray *keys)
{
	bpfrefs_autofd dir = keep_dirs_open(keeper->source_fd, BPFREFS_KEEP_AUTO, false);
	int removed = 0, err = 0;

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	for (guint i = 0; i < keys->len; i++) {
		struct bpfrefs_key key = g_array_index(keys, struct bpfrefs_key, i);
		char name[KEEP_NAME_MAX], word[BPFREFS_KEY_MAX];
		int has = keep_dirs_has(dir, key);

		if (has <= 0) {
			err = has ? has : err;
			continue;
		}
		if (unlinkat(dir, keep_name(key, name), 0) == 0) {
			removed++;
			ctx_log(keeper->ctx, BPFREFS_LOG_INFO,
				"released the automatic keep of %s, which no root leads to",
				bpfrefs_key_format(key, word));
		} else if (errno != ENOENT)
			err = -errno;
	}
	/*
	 * An error is returned only if none was removed. If it persists, a later call returns it.
	 */
	return removed ? removed : err;
}

static int release(struct bpfrefs_keeper *keeper)
{
	g_autoptr(GArray) first = g_array_new(FALSE, FALSE, sizeof(struct bpfrefs_key));
	g_autoptr(GArray) both = g_array_new(FALSE, FALSE, sizeof(struct bpfrefs_key));
	int err = bpfrefs_keep_count(keeper, BPFREFS_KEEP_AUTO);

	if (err <= 0)
		return err; /* there are none, so no snapshot is needed */
	err = garbage(keeper->ctx, first);
	if (err || first->len == 0)
		return err;
	err = garbage(keeper->ctx, both);
	if (err)
		return err;
	for (guint i = both->len; i-- > 0;)
		if (!g_array_binary_search(first, &g_array_index(both, struct bpfrefs_key, i),
					   key_order, NULL))
			g_array_remove_index(both, i);
	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	err = unlink_all(keeper, both);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	return err;
}

int bpfrefs_keep_release(struct bpfrefs_keeper *keeper)
{
	int count = release(keeper);

	/* a class was not read completely, so a root may have been missed: nothing is released */
	return count == -EAGAIN ? 0 : count;
}

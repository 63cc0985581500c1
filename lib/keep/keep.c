/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps: a descriptor of this process, or a pin in a directory of bpffs that belongs to bpfrefs.
 * There is no other record of the pins: the directories are read each time, so that the answer is
 * what is there.
 */
#include "keep/keep.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "keep/pin.h"
#include "uapi/syscalls.h"

static const enum bpfrefs_keep_mode pin_modes[] = { BPFREFS_KEEP_PIN, BPFREFS_KEEP_AUTO };

/* Closes the descriptor of a keep of mode fd. ctx->lock is held. */
static void kept_remove(struct bpfrefs_ctx *ctx, int fd)
{
	g_hash_table_remove(ctx->kept, GINT_TO_POINTER(fd));
	close(fd);
}

void keep_fd_add(struct bpfrefs_keeper *keeper, int fd, struct bpfrefs_key key, gint64 until)
{
	struct kept *kept = g_new(struct kept, 1);

	*kept = (struct kept){ key, keeper, until };
	g_hash_table_insert(keeper->ctx->kept, GINT_TO_POINTER(fd), kept);
}

/* Whether it is a keep of mode fd of this keeper; with @held, an array that is held for a time. */
static bool is_own(const struct bpfrefs_keeper *keeper, const struct kept *kept, bool held)
{
	return kept->keeper == keeper && (kept->until != 0) == held;
}

void keep_fd_close_all(struct bpfrefs_keeper *keeper)
{
	GHashTableIter iter;
	gpointer fd, kept;

	ctx_lock(keeper->ctx);
	g_hash_table_iter_init(&iter, keeper->ctx->kept);
	while (g_hash_table_iter_next(&iter, &fd, &kept)) {
		if (!is_own(keeper, kept, false))
			continue;
		close(GPOINTER_TO_INT(fd));
		g_hash_table_iter_remove(&iter);
	}
	g_mutex_unlock(&keeper->ctx->lock);
}

/* --------------------------------------------------------- what is kept --- */

/* Returns the descriptor that keeps @key (mode fd), or with @held holds it for a time; or -1. */
static int find_fd(struct bpfrefs_keeper *keeper, struct bpfrefs_key key, bool held)
{
	GHashTableIter iter;
	gpointer fd, kept;

	g_hash_table_iter_init(&iter, keeper->ctx->kept);
	while (g_hash_table_iter_next(&iter, &fd, &kept))
		if (is_own(keeper, kept, held) &&
		    bpfrefs_key_compare(((const struct kept *)kept)->key, key) == 0)
			return GPOINTER_TO_INT(fd);
	return -1;
}

bool keep_is_held(struct bpfrefs_keeper *keeper, struct bpfrefs_key key)
{
	return find_fd(keeper, key, true) >= 0;
}

/* Whether the directory of that mode has a pin of @key: 1 or 0, or -errno. ctx->lock is held. */
static int is_pinned(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		     enum bpfrefs_keep_mode mode)
{
	bpfrefs_autofd dir = -1;

	if (key.kind == BPFREFS_KIND_BTF)
		return 0;
	dir = keep_dirs_open(keeper->source_fd, mode, false);
	/* Something else than a directory of bpfrefs has no keeps. */
	if (dir == -ENOENT || dir == -EPERM)
		return 0;
	return dir < 0 ? dir : keep_dirs_has(dir, key);
}

static int mode_locked(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		       enum bpfrefs_keep_mode *mode)
{
	*mode = BPFREFS_KEEP_OFF;
	if (find_fd(keeper, key, false) >= 0) {
		*mode = BPFREFS_KEEP_FD;
		return 0;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(pin_modes); i++) {
		int pinned = is_pinned(keeper, key, pin_modes[i]);

		if (pinned < 0)
			return pinned;
		if (pinned) {
			*mode = pin_modes[i];
			return 0;
		}
	}
	return 0;
}

/*
 * Reads the mode if a pin could not be opened, since it is that of a link on a read-only bpffs.
 * Called without any lock, since taking a snapshot takes them. On a read-only bpffs nothing can
 * change meanwhile.
 */
static int mode_unopened(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
			 enum bpfrefs_keep_mode *mode)
{
	for (size_t i = 0; i < G_N_ELEMENTS(pin_modes); i++) {
		bpfrefs_autofd dir = keep_dirs_open(keeper->source_fd, pin_modes[i], false);
		struct bpfrefs_key found;
		char name[KEEP_NAME_MAX];
		int err;

		if (dir == -ENOENT || dir == -EPERM)
			continue;
		if (dir < 0)
			return dir;
		err = pin_identify_unopened(keeper->ctx, dir, keep_name(key, name), &found);
		if (err && err != -ENOENT && err != -EINVAL)
			return err;
		if (!err && bpfrefs_key_compare(found, key) == 0) {
			*mode = pin_modes[i];
			return 0;
		}
	}
	*mode = BPFREFS_KEEP_OFF;
	return 0;
}

int keep_is_kept(struct bpfrefs_keeper *keeper, struct bpfrefs_key key)
{
	enum bpfrefs_keep_mode mode;
	int err = mode_locked(keeper, key, &mode);

	return err ? err : mode != BPFREFS_KEEP_OFF;
}

int bpfrefs_keep_get(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		     enum bpfrefs_keep_mode *mode)
{
	enum bpfrefs_keep_mode found;
	int err;

	if (key.kind >= KIND_COUNT)
		return -EINVAL;
	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	err = mode_locked(keeper, key, &found);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	if (err == -EROFS)
		err = mode_unopened(keeper, key, &found);
	if (!err)
		*mode = found;
	return err;
}

static int count_pins(struct bpfrefs_keeper *keeper, enum bpfrefs_keep_mode mode)
{
	bpfrefs_autofd dir = keep_dirs_open(keeper->source_fd, mode, false);

	if (dir == -ENOENT || dir == -EPERM)
		return 0;
	return dir < 0 ? dir : keep_dirs_count(dir);
}

static int count_descriptors(struct bpfrefs_keeper *keeper)
{
	GHashTableIter iter;
	gpointer kept;
	int count = 0;

	g_hash_table_iter_init(&iter, keeper->ctx->kept);
	while (g_hash_table_iter_next(&iter, NULL, &kept))
		count += is_own(keeper, kept, false);
	return count;
}

int bpfrefs_keep_count(struct bpfrefs_keeper *keeper, enum bpfrefs_keep_mode mode)
{
	int count = -EINVAL;

	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	if (mode == BPFREFS_KEEP_FD)
		count = count_descriptors(keeper);
	else if (mode == BPFREFS_KEEP_PIN || mode == BPFREFS_KEEP_AUTO)
		count = count_pins(keeper, mode);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	return count;
}

/* ---------------------------------------------- taking and dropping keeps --- */

static int take_fd(struct bpfrefs_keeper *keeper, struct bpfrefs_key key)
{
	int fd = pin_object_open(keeper->ctx, key);

	if (fd < 0)
		return fd;
	keep_fd_add(keeper, fd, key, 0);
	return 0;
}

static int take_pin(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		    enum bpfrefs_keep_mode mode)
{
	bpfrefs_autofd dir = keep_dirs_open(keeper->source_fd, mode, true);
	bpfrefs_autofd fd = -1;
	char name[KEEP_NAME_MAX];

	if (dir < 0)
		return dir;
	fd = pin_object_open(keeper->ctx, key);
	if (fd < 0)
		return fd;
	return syscall_pin_at(fd, dir, keep_name(key, name));
}

static int drop_pin(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		    enum bpfrefs_keep_mode mode)
{
	int pinned = is_pinned(keeper, key, mode);
	bpfrefs_autofd dir = -1;
	char name[KEEP_NAME_MAX];

	if (pinned <= 0)
		return pinned;
	dir = keep_dirs_open(keeper->source_fd, mode, false);
	if (dir < 0)
		return dir;
	if (unlinkat(dir, keep_name(key, name), 0) != 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int take(struct bpfrefs_keeper *keeper, struct bpfrefs_key key, enum bpfrefs_keep_mode mode)
{
	if (mode == BPFREFS_KEEP_FD)
		return take_fd(keeper, key);
	/* The pin may exist although the mode is fd, which comes first in mode_locked(). */
	if (is_pinned(keeper, key, mode) == 1)
		return 0;
	return take_pin(keeper, key, mode);
}

static int drop(struct bpfrefs_keeper *keeper, struct bpfrefs_key key, enum bpfrefs_keep_mode mode)
{
	int fd;

	if (mode != BPFREFS_KEEP_FD)
		return drop_pin(keeper, key, mode);
	fd = find_fd(keeper, key, false);
	if (fd >= 0)
		kept_remove(keeper->ctx, fd);
	return 0;
}

/*
 * Drops the keeps of all modes except @mode. The descriptor comes last, since closing it cannot
 * fail.
 */
static int drop_others(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		       enum bpfrefs_keep_mode mode)
{
	int pinned[G_N_ELEMENTS(pin_modes)] = { 0 };
	int err = 0;

	/*
	 * All directories are checked before a pin is removed, so that an error leaves all keeps as
	 * they were.
	 */
	for (size_t i = 0; i < G_N_ELEMENTS(pin_modes); i++) {
		if (pin_modes[i] != mode)
			pinned[i] = is_pinned(keeper, key, pin_modes[i]);
		if (pinned[i] < 0)
			return pinned[i];
	}
	for (size_t i = 0; !err && i < G_N_ELEMENTS(pin_modes); i++)
		if (pinned[i])
			err = drop_pin(keeper, key, pin_modes[i]);
	if (err)
		return err;
	return mode == BPFREFS_KEEP_FD ? 0 : drop(keeper, key, BPFREFS_KEEP_FD);
}

/*
 * Moves a pin to the other directory in one step, so that there is exactly one keep even if the
 * process is killed. -EEXIST: the other directory has a pin of that name already.
 */
static int move_pin(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		    enum bpfrefs_keep_mode from, enum bpfrefs_keep_mode to)
{
	bpfrefs_autofd old = keep_dirs_open(keeper->source_fd, from, false);
	bpfrefs_autofd new = old < 0 ? old : keep_dirs_open(keeper->source_fd, to, true);
	char name[KEEP_NAME_MAX];

	if (new < 0)
		return new;
	keep_name(key, name);
	return renameat2(old, name, new, name, RENAME_NOREPLACE) == 0 ? 0 : -errno;
}

static bool is_pin_mode(enum bpfrefs_keep_mode mode)
{
	return mode == BPFREFS_KEEP_PIN || mode == BPFREFS_KEEP_AUTO;
}

static int set_locked(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		      enum bpfrefs_keep_mode mode)
{
	enum bpfrefs_keep_mode present;
	int err = mode_locked(keeper, key, &present);

	if (err || present == mode)
		return err;
	if (is_pin_mode(present) && is_pin_mode(mode)) {
		err = move_pin(keeper, key, present, mode);
		if (err != -EEXIST)
			return err;
		err = 0;
	}
	if (mode != BPFREFS_KEEP_OFF)
		err = take(keeper, key, mode);
	if (err)
		return err;
	err = drop_others(keeper, key, mode);
	if (err && mode != BPFREFS_KEEP_OFF)
		drop(keeper, key, mode);
	return err;
}

/*
 * Checks that an object has a user state that can be lost: 0, -EOPNOTSUPP if it has none, or
 * -errno.
 */
static int check_auto(struct bpfrefs_ctx *ctx, struct bpfrefs_key key)
{
	struct bpfrefs_snapshot *snap = NULL;
	const struct bpfrefs_object *object;
	int err;

	if (key.kind != BPFREFS_KIND_MAP)
		return -EOPNOTSUPP;
	err = bpfrefs_snapshot_take(ctx, &snap);
	if (err)
		return err;
	object = bpfrefs_snapshot_find(snap, key);
	if (!object)
		err = -ENOENT;
	else if (!object->user_state)
		err = -EOPNOTSUPP;
	bpfrefs_snapshot_unref(snap);
	return err;
}

int bpfrefs_keep_set(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		     enum bpfrefs_keep_mode mode)
{
	int err;

	if (key.kind >= KIND_COUNT || mode >= KEEP_COUNT)
		return -EINVAL;
	err = bpfrefs_exists(keeper->ctx, key);
	if (!err && mode == BPFREFS_KEEP_PIN && key.kind == BPFREFS_KIND_BTF)
		err = -EOPNOTSUPP;
	if (!err && mode == BPFREFS_KEEP_AUTO)
		err = check_auto(keeper->ctx, key);
	if (err)
		return err;
	g_mutex_lock(&keeper->lock);
	ctx_lock(keeper->ctx);
	err = set_locked(keeper, key, mode);
	g_mutex_unlock(&keeper->ctx->lock);
	g_mutex_unlock(&keeper->lock);
	return err;
}

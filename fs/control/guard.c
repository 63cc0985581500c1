/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check that unpin always makes, and with -o guard every removal of a name in the mirror.
 * Check and removal run in the thread of commands, one at a time (dispatch.c): if two callers
 * remove the last two pins of an object, the second check sees the first removal.
 */
#include "control/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "control/ctl.h"

/* The number of further snapshots, while only unexplained references keep an object alive. */
#define MORE_SNAPSHOTS 2
/* Time for RCU callbacks to run after their grace period. */
#define CALLBACKS_US 10000

static bool has_unexplained(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, key);

	if (!object)
		return false;
	return (object->refcnt != BPFREFS_UNKNOWN && object->refcnt > object->explained) ||
	       (object->usercnt != BPFREFS_UNKNOWN && object->usercnt > object->user_explained);
}

/*
 * Before Linux 6.18, and the stable releases that have this change, an RCU callback puts the
 * reference of a removed pin (bpf_free_inode()). It is still counted for a moment after the
 * removal. membarrier(2) waits for a grace period.
 */
static void wait_for_rcu(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	g_usleep(CALLBACKS_US);
}

int guard_judge(struct fs *fs, struct bpfrefs_snapshot **snap, struct bpfrefs_key key,
		const struct stat *st)
{
	int err;

	for (int i = 0;; i++) {
		err = bpfrefs_unpin_check(*snap, key, major(st->st_dev), minor(st->st_dev),
					  st->st_ino);
		if (err || i == MORE_SNAPSHOTS || !has_unexplained(*snap, key))
			return err;
		wait_for_rcu();
		bpfrefs_snapshot_unref(*snap);
		*snap = NULL;
		err = view_fresh(fs->view, snap);
		if (err)
			return err;
	}
}

/* Checks that the pin @name, whose attributes are @st, may be removed. */
static int check_pin(struct fs *fs, int dir_fd, const char *name, const struct stat *st,
		     char **reason)
{
	struct bpfrefs_snapshot *snap = NULL;
	struct bpfrefs_key key;
	int err = bpfrefs_pin_identify(fs->ctx, dir_fd, name, &key);

	/*
	 * The pin was removed meanwhile, or is an entry of BPF preload, which bpffs does not
	 * remove.
	 */
	if (err == -ENOENT)
		return 0;
	if (err)
		return errlog_refuse(reason, err, "the pinned object could not be identified");
	err = view_fresh(fs->view, &snap);
	if (!err)
		err = guard_judge(fs, &snap, key, st);
	bpfrefs_snapshot_unref(snap);
	if (err == -EBUSY)
		return errlog_refuse(
			reason, err,
			"guard: without this pin the object would be freed or its user "
			"state cleared; rm in SOURCE removes it regardless");
	if (err)
		return errlog_refuse(reason, err,
				     "guard: the references to the object could not be read");
	return 0;
}

static int stat_name(struct fs *fs, struct mirror_name at, struct stat *st)
{
	int dir_fd = mirror_dir_fd(fs->mirror, at.parent);

	return fstatat(dir_fd, at.name, st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

/* Errors of fstatat(2) are those that bpffs would return for the removal. */
static int check_removed(struct fs *fs, struct mirror_name at, char **reason)
{
	struct stat st;
	int err = stat_name(fs, at, &st);

	if (err || !S_ISREG(st.st_mode))
		return err;
	return check_pin(fs, mirror_dir_fd(fs->mirror, at.parent), at.name, &st, reason);
}

static int check_replaced(struct fs *fs, struct mirror_name from, struct mirror_name to,
			  char **reason)
{
	struct stat moved, st;
	int err = stat_name(fs, from, &moved);

	if (err)
		return err;
	err = stat_name(fs, to, &st);
	if (err)
		return err == -ENOENT ? 0 : err;
	/* rename(2) between two names of one inode removes neither. */
	if (!S_ISREG(st.st_mode) || st.st_ino == moved.st_ino)
		return 0;
	return check_pin(fs, mirror_dir_fd(fs->mirror, to.parent), to.name, &st, reason);
}

/* Returns the path below SOURCE, in the form that unpin takes. */
static char *path_of(struct fs *fs, struct mirror_name at)
{
	char path[PATH_MAX];

	if (mirror_path(fs->mirror, at.parent, path) != 0)
		return g_strconcat("?/", at.name, NULL);
	return *path ? g_strconcat(path, "/", at.name, NULL) : g_strdup(at.name);
}

int guard_unlink(struct fs *fs, const struct caller *caller, uint64_t parent, const char *name)
{
	struct mirror_name at = { parent, name };
	char *reason = NULL;
	int err;

	err = check_removed(fs, at, &reason);
	if (!err)
		err = mirror_unlink(fs->mirror, caller, parent, name, 0);
	if (reason) {
		g_autofree char *path = path_of(fs, at);
		g_autofree char *command = g_strconcat("unlink ", path, NULL);

		errlog_add(fs->errors, caller, command, err, reason);
		g_free(reason);
	}
	return err;
}

int guard_rename(struct fs *fs, const struct caller *caller, struct mirror_name from,
		 struct mirror_name to, unsigned int flags)
{
	char *reason = NULL;
	int err = 0;

	if (!(flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)))
		err = check_replaced(fs, from, to, &reason);
	if (!err)
		err = mirror_rename(fs->mirror, caller, from, to, flags);
	if (reason) {
		g_autofree char *moved = path_of(fs, from), *over = path_of(fs, to);
		g_autofree char *command = g_strconcat("rename ", moved, " ", over, NULL);

		errlog_add(fs->errors, caller, command, err, reason);
		g_free(reason);
	}
	return err;
}

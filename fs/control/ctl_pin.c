/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pin and unpin. What a path leads to, and what is made or removed there, goes by the caller's own
 * rights; what is already there is looked at with ours, which tells an administrator nothing new.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl.h"
#include "control/guard.h"
#include "render/show.h"

/* A name in a directory of SOURCE that the caller can reach. */
struct target {
	char *path;	  /* unescaped, owned */
	int dir_fd;	  /* O_PATH, owned */
	const char *name; /* in path */
	struct stat st;	  /* what is there, once target_identify() has looked */
};

static void target_clear(struct target *target)
{
	if (target->dir_fd >= 0)
		close(target->dir_fd);
	g_free(target->path);
}

#define auto_target __attribute__((cleanup(target_clear))) struct target

static int explain_open(int err, char **reason)
{
	switch (err) {
	case 0:
		return 0;
	case -EXDEV:
		return ctl_refuse(reason, err, "the path leaves the mirrored directory");
	case -EINVAL:
		return ctl_refuse(reason, err, "the path or a component of it is empty");
	case -ENOENT:
		return ctl_refuse(reason, err, "there is no such directory");
	default:
		return ctl_refuse(reason, err, "its directory: %s", g_strerror(-err));
	}
}

static int target_open(const struct where *w, const struct caller *caller, const char *text,
		       struct target *target, char **reason)
{
	int err = text_unescape(text, &target->path);

	if (err)
		return ctl_refuse(reason, err,
				  "a backslash begins three octal digits; it is \\134 itself");
	err = caller_enter(caller);
	if (err)
		return err;
	err = path_open_parent(w->fs->source_fd, target->path, &target->dir_fd, &target->name);
	caller_leave();
	return explain_open(err, reason);
}

/* Is it still what was looked at first, and no other that took its name since? */
static int target_check(const struct target *target)
{
	struct stat now;

	if (fstatat(target->dir_fd, target->name, &now, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	return now.st_dev == target->st.st_dev && now.st_ino == target->st.st_ino ? 0 : -ENOENT;
}

/* Which object is pinned there. -ENOENT if that is no pin; a symlink to one is none. */
static int target_identify(const struct where *w, struct target *target, struct bpfrefs_key *key)
{
	int err;

	if (fstatat(target->dir_fd, target->name, &target->st, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	if (!S_ISREG(target->st.st_mode))
		return -ENOENT;
	err = bpfrefs_pin_identify(w->fs->ctx, target->dir_fd, target->name, key);
	if (!err)
		err = target_check(target);
	return err == -EINVAL ? -ENOENT : err;
}

/* ----------------------------------------------------------------- pin --- */

static int explain_pin(const struct target *target, int err, char **reason)
{
	switch (err) {
	case -ENOENT:
		return ctl_refuse(reason, err, "the object or the directory has gone");
	case -EEXIST:
		return ctl_refuse(reason, err, "something else is there");
	case -EOPNOTSUPP:
		return ctl_refuse(reason, err, "such an object cannot be pinned");
	case -EPERM:
		if (strchr(target->name, '.'))
			return ctl_refuse(reason, err, "bpffs has no names with a dot");
		return err;
	default:
		return err;
	}
}

int ctl_pin(const struct where *w, const struct caller *caller, const char *command, char **reason)
{
	auto_target target = { .dir_fd = -1 };
	struct bpfrefs_key there = { .kind = BPFREFS_KIND_COUNT };
	int err = bpfrefs_exists(w->fs->ctx, w->key);

	if (err == -ENOENT)
		return ctl_refuse(reason, err, "there is no such object");
	if (!err)
		err = target_open(w, caller, command, &target, reason);
	if (!err)
		err = caller_enter(caller);
	if (err)
		return err;
	err = bpfrefs_pin(w->fs->ctx, w->key, target.dir_fd, target.name);
	caller_leave();
	if (err == -EEXIST && target_identify(w, &target, &there) == 0 &&
	    bpfrefs_key_compare(there, w->key) == 0)
		return 0; /* as asked for */
	return err ? explain_pin(&target, err, reason) : 0;
}

/* --------------------------------------------------------------- unpin --- */

/* Is it a keep that bpfrefs made? Then `keep` is the control for it. */
static bool is_keep(const struct where *w, const struct bpfrefs_snapshot *snap,
		    struct bpfrefs_key key, const char *path)
{
	const struct fs *fs = w->fs;
	size_t first, count = bpfrefs_snapshot_holders(snap, key, &first);

	for (size_t i = 0; i < count; i++) {
		const struct bpfrefs_ref *ref = bpfrefs_snapshot_ref_at(snap, first + i);
		const char *kept;

		if (strcmp(bpfrefs_ref_class(ref)->name, "keep") != 0)
			continue;
		kept = bpfrefs_snapshot_pin_path(snap, ref, fs->source_major, fs->source_minor,
						 fs->source_ino);
		if (kept && strcmp(kept, path) == 0)
			return true;
	}
	return false;
}

/* May this pin go, by the state of things now? */
static int unpin_allowed(const struct where *w, const struct target *target, struct bpfrefs_key key,
			 char **reason)
{
	struct bpfrefs_snapshot *snap;
	int err = view_fresh(w->fs->view, &snap);

	if (err)
		return err;
	if (is_keep(w, snap, key, target->path))
		err = ctl_refuse(reason, -ENOENT, "that is a keep: write off to the object's keep");
	else
		err = guard_judge(w->fs, &snap, key, &target->st);
	bpfrefs_snapshot_unref(snap);
	if (err == -EBUSY)
		return ctl_refuse(reason, err,
				  "without this pin the object would be freed or its "
				  "user state cleared; rm does it all the same");
	return err;
}

/* Removes what was looked at, and nothing that took its name since. */
static int unlink_same(const struct target *target)
{
	int err = target_check(target);

	if (err)
		return err;
	return unlinkat(target->dir_fd, target->name, 0) == 0 ? 0 : -errno;
}

int ctl_unpin(const struct where *w, const struct caller *caller, const char *command,
	      char **reason)
{
	auto_target target = { .dir_fd = -1 };
	struct bpfrefs_key there = { .kind = BPFREFS_KIND_COUNT };
	int err = target_open(w, caller, command, &target, reason);

	if (err)
		return err;
	err = target_identify(w, &target, &there);
	if (!err && w->key.kind != BPFREFS_KIND_COUNT && bpfrefs_key_compare(there, w->key) != 0)
		err = -ENOENT;
	if (err == -ENOENT)
		return ctl_refuse(reason, err, "that is no pin of this object");
	if (!err)
		err = unpin_allowed(w, &target, there, reason);
	if (!err)
		err = caller_enter(caller);
	if (err)
		return err;
	err = unlink_same(&target);
	caller_leave();
	return err;
}

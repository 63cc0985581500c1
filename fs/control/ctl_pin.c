/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pin and unpin. Paths are resolved, and files are created and removed, with the caller's rights.
 * Existing files are examined with the daemon's rights, which shows an administrator nothing that
 * is secret.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/ctl.h"
#include "control/guard.h"
#include "render/show.h"

/*
 * With RESOLVE_BENEATH, openat2(2) fails with EAGAIN if a rename anywhere in the system raced
 * with "..".
 */
#define RETRIES 16

/* ------------------------------------------------- paths in commands --- */

/* Returns whether a path is absolute or has a component "..", with which it could leave SOURCE. */
static bool leaves(const char *path)
{
	if (*path == '/')
		return true;
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0)
			return true;
		path += len;
		path += *path == '/';
	}
	return false;
}

static int open_beneath(int dir_fd, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	for (int i = 0;; i++) {
		int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

		if (fd >= 0)
			return fd;
		if (errno == ELOOP)
			return -EXDEV; /* the path contains a symlink */
		if (errno != EAGAIN || i == RETRIES)
			return -errno;
	}
}

int ctl_open_parent(int source_fd, const char *path, int *dir_fd, const char **name)
{
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	g_autofree char *dir = NULL;
	int fd;

	if (leaves(path))
		return -EXDEV;
	if (!*last || strcmp(last, ".") == 0 || strstr(path, "//"))
		return -EINVAL;
	dir = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup(".");
	fd = open_beneath(source_fd, dir);
	if (fd < 0)
		return fd;
	*dir_fd = fd;
	*name = last;
	return 0;
}

/* A name in a directory of SOURCE that the caller can reach. */
struct target {
	char *path;	  /* unescaped, owned */
	int dir_fd;	  /* O_PATH, owned */
	const char *name; /* points into path */
	struct stat st;	  /* set by target_identify() */
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
		return errlog_refuse(
			reason, err,
			"the path leaves the mirrored directory: it must be relative, without "
			"\"..\", symlinks and mounts");
	case -EINVAL:
		return errlog_refuse(reason, err, "the path or a component of it is empty");
	case -ENOENT:
		return errlog_refuse(reason, err, "there is no such directory");
	default:
		return errlog_refuse(reason, err, "opening its directory failed: %s",
				     g_strerror(-err));
	}
}

static int target_open(const struct where *w, const struct caller *caller, const char *text,
		       struct target *target, char **reason)
{
	int err = text_unescape(text, &target->path);

	if (err)
		return errlog_refuse(
			reason, err,
			"a backslash must begin three octal digits; a backslash itself is \\134");
	err = caller_enter(caller);
	if (err)
		return err;
	err = ctl_open_parent(w->fs->source_fd, target->path, &target->dir_fd, &target->name);
	caller_leave();
	return explain_open(err, reason);
}

/* Checks that the name is still the file that was examined first, and not one that replaced it. */
static int target_check(const struct target *target)
{
	struct stat now;

	if (fstatat(target->dir_fd, target->name, &now, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	return now.st_dev == target->st.st_dev && now.st_ino == target->st.st_ino ? 0 : -ENOENT;
}

/*
 * Identifies the object that is pinned there. -ENOENT if it is not a pin. A symlink to a pin is
 * not one.
 */
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
		return errlog_refuse(reason, err,
				     "the object or the directory was removed meanwhile");
	case -EEXIST:
		return errlog_refuse(reason, err,
				     "the path exists, and is not a pin of this object");
	case -EOPNOTSUPP:
		return errlog_refuse(reason, err, "objects of this kind cannot be pinned");
	case -EPERM:
		if (strchr(target->name, '.'))
			return errlog_refuse(reason, err, "bpffs refuses names with a dot");
		return err;
	default:
		return err;
	}
}

int ctl_pin(const struct where *w, const struct caller *caller, const char *command, char **reason)
{
	auto_target target = { .dir_fd = -1 };
	struct bpfrefs_key there = { .kind = BPFREFS_KIND_NONE };
	int err = bpfrefs_exists(w->fs->ctx, w->key);

	if (err == -ENOENT)
		return errlog_refuse(reason, err, "there is no such object");
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
		return 0; /* it is pinned there already */
	return err ? explain_pin(&target, err, reason) : 0;
}

/* --------------------------------------------------------------- unpin --- */

/* Returns whether the pin is a keep made by bpfrefs, which is removed with the control keep. */
static bool is_keep(const struct where *w, const struct bpfrefs_snapshot *snap,
		    struct bpfrefs_key key, const char *path)
{
	const struct fs *fs = w->fs;
	struct bpfrefs_filter filter = { .size = sizeof(filter), .object = key };
	const struct bpfrefs_ref *ref;
	selection_auto *refs = NULL;

	bpfrefs_select_refs(snap, &filter, &refs);
	while ((ref = bpfrefs_next_ref(refs))) {
		const char *kept;

		if (!(bpfrefs_ref_class(ref)->flags & BPFREFS_CLASS_KEEP))
			continue;
		kept = bpfrefs_snapshot_pin_path(snap, ref, fs->source_major, fs->source_minor,
						 fs->source_ino);
		if (kept && strcmp(kept, path) == 0)
			return true;
	}
	return false;
}

/* Checks with a new snapshot that this pin may be removed. */
static int unpin_allowed(const struct where *w, const struct target *target, struct bpfrefs_key key,
			 char **reason)
{
	struct bpfrefs_snapshot *snap;
	int err = view_fresh(w->fs->view, &snap);

	if (err)
		return err;
	if (is_keep(w, snap, key, target->path))
		err = errlog_refuse(
			reason, -ENOENT,
			"the path is a keep: to release it, write off to the object's keep file");
	else
		err = guard_judge(w->fs, &snap, key, &target->st);
	bpfrefs_snapshot_unref(snap);
	if (err == -EBUSY)
		return errlog_refuse(reason, err,
				     "without this pin the object would be freed or its "
				     "user state cleared; rm removes it regardless");
	return err;
}

/* Removes the file that was examined, and no other that has replaced it. */
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
	struct bpfrefs_key there = { .kind = BPFREFS_KIND_NONE };
	int err = target_open(w, caller, command, &target, reason);

	if (err)
		return err;
	err = target_identify(w, &target, &there);
	if (!err && w->key.kind != BPFREFS_KIND_NONE && bpfrefs_key_compare(there, w->key) != 0)
		err = -ENOENT;
	if (err == -ENOENT)
		return errlog_refuse(reason, err, "the path is no pin of this object");
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

// SPDX-License-Identifier: GPL-2.0-or-later
/* Operations that make, move and remove names. */
#include "differential.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char *x_of(const struct call *call)
{
	return call->step->x.name;
}

static const char *y_of(const struct call *call)
{
	return call->step->y.name;
}

/* ---------------------------------------------------------------- names --- */

static void run_mkdir(struct call *call)
{
	note_result(call, "mkdir", mkdirat(call->xdir, x_of(call), call->step->n & 07777));
}

static void run_mkdir_open(struct call *call)
{
	mode_t mode = 0777 | (call->step->n & (S_ISVTX | S_ISGID));

	int result = mkdirat(call->xdir, x_of(call), mode);

	note_result(call, "mkdir", result);
	if (!result)
		note_result(call, "chmod", fchmodat(call->xdir, x_of(call), mode, 0));
}

static void run_rmdir(struct call *call)
{
	note_result(call, "rmdir", unlinkat(call->xdir, x_of(call), AT_REMOVEDIR));
}

static void run_unlink(struct call *call)
{
	int flags = call->step->n % 16 ? 0 : AT_SYMLINK_NOFOLLOW;

	note_result(call, "unlink", unlinkat(call->xdir, x_of(call), flags));
}

static void run_rename(struct call *call)
{
	static const unsigned int flags[] = {
		0,
		0,
		0,
		0,
		0,
		0,
		RENAME_NOREPLACE,
		RENAME_EXCHANGE,
		RENAME_EXCHANGE,
		RENAME_WHITEOUT,
		RENAME_NOREPLACE | RENAME_EXCHANGE,
		RENAME_NOREPLACE | RENAME_WHITEOUT,
		RENAME_EXCHANGE | RENAME_WHITEOUT,
		7,
		8,
		1U << 31,
	};
	unsigned int chosen = flags[call->step->n % (sizeof(flags) / sizeof(*flags))];

	note_result(call, "rename",
		    renameat2(call->xdir, x_of(call), call->ydir, y_of(call), chosen));
}

/*
 * What a link(2) to @y says whose source is refused once all was found to be in order with the new
 * name, for which one from another file system serves; @errno_name: what the kernel says then.
 */
static void note_refused_link(struct call *call, const char *errno_name)
{
	if (linkat(AT_FDCWD, call->world->top, call->ydir, y_of(call), 0) && errno != EXDEV)
		note_result(call, "link", -1);
	else
		note(call, "link=%s ", errno_name);
}

/*
 * Where pins are symlinks, the pin that one leads to is in another file system than the mirror. And
 * where links to other users' files are restricted, only the owner may link one: the kernel asks who may write
 * it of regular files alone.
 */
static bool refused_link(struct call *call, int flags)
{
	struct stat st;

	if (!speaks_for_symlinks(call))
		return false;
	if (fstatat(call->xdir, x_of(call), &st, flags ? 0 : AT_SYMLINK_NOFOLLOW) ||
	    !S_ISREG(st.st_mode))
		return false;
	if (flags)
		note_refused_link(call, "EXDEV");
	else if (call->world->guards_hardlinks && !owns(call->step->user, st.st_uid))
		note_refused_link(call, "EPERM");
	else
		return false;
	return true;
}

static void run_link(struct call *call)
{
	static const int flags[] = { 0, 0, 0, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW };
	int chosen = flags[call->step->n % 5];

	if (chosen == AT_SYMLINK_FOLLOW && note_refused(call, "link"))
		return;
	if (chosen != AT_SYMLINK_NOFOLLOW && refused_link(call, chosen))
		return;
	note_result(call, "link", linkat(call->xdir, x_of(call), call->ydir, y_of(call), chosen));
}

static void run_symlink(struct call *call)
{
	static const char *const targets[] = { "a",  "b", "c/a", "nowhere", "p1", "../p0",
					       "..", ".", "",	 NULL,	    "x.y" };
	const char *target = targets[call->step->n % 11];
	char filled[PATH_MAX + 1];

	if (!target) {
		size_t length = 4090 + call->step->n / 11 % 8;

		memset(filled, 'z', sizeof(filled));
		filled[length < PATH_MAX ? length : PATH_MAX] = '\0';
		target = filled;
	}
	note_result(call, "symlink", symlinkat(target, call->xdir, x_of(call)));
}

static void run_mknod(struct call *call)
{
	static const mode_t types[] = { 0,	 S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR,
					S_IFBLK, S_IFDIR, S_IFLNK, 0170000 };
	mode_t type = types[call->step->n % 9];

	note_result(call, "mknod",
		    mknodat(call->xdir, x_of(call), type | (call->step->n >> 4 & 07777),
			    makedev(1, call->step->n % 3 ? 3 : 0)));
}

/* Only root, by a path; the object is the same one on all sides, so its pins may be compared. */
static void run_pin(struct call *call)
{
	const struct side *side = call->side;
	char path[PATH_ROOM + 128];

	if (call->number == MIRRORED)
		side = &call->world->source;
	snprintf(path, sizeof(path), "%s/%s", side->root, x_of(call));
	note_result(call, "pin", bpf_obj_pin(call->world->objects[call->step->n % OBJECTS], path));
}

/*
 * By a symlink of the mirror as by the pin; a file of the mirror is no pin for bpf(2). Until 5.19
 * kernel.unprivileged_bpf_disabled says no before anybody looks at a path.
 */
static void run_get(struct call *call)
{
	char path[PATH_ROOM + 128];
	int fd;

	if (!call->world->pins_symlink)
		return;
	snprintf(path, sizeof(path), "%s/%s", call->side->root, x_of(call));
	fd = bpf_obj_get(followed(call, path));
	note_result(call, "get", followed_result(call, fd < 0 ? -1 : 0));
	if (fd >= 0)
		close(fd);
}

static void run_umask(struct call *call)
{
	if (call->number == MIRRORED) /* it is the process's: once is enough */
		umask(call->step->n & 077);
}

const struct operation name_operations[] = {
	{ "mkdir", 6, run_mkdir, true, false, false },
	{ "mkdir open", 6, run_mkdir_open, true, false, false },
	{ "rmdir", 6, run_rmdir, true, false, false },
	{ "unlink", 6, run_unlink, true, false, false },
	{ "rename", 16, run_rename, true, false, false },
	{ "link", 8, run_link, true, false, false },
	{ "symlink", 5, run_symlink, true, false, false },
	{ "mknod", 2, run_mknod, true, false, false },
	{ "pin", 6, run_pin, false, true, false },
	{ "get", 2, run_get, true, true, false },
	{ "umask", 1, run_umask, true, true, false },
	{ NULL, 0, NULL, false, false, false },
};

// SPDX-License-Identifier: GPL-2.0-or-later
/* Operations that ask about names, and change what is known of them. */
#include "differential.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *x_of(const struct call *call)
{
	return call->step->x.name;
}

/* ----------------------------------------------------------- attributes --- */

static void run_chmod(struct call *call)
{
	mode_t mode = call->step->n & 07777;
	int flags = call->step->n >> 12 & 3 ? 0 : AT_SYMLINK_NOFOLLOW;

	if (!call->world->has_fchmodat2)
		flags = 0;
	if (!flags && note_refused(call, "chmod"))
		return;
	if (call->step->n >> 14 & 1)
		mode |= 0777;
	if (flags && stands_for_symlink(call, call->xdir, x_of(call)))
		note(call, "chmod=EOPNOTSUPP ");
	else if (flags)
		note_result(call, "chmod",
			    syscall(SYS_fchmodat2, call->xdir, x_of(call), mode, flags));
	else
		note_result(call, "chmod", fchmodat(call->xdir, x_of(call), mode, 0));
}

static void run_chown(struct call *call)
{
	static const uid_t ids[] = { (uid_t)-1, 0, 1000, 1001, 100, 2000, 65534, (uid_t)-1 };
	uint32_t n = call->step->n;
	int flags = n >> 6 & 1 ? AT_SYMLINK_NOFOLLOW : 0;

	if (!flags && note_refused(call, "chown"))
		return;
	note_result(call, "chown",
		    fchownat(call->xdir, x_of(call), ids[n % 8], ids[n / 8 % 8], flags));
}

/* Explicit times, UTIME_NOW, UTIME_OMIT and what is no time, in each mixture. */
static void run_utimens(struct call *call)
{
	static const long kinds[] = { 5, 999999999, UTIME_NOW, UTIME_OMIT, 1000000000, -1 };
	uint32_t n = call->step->n;
	struct timespec times[2] = { { n % 1000, kinds[n % 6] }, { n % 777, kinds[n / 6 % 6] } };
	int flags = n / 36 % 2 ? AT_SYMLINK_NOFOLLOW : 0;
	const char *name = flags ? x_of(call) : followed(call, x_of(call));
	long result = utimensat(call->xdir, name, n % 7 ? times : NULL, flags);

	note_result(call, "utimens", flags ? result : followed_result(call, result));
}

static void run_truncate(struct call *call)
{
	char path[PATH_ROOM + 128];
	long result;

	snprintf(path, sizeof(path), "%s/%s", call->side->root, x_of(call));
	result = truncate(followed(call, path), (off_t)(call->step->n % 100) - 1);
	note_result(call, "truncate", followed_result(call, result));
}

static void run_access(struct call *call)
{
	static const int flags[] = { 0, AT_EACCESS, AT_SYMLINK_NOFOLLOW | AT_EACCESS, 0x8000 };
	int chosen = flags[call->step->n >> 4 & 3];
	int mode = (int)(call->step->n & (call->world->is_noexec ? 14 : 15));
	bool itself = chosen & AT_SYMLINK_NOFOLLOW;
	const char *name = itself ? x_of(call) : followed(call, x_of(call));
	long result;

	/* A symlink may do everything. */
	if (itself && stands_for_symlink(call, call->xdir, x_of(call))) {
		note(call, call->step->n & 8 ? "access=EINVAL " : "access=0 ");
		return;
	}
	result = syscall(SYS_faccessat2, call->xdir, name, mode, chosen);
	note_result(call, "access", itself ? result : followed_result(call, result));
}

static void run_stat(struct call *call)
{
	int flags = call->step->n & 1 ? AT_SYMLINK_NOFOLLOW : 0;
	struct stat st;
	int result;

	if (!flags && note_refused(call, "stat"))
		return;
	result = fstatat(call->xdir, x_of(call), &st, flags);
	note_result(call, "stat", result);
	if (!result)
		note_stat(call, &st, flags != 0);
}

static void run_statx(struct call *call)
{
	static const int flags[] = { AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
				     AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, 0x40000 };
	struct statx stx = { 0 };
	long result = statx(call->xdir, x_of(call), flags[call->step->n % 4],
			    STATX_BASIC_STATS | STATX_BTIME, &stx);

	note_result(call, "statx", result);
	if (result == 0)
		note(call, "mask %x nlink %u uid %u ",
		     stx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME), stx.stx_nlink, stx.stx_uid);
}

/* Is it the path of the requested name, and not of another name of the same pin? */
static bool is_requested_name(const struct call *call, const char *target)
{
	const char *root = call->world->source.root, *last = strrchr(target, '/');
	char dir[PATH_ROOM] = ".", there[PATH_MAX];
	const char *name = x_of(call), *slash = strrchr(name, '/');
	struct stat wanted, shown;

	if (slash)
		snprintf(dir, sizeof(dir), "%.*s/.", (int)(slash - name), name);
	snprintf(there, sizeof(there), "%.*s", (int)(last - target), target);
	if (strcmp(slash ? slash + 1 : name, last + 1) != 0 || fstatat(call->xdir, dir, &wanted, 0))
		return false;
	/* The mirror's root has a number of its own. */
	return strcmp(there, root) == 0 ? wanted.st_ino == 1
					: stat(there, &shown) == 0 && shown.st_ino == wanted.st_ino;
}

/* A pin's leads to the real one, of which bpffs has nothing to say. */
static bool is_pins_target(const struct call *call, char *target, size_t length, size_t size)
{
	const char *root = call->world->source.root;
	struct stat shown, real;

	if (call->number != MIRRORED || !call->world->pins_symlink || call->step->behind)
		return false;
	if (length == size) /* cut off */
		return strncmp(target, root, length < strlen(root) ? length : strlen(root)) == 0;
	target[length] = '\0';
	if (strncmp(target, root, strlen(root)) != 0 ||
	    fstatat(call->xdir, x_of(call), &shown, AT_SYMLINK_NOFOLLOW))
		return false;
	if (lstat(target, &real)) /* by a held directory one comes where no path leads */
		return errno == EACCES;
	return S_ISREG(real.st_mode) && real.st_ino == shown.st_ino &&
	       is_requested_name(call, target);
}

static void run_readlink(struct call *call)
{
	size_t size = call->step->n % 4 ? PATH_MAX : call->step->n / 4 % 5;
	char buf[PATH_MAX + 1];
	ssize_t length = readlinkat(call->xdir, x_of(call), buf, size);

	if (length < 0 && errno == EINVAL && size &&
	    stands_for_symlink(call, call->xdir, x_of(call))) {
		note(call, "readlink of a pin ");
		return;
	}
	if (length > 0 && is_pins_target(call, buf, (size_t)length, size)) {
		note(call, "readlink of a pin ");
		return;
	}
	note_result(call, "readlink", length);
	if (length > 0)
		note(call, "%.*s ", (int)(length < 40 ? length : 40), buf);
}

static void run_statfs(struct call *call)
{
	char path[PATH_ROOM + 128];
	struct statfs st;
	int result;

	if (note_refused(call, "statfs"))
		return;
	snprintf(path, sizeof(path), "%s/%s", call->side->root, x_of(call));
	result = statfs(path, &st);
	note_result(call, "statfs", result);
	if (result == 0)
		note(call, "%ld %ld %lu %lu %ld ", (long)st.f_bsize, (long)st.f_frsize,
		     (unsigned long)st.f_blocks, (unsigned long)st.f_files, (long)st.f_namelen);
}

/* --------------------------------------------------------------- xattrs --- */

static const char *const xattr_names[] = { "user.x",
					   "trusted.x",
					   "security.x",
					   "security.selinux",
					   "system.posix_acl_access",
					   "system.posix_acl_default",
					   "system.x",
					   "x",
					   "user.",
					   "" };

/* What the kernel says of a symlink before it asks the file system. */
static bool note_symlink(struct call *call, const char *name, bool change)
{
	if (!stands_for_symlink(call, call->xdir, x_of(call)))
		return false;
	if (strncmp(name, "user.", 5) == 0)
		note(call, change ? "xattr=EPERM " : "xattr=ENODATA ");
	else if (strcmp(name, "x") == 0) /* none of the kernel's: whoever may write, and all may */
		note(call, "xattr=EOPNOTSUPP ");
	else
		return false;
	return true;
}

/*
 * What FUSE says of taking an ACL away, which the kernel always takes it to have, before or instead of
 * asking (bpfrefs(8), DIFFERENCES): that one who is not the owner may not; that one that only
 * directories have was removed.
 */
static bool note_acl(struct call *call, const char *name, bool follow)
{
	const char *said = "EPERM";
	struct stat st;

	if (!speaks_for_mirror(call) || errno != EOPNOTSUPP || !call->world->has_acls ||
	    strncmp(name, "system.posix_acl_", 17) != 0 ||
	    fstatat(call->xdir, x_of(call), &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) ||
	    (!S_ISDIR(st.st_mode) && call->world->pins_symlink) || S_ISLNK(st.st_mode))
		return false;
	if (strcmp(name + 17, "default") == 0 && !S_ISDIR(st.st_mode))
		said = "0";
	else if (owns(call->step->user, st.st_uid))
		said = "EOPNOTSUPP";
	note(call, "xattr=%s ", said);
	return true;
}

static void run_xattr(struct call *call)
{
	const char *name = xattr_names[call->step->n % 10];
	unsigned int which = call->step->n / 10 % 8;
	char place[PATH_ROOM + 128], value[64] = "value";
	const char *path = place;
	bool follow = which < 4;
	long result = 0;

	snprintf(place, sizeof(place), "%s/%s", call->side->root, x_of(call));
	if (follow)
		path = followed(call, place);
	if (!follow && which != 7 && note_symlink(call, name, which != 4))
		return;
	switch (which) {
	case 0:
		result = getxattr(path, name, value, call->step->n & 64 ? 0 : sizeof(value));
		break;
	case 1:
		result = setxattr(path, name, value, 5, (int)(call->step->n / 80 % 4));
		break;
	case 2:
		result = removexattr(path, name);
		break;
	case 3:
		result = listxattr(path, value, sizeof(value));
		break;
	case 4:
		result = lgetxattr(path, name, value, sizeof(value));
		break;
	case 5:
		result = lsetxattr(path, name, value, 5, 0);
		break;
	case 6:
		result = lremovexattr(path, name);
		break;
	default:
		result = llistxattr(path, NULL, 0);
	}
	if (result < 0 && which % 4 == 2 && note_acl(call, name, follow))
		return;
	note_result(call, "xattr", follow ? followed_result(call, result) : result);
}

/* -------------------------------------------------------------- listing --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_uncompared(const char *name)
{
	return strcmp(name, ".bpf") == 0 || strcmp(name, "maps.debug") == 0 ||
	       strcmp(name, "progs.debug") == 0;
}

/* Names and types, by pieces of @size: the system call, since readdir(3) hides an error. */
long list_by(struct call *call, int fd, size_t size)
{
	_Alignas(struct dirent64) char buf[4096];
	char *names[ITEMS_MAX];
	size_t count = 0;
	ssize_t length;

	while ((length = getdents64(fd, buf, size)) > 0) {
		for (ssize_t at = 0; at < length;) {
			struct dirent64 *entry = (struct dirent64 *)(void *)(buf + at);
			int type = entry->d_type;

			if (type == DT_REG && speaks_for_symlinks(call))
				type = DT_LNK;
			if (!is_uncompared(entry->d_name) && count < ITEMS_MAX &&
			    asprintf(&names[count], "%s/%d", entry->d_name, type) > 0)
				count++;
			at += entry->d_reclen;
		}
	}
	qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++) {
		note(call, "%s ", names[i]);
		free(names[i]);
	}
	return length;
}

static void run_list(struct call *call)
{
	static const size_t sizes[] = { 4096, 1024, 320, 296, 24 };
	int fd;

	if (note_refused(call, "list"))
		return;
	fd = openat(call->xdir, x_of(call), O_RDONLY | O_DIRECTORY);
	note_result(call, "list", fd < 0 ? -1 : 0);
	if (fd < 0)
		return;
	note_result(call, "getdents", list_by(call, fd, sizes[call->step->n % 5]));
	close(fd);
}

const struct operation attribute_operations[] = {
	{ "chmod", 8, run_chmod, true, false, false },
	{ "chown", 8, run_chown, true, false, false },
	{ "utimens", 6, run_utimens, true, false, false },
	{ "truncate", 2, run_truncate, true, true, false },
	{ "access", 3, run_access, true, false, false },
	{ "stat", 5, run_stat, true, false, false },
	{ "statx", 2, run_statx, true, false, false },
	{ "readlink", 3, run_readlink, true, false, false },
	{ "statfs", 1, run_statfs, true, true, false },
	{ "xattr", 3, run_xattr, true, true, false },
	{ "list", 5, run_list, true, false, false },
	{ NULL, 0, NULL, false, false, false },
};

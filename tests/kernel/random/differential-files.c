// SPDX-License-Identifier: GPL-2.0-or-later
/* Operations on open files and directories, held from one step to others or not. */
#include "differential.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

static const char *x_of(const struct call *call)
{
	return call->step->x.name;
}

static void note_fstat(struct call *call, int fd, bool itself)
{
	struct stat st;
	int result = fstat(fd, &st);

	note_result(call, "fstat", result);
	if (!result)
		note_stat(call, &st, itself);
}

static uint32_t sum_of(const char *data, ssize_t length)
{
	uint32_t sum = 2166136261u;

	for (ssize_t i = 0; i < length; i++)
		sum = (sum ^ (uint8_t)data[i]) * 16777619u;
	return sum;
}

static void note_data(struct call *call, const char *what, const char *data, ssize_t length)
{
	note_result(call, what, length);
	if (length > 0)
		note(call, "#%08x ", sum_of(data, length));
}

/* -------------------------------------------------------------- opening --- */

/* -1 if it did not open, which is noted. */
static int open_x(struct call *call, int flags)
{
	bool follows = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	int fd;

	if (follows && note_refused(call, "open"))
		return -1;
	if (flags & O_NOFOLLOW && !(flags & (O_PATH | O_DIRECTORY | O_EXCL)) &&
	    stands_for_symlink(call, call->xdir, x_of(call))) {
		note(call, "open=ELOOP ");
		return -1;
	}
	fd = openat(call->xdir, x_of(call), flags | O_CLOEXEC, 0640);
	note_result(call, "open", fd < 0 ? -1 : 0);
	return fd;
}

static void run_open(struct call *call)
{
	static const int all[] = {
		O_RDONLY,
		O_WRONLY,
		O_RDWR,
		3,
		O_RDONLY | O_TRUNC,
		O_RDWR | O_TRUNC,
		O_WRONLY | O_APPEND,
		O_RDONLY | O_DIRECTORY,
		O_RDWR | O_DIRECTORY,
		O_CREAT | O_RDWR,
		O_CREAT | O_EXCL | O_RDWR,
		O_CREAT | O_TRUNC | O_WRONLY,
		O_TMPFILE | O_RDWR,
		O_TMPFILE | O_EXCL | O_WRONLY,
		O_RDONLY | O_DIRECT,
		O_RDONLY | O_NONBLOCK,
		O_RDONLY | O_SYNC,
		O_RDONLY | O_NOATIME,
		O_PATH,
		O_PATH | O_DIRECTORY,
		O_RDONLY | O_NOCTTY,
	};
	int flags = all[call->step->n % (sizeof(all) / sizeof(*all))], fd;

	/* What the kernel says of O_CREAT for the symlink itself depends on whose it and its place are. */
	if (call->step->n >> 8 & 1 && (!(flags & O_CREAT) || !call->world->pins_symlink))
		flags |= O_NOFOLLOW;
	fd = open_x(call, flags);
	if (fd < 0)
		return;
	note_fstat(call, fd, flags & O_NOFOLLOW);
	close(fd);
}

static void replace(int *held, int fd)
{
	if (*held >= 0)
		close(*held);
	*held = fd;
}

static void run_hold_dir(struct call *call)
{
	static const int all[] = { O_RDONLY | O_DIRECTORY, O_RDONLY | O_DIRECTORY,
				   O_PATH | O_DIRECTORY, O_PATH | O_DIRECTORY | O_NOFOLLOW };

	uint32_t slot = call->step->n / 4 % DIRS;
	int by = call->step->x.dir;
	struct held held = { 0 };

	if (by >= 0) {
		held.gone = call->world->held_dirs[by].gone;
		held.moved = call->world->held_dirs[by].moved;
	}
	replace(&call->side->dirs[slot], open_x(call, all[call->step->n % 4]));
	call->world->held_dirs[slot] = held; /* as that which it was reached by */
}

static void run_hold_file(struct call *call)
{
	static const int all[] = {
		O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_NONBLOCK, O_RDWR | O_APPEND
	};
	int fd = open_x(call, all[call->step->n % 6]);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -1;
	}
	replace(&call->side->files[call->step->n / 6 % FILES], fd);
	call->world->held_files[call->step->n / 6 % FILES] = (struct held){ 0 };
}

/* ------------------------------------------------------ any descriptor --- */

static void change(struct call *call, int fd, unsigned int which, uint32_t n)
{
	const struct timespec times[2] = { { n % 1000, n % 3 ? 7 : UTIME_OMIT },
					   { n % 99, n % 5 ? UTIME_NOW : 8 } };

	switch (which) {
	case 0:
		note_result(call, "fchmod", fchmod(fd, n & 07777));
		break;
	case 1:
		note_result(call, "fchown", fchown(fd, n % 3 ? (uid_t)-1 : 1000, n % 4 * 100));
		break;
	case 2:
		note_result(call, "fchown nothing", fchown(fd, (uid_t)-1, (gid_t)-1));
		break;
	case 3:
		note_result(call, "futimens", futimens(fd, n % 4 ? times : NULL));
		break;
	case 4:
		note_result(call, "ftruncate", ftruncate(fd, (off_t)(n % 60) - 1));
		break;
	case 5:
		note_result(call, "fchownat",
			    fchownat(fd, "", (uid_t)-1, n % 4 * 100, AT_EMPTY_PATH));
		break;
	case 6:
		note_result(call, "utimensat", utimensat(fd, "", times, AT_EMPTY_PATH));
		break;
	default:
		note_result(call, "fsetxattr",
			    fsetxattr(fd, n % 2 ? "user.x" : "trusted.x", "1", 1, 0));
	}
}

/*
 * By a descriptor the kernel judges after what it saw last of the owner and the mode, which need not
 * be through it (bpfrefs(8), DIFFERENCES): so it is shown them where they were changed behind the
 * mirror.
 */
static void change_held(struct call *call, int fd, struct held *held, uint32_t n)
{
	struct stat st;

	if (held->changed && fstat(fd, &st))
		note_result(call, "fstat", -1);
	if (call->number == MIRRORED)
		held->changed = false;
	change(call, fd, n % 8, n / 8);
}

static void control(struct call *call, int fd, unsigned int which, uint32_t n)
{
	struct pollfd poller = { .fd = fd, .events = (short)(n & 0x7ff) };
	struct flock lock = { .l_type = n % 2 ? F_RDLCK : F_WRLCK };
	char buf[256] = { 0 };
	struct stat st;
	int value = 0;

	switch (which) {
	case 0:
		note_result(call, "poll", poll(&poller, 1, 0));
		note(call, "%x ", poller.revents);
		break;
	case 1:
		note_result(call, "TCGETS", ioctl(fd, TCGETS, buf));
		break;
	case 2:
		note_result(call, "flags", ioctl(fd, FS_IOC_GETFLAGS, &value));
		break;
	case 3:
		/* FUSE answers just that to a user who does not own the file. */
		if (call->step->user == 0)
			note_result(call, "flags", ioctl(fd, FS_IOC_SETFLAGS, &value));
		break;
	case 4:
		note_result(call, "flock", flock(fd, LOCK_EX | LOCK_NB));
		break;
	case 5:
		note_result(call, "F_SETLK", fcntl(fd, F_SETLK, &lock));
		break;
	case 6:
		note_result(call, "F_SETFL", fcntl(fd, F_SETFL, n % 2 ? O_NONBLOCK : O_APPEND));
		break;
	case 7:
		note_result(call, "fgetxattr", fgetxattr(fd, "user.x", buf, sizeof(buf)));
		break;
	case 8:
		note_result(call, "flistxattr", flistxattr(fd, buf, sizeof(buf)));
		break;
	case 9:
		note_result(call, "fsync", n % 2 ? fsync(fd) : fdatasync(fd));
		break;
	case 10:
		/* The first one of a mount takes such bits away before it is known to be none. */
		if (fstat(fd, &st) || !(st.st_mode & (S_ISUID | S_ISGID)))
			note_result(call, "fallocate", fallocate(fd, (int)(n % 4), 0, 10));
		break;
	case 11:
		note_result(call, "faccessat",
			    syscall(SYS_faccessat2, fd, "", n & (call->world->is_noexec ? 6 : 7),
				    AT_EMPTY_PATH | AT_EACCESS));
		break;
	default:
		note_result(call, "readlinkat", readlinkat(fd, "", buf, sizeof(buf)));
	}
}

/* ------------------------------------------------------ a held pin ------- */

enum { READ_ROOM = 70000 };

static void transfer(struct call *call, int fd, unsigned int which, uint32_t n)
{
	static char buf[READ_ROOM];
	struct iovec part = { buf, 1 + n % 40 };

	switch (which) {
	case 0:
	case 1:
	case 2:
		note_data(call, "read", buf, read(fd, buf, 1 + n % 600));
		break;
	case 3:
		note_data(call, "read all", buf, read(fd, buf, sizeof(buf)));
		break;
	case 4:
		/* Of one part: more are one read through FUSE, none at all if empty. */
		note_data(call, "readv", buf, readv(fd, &part, 1));
		break;
	case 5:
		note_result(call, "write", write(fd, buf, 1 + n % 50));
		break;
	case 6:
		note_result(call, "pwrite", pwrite(fd, "x", 1, n % 50));
		break;
	case 7:
		note_result(call, "lseek", lseek(fd, (off_t)(n % 7) - 1, (int)(n / 7 % 6)));
		break;
	case 8:
		note_result(call, "getdents", getdents64(fd, buf, sizeof(buf)));
		break;
	case 9:
		/* FUSE has but one switch for lseek(2) and this (bpfrefs(8), DIFFERENCES). */
		if (fd >= 0 && speaks_for_mirror(call) && !call->world->pins_symlink)
			note(call, "pread=ESPIPE ");
		else
			note_data(call, "pread", buf, pread(fd, buf, n % 600, n / 600 % 9000));
		break;
	default:
		note_fstat(call, fd, false);
	}
}

static void run_file(struct call *call)
{
	uint32_t n = call->step->n;
	struct held *held = &call->world->held_files[n % FILES];
	int fd = call->side->files[n % FILES];

	n /= FILES;
	switch (n % 8) {
	case 0:
		change_held(call, fd, held, n / 8);
		break;
	case 1:
		control(call, fd, n / 8 % 13, n / 104);
		break;
	default:
		transfer(call, fd, n / 8 % 11, n / 88);
	}
}

/* --------------------------------------------------- a held directory --- */

static void on_directory(struct call *call, int fd, const char *up, uint32_t n)
{
	struct statfs fs;
	void *mapped;
	char buf[16];
	int result;

	switch (n % 7) {
	case 0:
	case 1:
		note_fstat(call, fd, false);
		break;
	case 2:
		note_result(call, "rewind", lseek(fd, 0, SEEK_SET));
		note_result(call, "getdents", list_by(call, fd, 1024));
		break;
	case 3:
		result = fstatfs(fd, &fs);
		note_result(call, "fstatfs", result);
		if (!result)
			note(call, "%ld %ld ", (long)fs.f_bsize, (long)fs.f_namelen);
		break;
	case 4:
		note_result(call, "read", read(fd, buf, sizeof(buf)));
		note_result(call, "write", write(fd, buf, sizeof(buf)));
		break;
	case 5:
		mapped = mmap(NULL, 4096, PROT_READ, n & 64 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		note_result(call, "mmap", mapped == MAP_FAILED ? -1 : 0);
		if (mapped != MAP_FAILED)
			munmap(mapped, 4096);
		break;
	default:
		result = openat(fd, n & 64 ? "." : up, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		note_result(call, "openat", result < 0 ? -1 : 0);
		if (result < 0)
			break;
		note_fstat(call, result, false);
		close(result);
	}
}

static void run_held(struct call *call)
{
	uint32_t n = call->step->n, slot = n % DIRS;
	struct held *held = &call->world->held_dirs[slot];
	int fd = call->side->dirs[slot];

	n /= DIRS;
	switch (n % 4) {
	case 0:
		change_held(call, fd, held, n / 4);
		break;
	case 1:
		control(call, fd, n / 4 % 13, n / 52);
		break;
	default:
		on_directory(call, fd, held->moved ? "." : "..", n / 4);
	}
}

/* A descriptor that is no more than a place. */
static void run_opath(struct call *call)
{
	uint32_t n = call->step->n;
	int flags = O_PATH | (n % 2 ? O_NOFOLLOW : 0), fd = open_x(call, flags);
	char buf[8];

	if (fd < 0)
		return;
	n /= 2;
	switch (n % 5) {
	case 0:
		note_result(call, "read", read(fd, buf, sizeof(buf)));
		note_fstat(call, fd, flags & O_NOFOLLOW);
		break;
	case 1:
	case 2:
		change(call, fd, n / 5 % 8, n / 40);
		break;
	case 3:
		/* In SOURCE, where it leads to the pin itself there. */
		if (call->step->user == 0 && (flags & O_NOFOLLOW || !call->world->pins_symlink))
			note_result(call, "linkat",
				    linkat(fd, "", call->ydir, call->step->y.name, AT_EMPTY_PATH));
		break;
	default:
		if (!(flags & O_NOFOLLOW) || !call->world->pins_symlink)
			control(call, fd, n / 5 % 13, n / 65);
	}
	close(fd);
}

/*
 * Another name for what is open as a place: what root changes by that, who has the first one is judged
 * by; and when the first is removed it is still there.
 */
static void run_two_names(struct call *call)
{
	static const uid_t ids[] = { (uid_t)-1, 0, 1000, 1001, 100 };
	const char *y = call->step->y.name;
	uint32_t n = call->step->n;
	int fd = open_x(call, O_PATH | O_NOFOLLOW), linked;

	if (fd < 0)
		return;
	become_root();
	linked = linkat(call->xdir, x_of(call), call->ydir, y, 0);
	note_result(call, "link", linked);
	note_result(call, "chown",
		    fchownat(call->ydir, y, ids[n % 5], ids[n / 5 % 5], AT_SYMLINK_NOFOLLOW));
	become(call->step->user);
	n /= 25;
	change(call, fd, n % 8, n / 8);
	note_fstat(call, fd, true);
	/* Without another name that is known it would be nothing any more (bpfrefs(8), DIFFERENCES). */
	if (n / 64 % 2 && linked == 0)
		note_result(call, "unlink", unlinkat(call->xdir, x_of(call), 0));
	else
		note_result(call, "rename", renameat(call->xdir, x_of(call), call->ydir, y));
	note_fstat(call, fd, true);
	change(call, fd, n / 128 % 8, n / 1024);
	close(fd);
}

/* ---------------------------------------------------- a short-lived one --- */

/* Created, opened, removed: what is still to be done with it? */
static void run_removed(struct call *call)
{
	int fd;
	struct stat st;

	note_result(call, "mkdir", mkdirat(call->xdir, x_of(call), 0700));
	fd = open_x(call, O_RDONLY | O_DIRECTORY);
	note_result(call, "rmdir", unlinkat(call->xdir, x_of(call), AT_REMOVEDIR));
	if (fd < 0)
		return;
	note_fstat(call, fd, false);
	note_result(call, "getdents", list_by(call, fd, 1024));
	note_result(call, "mkdirat", mkdirat(fd, "x", 0700));
	note_result(call, "symlinkat", symlinkat("x", fd, "x"));
	note_result(call, "dotted", fstatat(fd, ".none", &st, 0));
	note_result(call, "up", fstatat(fd, "..", &st, 0));
	note_result(call, "rename", renameat(fd, "..", fd, "x"));
	change(call, fd, call->step->n % 8, call->step->n / 8);
	close(fd);
}

const struct operation file_operations[] = {
	{ "open", 8, run_open, true, false, false },
	{ "hold dir", 4, run_hold_dir, true, false, true },
	{ "hold file", 5, run_hold_file, true, false, true },
	{ "file", 14, run_file, true, true, true },
	{ "held", 6, run_held, true, true, true },
	{ "opath", 5, run_opath, true, false, false },
	{ "two names", 4, run_two_names, true, false, false },
	{ "removed", 2, run_removed, true, false, false },
	{ NULL, 0, NULL, false, false, false },
};

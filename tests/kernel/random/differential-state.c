// SPDX-License-Identifier: GPL-2.0-or-later
/* What two trees are, and whether the same has become of them. */
#include "differential.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -------------------------------------------------------------- taking --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A kernel with BPF preload puts these into every new mount; the mirror adds its own. */
static bool is_foreign(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".bpf") == 0 ||
	       strcmp(name, "maps.debug") == 0 || strcmp(name, "progs.debug") == 0;
}

static void scan_dir(struct scan *scan, int fd, const char *prefix);

static void scan_name(struct scan *scan, int dir_fd, const char *prefix, const char *name)
{
	size_t room = sizeof(scan->names) - scan->used, length;
	struct item *item = &scan->items[scan->count];
	char *path = scan->names + scan->used;
	int fd;

	length = (size_t)snprintf(path, room, "%s%s", prefix, name);
	if (scan->count == ITEMS_MAX || length + 2 > room) {
		scan->full = true;
		return;
	}
	item->name = path;
	if (fstatat(dir_fd, name, &item->st, AT_SYMLINK_NOFOLLOW))
		memset(&item->st, 0, sizeof(item->st));
	scan->used += length + 1;
	scan->count++;
	if (!S_ISDIR(item->st.st_mode) || strcmp(name, ".") == 0)
		return;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	if (fd < 0) {
		scan->full = true;
		return;
	}
	path = NULL;
	if (asprintf(&path, "%s%s/", prefix, name) < 0)
		abort();
	scan_dir(scan, fd, path);
	free(path);
}

/* Takes @fd. */
static void scan_dir(struct scan *scan, int fd, const char *prefix)
{
	char *names[ITEMS_MAX];
	struct dirent *entry;
	size_t count = 0;
	DIR *dir = fdopendir(fd);

	if (!dir)
		abort();
	while ((entry = readdir(dir)) && count < ITEMS_MAX)
		if (!is_foreign(entry->d_name))
			names[count++] = strdup(entry->d_name);
	qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++) {
		scan_name(scan, dirfd(dir), prefix, names[i]);
		free(names[i]);
	}
	closedir(dir);
}

void scan_take(int root_fd, struct scan *scan)
{
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);

	scan->count = scan->used = 0;
	scan->full = false;
	scan_name(scan, root_fd, "", ".");
	scan_dir(scan, fd, "");
	clock_gettime(CLOCK_REALTIME_COARSE, &scan->since);
	clock_gettime(CLOCK_REALTIME, &scan->when);
}

/* ----------------------------------------------------------- comparing --- */

static int64_t nanoseconds(const struct timespec *t)
{
	return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

static const struct item *find_inode(const struct scan *scan, ino_t ino)
{
	for (size_t i = 0; i < scan->count; i++)
		if (scan->items[i].st.st_ino == ino)
			return &scan->items[i];
	return NULL;
}

/* What a time can have been through since the scan before. */
enum { KEPT = 1, STAMPED = 2, SET = 4 };

/*
 * bpffs stamps with the coarse clock, or with what some other file system has just stamped finer:
 * within one tick, a stamp cannot be distinguished from what was there. Nothing else here sets a time that is
 * less than years from now.
 */
static unsigned int fate(const struct timespec *then, const struct timespec *now,
			 const struct timespec window[2])
{
	int64_t value = nanoseconds(now);
	bool recent = value >= nanoseconds(&window[0]) && value <= nanoseconds(&window[1]);

	if (then && nanoseconds(then) == value)
		return recent ? KEPT | STAMPED : KEPT;
	return recent ? STAMPED : SET;
}

static bool times_differ(const struct item *const then[SIDES], const struct item *const now[SIDES],
			 const struct timespec window[2], char *why, size_t size)
{
	static const char *const names[] = { "atime", "mtime", "ctime" };

	for (int t = 0; t < 3; t++) {
		const struct timespec *after[SIDES];
		unsigned int fates[SIDES];

		for (int s = 0; s < SIDES; s++) {
			const struct stat *a = then[s] ? &then[s]->st : NULL, *b = &now[s]->st;
			const struct timespec *old[] = { a ? &a->st_atim : NULL,
							 a ? &a->st_mtim : NULL,
							 a ? &a->st_ctim : NULL };
			const struct timespec *new[] = { &b->st_atim, &b->st_mtim, &b->st_ctim };

			after[s] = new[t];
			fates[s] = fate(old[t], new[t], window);
		}
		if (fates[PLAIN] & fates[MIRRORED] &&
		    (fates[PLAIN] != SET ||
		     nanoseconds(after[PLAIN]) == nanoseconds(after[MIRRORED])))
			continue;
		snprintf(why, size,
			 "%s of %s: %u at %lld.%09ld in bpffs, %u at %lld.%09ld mirrored", names[t],
			 now[PLAIN]->name, fates[PLAIN], (long long)after[PLAIN]->tv_sec,
			 after[PLAIN]->tv_nsec, fates[MIRRORED], (long long)after[MIRRORED]->tv_sec,
			 after[MIRRORED]->tv_nsec);
		return true;
	}
	return false;
}

static void facts(const struct stat *st, char *text, size_t size)
{
	snprintf(text, size, "mode %o uid %u gid %u nlink %lu size %lld blocks %lld/%ld rdev %lx",
		 st->st_mode, st->st_uid, st->st_gid, (unsigned long)st->st_nlink,
		 (long long)st->st_size, (long long)st->st_blocks, (long)st->st_blksize,
		 (unsigned long)st->st_rdev);
}

static bool facts_differ(const struct item *const now[SIDES], char *why, size_t size)
{
	char text[SIDES][256];

	for (int s = 0; s < SIDES; s++)
		facts(&now[s]->st, text[s], sizeof(text[s]));
	if (strcmp(text[PLAIN], text[MIRRORED]) == 0)
		return false;
	snprintf(why, size, "%s: %s in bpffs, %s mirrored", now[PLAIN]->name, text[PLAIN],
		 text[MIRRORED]);
	return true;
}

static bool names_differ(const struct item *const now[SIDES], char *why, size_t size)
{
	if (now[PLAIN] && now[MIRRORED] && strcmp(now[PLAIN]->name, now[MIRRORED]->name) == 0)
		return false;
	snprintf(why, size, "%s in bpffs, %s mirrored, in order of names",
		 now[PLAIN] ? now[PLAIN]->name : "nothing",
		 now[MIRRORED] ? now[MIRRORED]->name : "nothing");
	return true;
}

bool scan_differs(struct scan *const before[SIDES], struct scan *const after[SIDES], char *why,
		  size_t size)
{
	struct timespec window[2] = { before[PLAIN]->since, after[MIRRORED]->when };
	size_t count = after[PLAIN]->count;

	for (size_t i = 0; i < count || i < after[MIRRORED]->count; i++) {
		const struct item *now[SIDES], *then[SIDES];

		for (int s = 0; s < SIDES; s++)
			now[s] = i < after[s]->count ? &after[s]->items[i] : NULL;
		if (names_differ(now, why, size))
			return true;
		for (int s = 0; s < SIDES; s++)
			then[s] = find_inode(before[s], now[s]->st.st_ino);
		if (!then[PLAIN] != !then[MIRRORED]) {
			snprintf(why, size, "%s is new on one side alone", now[PLAIN]->name);
			return true;
		}
		if (facts_differ(now, why, size) || times_differ(then, now, window, why, size))
			return true;
	}
	return false;
}

/* ---------------------------------------------------- through the mirror --- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return nanoseconds(a) == nanoseconds(b);
}

static bool shown_differs(const struct world *world, const struct item *item, char *why,
			  size_t size)
{
	struct stat shown, real;
	const char *what = NULL;

	if (fstatat(world->source.root_fd, item->name, &real, AT_SYMLINK_NOFOLLOW) ||
	    fstatat(world->sides[MIRRORED].root_fd, item->name, &shown, AT_SYMLINK_NOFOLLOW)) {
		snprintf(why, size, "view of %s: %s", item->name, strerror(errno));
		return true;
	}
	if (world->pins_symlink && S_ISREG(real.st_mode)) {
		real.st_mode = S_IFLNK | 0777;
		real.st_size = 0;
	}
	if (shown.st_ino != real.st_ino && strcmp(item->name, ".") != 0)
		what = "ino";
	else if (shown.st_mode != real.st_mode)
		what = "mode";
	else if (shown.st_nlink != real.st_nlink)
		what = "nlink";
	else if (shown.st_uid != real.st_uid || shown.st_gid != real.st_gid)
		what = "owner";
	else if (shown.st_size != real.st_size || shown.st_blocks != real.st_blocks ||
		 shown.st_blksize != real.st_blksize)
		what = "size";
	else if (!same_time(&shown.st_atim, &real.st_atim))
		what = "atime";
	else if (!same_time(&shown.st_mtim, &real.st_mtim))
		what = "mtime";
	else if (!same_time(&shown.st_ctim, &real.st_ctim))
		what = "ctime";
	if (what)
		snprintf(why, size, "view of %s: another %s than in SOURCE", item->name, what);
	return what != NULL;
}

/* The entries of a directory of the mirror, each with number and type as its lstat says. */
static bool listing_differs(const struct world *world, const char *name, char *why, size_t size)
{
	int fd = openat(world->sides[MIRRORED].root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool differs = !dir;

	snprintf(why, size, "listing of %s: %s", name, dir ? "fine" : strerror(errno));
	while (dir && !differs && (entry = readdir(dir))) {
		struct stat st;

		if (is_foreign(entry->d_name))
			continue;
		differs = fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
			  st.st_ino != entry->d_ino || IFTODT(st.st_mode) != entry->d_type;
		if (differs)
			snprintf(why, size, "entry %s of %s: number or type", entry->d_name, name);
	}
	if (dir)
		closedir(dir);
	return differs;
}

bool view_differs(struct world *world, const struct scan *there, char *why, size_t size)
{
	for (size_t i = 0; i < there->count; i++) {
		const struct item *item = &there->items[i];

		if (shown_differs(world, item, why, size))
			return true;
		if (S_ISDIR(item->st.st_mode) && listing_differs(world, item->name, why, size))
			return true;
	}
	return false;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random steps on a mirrored bpffs and on a plain one: every result, every attribute and every name
 * must be the same. The mirror with pins=symlink is compared with what bpffs would return if its pins
 * were symlinks; apart from that, nothing is left out.
 */
#include "differential.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 2000, SCAN_EVERY = 4, VIEW_EVERY = 64, HISTORY = 12 };

struct test {
	struct world world;
	struct scan *before[SIDES], *after[SIDES];
	struct step step, history[HISTORY];
	struct call calls[SIDES];
	char why[4096];
};

static struct test the_test;

/* -------------------------------------------------------------- results --- */

void note(struct call *call, const char *format, ...)
{
	size_t room = TEXT_ROOM - call->used;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(call->text + call->used, room, format, args);
	va_end(args);
	if (length > 0)
		call->used += (size_t)length < room ? (size_t)length : room - 1;
}

void note_result(struct call *call, const char *what, long result)
{
	if (result < 0)
		note(call, "%s=%s ", what, strerrorname_np(errno));
	else
		note(call, "%s=%ld ", what, result);
}

void note_stat(struct call *call, const struct stat *st, bool itself)
{
	bool symlink = itself && S_ISREG(st->st_mode) && speaks_for_symlinks(call);

	note(call, "%o %u:%u %lu %lld/%lld/%ld %lx ", symlink ? S_IFLNK | 0777 : st->st_mode,
	     st->st_uid, st->st_gid, (unsigned long)st->st_nlink,
	     symlink ? 0LL : (long long)st->st_size, (long long)st->st_blocks, (long)st->st_blksize,
	     (unsigned long)st->st_rdev);
}

bool speaks_for_mirror(const struct call *call)
{
	return call->number == PLAIN && !call->step->behind;
}

bool speaks_for_symlinks(const struct call *call)
{
	return call->world->pins_symlink && speaks_for_mirror(call);
}

bool stands_for_symlink(const struct call *call, int dir, const char *name)
{
	struct stat st;

	return speaks_for_symlinks(call) && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode);
}

static bool is_refused(const struct call *call)
{
	return call->step->refused && speaks_for_symlinks(call);
}

bool note_refused(struct call *call, const char *what)
{
	if (is_refused(call))
		note(call, "%s=EACCES ", what);
	return is_refused(call);
}

const char *followed(const struct call *call, const char *path)
{
	return is_refused(call) ? "" : path;
}

long followed_result(const struct call *call, long result)
{
	if (result < 0 && errno == ENOENT && is_refused(call))
		errno = EACCES;
	return result;
}

static void print_step(const struct step *step, unsigned long number)
{
	printf("#   step %lu: %s %d:'%.80s' %d:'%.80s' n=%u user %u%s\n", number, step->op->name,
	       step->x.dir, step->x.name, step->y.dir, step->y.name, step->n, step->user,
	       step->behind ? " behind the mirror" : "");
}

/* ---------------------------------------------------------------- steps --- */

static int dir_of(const struct side *side, int dir)
{
	return dir < 0 ? side->root_fd : side->dirs[dir];
}

static void run_on(struct test *test, int number)
{
	struct call *call = &test->calls[number];
	const struct step *step = &test->step;

	call->step = step;
	call->world = &test->world;
	call->number = number;
	call->side = &test->world.sides[number];
	if (number == MIRRORED && step->behind)
		call->side = &test->world.source;
	call->xdir = dir_of(call->side, step->x.dir);
	call->ydir = dir_of(call->side, step->y.dir);
	call->used = 0;
	call->text[0] = '\0';
	errno = 0;
	step->op->run(call);
}

static void drop_slashes(char *name)
{
	size_t end = strlen(name);

	while (end > 1 && name[end - 1] == '/')
		end--;
	name[end] = '\0';
}

/*
 * fs.protected_symlinks: in a sticky directory that all may write to, a symlink is followed by its
 * owner and for the directory's owner only. So for a pin that is shown as one.
 */
static bool would_be_refused(const struct test *test, const struct path *at, unsigned int user)
{
	const struct side *side = &test->world.sides[PLAIN];
	char name[PATH_ROOM], link[64], path[PATH_MAX];
	struct stat pin, dir;
	ssize_t length;
	int fd;

	if (!test->world.pins_symlink || !test->world.guards_symlinks)
		return false;
	strcpy(name, at->name);
	drop_slashes(name);
	/* Root may not follow each symlink on the way, and for access(2) one may be root again. */
	become(user);
	fd = openat(dir_of(side, at->dir), name, O_PATH | O_CLOEXEC);
	become_root();
	if (fd < 0)
		fd = openat(dir_of(side, at->dir), name, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (fstat(fd, &pin) || !S_ISREG(pin.st_mode))
		length = -1;
	close(fd);
	if (length < 0)
		return false;
	path[length] = '\0';
	*strrchr(path, '/') = '\0';
	return stat(path, &dir) == 0 && dir.st_mode & S_ISVTX && dir.st_mode & S_IWOTH &&
	       dir.st_uid != pin.st_uid && uid_of(user) != pin.st_uid;
}

/* Or does it do one too? */
static bool is_rename(const struct step *step)
{
	return strcmp(step->op->name, "rename") == 0 || strcmp(step->op->name, "two names") == 0;
}

/* The directories above, as one number. */
static uint64_t way_up(int fd)
{
	char path[64] = "..";
	uint64_t way = 0, last = 0;
	struct stat st;

	while (strlen(path) + 4 < sizeof(path) && fstatat(fd, path, &st, 0) == 0 &&
	       st.st_ino != last) {
		last = st.st_ino;
		way = way * 31 + last;
		strcat(path, "/..");
	}
	return way;
}

/* Notes what is known of what is held, or what of that has changed since. */
static void note_held(struct held *held, int fd, bool before)
{
	struct stat st;
	uint64_t up;

	if (fstat(fd, &st))
		return;
	up = S_ISDIR(st.st_mode) && st.st_nlink ? way_up(fd) : held->up;
	if (!before) {
		held->gone |= S_ISDIR(st.st_mode) && !st.st_nlink && held->st.st_nlink;
		held->moved |= up != held->up;
		held->changed |= st.st_mode != held->st.st_mode || st.st_uid != held->st.st_uid ||
				 st.st_gid != held->st.st_gid;
	}
	held->st = st;
	held->up = up;
}

/*
 * The kernel has cached where a directory is, and uses that for ".." and to refuse a rename into itself,
 * also after the directory was moved behind the mirror. That a directory was removed behind it, the
 * kernel finds only when it calls the daemon, after it has checked who may write there: for users other
 * than root the errors may differ. And a call by a descriptor is judged by the owner and the mode that
 * the kernel read last (bpfrefs(8), DIFFERENCES).
 */
static void note_behind(struct test *test, bool before)
{
	struct world *world = &test->world;
	const struct side *side = &world->sides[PLAIN];

	if (!test->step.behind)
		return;
	for (int i = 0; i < DIRS; i++)
		note_held(&world->held_dirs[i], side->dirs[i], before);
	for (int i = 0; i < FILES; i++)
		note_held(&world->held_files[i], side->files[i], before);
}

/* Does it begin with "..", or could a symlink lead there? */
static bool may_go_up(int dir, const char *name)
{
	struct stat st;

	return strncmp(name, "..", 2) == 0 ||
	       (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode));
}

/* One that was moved so is another directory to the kernel, also when it is removed by the mirror. */
static bool is_gone(const struct test *test, int dir)
{
	const struct held *held;
	struct stat st;

	if (dir < 0)
		return false;
	held = &test->world.held_dirs[dir];
	return held->gone ||
	       (held->moved && !fstat(dir_of(&test->world.sides[PLAIN], dir), &st) && !st.st_nlink);
}

/* Takes from a step what cannot be compared. */
static void restrict_step(struct test *test)
{
	const struct held *held = test->world.held_dirs;
	struct step *step = &test->step;

	for (struct path *path = &step->x; path; path = path == &step->x ? &step->y : NULL)
		if (path->dir >= 0 && held[path->dir].moved &&
		    (is_rename(step) ||
		     may_go_up(dir_of(&test->world.sides[PLAIN], path->dir), path->name)))
			path->dir = -1;
	if (is_gone(test, step->y.dir))
		step->y.dir = -1;
	if (is_gone(test, step->x.dir))
		step->user = 0;
	/* A pin's symlink is followed from the root: not by who may not go where he already is. */
	if (step->x.dir >= 0 && test->world.pins_symlink)
		step->user = 0;
	/* Before a slash the kernel checks that also for calls that do not follow (O_NOFOLLOW, link). */
	step->refused = would_be_refused(test, &step->x, step->user);
	if (step->refused)
		drop_slashes(step->x.name);
	if (would_be_refused(test, &step->y, 0))
		drop_slashes(step->y.name);
}

static bool step_differs(struct test *test, bool trace)
{
	restrict_step(test);
	note_behind(test, true);
	become(test->step.user);
	for (int s = 0; s < SIDES; s++)
		run_on(test, s);
	become_root();
	note_behind(test, false);
	if (trace)
		printf("#     %.200s\n", test->calls[PLAIN].text);
	if (strcmp(test->calls[PLAIN].text, test->calls[MIRRORED].text) == 0)
		return false;
	snprintf(test->why, sizeof(test->why), "results\n# bpffs:    %.1800s\n# mirrored: %.1800s",
		 test->calls[PLAIN].text, test->calls[MIRRORED].text);
	return true;
}

static void swap_scans(struct test *test)
{
	for (int s = 0; s < SIDES; s++) {
		struct scan *old = test->before[s];

		test->before[s] = test->after[s];
		test->after[s] = old;
	}
}

static void scan_sides(struct test *test)
{
	scan_take(test->world.sides[PLAIN].root_fd, test->after[PLAIN]);
	scan_take(test->world.source.root_fd, test->after[MIRRORED]);
}

static bool state_differs(struct test *test, unsigned long step)
{
	if (step % SCAN_EVERY == 0) {
		scan_sides(test);
		if (scan_differs(test->before, test->after, test->why, sizeof(test->why)))
			return true;
		swap_scans(test);
	}
	return step % VIEW_EVERY == 0 &&
	       view_differs(&test->world, test->before[PLAIN], test->why, sizeof(test->why));
}

static enum outcome differential_round(struct run *run)
{
	if (world_reset(&the_test.world))
		return wrong(run, "both sides anew: %s", strerror(errno));
	scan_sides(&the_test);
	swap_scans(&the_test);
	while (run->step < run->steps && !the_test.before[PLAIN]->full) {
		unsigned long i = ++run->step;

		step_choose(&run->random, the_test.before[PLAIN], &the_test.step);
		the_test.history[i % HISTORY] = the_test.step;
		if (run->trace)
			print_step(&the_test.step, i);
		if (!step_differs(&the_test, run->trace) && !state_differs(&the_test, i))
			continue;
		wrong(run, "difference in %s", the_test.why);
		for (i = i >= HISTORY ? i - HISTORY + 1 : 1; i <= run->step; i++)
			print_step(&the_test.history[i % HISTORY], i);
		return WRONG;
	}
	return GOOD;
}

static enum outcome differential_begin(struct run *run)
{
	const char *what;

	for (int s = 0; s < SIDES; s++) {
		the_test.before[s] = calloc(1, sizeof(struct scan));
		the_test.after[s] = calloc(1, sizeof(struct scan));
		the_test.calls[s].text = malloc(TEXT_ROOM);
		if (!the_test.before[s] || !the_test.after[s] || !the_test.calls[s].text)
			abort();
	}
	the_test.world.pins_symlink = run->kind && strcmp(run->kind, "symlink") == 0;
	if (world_open(&the_test.world, getenv("BPFREFS"), &what))
		return errno == EPERM ? skipped(run, "%s: %s", what, strerror(errno))
				      : wrong(run, "%s: %s", what, strerror(errno));
	if (the_test.world.kinds < OBJECTS)
		printf("# pins of %d kinds of objects, not of %d\n", the_test.world.kinds, OBJECTS);
	return GOOD;
}

static enum outcome differential_end(struct run *run, enum outcome outcome)
{
	int status = world_close(&the_test.world);

	if (outcome == SKIPPED)
		return SKIPPED;
	snprintf(run->text, sizeof(run->text), "pins=%s", run->kind);
	return status ? wrong(run, "the daemon ended with wait status %d", status) : outcome;
}

const struct tester differential_tester = {
	.name = "differential",
	.kinds = { "file", "symlink" },
	.rounds = 10,
	.steps = STEPS,
	.begin = differential_begin,
	.round = differential_round,
	.end = differential_end,
};

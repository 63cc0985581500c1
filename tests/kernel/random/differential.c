// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random steps on a mirrored bpffs and on a plain one: every result, every attribute and every name
 * must be the same. The mirror with pins=symlink is compared with what bpffs would say if its pins
 * were symlinks; apart from that, nothing is left out.
 *
 *	differential [--pins=file|symlink] [--seed=N] [--steps=N] [--rounds=N] [--trace]
 *
 * The program bpfrefs is $BPFREFS. A round begins with both empty, and with a seed of its own: the
 * last one before a difference, and the number of steps in it, show it again, and are told. STEPS in
 * the environment is the number of steps in all, of each of the two kinds of mirror.
 */
#include "differential.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS = 20000, ROUND = 2000, SEED = 1, SCAN_EVERY = 4, VIEW_EVERY = 64, TOLD = 12 };

struct test {
	struct world world;
	uint64_t seed;
	unsigned long round_steps, rounds, done;
	struct scan *before[SIDES], *after[SIDES];
	struct step step, history[TOLD];
	struct call calls[SIDES];
	bool trace;
	char why[4096];
};

/* -------------------------------------------------------------- telling --- */

void tell(struct call *call, const char *format, ...)
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

void tell_result(struct call *call, const char *what, long result)
{
	if (result < 0)
		tell(call, "%s=%s ", what, strerrorname_np(errno));
	else
		tell(call, "%s=%ld ", what, result);
}

void tell_stat(struct call *call, const struct stat *st, bool itself)
{
	bool symlink = itself && S_ISREG(st->st_mode) && speaks_for_symlinks(call);

	tell(call, "%o %u:%u %lu %lld/%lld/%ld %lx ", symlink ? S_IFLNK | 0777 : st->st_mode,
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

bool told_refused(struct call *call, const char *what)
{
	if (is_refused(call))
		tell(call, "%s=EACCES ", what);
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
 * Where a directory is that was moved behind the mirror the kernel takes from its memory: for "..",
 * and to tell a rename into itself. That one was removed so it learns only when it asks, which is after
 * it has looked at who may write there: for others than root the errors may differ. And by a
 * descriptor it judges after the owner and the mode that it saw last (bpfrefs(8), DIFFERENCES).
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
	/* Before a slash that is asked of those too who do not follow (O_NOFOLLOW, link). */
	step->refused = would_be_refused(test, &step->x, step->user);
	if (step->refused)
		drop_slashes(step->x.name);
	if (would_be_refused(test, &step->y, 0))
		drop_slashes(step->y.name);
}

static bool step_differs(struct test *test)
{
	restrict_step(test);
	note_behind(test, true);
	become(test->step.user);
	for (int s = 0; s < SIDES; s++)
		run_on(test, s);
	become_root();
	note_behind(test, false);
	if (test->trace)
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

static bool look_differs(struct test *test, unsigned long step)
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

static void report(struct test *test, uint64_t seed, unsigned long step)
{
	printf("# difference in %s\n", test->why);
	for (unsigned long i = step >= TOLD ? step - TOLD + 1 : 1; i <= step; i++)
		print_step(&test->history[i % TOLD], i);
	printf("# again: BPFREFS=%s tests/differential --pins=%s --seed=%llu --steps=%lu "
	       "--rounds=1\n",
	       getenv("BPFREFS"), test->world.pins_symlink ? "symlink" : "file",
	       (unsigned long long)seed, step);
}

/* False: a difference, which is told. */
static bool run_round(struct test *test, uint64_t seed)
{
	uint64_t random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;

	if (world_reset(&test->world)) {
		printf("# both sides anew: %s\n", strerror(errno));
		return false;
	}
	scan_sides(test);
	swap_scans(test);
	for (unsigned long i = 1; i <= test->round_steps && !test->before[PLAIN]->full; i++) {
		step_choose(&random, test->before[PLAIN], &test->step);
		test->history[i % TOLD] = test->step;
		test->done++;
		if (test->trace)
			print_step(&test->step, i);
		if (step_differs(test) || look_differs(test, i)) {
			report(test, seed, i);
			return false;
		}
	}
	return true;
}

/* ----------------------------------------------------------------- main --- */

static bool run_rounds(struct test *test)
{
	for (unsigned long i = 0; i < test->rounds; i++)
		if (!run_round(test, test->seed + i))
			return false;
	return true;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One kind of mirror, in a process of its own, since it has mounts of its own. 0 or 1. */
static int run_kind(struct test *test, int number, bool pins_symlink)
{
	const char *kind = pins_symlink ? "symlink" : "file", *what;
	double begin = seconds();
	bool same;
	int status;

	test->world.pins_symlink = pins_symlink;
	if (world_open(&test->world, getenv("BPFREFS"), &what)) {
		int err = errno;

		world_close(&test->world);
		printf("%sok %d pins=%s%s %s: %s\n", err == EPERM ? "" : "not ", number, kind,
		       err == EPERM ? " # SKIP" : "", what, strerror(err));
		return err != EPERM;
	}
	if (test->world.kinds < OBJECTS)
		printf("# pins of %d kinds of objects, not of %d\n", test->world.kinds, OBJECTS);
	same = run_rounds(test);
	status = world_close(&test->world);
	if (status)
		printf("# the daemon ended with wait status %d\n", status);
	printf("%sok %d pins=%s: %lu steps, %.0f a second\n", same && !status ? "" : "not ", number,
	       kind, test->done, (double)test->done / (seconds() - begin));
	return !same || status;
}

static void make_room(struct test *test)
{
	for (int s = 0; s < SIDES; s++) {
		test->before[s] = calloc(1, sizeof(struct scan));
		test->after[s] = calloc(1, sizeof(struct scan));
		test->calls[s].text = malloc(TEXT_ROOM);
		if (!test->before[s] || !test->after[s] || !test->calls[s].text)
			abort();
	}
}

static const char *parse(struct test *test, int argc, char **argv)
{
	static const struct option options[] = { { "pins", required_argument, NULL, 'p' },
						 { "seed", required_argument, NULL, 's' },
						 { "steps", required_argument, NULL, 'n' },
						 { "rounds", required_argument, NULL, 'r' },
						 { "trace", no_argument, NULL, 't' },
						 { "tap", no_argument, NULL, '-' },
						 { NULL, 0, NULL, 0 } };
	const char *seed = getenv("SEED"), *steps = getenv("STEPS"), *pins = NULL;
	int option;

	test->seed = seed ? strtoull(seed, NULL, 0) : SEED;
	test->round_steps = ROUND;
	test->rounds = (steps ? strtoul(steps, NULL, 0) : STEPS) / ROUND;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			pins = optarg;
		else if (option == 's')
			test->seed = strtoull(optarg, NULL, 0);
		else if (option == 'n')
			test->round_steps = strtoul(optarg, NULL, 0);
		else if (option == 'r')
			test->rounds = strtoul(optarg, NULL, 0);
		else if (option == 't')
			test->trace = true;
		else if (option != '-') /* --tap: it knows no other way */
			exit(2);
	}
	return pins;
}

int main(int argc, char **argv)
{
	static struct test only;
	struct test *test = &only;
	const char *pins;
	int failed = 0, number = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	pins = parse(test, argc, argv);
	make_room(test);
	printf("1..%d\n# seed %llu\n", pins ? 1 : 2, (unsigned long long)test->seed);
	for (int kind = 0; kind < 2; kind++) {
		int status = 1;
		pid_t child;

		if (pins && strcmp(pins, kind ? "symlink" : "file") != 0)
			continue;
		number++;
		if (geteuid() != 0 || !getenv("BPFREFS")) {
			printf("ok %d # SKIP not root, or no BPFREFS\n", number);
			continue;
		}
		child = fork();
		if (child == 0)
			exit(run_kind(test, number, kind == 1));
		waitpid(child, &status, 0);
		failed |= status != 0;
	}
	return failed;
}

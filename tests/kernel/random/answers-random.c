/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random graphs of program arrays and programs, held by several processes through descriptors of
 * their own and shared ones, through sockets and by pins. Before each process is killed,
 * bpfrefs_retains() says what will be freed and cleared; then just that must have happened.
 *
 *	answers-random [ROUNDS [SEED]]
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../helpers/quiet.h"
#include "bpfrefs.h"
#include "chance.h"

enum { ARRAYS = 4, PROGS = 6, OBJECTS = ARRAYS + PROGS, SLOTS = 3, HOLDERS = 4 };
enum { ROUNDS = 200, SEED = 1 };

/* What passes while the kernel's deferred frees run, or others' short looks. */
enum { PATIENCE_MS = 10000, STEP_MS = 5 };

/* What is known of one object between two kills. */
struct standing {
	bool gone, cleared;
	unsigned int slots; /* filled ones of an array */
};

struct test {
	struct bpfrefs_ctx *ctx;
	char *dir; /* our bpffs */
	uint64_t random;
	int round;
	uint32_t holds;	 /* ways in which processes hold: enum hold */
	int fd[OBJECTS]; /* arrays, then programs: ours, until the holders have theirs */
	struct bpfrefs_key key[OBJECTS];
	pid_t holder[HOLDERS];
	struct standing standing[OBJECTS];
	unsigned int freed, cleared;
	bool disturbed; /* somebody else holds what is ours */
};

static int fail(const struct test *test, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(const struct test *test, const char *format, ...)
{
	va_list args;

	printf("# round %d: ", test->round);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return -1;
}

static void step(void)
{
	struct timespec ts = { 0, STEP_MS * 1000000L };

	nanosleep(&ts, NULL);
}

/* -------------------------------------------------------------- making --- */

static int load_prog(struct test *test)
{
	struct bpf_insn insns[2 * ARRAYS + 2];
	size_t n = 0;

	for (int a = 0; a < ARRAYS; a++) {
		if (!one_in(&test->random, 3))
			continue;
		insns[n++] = (struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
						.dst_reg = BPF_REG_1,
						.src_reg = BPF_PSEUDO_MAP_FD,
						.imm = test->fd[a] };
		insns[n++] = (struct bpf_insn){ 0 };
	}
	insns[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	insns[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "answers", "GPL", insns, n, NULL);
}

static int identify(struct test *test, int i)
{
	struct bpf_map_info map = { 0 };
	struct bpf_prog_info prog = { 0 };
	uint32_t map_len = sizeof(map), prog_len = sizeof(prog);
	int err = i < ARRAYS ? bpf_obj_get_info_by_fd(test->fd[i], &map, &map_len)
			     : bpf_obj_get_info_by_fd(test->fd[i], &prog, &prog_len);

	test->key[i].kind = i < ARRAYS ? BPFREFS_MAP : BPFREFS_PROG;
	test->key[i].id = i < ARRAYS ? map.id : prog.id;
	return err;
}

static int make_objects(struct test *test)
{
	char path[256];

	for (int i = 0; i < OBJECTS; i++) {
		test->standing[i] = (struct standing){ false };
		test->fd[i] = i < ARRAYS ? bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "answers", 4, 4,
							  SLOTS, NULL)
					 : load_prog(test);
		if (test->fd[i] < 0 || identify(test, i))
			return fail(test, "making object %d: %s", i, strerror(errno));
		snprintf(path, sizeof(path), "%s/%d", test->dir, i);
		if (one_in(&test->random, 6) && bpf_obj_pin(test->fd[i], path))
			return fail(test, "pinning object %d: %s", i, strerror(errno));
	}
	for (int a = 0; a < ARRAYS; a++) {
		for (uint32_t s = 0; s < SLOTS; s++) {
			int prog = test->fd[ARRAYS + below(&test->random, PROGS)];

			if (one_in(&test->random, 2))
				continue;
			if (bpf_map_update_elem(test->fd[a], &s, &prog, BPF_ANY))
				return fail(test, "filling a slot: %s", strerror(errno));
			test->standing[a].slots++;
		}
	}
	return 0;
}

/* How a process holds an object. */
enum hold { NOT, SHARED, OWN, SOCKET, HOLDS };

static int attach_socket(int prog)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) ? -1 : fd;
}

static int take_hold(const struct test *test, int i, enum hold how)
{
	if (how == NOT)
		return 0;
	if (how == SOCKET && i >= ARRAYS)
		return attach_socket(test->fd[i]);
	if (how == OWN)
		return i < ARRAYS ? bpf_map_get_fd_by_id(test->key[i].id)
				  : bpf_prog_get_fd_by_id(test->key[i].id);
	return dup(test->fd[i]);
}

/* The child: says whether it has what it is to have, lets go of the rest, and waits for its end. */
static void hold(const struct test *test, const enum hold *how, int ready)
{
	bool ok = true;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < OBJECTS; i++)
		ok = ok && take_hold(test, i, how[i]) >= 0;
	for (int i = 0; i < OBJECTS; i++)
		close(test->fd[i]);
	if (write(ready, &ok, sizeof(ok)) != sizeof(ok))
		_exit(1);
	for (;;)
		pause();
}

static int make_holder(struct test *test, int h)
{
	enum hold how[OBJECTS];
	int ready[2];
	bool ok = false;

	for (int i = 0; i < OBJECTS; i++)
		how[i] = one_in(&test->random, 3) ? (enum hold)below(&test->random, test->holds)
						  : NOT;
	if (pipe2(ready, O_CLOEXEC))
		return fail(test, "pipe: %s", strerror(errno));
	test->holder[h] = fork();
	if (test->holder[h] == 0)
		hold(test, how, ready[1]);
	close(ready[1]);
	if (read(ready[0], &ok, sizeof(ok)) != sizeof(ok))
		ok = false;
	close(ready[0]);
	return ok ? 0 : fail(test, "process %d could not take hold", h);
}

static void close_ours(struct test *test)
{
	for (int i = 0; i < OBJECTS; i++) {
		if (test->fd[i] >= 0)
			close(test->fd[i]);
		test->fd[i] = -1;
	}
}

/* ------------------------------------------------------------- looking --- */

static bool is_ours(const struct test *test, const struct bpfrefs_ref *ref)
{
	uint32_t pid = bpfrefs_ref_pid(ref);

	if (strcmp(bpfrefs_ref_class(ref)->name, "keep") == 0)
		return false;
	for (int h = 0; h < HOLDERS; h++)
		if (pid && pid == (uint32_t)test->holder[h])
			return true;
	return !pid || (pid == (uint32_t)getpid() && test->fd[0] >= 0);
}

static int count_slot(const struct bpfrefs_ref *ref, void *data)
{
	(void)ref;
	++*(unsigned int *)data;
	return 0;
}

static struct standing stand(const struct test *test, const struct bpfrefs_snapshot *snap, int i)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, test->key[i]);
	struct standing standing = { .gone = !object };

	if (!object || i >= ARRAYS)
		return standing;
	bpfrefs_snapshot_holding(snap, test->key[i], count_slot, &standing.slots);
	standing.cleared = object->usercnt == 0;
	return standing;
}

static bool same(const struct standing *a, const struct standing *b)
{
	return a->gone == b->gone && a->cleared == b->cleared && a->slots == b->slots;
}

/* A reference that is on its way out counts as one that stays: wait until it is gone. */
static bool adds_up(const struct test *test, const struct bpfrefs_snapshot *snap, int i)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, test->key[i]);

	return !object || (object->refcnt == object->explained &&
			   object->usercnt == object->user_explained && !object->changing);
}

/* Is each object as is expected, and held by nobody else? Else @wrong is one that is not. */
static bool settled(const struct test *test, const struct bpfrefs_snapshot *snap, int *wrong)
{
	for (int i = 0; i < OBJECTS; i++) {
		struct standing now = stand(test, snap, i);
		size_t first, count = bpfrefs_snapshot_holders(snap, test->key[i], &first);

		*wrong = i;
		if (!same(&now, &test->standing[i]) || !adds_up(test, snap, i))
			return false;
		for (size_t r = first; r < first + count; r++)
			if (!is_ours(test, bpfrefs_snapshot_ref_at(snap, r)))
				return false;
	}
	return true;
}

static void tell(struct test *test, const struct bpfrefs_snapshot *snap, int i)
{
	size_t first, count = bpfrefs_snapshot_holders(snap, test->key[i], &first);
	struct standing now = stand(test, snap, i), *want = &test->standing[i];
	char key[BPFREFS_KEY_MAX], holder[BPFREFS_KEY_MAX];

	printf("# %s: gone %d, cleared %d, slots %u; expected %d, %d, %u\n",
	       bpfrefs_key_format(test->key[i], key), now.gone, now.cleared, now.slots, want->gone,
	       want->cleared, want->slots);
	for (size_t r = first; r < first + count; r++) {
		const struct bpfrefs_ref *ref = bpfrefs_snapshot_ref_at(snap, r);

		printf("# held: %s, by %s, pid %u\n", bpfrefs_ref_class(ref)->name,
		       bpfrefs_key_format(bpfrefs_ref_holder(ref), holder), bpfrefs_ref_pid(ref));
		test->disturbed |= !is_ours(test, ref);
	}
}

/* A snapshot in which everything is as expected, or NULL. Owned. */
static struct bpfrefs_snapshot *await(struct test *test)
{
	for (int waited = 0;; waited += STEP_MS) {
		struct bpfrefs_snapshot *snap;
		int wrong, err = bpfrefs_snapshot_take(test->ctx, &snap);

		if (err) {
			fail(test, "snapshot: %s", strerror(-err));
			return NULL;
		}
		if (settled(test, snap, &wrong))
			return snap;
		if (waited >= PATIENCE_MS) {
			tell(test, snap, wrong);
			fail(test, "object %d is not as was predicted", wrong);
			bpfrefs_snapshot_unref(snap);
			return NULL;
		}
		bpfrefs_snapshot_unref(snap);
		step();
	}
}

/* ---------------------------------------------------------- predicting --- */

static int predict(const struct bpfrefs_object *object, enum bpfrefs_effect effect, void *data)
{
	struct test *test = data;

	for (int i = 0; i < OBJECTS; i++) {
		struct standing *standing = &test->standing[i];

		if (bpfrefs_key_compare(test->key[i], object->key) != 0)
			continue;
		if (effect == BPFREFS_FREED)
			*standing = (struct standing){ .gone = true };
		else
			*standing = (struct standing){ .cleared = true };
		test->freed += effect == BPFREFS_FREED;
		test->cleared += effect != BPFREFS_FREED;
		return 0;
	}
	return test->fd[0] < 0 ? fail(test, "id %u, not ours, would go too", object->key.id) : 0;
}

static int end_holder(struct test *test, int h)
{
	struct bpfrefs_snapshot *snap = await(test);
	int err;

	if (!snap)
		return -1;
	err = bpfrefs_retains(snap, (uint32_t)test->holder[h], predict, test);
	bpfrefs_snapshot_unref(snap);
	kill(test->holder[h], SIGKILL);
	waitpid(test->holder[h], NULL, 0);
	test->holder[h] = 0;
	return err;
}

/* Without pins nothing may be left. */
static int end_round(struct test *test, int err)
{
	struct bpfrefs_snapshot *snap;
	char path[256];

	for (int h = 0; h < HOLDERS; h++) {
		if (test->holder[h] <= 0)
			continue;
		kill(test->holder[h], SIGKILL);
		waitpid(test->holder[h], NULL, 0);
		test->holder[h] = 0;
	}
	close_ours(test);
	for (int i = 0; i < OBJECTS; i++) {
		snprintf(path, sizeof(path), "%s/%d", test->dir, i);
		unlink(path);
		test->standing[i] = (struct standing){ .gone = true };
	}
	if (err)
		return err;
	snap = await(test);
	bpfrefs_snapshot_unref(snap);
	return snap ? 0 : -1;
}

static int run_round(struct test *test)
{
	struct bpfrefs_snapshot *snap = NULL;
	int err = make_objects(test);

	for (int h = 0; !err && h < HOLDERS; h++)
		err = make_holder(test, h);
	if (err)
		return err;
	/* We are a holder like the others, and close what they would exit with. */
	snap = await(test);
	if (!snap)
		return -1;
	err = bpfrefs_retains(snap, (uint32_t)getpid(), predict, test);
	bpfrefs_snapshot_unref(snap);
	close_ours(test);
	for (int h = 0; !err && h < HOLDERS; h++)
		err = end_holder(test, h);
	return err;
}

/* Sockets count as holders only where the library finds them. */
static int learn_holds(struct test *test)
{
	const struct bpfrefs_class_status *status;
	struct bpfrefs_snapshot *snap;
	int err = bpfrefs_snapshot_take(test->ctx, &snap);

	if (err)
		return fail(test, "snapshot: %s", strerror(-err));
	test->holds = SOCKET;
	for (size_t i = 0; (status = bpfrefs_snapshot_class(snap, i)); i++)
		if (strcmp(status->class_->name, "socket") == 0)
			test->holds = HOLDS;
	bpfrefs_snapshot_unref(snap);
	return 0;
}

static int run_rounds(struct test *test, int rounds)
{
	struct bpfrefs_options options = { .size = sizeof(options), .source = BPFREFS_SOURCE_BPF };
	int err;

	quiet();
	err = bpfrefs_ctx_open(&options, &test->ctx);
	if (err) {
		printf("ok 1 # SKIP the walkers cannot be loaded: %s\n", strerror(-err));
		return 0;
	}
	err = learn_holds(test);
	for (test->round = 1; !err && test->round <= rounds; test->round++)
		err = end_round(test, run_round(test));
	if (err && test->disturbed)
		printf("ok 1 # SKIP somebody else on this machine held the test's objects\n");
	else
		printf("%sok 1 %d graphs, %d processes each: %u objects freed, %u cleared\n",
		       err ? "not " : "", rounds, HOLDERS, test->freed, test->cleared);
	bpfrefs_ctx_close(test->ctx);
	return err && !test->disturbed;
}

/* A bpffs of our own, in a mount namespace of our own: gone with us. */
static int make_bpffs(char *dir)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(dir))
		return -errno;
	return mount("bpf", dir, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) ? -errno : 0;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/answers-random-XXXXXX";
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : SEED;
	struct test test = { .random = seed ? seed : SEED, .dir = dir };
	int failed;

	memset(test.fd, -1, sizeof(test.fd));
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..1\n# seed %llu\n", (unsigned long long)test.random);
	if (geteuid() != 0) {
		printf("ok 1 # SKIP not run as root\n");
		return 0;
	}
	if (make_bpffs(dir)) {
		printf("not ok 1 a bpffs in a mount namespace: %s\n", strerror(errno));
		return 1;
	}
	failed = run_rounds(&test, rounds);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return failed;
}

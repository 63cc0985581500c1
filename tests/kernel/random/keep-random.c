/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random graphs of program arrays and programs that hold each other in rings, made in the real
 * kernel and kept automatically. Roots (descriptors, pins, sockets) are dropped at random, and after
 * each drop exactly those keeps must be let go that a model says, and exactly those objects must be
 * gone. The model is two that must agree: reachability as bpfrefs(5) has it, by transitive closure,
 * and reference counting as the kernel does it.
 *
 *	keep-random [ROUNDS [SEED]]
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../helpers/quiet.h"
#include "bpfrefs.h"
#include "chance.h"
#include "keep-random.h"

enum { STAGES = 3, ROUNDS = 200, SEED = 1 };

/* What passes while the kernel's deferred frees run. */
enum { PATIENCE_MS = 10000, STEP_MS = 5 };

/* --------------------------------------------------------------- random --- */

/* Everything has a descriptor at first, as it has when it is made. */
static void random_graph(uint64_t *state, struct graph *graph)
{
	for (int p = 0; p < PROGS; p++) {
		for (int a = 0; a < ARRAYS; a++)
			graph->uses[p][a] = one_in(state, 3);
		graph->roots.prog_fd[p] = true;
		graph->roots.prog_pin[p] = one_in(state, 5);
		graph->roots.prog_socket[p] = one_in(state, 5);
	}
	for (int a = 0; a < ARRAYS; a++) {
		for (int s = 0; s < SLOTS; s++)
			graph->slots[a][s] = one_in(state, 2) ? (int)below(state, PROGS) : -1;
		graph->roots.array_fd[a] = true;
		graph->roots.array_pin[a] = one_in(state, 5);
	}
}

static void drop_some(uint64_t *state, bool *all, int count, uint32_t stay)
{
	for (int i = 0; i < count; i++)
		all[i] = all[i] && stay && one_in(state, stay);
}

/* At each stage fewer stay: one in 4, one in 2 of those, none. */
static void random_drop(uint64_t *state, struct roots *roots, int stage)
{
	static const uint32_t stay[STAGES] = { 4, 2, 0 };

	drop_some(state, roots->array_fd, ARRAYS, stay[stage]);
	drop_some(state, roots->array_pin, ARRAYS, stay[stage]);
	drop_some(state, roots->prog_fd, PROGS, stay[stage]);
	drop_some(state, roots->prog_pin, PROGS, stay[stage]);
	drop_some(state, roots->prog_socket, PROGS, stay[stage]);
}

/* ----------------------------------------------------------------- test --- */

struct test {
	struct bpfrefs_ctx *ctx;
	struct bpfrefs_keeper *keeper;
	int maker; /* socket to the process that holds things */
	int round, stage;
	uint64_t random;
	unsigned int let_go, calls, most_calls;
	const char *dir; /* our bpffs */
	bool disturbed;	 /* by another bpfrefs */
};

static int fail(const struct test *test, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(const struct test *test, const char *format, ...)
{
	va_list args;

	printf("# round %d, stage %d: ", test->round, test->stage);
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

static int ask(struct test *test, enum op op, const struct graph *graph, struct reply *reply)
{
	struct request request = { .op = op, .graph = *graph };

	if (write(test->maker, &request, sizeof(request)) != sizeof(request) ||
	    read(test->maker, reply, sizeof(*reply)) != sizeof(*reply))
		return fail(test, "the other process is gone");
	return reply->error ? fail(test, "making: %s", strerror(-reply->error)) : 0;
}

/* Object @i of ARRAYS + PROGS, arrays first. */
static struct bpfrefs_key key_of(const struct model *model, int i)
{
	if (i < ARRAYS)
		return (struct bpfrefs_key){ BPFREFS_MAP, model->array_id[i] };
	return (struct bpfrefs_key){ BPFREFS_PROG, model->prog_id[i - ARRAYS] };
}

static bool is_gone(const struct model *model, int i)
{
	return i < ARRAYS ? model->array_gone[i] : model->prog_gone[i - ARRAYS];
}

/* A keep that is not in our bpffs: another bpfrefs here, with keep=auto, keeps whatever it sees. */
static bool is_foreign(const struct test *test, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value path = bpfrefs_ref_get(ref, "path");

	return strcmp(bpfrefs_ref_class(ref)->name, "keep") == 0 &&
	       (path.type != BPFREFS_VALUE_STR ||
		strncmp(path.str, test->dir, strlen(test->dir)) != 0);
}

static void tell_holders(struct test *test, struct bpfrefs_key key)
{
	struct bpfrefs_snapshot *snap;
	size_t first, count;

	if (bpfrefs_snapshot_take(test->ctx, &snap))
		return;
	count = bpfrefs_snapshot_holders(snap, key, &first);
	for (size_t i = first; i < first + count; i++) {
		const struct bpfrefs_ref *ref = bpfrefs_snapshot_ref_at(snap, i);
		struct bpfrefs_value path = bpfrefs_ref_get(ref, "path");
		char held[BPFREFS_KEY_MAX], holder[BPFREFS_KEY_MAX];

		printf("# %s is held: %s, by %s, pid %u, path %s\n", bpfrefs_key_format(key, held),
		       bpfrefs_ref_class(ref)->name,
		       bpfrefs_key_format(bpfrefs_ref_holder(ref), holder), bpfrefs_ref_pid(ref),
		       path.type == BPFREFS_VALUE_STR ? path.str : "-");
		test->disturbed |= is_foreign(test, ref);
	}
	bpfrefs_snapshot_unref(snap);
}

/* The first object that exists though it should be gone, or the other way round; -1 if none. */
static int wrong_object(struct test *test, const struct model *model)
{
	for (int i = 0; i < ARRAYS + PROGS; i++)
		if ((bpfrefs_exists(test->ctx, key_of(model, i)) == -ENOENT) != is_gone(model, i))
			return i;
	return -1;
}

/* Waits until the objects that exist are those that the model says. */
static int await_objects(struct test *test, const struct model *model)
{
	int wrong;

	for (int waited = 0; (wrong = wrong_object(test, model)) >= 0; waited += STEP_MS) {
		if (waited >= PATIENCE_MS) {
			tell_holders(test, key_of(model, wrong));
			return fail(test, "object %d %s, not as the kernel counts", wrong,
				    is_gone(model, wrong) ? "exists" : "is gone");
		}
		step();
	}
	return 0;
}

static int read_kept(struct test *test, const struct model *model, bool kept[ARRAYS])
{
	for (int a = 0; a < ARRAYS; a++) {
		enum bpfrefs_keep_mode mode = BPFREFS_KEEP_OFF;
		int err = bpfrefs_keep_get(test->keeper, key_of(model, a), &mode);

		if (err)
			return fail(test, "keep of a%d: %s", a, strerror(-err));
		kept[a] = mode == BPFREFS_KEEP_AUTO;
		if (!kept[a] && mode != BPFREFS_KEEP_OFF)
			return fail(test, "a%d has keep mode %s", a, bpfrefs_keep_name(mode));
	}
	return 0;
}

/* By name, some arrays; or by program, all that a program uses. */
static int keep_arrays(struct test *test, struct model *model)
{
	bool by_program = one_in(&test->random, 2);
	int err = 0;

	for (int p = 0; by_program && err >= 0 && p < PROGS; p++) {
		err = bpfrefs_keep_program(test->keeper, model->prog_id[p], false);
		for (int a = 0; a < ARRAYS; a++)
			model->kept[a] |= model->graph.uses[p][a];
	}
	for (int a = 0; !by_program && err >= 0 && a < ARRAYS; a++) {
		model->kept[a] = !one_in(&test->random, 4);
		if (model->kept[a])
			err = bpfrefs_keep_set(test->keeper, key_of(model, a), BPFREFS_KEEP_AUTO);
	}
	return err < 0 ? fail(test, "keep: %s", strerror(-err)) : 0;
}

/* Lets go until just @expected is kept; never of one of these. */
static int release(struct test *test, struct model *model, const bool expected[ARRAYS])
{
	unsigned int calls = 0;

	for (int waited = 0;; waited += STEP_MS) {
		bool kept[ARRAYS];
		int count = bpfrefs_keep_release(test->keeper);

		calls++;
		if (count < 0)
			return fail(test, "release: %s", strerror(-count));
		test->let_go += (unsigned int)count;
		if (read_kept(test, model, kept))
			return -1;
		for (int a = 0; a < ARRAYS; a++)
			if (expected[a] && !kept[a])
				return fail(test, "a%d was let go, though a root leads to it", a);
		if (memcmp(kept, expected, sizeof(kept)) == 0)
			break;
		if (waited >= PATIENCE_MS) {
			for (int i = 0; i < ARRAYS + PROGS; i++)
				tell_holders(test, key_of(model, i));
			return fail(test, "keeps stay that no root leads to");
		}
		step();
	}
	memcpy(model->kept, expected, sizeof(model->kept));
	test->calls += calls;
	if (calls > test->most_calls)
		test->most_calls = calls;
	return 0;
}

static int run_stage(struct test *test, struct model *model)
{
	bool reached[NODES], expected[ARRAYS];
	struct reply reply;

	random_drop(&test->random, &model->graph.roots, test->stage);
	if (ask(test, DROP, &model->graph, &reply))
		return -1;
	model_count(model);
	if (await_objects(test, model))
		return -1;
	model_reach(model, reached);
	for (int a = 0; a < ARRAYS; a++)
		expected[a] = model->kept[a] && reached[USER + a];
	if (release(test, model, expected))
		return -1;
	model_count(model);
	for (int i = 0; i < ARRAYS + PROGS; i++)
		if (is_gone(model, i) == reached[i < ARRAYS ? OBJECT + i : PROG + i - ARRAYS])
			return fail(test, "the rule and the counting disagree on object %d", i);
	return await_objects(test, model);
}

static int run_round(struct test *test)
{
	struct model model = { 0 };
	struct reply reply;

	random_graph(&test->random, &model.graph);
	if (ask(test, BUILD, &model.graph, &reply))
		return -1;
	memcpy(model.array_id, reply.array_id, sizeof(model.array_id));
	memcpy(model.prog_id, reply.prog_id, sizeof(model.prog_id));
	if (keep_arrays(test, &model))
		return -1;
	for (test->stage = 0; test->stage < STAGES; test->stage++)
		if (run_stage(test, &model))
			return -1;
	return 0;
}

/* A class that cannot be read completely would keep everything: say so instead of timing out. */
static int check_classes(struct test *test)
{
	const struct bpfrefs_class_status *status;
	struct bpfrefs_snapshot *snap;
	int gaps = 0, err = bpfrefs_snapshot_take(test->ctx, &snap);

	if (err)
		return fail(test, "snapshot: %s", strerror(-err));
	for (size_t i = 0; (status = bpfrefs_snapshot_class(snap, i)); i++) {
		if (status->coverage == BPFREFS_COMPLETE)
			continue;
		gaps = fail(test, "class %s is %s: %s", status->class_->name,
			    bpfrefs_coverage_name(status->coverage),
			    status->what ? status->what : "?");
	}
	bpfrefs_snapshot_unref(snap);
	return gaps;
}

static int run_rounds(struct test *test, int rounds, int dir_fd)
{
	struct bpfrefs_options options = { .size = sizeof(options), .source = BPFREFS_SOURCE_BPF };
	int err;

	quiet();
	err = bpfrefs_ctx_open(&options, &test->ctx);
	if (err) {
		printf("ok 1 # SKIP the walkers cannot be loaded: %s\n", strerror(-err));
		return 0;
	}
	err = bpfrefs_keeper_open(test->ctx, dir_fd, &test->keeper);
	if (!err)
		err = check_classes(test);
	for (test->round = 1; !err && test->round <= rounds; test->round++)
		err = run_round(test);
	if (err && test->disturbed)
		printf("ok 1 # SKIP another bpfrefs on this machine kept the test's objects\n");
	else
		printf("%sok 1 %d graphs: keeps let go %u, calls %u, at most %u for one drop\n",
		       err ? "not " : "", rounds, test->let_go, test->calls, test->most_calls);
	bpfrefs_keeper_close(test->keeper);
	bpfrefs_ctx_close(test->ctx);
	return err && !test->disturbed;
}

/* A bpffs of our own, in a mount namespace of our own: gone with us. */
static int make_bpffs(char *dir)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(dir))
		return -errno;
	if (mount("bpf", dir, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return -errno;
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/keep-random-XXXXXX";
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : SEED;
	struct test test = { .random = seed ? seed : SEED, .dir = dir };
	int sockets[2], dir_fd, failed;
	struct reply reply;
	pid_t maker;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..1\n# seed %llu\n", (unsigned long long)test.random);
	if (geteuid() != 0) {
		printf("ok 1 # SKIP not run as root\n");
		return 0;
	}
	dir_fd = make_bpffs(dir);
	if (dir_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets)) {
		printf("not ok 1 a bpffs in a mount namespace: %s\n", strerror(errno));
		return 1;
	}
	maker = fork();
	close(sockets[maker ? 1 : 0]);
	if (maker == 0)
		_exit(maker_run(sockets[1], dir, dir_fd));
	test.maker = sockets[0];
	failed = run_rounds(&test, rounds, dir_fd);
	ask(&test, END, &(struct graph){ 0 }, &reply);
	close(sockets[0]);
	waitpid(maker, NULL, 0);
	close(dir_fd);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return failed;
}

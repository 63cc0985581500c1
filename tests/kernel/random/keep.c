/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random graphs of program arrays and programs that hold each other in rings, made in the real kernel
 * and kept automatically. Roots (descriptors, pins, sockets) are dropped at random. After each drop
 * exactly those keeps must be released, and exactly those objects freed, that a model says. The model
 * is two that must agree: reachability as bpfrefs(5) has it, by transitive closure, and reference
 * counting as the kernel does it. A step is one drop.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keep.h"

enum { STAGES = 3 };

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

static struct {
	struct lab lab;
	struct bpfrefs_keeper *keeper;
	int socket; /* to the process that makes the objects */
	pid_t maker;
	unsigned int released, calls, most_calls;
} test;

static enum outcome request(struct run *run, enum op op, const struct graph *graph,
			    struct reply *reply)
{
	struct request request = { .op = op, .graph = *graph };

	if (write(test.socket, &request, sizeof(request)) != sizeof(request) ||
	    read(test.socket, reply, sizeof(*reply)) != sizeof(*reply))
		return wrong(run, "the process that makes the objects has ended");
	return reply->error ? wrong(run, "making: %s", strerror(-reply->error)) : GOOD;
}

/* Object @i of ARRAYS + PROGS, arrays first. */
static struct bpfrefs_key key_of(const struct model *model, int i)
{
	if (i < ARRAYS)
		return (struct bpfrefs_key){ BPFREFS_KIND_MAP, model->array_id[i] };
	return (struct bpfrefs_key){ BPFREFS_KIND_PROG, model->prog_id[i - ARRAYS] };
}

static bool is_freed(const struct model *model, int i)
{
	return i < ARRAYS ? model->array_freed[i] : model->prog_freed[i - ARRAYS];
}

/* A keep that is not in our bpffs: another bpfrefs here, with keep=auto, keeps whatever it sees. */
static bool is_foreign(const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value path = bpfrefs_ref_get(ref, "path");

	return strcmp(bpfrefs_ref_class(ref)->name, "keep") == 0 &&
	       (path.type != BPFREFS_VALUE_STR ||
		strncmp(path.str, test.lab.dir, strlen(test.lab.dir)) != 0);
}

static void print_holders(struct bpfrefs_key key)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .object = key };
	struct bpfrefs_selection *refs;
	struct bpfrefs_snapshot *snap;
	const struct bpfrefs_ref *ref;
	char text[BPFREFS_KEY_MAX];

	if (bpfrefs_snapshot_take(test.lab.ctx, &snap))
		return;
	printf("# %s:\n", bpfrefs_key_format(key, text));
	bpfrefs_select_refs(snap, &filter, &refs);
	while ((ref = bpfrefs_next_ref(refs))) {
		print_holder(ref);
		test.lab.disturbed |= is_foreign(ref);
	}
	bpfrefs_selection_free(refs);
	bpfrefs_snapshot_unref(snap);
}

/* The first object that exists though it should be freed, or the other way round; -1 if none. */
static int wrong_object(const struct model *model)
{
	for (int i = 0; i < ARRAYS + PROGS; i++)
		if ((bpfrefs_exists(test.lab.ctx, key_of(model, i)) == -ENOENT) !=
		    is_freed(model, i))
			return i;
	return -1;
}

/* Waits until the objects that exist are those that the model says. */
static enum outcome await_objects(struct run *run, const struct model *model)
{
	int found;

	for (int waited = 0; (found = wrong_object(model)) >= 0; waited += STEP_MS) {
		if (waited >= PATIENCE_MS) {
			print_holders(key_of(model, found));
			return wrong(run, "object %d %s, not as the kernel counts", found,
				     is_freed(model, found) ? "exists" : "is freed");
		}
		lab_wait_step();
	}
	return GOOD;
}

static enum outcome read_kept(struct run *run, const struct model *model, bool kept[ARRAYS])
{
	for (int a = 0; a < ARRAYS; a++) {
		enum bpfrefs_keep_mode mode = BPFREFS_KEEP_OFF;
		int err = bpfrefs_keep_get(test.keeper, key_of(model, a), &mode);

		if (err)
			return wrong(run, "keep of a%d: %s", a, strerror(-err));
		kept[a] = mode == BPFREFS_KEEP_AUTO;
		if (!kept[a] && mode != BPFREFS_KEEP_OFF)
			return wrong(run, "a%d has keep mode %s", a, bpfrefs_keep_name(mode));
	}
	return GOOD;
}

static int keep_program(uint32_t id)
{
	int err = bpfrefs_keep_program(test.keeper, id), wait_ms = 0;

	while (err >= 0 && wait_ms >= 0) {
		err = bpfrefs_keep_pending(test.keeper, &wait_ms);
		if (wait_ms > 0)
			usleep((useconds_t)wait_ms * 1000);
	}
	return err;
}

/* By name, some arrays; or by program, all that a program uses. */
static enum outcome keep_arrays(struct run *run, struct model *model)
{
	bool by_program = one_in(&run->random, 2);
	int err = 0;

	for (int p = 0; by_program && err >= 0 && p < PROGS; p++) {
		err = keep_program(model->prog_id[p]);
		for (int a = 0; a < ARRAYS; a++)
			model->kept[a] |= model->graph.uses[p][a];
	}
	for (int a = 0; !by_program && err >= 0 && a < ARRAYS; a++) {
		model->kept[a] = !one_in(&run->random, 4);
		if (model->kept[a])
			err = bpfrefs_keep_set(test.keeper, key_of(model, a), BPFREFS_KEEP_AUTO);
	}
	return err < 0 ? wrong(run, "keep: %s", strerror(-err)) : GOOD;
}

/* Releases keeps until just @expected is kept; never one of these. */
static enum outcome release(struct run *run, struct model *model, const bool expected[ARRAYS])
{
	unsigned int calls = 0;

	for (int waited = 0;; waited += STEP_MS) {
		bool kept[ARRAYS];
		int count = bpfrefs_keep_release(test.keeper);

		calls++;
		if (count < 0)
			return wrong(run, "release: %s", strerror(-count));
		test.released += (unsigned int)count;
		if (read_kept(run, model, kept))
			return WRONG;
		for (int a = 0; a < ARRAYS; a++)
			if (expected[a] && !kept[a])
				return wrong(
					run,
					"the keep of a%d was released, though a root leads to it",
					a);
		if (memcmp(kept, expected, sizeof(kept)) == 0)
			break;
		if (waited >= PATIENCE_MS) {
			for (int i = 0; i < ARRAYS + PROGS; i++)
				print_holders(key_of(model, i));
			return wrong(run, "keeps stay that no root leads to");
		}
		lab_wait_step();
	}
	memcpy(model->kept, expected, sizeof(model->kept));
	test.calls += calls;
	if (calls > test.most_calls)
		test.most_calls = calls;
	return GOOD;
}

static enum outcome run_stage(struct run *run, struct model *model)
{
	bool reached[NODES], expected[ARRAYS];
	struct reply reply;

	random_drop(&run->random, &model->graph.roots, (int)run->step - 1);
	if (request(run, DROP, &model->graph, &reply))
		return WRONG;
	model_count(model);
	if (await_objects(run, model))
		return WRONG;
	model_reach(model, reached);
	for (int a = 0; a < ARRAYS; a++)
		expected[a] = model->kept[a] && reached[USER + a];
	if (release(run, model, expected))
		return WRONG;
	model_count(model);
	for (int i = 0; i < ARRAYS + PROGS; i++)
		if (is_freed(model, i) == reached[i < ARRAYS ? OBJECT + i : PROG + i - ARRAYS])
			return wrong(run, "the rule and the counting disagree on object %d", i);
	return await_objects(run, model);
}

static enum outcome keep_round(struct run *run)
{
	struct model model = { 0 };
	struct reply reply;

	random_graph(&run->random, &model.graph);
	if (request(run, BUILD, &model.graph, &reply))
		return WRONG;
	memcpy(model.array_id, reply.array_id, sizeof(model.array_id));
	memcpy(model.prog_id, reply.prog_id, sizeof(model.prog_id));
	if (keep_arrays(run, &model))
		return WRONG;
	while (run->step < STAGES) {
		run->step++;
		if (run_stage(run, &model))
			return WRONG;
	}
	return GOOD;
}

/* A class that cannot be read completely would keep everything: report it instead of timing out. */
static enum outcome check_classes(struct run *run)
{
	const struct bpfrefs_class_status *status;
	struct bpfrefs_selection *classes;
	struct bpfrefs_snapshot *snap;
	enum outcome outcome = GOOD;
	int err = bpfrefs_snapshot_take(test.lab.ctx, &snap);

	if (err)
		return wrong(run, "snapshot: %s", strerror(-err));
	bpfrefs_select_classes(snap, NULL, &classes);
	while ((status = bpfrefs_next_class(classes))) {
		if (status->coverage == BPFREFS_COVERAGE_COMPLETE)
			continue;
		outcome = wrong(run, "class %s is %s: %s", status->class_->name,
				bpfrefs_coverage_name(status->coverage),
				status->what ? status->what : "?");
	}
	bpfrefs_selection_free(classes);
	bpfrefs_snapshot_unref(snap);
	return outcome;
}

static enum outcome keep_begin(struct run *run)
{
	enum outcome outcome = lab_mount(run, &test.lab);
	int sockets[2], err;

	if (outcome)
		return outcome;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return wrong(run, "socketpair: %s", strerror(errno));
	test.maker = fork();
	close(sockets[test.maker ? 1 : 0]);
	if (test.maker == 0)
		_exit(maker_run(sockets[1], test.lab.dir, test.lab.dir_fd));
	test.socket = sockets[0];
	outcome = lab_open(run, &test.lab);
	if (outcome)
		return outcome;
	err = bpfrefs_keeper_open(test.lab.ctx, test.lab.dir_fd, &test.keeper);
	return err ? wrong(run, "keeper: %s", strerror(-err)) : check_classes(run);
}

static enum outcome keep_end(struct run *run, enum outcome outcome)
{
	struct reply reply;

	if (outcome != SKIPPED)
		snprintf(run->text, sizeof(run->text),
			 "%lu graphs: keeps released %u, calls %u, at most %u for one drop",
			 run->rounds, test.released, test.calls, test.most_calls);
	if (test.keeper)
		bpfrefs_keeper_close(test.keeper);
	if (test.maker > 0) {
		request(run, END, &(struct graph){ 0 }, &reply);
		close(test.socket);
		waitpid(test.maker, NULL, 0);
	}
	return lab_close(run, &test.lab, outcome);
}

const struct tester keep_tester = {
	.name = "keep",
	.rounds = 200,
	.steps = STAGES,
	.begin = keep_begin,
	.round = keep_round,
	.end = keep_end,
};

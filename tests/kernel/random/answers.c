/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random graphs of program arrays and programs, held by several processes through descriptors of
 * their own and shared ones, through sockets and by pins. Before each process is killed,
 * bpfrefs_select_retained() predicts what will be freed and cleared; then just that must have happened. A step
 * is the end of one process.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "graphs.h"

enum { HOLDERS = 4 };

/* The state of one object between two kills. */
struct standing {
	bool freed, cleared;
	unsigned int slots; /* filled ones of an array */
};

static struct {
	struct lab lab;
	uint32_t holds;	 /* ways in which processes hold: enum hold */
	int fd[OBJECTS]; /* arrays, then programs: ours, until the holders have theirs */
	struct bpfrefs_key key[OBJECTS];
	pid_t holder[HOLDERS];
	struct standing standing[OBJECTS];
	unsigned int freed, cleared;
} test;

/* -------------------------------------------------------------- making --- */

static int make_object(struct run *run, int i)
{
	bool uses[ARRAYS];

	if (i < ARRAYS)
		return graph_array();
	for (int a = 0; a < ARRAYS; a++)
		uses[a] = one_in(&run->random, 3);
	return graph_prog(test.fd, uses);
}

static enum outcome make_objects(struct run *run)
{
	char name[16];

	for (int i = 0; i < OBJECTS; i++) {
		test.standing[i] = (struct standing){ false };
		test.fd[i] = make_object(run, i);
		test.key[i].kind = i < ARRAYS ? BPFREFS_KIND_MAP : BPFREFS_KIND_PROG;
		if (test.fd[i] < 0 || graph_id(test.fd[i], i < ARRAYS, &test.key[i].id))
			return wrong(run, "making object %d: %s", i, strerror(errno));
		snprintf(name, sizeof(name), "%d", i);
		if (one_in(&run->random, 6) && graph_pin(test.lab.dir, name, test.fd[i]))
			return wrong(run, "pinning object %d: %s", i, strerror(errno));
	}
	for (int a = 0; a < ARRAYS; a++) {
		for (uint32_t s = 0; s < SLOTS; s++) {
			int prog = test.fd[ARRAYS + below(&run->random, PROGS)];

			if (one_in(&run->random, 2))
				continue;
			if (bpf_map_update_elem(test.fd[a], &s, &prog, BPF_ANY))
				return wrong(run, "filling a slot: %s", strerror(errno));
			test.standing[a].slots++;
		}
	}
	return GOOD;
}

/* How a process holds an object. */
enum hold { NOT, SHARED, OWN, SOCKET, HOLDS };

static int take_hold(int i, enum hold how)
{
	if (how == NOT)
		return 0;
	if (how == SOCKET && i >= ARRAYS)
		return graph_socket(test.fd[i]);
	if (how == OWN)
		return i < ARRAYS ? bpf_map_get_fd_by_id(test.key[i].id)
				  : bpf_prog_get_fd_by_id(test.key[i].id);
	return dup(test.fd[i]);
}

/* The child: reports whether it has what it is to have, closes the rest, and waits for its end. */
static void hold(const enum hold *how, int ready)
{
	bool ok = true;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < OBJECTS; i++)
		ok = ok && take_hold(i, how[i]) >= 0;
	for (int i = 0; i < OBJECTS; i++)
		close(test.fd[i]);
	if (write(ready, &ok, sizeof(ok)) != sizeof(ok))
		_exit(1);
	for (;;)
		pause();
}

static enum outcome make_holder(struct run *run, int h)
{
	enum hold how[OBJECTS];
	int ready[2];
	bool ok = false;

	for (int i = 0; i < OBJECTS; i++)
		how[i] = one_in(&run->random, 3) ? (enum hold)below(&run->random, test.holds) : NOT;
	if (pipe2(ready, O_CLOEXEC))
		return wrong(run, "pipe: %s", strerror(errno));
	test.holder[h] = fork();
	if (test.holder[h] == 0)
		hold(how, ready[1]);
	close(ready[1]);
	if (read(ready[0], &ok, sizeof(ok)) != sizeof(ok))
		ok = false;
	close(ready[0]);
	return ok ? GOOD : wrong(run, "process %d could not take hold", h);
}

static void close_ours(void)
{
	for (int i = 0; i < OBJECTS; i++) {
		if (test.fd[i] >= 0)
			close(test.fd[i]);
		test.fd[i] = -1;
	}
}

/* ------------------------------------------------------------ checking --- */

static bool is_ours(const struct bpfrefs_ref *ref)
{
	uint32_t pid = bpfrefs_ref_pid(ref);

	if (strcmp(bpfrefs_ref_class(ref)->name, "keep") == 0)
		return false;
	for (int h = 0; h < HOLDERS; h++)
		if (pid && pid == (uint32_t)test.holder[h])
			return true;
	return !pid || (pid == (uint32_t)getpid() && test.fd[0] >= 0);
}

/* The references to an object, or those that it holds; to be freed. */
static struct bpfrefs_selection *refs_of(const struct bpfrefs_snapshot *snap,
					 struct bpfrefs_key key, bool held)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter) };
	struct bpfrefs_selection *refs;

	*(held ? &filter.holder : &filter.object) = key;
	bpfrefs_select_refs(snap, &filter, &refs);
	return refs;
}

static struct standing stand(const struct bpfrefs_snapshot *snap, int i)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, test.key[i]);
	struct standing standing = { .freed = !object };
	struct bpfrefs_selection *slots;

	if (!object || i >= ARRAYS)
		return standing;
	slots = refs_of(snap, test.key[i], true);
	while (bpfrefs_next_ref(slots))
		standing.slots++;
	bpfrefs_selection_free(slots);
	standing.cleared = object->usercnt == 0;
	return standing;
}

static bool same(const struct standing *a, const struct standing *b)
{
	return a->freed == b->freed && a->cleared == b->cleared && a->slots == b->slots;
}

/* A reference that is being dropped counts as one that stays: wait until it is dropped. */
static bool adds_up(const struct bpfrefs_snapshot *snap, int i)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, test.key[i]);

	return !object || (object->refcnt == object->explained &&
			   object->usercnt == object->user_explained && !object->changing);
}

/* Is each object as is expected, and held by nobody else? Else @wrong is one that is not. */
static bool as_expected(const struct bpfrefs_snapshot *snap, int *wrong)
{
	for (int i = 0; i < OBJECTS; i++) {
		struct bpfrefs_selection *refs = refs_of(snap, test.key[i], false);
		struct standing now = stand(snap, i);
		const struct bpfrefs_ref *ref;
		bool ours = true;

		while ((ref = bpfrefs_next_ref(refs)))
			ours &= is_ours(ref);
		bpfrefs_selection_free(refs);
		*wrong = i;
		if (!ours || !same(&now, &test.standing[i]) || !adds_up(snap, i))
			return false;
	}
	return true;
}

static void print_object(const struct bpfrefs_snapshot *snap, int i)
{
	struct bpfrefs_selection *refs = refs_of(snap, test.key[i], false);
	struct standing now = stand(snap, i), *want = &test.standing[i];
	const struct bpfrefs_ref *ref;
	char key[BPFREFS_KEY_MAX];

	printf("# %s: freed %d, cleared %d, slots %u; expected %d, %d, %u\n",
	       bpfrefs_key_format(test.key[i], key), now.freed, now.cleared, now.slots, want->freed,
	       want->cleared, want->slots);
	while ((ref = bpfrefs_next_ref(refs))) {
		print_holder(ref);
		test.lab.disturbed |= !is_ours(ref);
	}
	bpfrefs_selection_free(refs);
}

/* A snapshot in which everything is as expected, or NULL. Owned. */
static struct bpfrefs_snapshot *await(struct run *run)
{
	for (int waited = 0;; waited += STEP_MS) {
		struct bpfrefs_snapshot *snap;
		int found, err = bpfrefs_snapshot_take(test.lab.ctx, &snap);

		if (err) {
			wrong(run, "snapshot: %s", strerror(-err));
			return NULL;
		}
		if (as_expected(snap, &found))
			return snap;
		if (waited >= PATIENCE_MS) {
			print_object(snap, found);
			wrong(run, "object %d is not as was predicted", found);
			bpfrefs_snapshot_unref(snap);
			return NULL;
		}
		bpfrefs_snapshot_unref(snap);
		lab_wait_step();
	}
}

/* ---------------------------------------------------------- predicting --- */

static int predict(const struct bpfrefs_object *object, enum bpfrefs_effect effect, void *data)
{
	struct run *run = data;

	for (int i = 0; i < OBJECTS; i++) {
		struct standing *standing = &test.standing[i];

		if (bpfrefs_key_compare(test.key[i], object->key) != 0)
			continue;
		if (effect == BPFREFS_EFFECT_FREED)
			*standing = (struct standing){ .freed = true };
		else
			*standing = (struct standing){ .cleared = true };
		test.freed += effect == BPFREFS_EFFECT_FREED;
		test.cleared += effect != BPFREFS_EFFECT_FREED;
		return 0;
	}
	if (test.fd[0] >= 0)
		return 0;
	wrong(run, "id %u, not ours, would be freed too", object->key.id);
	return -EINVAL;
}

static void kill_holder(int h)
{
	if (test.holder[h] <= 0)
		return;
	kill(test.holder[h], SIGKILL);
	waitpid(test.holder[h], NULL, 0);
	test.holder[h] = 0;
}

/* What the end of a process frees and clears becomes what is expected. */
static enum outcome predict_end(struct run *run, pid_t pid)
{
	struct bpfrefs_snapshot *snap = await(run);
	const struct bpfrefs_retained *retained;
	struct bpfrefs_selection *all;
	uint32_t ending = (uint32_t)pid;
	int err;

	if (!snap)
		return WRONG;
	err = bpfrefs_select_retained(snap, &ending, 1, NULL, &all);
	while (!err && (retained = bpfrefs_next_retained(all)))
		err = predict(retained->object, retained->effect, run);
	bpfrefs_selection_free(all);
	bpfrefs_snapshot_unref(snap);
	return err ? wrong(run, "retains: %s", strerror(-err)) : GOOD;
}

/* We are a holder like the others, and close what they would exit with. */
static enum outcome end_processes(struct run *run)
{
	enum outcome outcome = predict_end(run, getpid());

	close_ours();
	for (int h = 0; !outcome && h < HOLDERS; h++) {
		run->step++;
		outcome = predict_end(run, test.holder[h]);
		kill_holder(h);
	}
	return outcome;
}

/* Without pins nothing may be left. */
static enum outcome answers_round(struct run *run)
{
	enum outcome outcome = make_objects(run);
	struct bpfrefs_snapshot *snap;
	char path[256];

	for (int h = 0; !outcome && h < HOLDERS; h++)
		outcome = make_holder(run, h);
	if (!outcome)
		outcome = end_processes(run);
	for (int h = 0; h < HOLDERS; h++)
		kill_holder(h);
	close_ours();
	for (int i = 0; i < OBJECTS; i++) {
		snprintf(path, sizeof(path), "%s/%d", test.lab.dir, i);
		unlink(path);
		test.standing[i] = (struct standing){ .freed = true };
	}
	if (outcome)
		return outcome;
	snap = await(run);
	bpfrefs_snapshot_unref(snap);
	return snap ? GOOD : WRONG;
}

/* Sockets count as holders only where the library finds them. */
static enum outcome answers_begin(struct run *run)
{
	enum outcome outcome = lab_mount(run, &test.lab);
	struct bpfrefs_filter filter = { .size = sizeof(filter), .class_ = "socket" };
	struct bpfrefs_selection *classes;
	struct bpfrefs_snapshot *snap;
	int err;

	memset(test.fd, -1, sizeof(test.fd));
	if (!outcome)
		outcome = lab_open(run, &test.lab);
	if (outcome)
		return outcome;
	err = bpfrefs_snapshot_take(test.lab.ctx, &snap);
	if (err)
		return wrong(run, "snapshot: %s", strerror(-err));
	test.holds = bpfrefs_select_classes(snap, &filter, &classes) ? SOCKET : HOLDS;
	bpfrefs_selection_free(classes);
	bpfrefs_snapshot_unref(snap);
	return GOOD;
}

static enum outcome answers_end(struct run *run, enum outcome outcome)
{
	if (outcome != SKIPPED)
		snprintf(run->text, sizeof(run->text),
			 "%lu graphs, %d processes each: %u objects freed, %u cleared", run->rounds,
			 HOLDERS, test.freed, test.cleared);
	return lab_close(run, &test.lab, outcome);
}

const struct tester answers_tester = {
	.name = "answers",
	.rounds = 100,
	.steps = HOLDERS,
	.begin = answers_begin,
	.round = answers_round,
	.end = answers_end,
};

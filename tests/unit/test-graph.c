/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The graph's rule on hand-made snapshots: every state, rings, a map's two parts, gaps, keeps. */
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* The instance of bpffs that all pins here are in. */
enum { MAJOR = 0, MINOR = 40 };

/* ------------------------------------------------------ a made-up kernel --- */

static int no_ids(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start, uint32_t *id)
{
	(void)ctx;
	(void)kind;
	(void)start;
	(void)id;
	return -ENOENT;
}

/* A test's world: a function that adds objects and references. Counters follow from these. */
typedef void (*build_fn)(struct scan *scan);

struct world {
	build_fn build;
};

static int collect(struct scan *scan)
{
	const struct world *world = scan->ctx->source_data;

	world->build(scan);
	return 0;
}

static const struct source fake = {
	.id = BPFREFS_SOURCE_BPF,
	.next_id = no_ids,
	.collect = collect,
};

static struct bpfrefs_snapshot *take(build_fn build)
{
	struct world world = { build };
	struct bpfrefs_snapshot *snap = NULL;
	struct bpfrefs_ctx *ctx = NULL;

	g_assert_cmpint(ctx_open_with(&fake, &world, &ctx), ==, 0);
	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &snap), ==, 0);
	bpfrefs_ctx_close(ctx);
	return snap;
}

static void turn(struct scan *scan, const char *class)
{
	for (unsigned int i = 0; holder_classes[i]; i++) {
		if (strcmp(holder_classes[i]->pub.name, class) == 0) {
			scan_turn(scan, i);
			return;
		}
	}
	g_error("no class %s", class);
}

static void set(struct scan *scan, struct bpfrefs_ref *ref, const char *key, const char *str,
		uint64_t num)
{
	for (unsigned int i = 0; scan->class->pub.keys[i]; i++) {
		if (strcmp(scan->class->pub.keys[i], key) != 0)
			continue;
		if (str)
			ref_set_str(scan, ref, i, str);
		else
			ref_set_num(ref, i, num);
		return;
	}
	g_error("class %s has no %s", scan->class->pub.name, key);
}

static struct bpfrefs_key map(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_MAP, id };
}

static struct bpfrefs_key prog(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_PROG, id };
}

static struct bpfrefs_key link_(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_LINK, id };
}

static struct bpfrefs_object *object(struct scan *scan, struct bpfrefs_key key, const char *type,
				     bool user_state)
{
	struct bpfrefs_object *result = scan_object_add(scan, key);

	result->name = "";
	result->type = type;
	result->user_state = user_state;
	result->refcnt = 0;
	result->usercnt = 0;
	return result;
}

static struct bpfrefs_object *array(struct scan *scan, uint32_t id)
{
	return object(scan, map(id), "prog_array", true);
}

static struct bpfrefs_object *program(struct scan *scan, uint32_t id)
{
	return object(scan, prog(id), "xdp", false);
}

/* A reference that the made-up kernel counts. */
static struct bpfrefs_ref *hold(struct scan *scan, const char *class, struct bpfrefs_key target,
				struct bpfrefs_key holder, const char *via, uint32_t user)
{
	struct bpfrefs_object *held = scan_object(scan, target);

	turn(scan, class);
	held->refcnt++;
	held->usercnt += user;
	if (holder.kind == BPFREFS_KIND_COUNT)
		return scan_add(scan, target, 1, user);
	return scan_add_held(scan, target, 1, user, holder, via);
}

static const struct bpfrefs_key nobody = { BPFREFS_KIND_COUNT, 0 };

static void fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid)
{
	ref_set_pid(hold(scan, "fd", key, nobody, NULL, key.kind == BPFREFS_MAP), pid);
	scan_process(scan, pid, "loader");
}

/* The same open file in another process. */
static void shared_fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid)
{
	turn(scan, "fd");
	ref_set_pid(scan_add(scan, key, 0, 0), pid);
	scan_process(scan, pid, "child");
}

static struct bpfrefs_ref *pin(struct scan *scan, struct bpfrefs_key key, uint64_t ino)
{
	struct bpfrefs_ref *ref = hold(scan, "pin", key, nobody, NULL, key.kind == BPFREFS_MAP);

	set(scan, ref, "path", "/sys/fs/bpf/x", 0);
	set(scan, ref, "ino", NULL, ino);
	ref_set_place(scan, ref, MAJOR, MINOR, "/x");
	return ref;
}

static void hard_link(struct scan *scan, struct bpfrefs_key key, uint64_t ino)
{
	struct bpfrefs_ref *ref;

	turn(scan, "pin");
	ref = scan_add(scan, key, 0, 0);
	set(scan, ref, "path", "/sys/fs/bpf/y", 0);
	set(scan, ref, "ino", NULL, ino);
	ref_set_place(scan, ref, MAJOR, MINOR, "/y");
}

static void keep(struct scan *scan, uint32_t id, const char *mode)
{
	set(scan, hold(scan, "keep", map(id), nobody, NULL, 1), "mode", mode, 0);
}

static void uses(struct scan *scan, uint32_t prog_id, uint32_t map_id)
{
	hold(scan, "prog", map(map_id), prog(prog_id), "used_maps", 0);
}

static void slot(struct scan *scan, uint32_t map_id, uint32_t index, uint32_t prog_id)
{
	set(scan, hold(scan, "map", prog(prog_id), map(map_id), "slot", 0), "slot", NULL, index);
}

static void state_is(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key,
		     enum bpfrefs_state state, const char *because)
{
	const struct bpfrefs_object *found = bpfrefs_snapshot_find(snap, key);
	char buf[BPFREFS_KEY_MAX];

	g_assert_nonnull(found);
	g_test_message("%s: %s: %s", bpfrefs_key_format(key, buf),
		       bpfrefs_state_name(found->state), found->because);
	g_assert_cmpstr(bpfrefs_state_name(found->state), ==, bpfrefs_state_name(state));
	g_assert_cmpstr(found->because, ==, because);
}

/* --------------------------------------------------------------- states --- */

static void build_held(struct scan *scan)
{
	array(scan, 1);
	object(scan, map(2), "hash", false);
	program(scan, 3);
	program(scan, 4);
	object(scan, link_(5), "xdp", false);
	program(scan, 6);
	object(scan, map(7), "hash", false);
	pin(scan, map(1), 100);
	fd(scan, map(1), 77);
	uses(scan, 3, 2);
	slot(scan, 1, 0, 3);
	fd(scan, prog(4), 77);
	shared_fd(scan, prog(4), 78);
	fd(scan, link_(5), 77);
	hold(scan, "link", prog(6), link_(5), "prog", 0);
	keep(scan, 7, "fd");
}

static void test_held(void)
{
	struct bpfrefs_snapshot *snap = take(build_held);

	state_is(snap, map(1), BPFREFS_HELD, "pinned at /sys/fs/bpf/x");
	state_is(snap, prog(3), BPFREFS_HELD, "map/1 has it in slot 0");
	state_is(snap, map(2), BPFREFS_HELD, "prog/3 uses it");
	state_is(snap, prog(4), BPFREFS_HELD, "pid 77 (loader) has a descriptor");
	state_is(snap, link_(5), BPFREFS_HELD, "pid 77 (loader) has a descriptor");
	state_is(snap, prog(6), BPFREFS_HELD, "link/5 attaches it");
	state_is(snap, map(7), BPFREFS_HELD, "bpfrefs keeps it (fd)");
	bpfrefs_snapshot_unref(snap);
}

/* 1 and 2: a pinned program uses them, only processes hold them; of 3 the same process holds both;
 * 4's other part is held by a process of its own; 5 is no map that loses anything. */
static void build_at_risk(struct scan *scan)
{
	for (uint32_t id = 1; id <= 4; id++)
		array(scan, id);
	object(scan, map(5), "hash", false);
	for (uint32_t id = 11; id <= 15; id++)
		program(scan, id);
	pin(scan, prog(11), 100);
	uses(scan, 11, 1);
	uses(scan, 11, 2);
	uses(scan, 11, 5);
	fd(scan, map(1), 77);
	fd(scan, map(2), 78);
	shared_fd(scan, map(2), 79);
	fd(scan, map(3), 77);
	fd(scan, prog(13), 77);
	uses(scan, 13, 3);
	fd(scan, map(4), 77);
	fd(scan, map(4), 80);
	fd(scan, prog(14), 81);
	uses(scan, 14, 4);
	fd(scan, map(5), 77);
	slot(scan, 1, 3, 15);
}

static void test_at_risk(void)
{
	struct bpfrefs_snapshot *snap = take(build_at_risk);

	state_is(snap, map(1), BPFREFS_AT_RISK,
		 "only pid 77 (loader) holds its user state, and prog/11, which stays, uses it");
	state_is(snap, map(2), BPFREFS_AT_RISK,
		 "only pid 78 (loader) and pid 79 (child) hold its user state, and prog/11, which "
		 "stays, uses it");
	state_is(snap, map(3), BPFREFS_HELD, "pid 77 (loader) has a descriptor");
	state_is(snap, map(4), BPFREFS_AT_RISK,
		 "only pid 77 (loader) and pid 80 (loader) hold its user state, and prog/14, which "
		 "stays, uses it");
	state_is(snap, map(5), BPFREFS_HELD, "prog/11 uses it");
	state_is(snap, prog(15), BPFREFS_HELD, "map/1 has it in slot 3");
	bpfrefs_snapshot_unref(snap);
}

/* More processes than a sentence names; and a program that goes with the array's only process
 * through a ring: prog 12 is held by array 2's slot, array 2 by the same process. */
static void build_many(struct scan *scan)
{
	array(scan, 1);
	array(scan, 2);
	program(scan, 11);
	program(scan, 12);
	pin(scan, prog(11), 100);
	uses(scan, 11, 1);
	for (uint32_t pid = 70; pid < 75; pid++)
		fd(scan, map(1), pid);
	fd(scan, map(2), 70);
	slot(scan, 2, 0, 12);
	uses(scan, 12, 2);
}

static void test_many(void)
{
	struct bpfrefs_snapshot *snap = take(build_many);

	state_is(snap, map(1), BPFREFS_AT_RISK,
		 "only 5 processes hold its user state, and prog/11, which stays, uses it");
	state_is(snap, map(2), BPFREFS_HELD, "pid 70 (loader) has a descriptor");
	bpfrefs_snapshot_unref(snap);
}

static void build_cleared(struct scan *scan)
{
	array(scan, 1);
	object(scan, map(2), "sockmap", true);
	object(scan, map(3), "hash", true);
	object(scan, map(4), "hash", false);
	program(scan, 11);
	pin(scan, prog(11), 100);
	for (uint32_t id = 1; id <= 4; id++)
		uses(scan, 11, id);
}

static void test_cleared(void)
{
	struct bpfrefs_snapshot *snap = take(build_cleared);

	state_is(snap, map(1), BPFREFS_CLEARED,
		 "usercnt is 0 and prog/11 uses it: its tail calls fail");
	state_is(snap, map(2), BPFREFS_CLEARED,
		 "usercnt is 0 and prog/11 uses it: its parser and verdict programs are gone");
	state_is(snap, map(3), BPFREFS_CLEARED,
		 "usercnt is 0 and prog/11 uses it: its timers and work queues are gone");
	state_is(snap, map(4), BPFREFS_HELD, "prog/11 uses it");
	bpfrefs_snapshot_unref(snap);
}

/* ------------------------------------------------------ rings and keeps --- */

/* Array 1 holds prog 11, which uses array 1: with an automatic keep, for ever. Beside it a ring of
 * two arrays, and one that a pinned program leads to. */
static void build_rings(struct scan *scan)
{
	for (uint32_t id = 1; id <= 4; id++) {
		array(scan, id);
		keep(scan, id, "auto");
		program(scan, 10 + id);
	}
	program(scan, 15);
	slot(scan, 1, 0, 11);
	uses(scan, 11, 1);
	slot(scan, 2, 0, 12);
	uses(scan, 12, 3);
	slot(scan, 3, 0, 13);
	uses(scan, 13, 2);
	pin(scan, prog(15), 100);
	uses(scan, 15, 4);
	slot(scan, 4, 7, 14);
	uses(scan, 14, 4);
}

static void garbage_is(const struct bpfrefs_snapshot *snap, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct bpfrefs_key *keys = NULL;
	size_t count = 0;
	char buf[BPFREFS_KEY_MAX];

	g_assert_cmpint(bpfrefs_graph_garbage(snap, &keys, &count), ==, 0);
	for (size_t i = 0; i < count; i++)
		g_string_append_printf(text, "%s ", bpfrefs_key_format(keys[i], buf));
	free(keys);
	g_assert_cmpstr(text->str, ==, expected);
}

static void test_rings(void)
{
	struct bpfrefs_snapshot *snap = take(build_rings);

	garbage_is(snap, "map/1 map/2 map/3 ");
	state_is(snap, map(1), BPFREFS_UNROOTED, "no root leads to it: bpfrefs keeps it (auto)");
	state_is(snap, prog(12), BPFREFS_UNROOTED,
		 "no root leads to it: map/2 has it in slot 0");
	state_is(snap, map(4), BPFREFS_HELD, "prog/15 uses it");
	state_is(snap, prog(14), BPFREFS_HELD, "map/4 has it in slot 7");
	bpfrefs_snapshot_unref(snap);
}

/* The same rings, but 11 has a reference that nothing explains, and 13 a process. */
static void build_rings_with_roots(struct scan *scan)
{
	build_rings(scan);
	scan_object(scan, prog(11))->refcnt++;
	fd(scan, prog(13), 77);
}

static void test_rings_with_roots(void)
{
	struct bpfrefs_snapshot *snap = take(build_rings_with_roots);

	garbage_is(snap, "");
	state_is(snap, prog(11), BPFREFS_STATE_UNKNOWN, "unexplained references: 1");
	state_is(snap, map(1), BPFREFS_STATE_UNKNOWN,
		 "prog/11 uses it, and what holds that is not known");
	/* Not at risk: with its automatic keep its user state stays as long as a program does. */
	state_is(snap, map(2), BPFREFS_HELD, "prog/13 uses it");
	state_is(snap, map(3), BPFREFS_HELD, "prog/12 uses it");
	bpfrefs_snapshot_unref(snap);
}

static void build_rings_with_gap(struct scan *scan)
{
	build_rings(scan);
	turn(scan, "fd");
	scan_gap(scan, 3, "processes", EACCES);
}

static void test_gap(void)
{
	struct bpfrefs_snapshot *snap = take(build_rings_with_gap);
	struct bpfrefs_key *keys = NULL;
	size_t count = 0;

	g_assert_cmpint(bpfrefs_graph_garbage(snap, &keys, &count), ==, -EAGAIN);
	g_assert_null(keys);
	state_is(snap, map(1), BPFREFS_STATE_UNKNOWN,
		 "nothing leads to it, but class fd is partial");
	state_is(snap, map(4), BPFREFS_HELD, "prog/15 uses it");
	bpfrefs_snapshot_unref(snap);
}

/* A keep of mode pin is a root; one whose object is moving, or held beyond what is known, stays. */
static void build_keeps(struct scan *scan)
{
	for (uint32_t id = 1; id <= 5; id++) {
		array(scan, id);
		keep(scan, id, id == 1 ? "pin" : "auto");
	}
	program(scan, 12);
	slot(scan, 1, 0, 12);
	uses(scan, 12, 2);
	scan_object(scan, map(3))->changing = true;
	scan_object(scan, map(4))->usercnt++;
	scan_object(scan, map(4))->refcnt++;
}

static void test_keeps(void)
{
	struct bpfrefs_snapshot *snap = take(build_keeps);

	garbage_is(snap, "map/5 ");
	state_is(snap, map(1), BPFREFS_HELD, "bpfrefs keeps it (pin)");
	state_is(snap, map(2), BPFREFS_HELD, "prog/12 uses it");
	state_is(snap, map(3), BPFREFS_STATE_UNKNOWN, "its counters were changing");
	state_is(snap, map(4), BPFREFS_STATE_UNKNOWN, "unexplained references: 1");
	state_is(snap, map(5), BPFREFS_UNROOTED, "no root leads to it: bpfrefs keeps it (auto)");
	bpfrefs_snapshot_unref(snap);
}

/* --------------------------------------------------------- the two parts --- */

/* Array 1 has no user reference: its slot (seen as it is being emptied) leads nowhere. The inner
 * map of 2 does not need 2's user state, nor does a devmap's program. A sockmap's program does. A
 * link with a map holds the map's user state. */
static void build_parts(struct scan *scan)
{
	array(scan, 1);
	object(scan, map(2), "array_of_maps", false);
	object(scan, map(3), "hash", false);
	object(scan, map(4), "devmap", false);
	object(scan, map(5), "sockmap", true);
	object(scan, map(6), "sockmap", true);
	for (uint32_t id = 11; id <= 16; id++)
		program(scan, id);
	object(scan, link_(21), "sockmap", false);
	pin(scan, prog(11), 100);
	uses(scan, 11, 1);
	uses(scan, 11, 2);
	uses(scan, 11, 4);
	uses(scan, 11, 5);
	slot(scan, 1, 0, 12);
	set(scan, hold(scan, "map", map(3), map(2), "inner", 0), "slot", NULL, 4);
	slot(scan, 4, 1, 13);
	hold(scan, "map", prog(14), map(5), "stream_verdict", 0);
	pin(scan, link_(21), 101);
	hold(scan, "link", map(6), link_(21), "target", 1);
	hold(scan, "map", prog(15), map(6), "msg_parser", 0);
	hold(scan, "map", prog(16), map(6), "timer", 0);
}

static void test_parts(void)
{
	struct bpfrefs_snapshot *snap = take(build_parts);

	state_is(snap, map(1), BPFREFS_CLEARED,
		 "usercnt is 0 and prog/11 uses it: its tail calls fail");
	state_is(snap, prog(12), BPFREFS_UNROOTED, "no root leads to it: map/1 has it in slot 0");
	state_is(snap, map(3), BPFREFS_HELD, "map/2 has it in slot 4");
	state_is(snap, prog(13), BPFREFS_HELD, "map/4 has it in slot 1");
	state_is(snap, prog(14), BPFREFS_UNROOTED,
		 "no root leads to it: map/5 holds it (stream_verdict)");
	state_is(snap, map(6), BPFREFS_HELD, "link/21 holds it (target)");
	state_is(snap, prog(15), BPFREFS_HELD, "map/6 holds it (msg_parser)");
	state_is(snap, prog(16), BPFREFS_HELD, "map/6 holds it (timer)");
	bpfrefs_snapshot_unref(snap);
}

/* -------------------------------------------------------------- unknown --- */

static void build_unknown(struct scan *scan)
{
	struct bpfrefs_ref *ref;

	object(scan, map(1), "hash", false)->refcnt = BPFREFS_UNKNOWN;
	scan_object(scan, map(1))->usercnt = BPFREFS_UNKNOWN;
	array(scan, 2)->refcnt = 19;
	object(scan, map(3), "hash", false)->usercnt = 1;
	program(scan, 11);
	program(scan, 12);
	program(scan, 13);
	fd(scan, prog(11), 77);
	scan_object(scan, prog(11))->refcnt = 0;
	/* Held by an object that is newer than the list of objects. */
	hold(scan, "link", prog(12), link_(99), "prog", 0);
	/* Pinned where only another process's mount namespace leads. */
	ref = hold(scan, "pin", prog(13), nobody, NULL, 0);
	set(scan, ref, "path", NULL, BPFREFS_UNKNOWN);
	ref_set_pid(ref, 77);
}

static void test_unknown(void)
{
	struct bpfrefs_snapshot *snap = take(build_unknown);

	state_is(snap, map(1), BPFREFS_STATE_UNKNOWN,
		 "no holder was found, and its refcnt could not be read");
	state_is(snap, map(2), BPFREFS_STATE_UNKNOWN,
		 "unexplained references: 19; the kernel may have leaked them");
	state_is(snap, map(3), BPFREFS_STATE_UNKNOWN, "unexplained user references: 1");
	state_is(snap, prog(11), BPFREFS_HELD, "pid 77 (loader) has a descriptor");
	state_is(snap, prog(12), BPFREFS_STATE_UNKNOWN,
		 "link/99 attaches it, and what holds that is not known");
	state_is(snap, prog(13), BPFREFS_HELD,
		 "pinned where pid 77 (loader) can reach it, and not we");
	bpfrefs_snapshot_unref(snap);
}

static void build_nothing(struct scan *scan)
{
	(void)scan;
}

static void test_empty(void)
{
	struct bpfrefs_snapshot *snap = take(build_nothing);

	garbage_is(snap, "");
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(1), MAJOR, MINOR, 1), ==, 0);
	bpfrefs_snapshot_unref(snap);
}

/* ---------------------------------------------------------------- unpin --- */

/* 1: the only root. 2: a hash in use, loses nothing. 3: an array in use, would be cleared. 4: a
 * process as well. 5: two links of one inode. 6: two pins. 7: something unexplained. 8: an array in
 * a ring with its program, which its own pin keeps going. 9: only an automatic keep besides. */
static void build_unpin(struct scan *scan)
{
	for (uint32_t id = 1; id <= 9; id++) {
		if (id == 2)
			object(scan, map(id), "hash", false);
		else
			array(scan, id);
		pin(scan, map(id), 100 + id);
	}
	program(scan, 11);
	program(scan, 12);
	pin(scan, prog(11), 200);
	uses(scan, 11, 2);
	uses(scan, 11, 3);
	fd(scan, map(4), 77);
	hard_link(scan, map(5), 105);
	pin(scan, map(6), 300);
	scan_object(scan, map(7))->refcnt++;
	scan_object(scan, map(7))->usercnt++;
	slot(scan, 8, 0, 12);
	uses(scan, 12, 8);
	keep(scan, 9, "auto");
}

static void test_unpin(void)
{
	static const int expected[] = { 0,	-EBUSY, 0, -EBUSY, 0, 0,
					0,	0,	-EBUSY, -EBUSY };
	struct bpfrefs_snapshot *snap = take(build_unpin);

	for (uint32_t id = 1; id < G_N_ELEMENTS(expected); id++) {
		g_test_message("map/%u", id);
		g_assert_cmpint(bpfrefs_unpin_check(snap, map(id), MAJOR, MINOR, 100 + id), ==,
				expected[id]);
	}
	/* The same number in another instance is another pin. */
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(1), MAJOR, MINOR + 1, 101), ==, 0);
	g_assert_cmpint(bpfrefs_unpin_check(snap, prog(11), MAJOR, MINOR, 200), ==, -EBUSY);
	bpfrefs_snapshot_unref(snap);
}

static void build_unpin_gap(struct scan *scan)
{
	build_unpin(scan);
	turn(scan, "pin");
	scan_unavailable(scan, "no walk", 0);
}

static void test_unpin_gap(void)
{
	struct bpfrefs_snapshot *snap = take(build_unpin_gap);

	for (uint32_t id = 1; id <= 9; id++)
		g_assert_cmpint(bpfrefs_unpin_check(snap, map(id), MAJOR, MINOR, 100 + id), ==, 0);
	bpfrefs_snapshot_unref(snap);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/graph/held", test_held);
	g_test_add_func("/graph/at-risk", test_at_risk);
	g_test_add_func("/graph/at-risk/many", test_many);
	g_test_add_func("/graph/cleared", test_cleared);
	g_test_add_func("/graph/rings", test_rings);
	g_test_add_func("/graph/rings/roots", test_rings_with_roots);
	g_test_add_func("/graph/gap", test_gap);
	g_test_add_func("/graph/keeps", test_keeps);
	g_test_add_func("/graph/parts", test_parts);
	g_test_add_func("/graph/unknown", test_unknown);
	g_test_add_func("/graph/empty", test_empty);
	g_test_add_func("/graph/unpin", test_unpin);
	g_test_add_func("/graph/unpin/gap", test_unpin_gap);
	return g_test_run();
}

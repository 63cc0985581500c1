/* SPDX-License-Identifier: GPL-2.0-or-later */
/* States of the system, and what is told of the way from one to another. */
#include "state.h"
#include "world.h"

static gsize used;

/* What the builder makes of it. */
static struct {
	bool first, second, third; /* descriptors of map/1, of two open files, and of map/2 */
	bool used_by_pinned; /* a pinned program uses the array map/3, which a process holds */
	uint64_t token;	     /* of the first file; the second's is one more */
	uint32_t gap;	     /* how many processes class fd missed */
	bool blind;	     /* class pin learnt nothing */
} now;

static void open_file(struct scan *scan, uint32_t id, uint32_t number, uint64_t token)
{
	struct bpfrefs_ref *ref = hold(scan, "fd", map(id), nobody, NULL, 1);

	ref_set_pid(ref, 77);
	set(scan, ref, "file", NULL, token);
	set(scan, ref, "pid", NULL, 77);
	set(scan, ref, "comm", "a b", 0);
	set(scan, ref, "fd", NULL, number);
	scan_process(scan, 77, "a b");
}

static void build(struct scan *scan)
{
	object(scan, map(1), "hash", false);
	pin(scan, map(1), 50);
	if (now.first)
		open_file(scan, 1, 10, now.token);
	if (now.second)
		open_file(scan, 1, 9, now.token + 1);
	if (now.third) {
		object(scan, map(2), "hash", false);
		open_file(scan, 2, 11, now.token + 2);
	}
	if (now.used_by_pinned) {
		array(scan, 3);
		open_file(scan, 3, 12, now.token + 3);
		program(scan, 4);
		uses(scan, 4, 3);
		pin(scan, prog(4), 100);
	}
	turn(scan, "fd");
	if (now.gap)
		scan_gap(scan, now.gap, "processes", EACCES);
	turn(scan, "pin");
	if (now.blind)
		scan_unavailable(scan, "no bpffs here", 0);
}

static struct state *see(struct bpfrefs_snapshot **snap)
{
	*snap = take(build);
	return state_new(*snap, &used);
}

/* Goes on to what the builder makes now; the text of the way there. */
static char *step(struct state **then)
{
	struct bpfrefs_snapshot *snap;
	struct state *next = see(&snap);
	struct change *change = change_new(*then, next, snap);
	char *text = g_strdup(change_text(change)->str);

	g_assert_true(!*text || !state_equal(*then, next));
	state_unref(*then);
	*then = state_ref(change_seen(change));
	change_unref(change);
	state_unref(next);
	bpfrefs_snapshot_unref(snap);
	return text;
}

static struct state *begin(void)
{
	struct bpfrefs_snapshot *snap;
	struct state *state = see(&snap);

	g_assert_true(state_is_of(state, snap));
	bpfrefs_snapshot_unref(snap);
	return state;
}

static void finish(struct state *state)
{
	state_unref(state);
	g_assert_cmpuint(used, ==, 0);
	memset(&now, 0, sizeof(now));
}

#define check(state, text)                                \
	do {                                              \
		g_autofree char *told_text = step(state); \
		g_assert_cmpstr(told_text, ==, text);     \
	} while (0)

#define FD1(token) "map/1 fd ref=1 user=1 file=" token " pid=77 comm=a\\040b fd=10\n"
#define FD2(token) "map/1 fd ref=1 user=1 file=" token " pid=77 comm=a\\040b fd=9\n"
#define FD3(token) "map/2 fd ref=1 user=1 file=" token " pid=77 comm=a\\040b fd=11\n"

static void test_lines(void)
{
	struct state *state = begin();

	g_assert_cmpuint(used, >, 0);
	now.token = 5;
	now.first = now.second = true;
	check(&state, "+ " FD1("5") "+ " FD2("6"));
	check(&state, "");
	now.first = false;
	now.third = true;
	check(&state, "- " FD1("5") "+ " FD3("7"));
	now.second = now.third = false;
	check(&state, "- " FD2("6") "- " FD3("7"));
	finish(state);
}

/* Tokens are numbered anew in each snapshot: that is no change; each line keeps the one it had. */
static void test_tokens(void)
{
	struct bpfrefs_snapshot *snap;
	struct state *state, *same;

	now.first = now.second = true;
	now.token = 5;
	state = begin();
	now.token = 50;
	same = see(&snap);
	g_assert_true(state_equal(state, same));
	state_unref(same);
	bpfrefs_snapshot_unref(snap);
	check(&state, "");
	now.second = false;
	now.third = true;
	check(&state, "- " FD2("6") "+ " FD3("52"));
	finish(state);
}

/* A new object is held unless it is told otherwise, and one that goes is told by its lines alone. */
static void test_standings(void)
{
	struct state *state = begin();

	now.third = true;
	now.token = 1;
	check(&state, "+ " FD3("3"));
	now.used_by_pinned = true;
	check(&state,
	      "+ map/3 fd ref=1 user=1 file=4 pid=77 comm=a\\040b fd=12\n"
	      "+ map/3 prog ref=1 user=0 id=4 name= via=used_maps\n"
	      "+ prog/4 pin ref=1 user=0 path=/sys/fs/bpf/x ino=100\n"
	      "! map/3 name= type=prog_array refcnt=2 usercnt=1 unexplained=0 pins=0 state=at-risk "
	      "because=only\\040pid\\04077\\040(a\\040b)\\040holds\\040its\\040user\\040state,"
	      "\\040and\\040prog/4,\\040which\\040stays,\\040uses\\040it\n");
	now.used_by_pinned = false;
	check(&state, "- map/3 fd ref=1 user=1 file=4 pid=77 comm=a\\040b fd=12\n"
		      "- map/3 prog ref=1 user=0 id=4 name= via=used_maps\n"
		      "- prog/4 pin ref=1 user=0 path=/sys/fs/bpf/x ino=100\n");
	finish(state);
}

/* What a class does not show while it has a new gap may be there; with the gap it had, it is gone. */
static void test_gap(void)
{
	struct state *state;

	now.first = now.third = true;
	now.token = 1;
	state = begin();
	now.first = false;
	now.gap = 3;
	check(&state, "# fd: partial: 3 processes: Permission denied\n");
	check(&state, "");
	/* Another class is not concerned; what is new is told. */
	now.second = true;
	check(&state, "+ " FD2("2"));
	now.gap = 0;
	check(&state, "- " FD1("1") "# fd: complete\n");
	check(&state, "");
	finish(state);
}

static void test_gap_that_ends_well(void)
{
	struct state *state;

	now.first = now.third = true;
	now.token = 1;
	state = begin();
	now.first = false;
	now.gap = 3;
	check(&state, "# fd: partial: 3 processes: Permission denied\n");
	now.gap = 4;
	check(&state, "# fd: partial: 4 processes: Permission denied\n");
	now.first = true;
	now.gap = 0;
	check(&state, "# fd: complete\n");
	finish(state);
}

static void test_gap_that_was_there(void)
{
	struct state *state;

	now.first = true;
	now.gap = 3;
	now.token = 1;
	state = begin();
	now.first = false;
	check(&state, "- " FD1("1"));
	now.gap = 0;
	check(&state, "# fd: complete\n");
	finish(state);
}

static void test_blind(void)
{
	struct state *state;

	now.used_by_pinned = true;
	state = begin();
	now.blind = true;
	now.used_by_pinned = false;
	/* The array's own lines are of other classes, which are complete. */
	check(&state, "- map/3 fd ref=1 user=1 file=3 pid=77 comm=a\\040b fd=12\n"
		      "- map/3 prog ref=1 user=0 id=4 name= via=used_maps\n"
		      "# pin: unavailable: no bpffs here\n");
	now.blind = false;
	check(&state, "- prog/4 pin ref=1 user=0 path=/sys/fs/bpf/x ino=100\n# pin: complete\n");
	finish(state);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/state/lines", test_lines);
	g_test_add_func("/state/tokens", test_tokens);
	g_test_add_func("/state/standings", test_standings);
	g_test_add_func("/state/gap", test_gap);
	g_test_add_func("/state/gap/ends-well", test_gap_that_ends_well);
	g_test_add_func("/state/gap/was-there", test_gap_that_was_there);
	g_test_add_func("/state/blind", test_blind);
	return g_test_run();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* States of the system, and the lines that a reader gets for the changes between them. */
#include "changes/change.h"
#include "fixture.h"

#include <poll.h>

/* What build() adds. */
static struct {
	bool first, second, third; /* descriptors of map/1, of two open files, and of map/2 */
	bool used_by_pinned; /* a pinned program uses the array map/3, which a process holds */
	bool pinned_array;   /* and a pin */
	uint64_t token;	     /* of the first file; that of the second is one more */
	uint32_t gap;	     /* the number of processes that class fd missed */
	bool blind;	     /* class pin could not be read */
} now;

static void build(struct scan *scan)
{
	object(scan, map(1), "hash", false);
	pin(scan, map(1), 50);
	if (now.first)
		open_fd(scan, map(1), 77, "a b", 10, now.token);
	if (now.second)
		open_fd(scan, map(1), 77, "a b", 9, now.token + 1);
	if (now.third) {
		object(scan, map(2), "hash", false);
		open_fd(scan, map(2), 77, "a b", 11, now.token + 2);
	}
	if (now.used_by_pinned) {
		array(scan, 3);
		open_fd(scan, map(3), 77, "a b", 12, now.token + 3);
		program(scan, 4);
		uses(scan, 4, 3);
		pin(scan, prog(4), 100);
		if (now.pinned_array)
			pin(scan, map(3), 101);
	}
	set_class(scan, "fd");
	if (now.gap)
		scan_gap(scan, now.gap, "processes", EACCES);
	set_class(scan, "pin");
	if (now.blind)
		scan_unavailable(scan, "no bpffs here", 0);
}

/* The present state, and all changes up to it. */
struct history {
	struct bpfrefs_baseline *last;
	GQueue changes;
};

static struct bpfrefs_baseline *sample(struct bpfrefs_snapshot **snap)
{
	struct bpfrefs_baseline *state = NULL;

	*snap = snapshot_of(build);
	g_assert_cmpint(bpfrefs_baseline_new(*snap, 0, &state), ==, 0);
	return state;
}

static void begin(struct history *history)
{
	struct bpfrefs_snapshot *snap;

	history->last = sample(&snap);
	g_queue_init(&history->changes);
	bpfrefs_snapshot_unref(snap);
}

static int append(const char *text, size_t length, void *data)
{
	g_string_append_len(data, text, (gssize)length);
	return 0;
}

/*
 * The text for a reader that opened the file at change @opened and has read all changes but the
 * last @count.
 */
static char *text_of(struct history *history, guint count, uint64_t opened)
{
	GString *out = g_string_new(NULL);
	g_autoptr(GPtrArray) changes = g_ptr_array_new();

	for (guint i = history->changes.length - count; i < history->changes.length; i++)
		g_ptr_array_add(changes, g_queue_peek_nth(&history->changes, i));
	if (count)
		g_assert_cmpint(bpfrefs_changes_to_text(
					(const struct bpfrefs_change *const *)changes->pdata, count,
					history->last, opened, append, out),
				>=, 0);
	return g_string_free(out, FALSE);
}

/*
 * Takes the next state. Returns the text for a reader that opened the file before the first
 * change.
 */
static char *step(struct history *history)
{
	struct bpfrefs_snapshot *snap;
	struct bpfrefs_baseline *next = sample(&snap);
	struct bpfrefs_change *change =
		bpfrefs_change_new(NULL, history->last, next, snap, history->changes.length + 1);

	if (change) {
		g_assert_cmpuint(bpfrefs_change_bytes(change), >, 0);
		g_queue_push_tail(&history->changes, change);
	}
	bpfrefs_baseline_free(change ? history->last : next);
	if (change)
		history->last = next;
	bpfrefs_snapshot_unref(snap);
	return text_of(history, change ? 1 : 0, 0);
}

static void finish(struct history *history)
{
	bpfrefs_baseline_free(history->last);
	g_queue_clear_full(&history->changes, (GDestroyNotify)bpfrefs_change_free);
	memset(&now, 0, sizeof(now));
}

static void prepare(struct history *history)
{
	g_queue_init(&history->changes);
}

#define TEST_HISTORY(name) TEST_WITH(struct history, state, prepare, finish, name)

#define check_text(history, count, opened, text)                           \
	do {                                                               \
		g_autofree char *merged = text_of(history, count, opened); \
		g_assert_cmpstr(merged, ==, text);                         \
	} while (0)

#define check(history, text)                            \
	do {                                            \
		g_autofree char *shown = step(history); \
		g_assert_cmpstr(shown, ==, text);       \
	} while (0)

#define FD1(token) "map/1 fd ref=1 user=1 file=" token " pid=77 comm=a\\040b fd=10\n"
#define FD2(token) "map/1 fd ref=1 user=1 file=" token " pid=77 comm=a\\040b fd=9\n"
#define FD3(token) "map/2 fd ref=1 user=1 file=" token " pid=77 comm=a\\040b fd=11\n"

TEST_HISTORY(lines)
{
	begin(state);
	now.token = 5;
	now.first = now.second = true;
	check(state, "+ " FD1("5") "+ " FD2("6"));
	check(state, "");
	now.first = false;
	now.third = true;
	check(state, "- " FD1("5") "+ " FD3("7"));
	now.second = now.third = false;
	check(state, "- " FD2("6") "- " FD3("7"));
}

/*
 * Tokens are numbered anew in each snapshot, which is no change: a line shows the token that it
 * had.
 */
TEST_HISTORY(tokens)
{
	now.first = now.second = true;
	now.token = 5;
	begin(state);
	now.token = 50;
	check(state, "");
	g_assert_cmpuint(state->changes.length, ==, 0);
	now.second = false;
	now.third = true;
	check(state, "- " FD2("6") "+ " FD3("52"));
}

/*
 * A new object is held unless a line says otherwise. The removal of an object shows only in the
 * lines of its references.
 */
TEST_HISTORY(standings)
{
	begin(state);
	now.third = true;
	now.token = 1;
	check(state, "+ " FD3("3"));
	now.used_by_pinned = true;
	check(state, "+ map/3 fd ref=1 user=1 file=4 pid=77 comm=a\\040b fd=12\n"
		     "+ map/3 prog ref=1 user=0 id=4 name= via=used_maps\n"
		     "+ prog/4 pin ref=1 user=0 path=/sys/fs/bpf/x ino=100\n"
		     "! map/3 name= type=prog_array refcnt=2 usercnt=1 unexplained=0 pins=0 "
		     "memlock=? state=at-risk "
		     "because=only pid 77 (a b) holds its user state,"
		     " and prog/4, which stays, uses it\n");
	now.used_by_pinned = false;
	check(state, "- map/3 fd ref=1 user=1 file=4 pid=77 comm=a\\040b fd=12\n"
		     "- map/3 prog ref=1 user=0 id=4 name= via=used_maps\n"
		     "- prog/4 pin ref=1 user=0 path=/sys/fs/bpf/x ino=100\n");
}

/*
 * A reference that a class does not show may still exist while the class has a new gap. If the
 * gap is not new, the reference was removed.
 */
TEST_HISTORY(gap)
{
	now.first = now.third = true;
	now.token = 1;
	begin(state);
	now.first = false;
	now.gap = 3;
	check(state, "# fd: partial: 3 processes: Permission denied\n");
	check(state, "");
	/* A reference that is new is shown all the same. */
	now.second = true;
	check(state, "+ " FD2("2"));
	now.gap = 0;
	check(state, "- " FD1("1") "# fd: complete\n");
	check(state, "");
}

TEST_HISTORY(gap_that_ends_well)
{
	now.first = now.third = true;
	now.token = 1;
	begin(state);
	now.first = false;
	now.gap = 3;
	check(state, "# fd: partial: 3 processes: Permission denied\n");
	now.gap = 4;
	check(state, "# fd: partial: 4 processes: Permission denied\n");
	now.first = true;
	now.gap = 0;
	check(state, "# fd: complete\n");
}

TEST_HISTORY(gap_that_was_there)
{
	now.first = true;
	now.gap = 3;
	now.token = 1;
	begin(state);
	now.first = false;
	check(state, "- " FD1("1"));
	now.gap = 0;
	check(state, "# fd: complete\n");
}

TEST_HISTORY(blind)
{
	now.used_by_pinned = true;
	begin(state);
	now.blind = true;
	now.used_by_pinned = false;
	/* The lines of the array are of other classes, which are complete. */
	check(state, "- map/3 fd ref=1 user=1 file=3 pid=77 comm=a\\040b fd=12\n"
		     "- map/3 prog ref=1 user=0 id=4 name= via=used_maps\n"
		     "# pin: unavailable: no bpffs here\n");
	now.blind = false;
	check(state, "- prog/4 pin ref=1 user=0 path=/sys/fs/bpf/x ino=100\n# pin: complete\n");
}

/*
 * For several changes a reader gets the difference between the first and the last state, with the
 * tokens of the last one.
 */
TEST_HISTORY(merged)
{
	now.token = 5;
	begin(state);
	now.first = true;
	check(state, "+ " FD1("5"));
	now.second = true;
	now.token = 20;
	check(state, "+ " FD2("21"));
	check_text(state, 2, 0, "+ " FD1("20") "+ " FD2("21"));
	now.first = false;
	now.third = true;
	now.token = 30;
	check(state, "- " FD1("20") "+ " FD3("32"));
	check_text(state, 2, 0, "- " FD1("20") "+ " FD2("31") "+ " FD3("32"));
	check_text(state, 3, 0, "+ " FD2("31") "+ " FD3("32"));
	now.second = now.third = false;
	check(state, "- " FD2("31") "- " FD3("32"));
	check_text(state, 4, 0, "");
}

/* A state that was restored is no change, and neither is the state of an object that was freed. */
TEST_HISTORY(merged_standings)
{
	g_autofree char *at_risk = NULL, *held = NULL, *both = NULL, *gone = NULL;

	now.used_by_pinned = true;
	begin(state);
	now.pinned_array = true;
	held = step(state);
	g_assert_nonnull(strstr(held, "! map/3 "));
	g_assert_nonnull(strstr(held, " state=held "));
	now.pinned_array = false;
	at_risk = step(state);
	g_assert_nonnull(strstr(at_risk, " state=at-risk "));
	check_text(state, 2, 0, "");
	now.pinned_array = true;
	g_free(g_steal_pointer(&held));
	held = step(state);
	both = text_of(state, 3, 0);
	g_assert_cmpstr(both, ==, held);
	now.used_by_pinned = now.pinned_array = false;
	g_free(step(state));
	gone = text_of(state, 4, 0);
	g_assert_null(strchr(gone, '!'));
	g_assert_nonnull(strstr(gone, "- map/3 fd "));
}

/* A gap that began and ended in between is no change; a gap that changed twice is shown once. */
TEST_HISTORY(merged_gaps)
{
	now.first = true;
	now.token = 1;
	begin(state);
	now.gap = 3;
	check(state, "# fd: partial: 3 processes: Permission denied\n");
	now.gap = 4;
	check(state, "# fd: partial: 4 processes: Permission denied\n");
	check_text(state, 2, 0, "# fd: partial: 4 processes: Permission denied\n");
	now.gap = 0;
	check(state, "# fd: complete\n");
	check_text(state, 3, 0, "");
}

/*
 * A gap hides a record while a reader opens the file: the record is new to that reader when it is
 * shown again, and its end shows only if it was shown. A reader that opened the file earlier gets
 * only the end.
 */
TEST_HISTORY(gap_at_the_open)
{
	now.first = now.second = true;
	now.token = 1;
	begin(state);
	now.first = now.second = false;
	now.gap = 3;
	check(state, "# fd: partial: 3 processes: Permission denied\n");
	now.first = true;
	now.token = 7;
	now.gap = 0;
	check(state, "- " FD2("2") "# fd: complete\n");
	check_text(state, 1, 1, "+ " FD1("7") "# fd: complete\n");
	check_text(state, 2, 0, "- " FD2("2"));
	/* The record is shown again while the gap lasts. */
	now.first = false;
	now.gap = 5;
	check(state, "# fd: partial: 5 processes: Permission denied\n");
	now.first = true;
	check(state, "");
	g_assert_cmpuint(state->changes.length, ==, 4);
	check_text(state, 1, 3, "+ " FD1("7"));
	check_text(state, 1, 2, "");
	/* It was shown with that gap, so its end shows now, to each reader that got it. */
	now.first = false;
	check(state, "- " FD1("7"));
	check_text(state, 1, 3, "- " FD1("7"));
	check_text(state, 2, 3, "");
}

/*
 * A record that was added and then hidden is shown with an unknown token, since the last state
 * has none for it.
 */
TEST_HISTORY(gap_after_the_open)
{
	now.token = 1;
	begin(state);
	now.first = true;
	check(state, "+ " FD1("1"));
	now.first = false;
	now.second = true;
	now.gap = 3;
	check(state, "+ " FD2("2") "# fd: partial: 3 processes: Permission denied\n");
	check_text(state, 2, 0,
		   "+ " FD1("?") "+ " FD2("2") "# fd: partial: 3 processes: Permission denied\n");
}

/* ---------------------------------------------------------------- items --- */

static void add_item(GString *out, const struct bpfrefs_change_item *item)
{
	static const char signs[] = { '+', '-', '!', '#' };
	char key[BPFREFS_KEY_MAX];

	g_assert_cmpuint(item->size, ==, sizeof(*item));
	g_string_append_printf(out, "%c", signs[item->type]);
	if (item->key.kind != BPFREFS_KIND_NONE)
		g_string_append_printf(out, " %s", bpfrefs_key_format(item->key, key));
	if (item->class_)
		g_string_append_printf(out, " %s", item->class_->name);
	if (item->type == BPFREFS_CHANGE_STATE)
		g_string_append_printf(out, " %s %s", bpfrefs_state_name(item->before),
				       bpfrefs_state_name(item->after));
	else
		g_string_append_printf(out, " %zu", item->length);
	g_assert_null(memchr(item->text, '\n', item->length));
	g_string_append_c(out, '\n');
}

static char *items_of(const struct bpfrefs_change *change, const struct bpfrefs_filter *filter)
{
	GString *out = g_string_new(NULL);
	const struct bpfrefs_change_item *item;
	selection_auto *items = NULL;

	g_assert_cmpint(bpfrefs_select_changes(change, filter, &items), ==, 0);
	while ((item = bpfrefs_next_change(items)))
		add_item(out, item);
	return g_string_free(out, FALSE);
}

TEST_HISTORY(items)
{
	g_autofree char *first = NULL, *second = NULL;
	const struct bpfrefs_change *change;
	struct bpfrefs_filter pins = { .size = sizeof(pins), .class_ = "pin" };
	struct bpfrefs_filter risk = { .size = sizeof(risk),
				       .states = 1u << BPFREFS_STATE_AT_RISK };
	struct bpfrefs_filter pid = { .size = sizeof(pid), .pid = 1 };
	g_autofree char *pinned = NULL, *risky = NULL;
	struct bpfrefs_selection *none;

	begin(state);
	now.third = true;
	now.token = 1;
	now.used_by_pinned = true;
	g_free(step(state));
	change = g_queue_peek_tail(&state->changes);
	first = items_of(change, NULL);
	g_assert_cmpstr(first, ==,
			"+ map/2 fd 53\n+ map/3 fd 53\n+ map/3 prog 48\n+ prog/4 pin 50\n"
			"! map/3 held at-risk\n");
	g_assert_cmpuint(bpfrefs_change_count(change), ==, 5);
	g_assert_cmpuint(bpfrefs_change_number(change), ==, 1);
	pinned = items_of(change, &pins);
	g_assert_cmpstr(pinned, ==, "+ prog/4 pin 50\n");
	risky = items_of(change, &risk);
	g_assert_cmpstr(risky, ==, "! map/3 held at-risk\n");
	g_assert_cmpint(bpfrefs_select_changes(change, &pid, &none), ==, -EINVAL);
	now.third = false;
	now.gap = 2;
	g_free(step(state));
	now.third = true;
	now.gap = 0;
	g_free(step(state));
	/* The gap hid a record, which is neither removed nor added. */
	second = items_of(g_queue_peek_tail(&state->changes), NULL);
	g_assert_cmpstr(second, ==, "# fd 8\n");
}

/* -------------------------------------------------------------- monitor --- */

static bool with_more;

static void build_watched(struct scan *scan)
{
	object(scan, map(1), "hash", false);
	open_fd(scan, map(1), 77, "x", 3, 1);
	if (with_more)
		open_fd(scan, map(1), 77, "x", 4, 2);
}

static int next_items(struct bpfrefs_monitor *monitor, char **items)
{
	struct bpfrefs_change *change;
	int changed = bpfrefs_monitor_next(monitor, &change);

	*items = change ? items_of(change, NULL) : NULL;
	bpfrefs_change_free(change);
	return changed;
}

TEST(monitor)
{
	struct fake fake = { .build = build_watched };
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);
	struct bpfrefs_monitor *monitor;
	struct pollfd wait = { .events = POLLIN };
	g_autofree char *added = NULL, *removed = NULL, *nothing = NULL;

	g_assert_cmpint(bpfrefs_monitor_open(ctx, 0, &monitor), ==, -EINVAL);
	fake.collect_error = -EPERM;
	g_assert_cmpint(bpfrefs_monitor_open(ctx, 5, &monitor), ==, -EPERM);
	fake.collect_error = 0;
	g_assert_cmpint(bpfrefs_monitor_open(ctx, 5, &monitor), ==, 0);
	wait.fd = bpfrefs_monitor_fd(monitor);
	g_assert_cmpint(poll(&wait, 1, -1), ==, 1);
	g_assert_cmpint(next_items(monitor, &nothing), ==, 0);
	g_assert_null(nothing);
	with_more = true;
	g_assert_cmpint(poll(&wait, 1, -1), ==, 1);
	/* A failed snapshot is not a change, and the next one is compared with the last good one. */
	fake.collect_error = -ENOMEM;
	g_assert_cmpint(next_items(monitor, &nothing), ==, -ENOMEM);
	g_assert_null(nothing);
	fake.collect_error = 0;
	g_assert_cmpint(next_items(monitor, &added), ==, 1);
	g_assert_true(g_str_has_prefix(added, "+ map/1 fd "));
	with_more = false;
	g_assert_cmpint(next_items(monitor, &removed), ==, 1);
	g_assert_true(g_str_has_prefix(removed, "- map/1 fd "));
	bpfrefs_monitor_close(monitor);
	bpfrefs_ctx_close(ctx);
}

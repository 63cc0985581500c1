/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Readers of events, without libfuse: when a read is answered and with what, and when the system
 * is polled.
 */
#include <errno.h>
#include <fcntl.h>

#include "events/events.h"
#include "fixture.h"

/* -------------------------------------------------------- a made-up libfuse --- */

struct request {
	GMutex lock;
	GCond answered;
	bool done, interrupted;
	int err;
	GString *data;
};

static void request_init(struct request *request)
{
	memset(request, 0, sizeof(*request));
	g_mutex_init(&request->lock);
	g_cond_init(&request->answered);
	request->data = g_string_new(NULL);
}

static void request_clear(struct request *request)
{
	g_string_free(request->data, TRUE);
	g_cond_clear(&request->answered);
	g_mutex_clear(&request->lock);
}

/* Checks that each request is answered once. */
static void finish(struct request *request, int err, const char *data, size_t size)
{
	g_mutex_lock(&request->lock);
	g_assert_false(request->done);
	request->done = true;
	request->err = err;
	g_string_append_len(request->data, data, (gssize)size);
	g_cond_signal(&request->answered);
	g_mutex_unlock(&request->lock);
}

static void reply(void *data, const char *text, size_t size)
{
	finish(data, 0, text, size);
}

static void fail(void *data, int err)
{
	finish(data, err, "", 0);
}

static bool is_interrupted(void *data)
{
	return ((struct request *)data)->interrupted;
}

/* The number of poll handles that have not been released. */
static gint polls;

struct handle_of_poll {
	gint woken;
};

static void wake(void *data)
{
	g_atomic_int_inc(&((struct handle_of_poll *)data)->woken);
}

static void drop(void *data)
{
	g_atomic_int_add(&polls, -1);
}

static const struct events_calls calls = { reply, fail, is_interrupted, wake, drop };

/* ------------------------------------------------------------------ the world --- */

struct world {
	struct fake fake;
	struct events *events;
};

static void world_init_with(struct world *world, size_t room)
{
	fake_init(&world->fake);
	world->events = events_new(world->fake.fs.ctx, world->fake.fs.view, &calls, room);
}

static void world_init(struct world *world)
{
	world_init_with(world, 1 << 20);
}

/* With a log that overruns after a few changes. */
static void world_init_small(struct world *world)
{
	world_init_with(world, 4096);
}

static void world_clear(struct world *world)
{
	events_stop(world->events);
	events_free(world->events);
	fake_clear(&world->fake);
	g_assert_cmpint(g_atomic_int_get(&polls), ==, 0);
}

#define TEST_WORLD(name) TEST_WITH(struct world, world, world_init, world_clear, name)
#define TEST_SMALL(name) TEST_WITH(struct world, world, world_init_small, world_clear, name)

/* These take the lock of a scan, since another thread may be scanning. */
static void set_more(struct world *world, bool more)
{
	g_mutex_lock(&world->fake.fs.ctx->lock);
	world->fake.more_fds = more;
	g_mutex_unlock(&world->fake.fs.ctx->lock);
}

static void set_error(struct world *world, int err)
{
	g_mutex_lock(&world->fake.fs.ctx->lock);
	world->fake.collect_error = err;
	g_mutex_unlock(&world->fake.fs.ctx->lock);
}

static struct reader *reader_new(struct world *world)
{
	struct reader *reader = NULL;

	g_assert_cmpint(events_open(world->events, false, &reader), ==, 0);
	return reader;
}

static void wait_for(struct request *request)
{
	gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

	g_mutex_lock(&request->lock);
	while (!request->done)
		g_assert_true(g_cond_wait_until(&request->answered, &request->lock, end));
	g_mutex_unlock(&request->lock);
}

static bool is_done(struct request *request)
{
	bool done;

	g_mutex_lock(&request->lock);
	done = request->done;
	g_mutex_unlock(&request->lock);
	return done;
}

/* Reads once without waiting. */
static int read_now(struct reader *reader, size_t size, char **text)
{
	struct request request;
	int err;

	request_init(&request);
	events_read(reader, &request, size, true);
	g_assert_true(request.done);
	err = request.err;
	if (text)
		*text = g_strdup(request.data->str);
	request_clear(&request);
	return err;
}

#define MORE "btf/1 fd ref=1 user=0 file=3 pid=4194303 comm=the\\040loader fd=11\n"

/* Reads the lines of a change. They begin with MORE, and the object's counters follow. */
static char *more(struct reader *reader)
{
	char *text = NULL;

	g_assert_cmpint(read_now(reader, 65536, &text), ==, 0);
	return text;
}

/* --------------------------------------------------------------------- tests --- */

TEST_WORLD(nonblock)
{
	struct reader *reader;
	g_autofree char *plus = NULL, *minus = NULL;

	reader = reader_new(world);
	g_assert_cmpint(read_now(reader, 4096, NULL), ==, -EAGAIN);
	set_more(world, true);
	plus = more(reader);
	g_assert_true(g_str_has_prefix(plus, "+ " MORE));
	g_assert_cmpint(read_now(reader, 4096, NULL), ==, -EAGAIN);
	set_more(world, false);
	minus = more(reader);
	g_assert_true(g_str_has_prefix(minus, "- " MORE));
	/* What was added and removed between two polls does not show. */
	set_more(world, true);
	set_more(world, false);
	g_assert_cmpint(read_now(reader, 4096, NULL), ==, -EAGAIN);
	events_close(reader);
}

/* A read that waits is answered by a poll; there are no polls before it or after it. */
TEST_WORLD(wait)
{
	struct reader *reader;
	struct request request;
	int scans;

	reader = reader_new(world);
	scans = g_atomic_int_get(&world->fake.scans);
	g_usleep(1500 * 1000);
	g_assert_cmpint(g_atomic_int_get(&world->fake.scans), ==, scans);
	set_more(world, true);
	request_init(&request);
	events_read(reader, &request, 65536, false);
	wait_for(&request);
	g_assert_cmpint(request.err, ==, 0);
	g_assert_true(g_str_has_prefix(request.data->str, "+ " MORE));
	request_clear(&request);
	scans = g_atomic_int_get(&world->fake.scans);
	g_usleep(1500 * 1000);
	g_assert_cmpint(g_atomic_int_get(&world->fake.scans), ==, scans);
	events_close(reader);
}

TEST_WORLD(interrupt)
{
	struct reader *reader;
	struct request before, during;

	reader = reader_new(world);
	request_init(&before);
	before.interrupted = true;
	events_read(reader, &before, 4096, false);
	g_assert_true(before.done);
	g_assert_cmpint(before.err, ==, -EINTR);
	request_init(&during);
	events_read(reader, &during, 4096, false);
	g_assert_false(is_done(&during));
	events_interrupt(world->events, &before);
	g_assert_false(is_done(&during));
	events_interrupt(world->events, &during);
	g_assert_true(during.done);
	g_assert_cmpint(during.err, ==, -EINTR);
	events_interrupt(world->events, &during);
	request_clear(&before);
	request_clear(&during);
	events_close(reader);
}

/* Two readers that opened at different states get different lines. */
TEST_WORLD(two)
{
	struct reader *one, *two;
	struct request first, second;

	one = reader_new(world);
	set_more(world, true);
	two = reader_new(world);
	set_more(world, false);
	request_init(&first);
	request_init(&second);
	events_read(two, &second, 65536, false);
	events_read(one, &first, 65536, false);
	wait_for(&second);
	g_assert_true(g_str_has_prefix(second.data->str, "- " MORE));
	g_assert_false(is_done(&first));
	set_more(world, true);
	wait_for(&first);
	g_assert_true(g_str_has_prefix(first.data->str, "+ " MORE));
	request_clear(&first);
	request_clear(&second);
	events_close(one);
	events_close(two);
}

/* A read returns whole lines as far as they fit, or a part of a line that does not fit. */
TEST_WORLD(portions)
{
	struct reader *reader;
	g_autofree char *whole = NULL, *one = NULL, *most = NULL;
	g_autoptr(GString) bytes = g_string_new(NULL);
	size_t line;

	reader = reader_new(world);
	set_more(world, true);
	whole = more(reader);
	line = strcspn(whole, "\n") + 1;
	g_assert_cmpuint(strlen(whole), >, line);
	set_more(world, false);
	g_assert_cmpint(read_now(reader, line, &one), ==, 0);
	g_assert_cmpuint(strlen(one), ==, line);
	g_assert_true(one[line - 1] == '\n');
	g_assert_cmpint(read_now(reader, 4096, &most), ==, 0);
	set_more(world, true);
	for (size_t i = 0; i < strlen(whole); i++) {
		g_autofree char *byte = NULL;

		g_assert_cmpint(read_now(reader, 1, &byte), ==, 0);
		g_string_append(bytes, byte);
	}
	g_assert_cmpstr(bytes->str, ==, whole);
	g_assert_cmpint(read_now(reader, 1, NULL), ==, -EAGAIN);
	set_more(world, false);
	g_assert_cmpint(read_now(reader, line + 10, NULL), ==, 0);
	events_close(reader);
}

static struct handle_of_poll *poll_by(struct reader *reader, struct handle_of_poll *handle,
				      bool ready)
{
	g_atomic_int_inc(&polls);
	g_assert_cmpint(events_poll(reader, handle), ==, ready);
	return handle;
}

static void wait_woken(struct handle_of_poll *handle, int times)
{
	for (int i = 0; i < 6000 && g_atomic_int_get(&handle->woken) < times; i++)
		g_usleep(10 * 1000);
	g_assert_cmpint(g_atomic_int_get(&handle->woken), >=, times);
}

/* A poll handle is woken once, and the system is polled only as long as there is a handle. */
TEST_WORLD(poll)
{
	struct reader *reader;
	struct handle_of_poll first = { 0 }, second = { 0 };
	int scans;

	reader = reader_new(world);
	poll_by(reader, &first, false);
	wait_woken(&first, 1);
	scans = g_atomic_int_get(&world->fake.scans);
	g_usleep(1500 * 1000);
	g_assert_cmpint(g_atomic_int_get(&world->fake.scans), ==, scans);
	poll_by(reader, &second, false);
	set_more(world, true);
	wait_woken(&second, 1);
	/* That scan may have been before the change. */
	while (!events_poll(reader, NULL))
		g_usleep(10 * 1000);
	g_assert_cmpint(read_now(reader, 65536, NULL), ==, 0);
	g_assert_false(events_poll(reader, NULL));
	events_close(reader);
}

/* A read that finds nothing requests the next wake-up. */
TEST_WORLD(poll_edge)
{
	struct reader *reader;
	struct handle_of_poll handle = { 0 };

	reader = reader_new(world);
	poll_by(reader, &handle, false);
	wait_woken(&handle, 1);
	g_assert_cmpint(read_now(reader, 65536, NULL), ==, -EAGAIN);
	wait_woken(&handle, 2);
	events_close(reader);
}

TEST_WORLD(errors)
{
	struct reader *reader = NULL;
	struct request request;
	struct handle_of_poll handle = { 0 };

	set_error(world, -EPERM);
	g_assert_cmpint(events_open(world->events, false, &reader), ==, -EPERM);
	g_assert_null(reader);
	set_error(world, 0);
	reader = reader_new(world);
	set_error(world, -ENOMEM);
	g_assert_cmpint(read_now(reader, 4096, NULL), ==, -ENOMEM);
	request_init(&request);
	events_read(reader, &request, 4096, false);
	wait_for(&request);
	g_assert_cmpint(request.err, ==, -ENOMEM);
	request_clear(&request);
	poll_by(reader, &handle, false);
	wait_woken(&handle, 1);
	g_assert_true(events_poll(reader, NULL));
	g_assert_cmpint(read_now(reader, 4096, NULL), ==, -ENOMEM);
	/* The error is reported once, and the state from before it is not lost. */
	set_error(world, 0);
	set_more(world, true);
	g_assert_cmpint(read_now(reader, 65536, NULL), ==, 0);
	events_close(reader);
}

TEST_WORLD(stop)
{
	struct reader *reader, *other = NULL;
	struct request request;
	struct handle_of_poll handle = { 0 };

	reader = reader_new(world);
	request_init(&request);
	events_read(reader, &request, 4096, false);
	poll_by(reader, &handle, false);
	events_stop(world->events);
	g_assert_true(request.done);
	g_assert_cmpint(request.err, ==, -ENODEV);
	g_assert_cmpint(g_atomic_int_get(&handle.woken), >=, 1);
	g_assert_true(events_poll(reader, NULL));
	g_assert_cmpint(read_now(reader, 4096, NULL), ==, -ENODEV);
	g_assert_cmpint(events_open(world->events, false, &other), ==, -ENODEV);
	request_clear(&request);
	events_close(reader);
}

static guint open_all(struct world *world, bool others, GPtrArray *readers)
{
	struct reader *reader = NULL;
	guint before = readers->len;
	int err;

	while ((err = events_open(world->events, others, &reader)) == 0)
		g_ptr_array_add(readers, reader);
	g_assert_cmpint(err, ==, -EMFILE);
	return readers->len - before;
}

/* The number of readers is limited, and half of it is for root. */
TEST_WORLD(many)
{
	g_autoptr(GPtrArray) readers = g_ptr_array_new();

	g_assert_cmpuint(open_all(world, true, readers), ==, 512);
	g_assert_cmpuint(open_all(world, false, readers), ==, 512);
	for (guint i = 0; i < readers->len; i++)
		events_close(readers->pdata[i]);
	g_ptr_array_set_size(readers, 0);
	g_assert_cmpuint(open_all(world, false, readers), ==, 1024);
	g_assert_cmpuint(open_all(world, true, readers), ==, 0);
	for (guint i = 0; i < readers->len; i++)
		events_close(readers->pdata[i]);
	events_close(reader_new(world));
}

/* Returns the number of lines that begin with @sign. */
static guint count_lines(const char *text, char sign)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint count = 0;

	for (guint i = 0; lines[i]; i++)
		count += lines[i][0] == sign;
	return count;
}

/* Makes so many changes, and reads each. Returns the number of lines. */
static guint change_and_read(struct world *world, struct reader *reader, guint times)
{
	guint lines = 0;

	for (guint i = 0; i < times; i++) {
		g_autofree char *text = NULL;

		set_more(world, !world->fake.more_fds);
		text = more(reader);
		lines += count_lines(text, '+') + count_lines(text, '-') + count_lines(text, '!');
		g_assert_null(strchr(text, '#'));
	}
	return lines;
}

/*
 * A reader that does not read while the log overruns gets the number of changes that it has lost,
 * and then only the later changes. Another reader gets all changes.
 */
TEST_SMALL(overrun)
{
	struct reader *slow, *quick;
	g_autofree char *lost = NULL, *want = NULL, *after = NULL;

	slow = reader_new(world);
	quick = reader_new(world);
	want = g_strdup_printf("# lost %u changes\n", change_and_read(world, quick, 41));
	g_assert_cmpint(read_now(slow, 65536, &lost), ==, 0);
	g_assert_cmpstr(lost, ==, want);
	/* The present state counts as read: what is in it is not new, and its end shows. */
	g_assert_cmpint(read_now(slow, 65536, NULL), ==, -EAGAIN);
	set_more(world, false);
	after = more(slow);
	g_assert_true(g_str_has_prefix(after, "- " MORE));
	g_assert_cmpint(read_now(quick, 65536, NULL), ==, 0);
	events_close(slow);
	events_close(quick);
}

/* While the changes are still in the log, a slow reader gets the difference to the last state. */
TEST_WORLD(slow)
{
	struct reader *slow, *quick;
	g_autofree char *text = NULL;

	slow = reader_new(world);
	quick = reader_new(world);
	change_and_read(world, quick, 40);
	g_assert_cmpint(read_now(slow, 65536, NULL), ==, -EAGAIN);
	change_and_read(world, quick, 41);
	g_assert_cmpint(read_now(slow, 65536, &text), ==, 0);
	g_assert_true(g_str_has_prefix(text, "+ " MORE));
	g_assert_cmpuint(count_lines(text, '-'), ==, 0);
	events_close(slow);
	events_close(quick);
}

/*
 * A thousand readers wait and get each change; then they do not read while the log overruns. None
 * gets an error.
 */
TEST_SMALL(thousand)
{
	enum { COUNT = 1000 };
	struct reader *readers[COUNT];
	struct request *requests = g_new0(struct request, COUNT);
	int scans;

	for (int i = 0; i < COUNT; i++)
		readers[i] = reader_new(world);
	scans = g_atomic_int_get(&world->fake.scans);
	for (int i = 0; i < COUNT; i++) {
		request_init(&requests[i]);
		events_read(readers[i], &requests[i], 65536, false);
	}
	set_more(world, true);
	for (int i = 0; i < COUNT; i++) {
		wait_for(&requests[i]);
		g_assert_cmpint(requests[i].err, ==, 0);
		g_assert_cmpstr(requests[i].data->str, ==, requests[0].data->str);
	}
	for (int i = 0; i < COUNT; i++)
		request_clear(&requests[i]);
	g_assert_true(g_atomic_int_get(&world->fake.scans) - scans < 60);
	change_and_read(world, readers[0], 2 * 20 + 1);
	for (int i = 1; i < COUNT; i++) {
		g_autofree char *text = NULL;

		g_assert_cmpint(read_now(readers[i], 65536, &text), ==, 0);
		g_assert_true(g_str_has_prefix(text, "# lost "));
	}
	for (int i = 0; i < COUNT; i++)
		events_close(readers[i]);
	g_free(requests);
}

/*
 * Readers that stop in the middle of a line: each gets the rest of it, or a line that says what
 * was lost.
 */
TEST_SMALL(in_the_midst)
{
	enum { COUNT = 200 };
	struct reader *readers[COUNT], *quick;
	guint lost = 0;

	quick = reader_new(world);
	for (int i = 0; i < COUNT; i++) {
		g_autofree char *first = NULL;

		/* Each reader opens at another state, and reads one byte of the next change. */
		readers[i] = reader_new(world);
		change_and_read(world, quick, 1);
		g_assert_cmpint(read_now(readers[i], 1, &first), ==, 0);
		g_assert_cmpstr(first, ==, i % 2 ? "-" : "+");
	}
	for (int i = 0; i < COUNT; i++) {
		g_autofree char *rest = NULL;

		g_assert_cmpint(read_now(readers[i], 65536, &rest), ==, 0);
		g_assert_cmpint((unsigned char)rest[strlen(rest) - 1], ==, '\n');
		if (g_str_has_prefix(rest, "\n# lost "))
			lost++;
		else
			g_assert_true(g_str_has_prefix(rest, " " MORE));
		events_close(readers[i]);
	}
	/* The texts that are being read are limited too, to four times the log. */
	g_assert_cmpuint(lost, >, 0);
	g_assert_cmpuint(lost, <, COUNT);
	events_close(quick);
}

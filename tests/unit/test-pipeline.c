/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything is decoded, once, in order, before pipeline_end() returns; and the result is returned. */
#include "fixture.h"
#include "kernel/pipeline.h"

#include <signal.h>
#include <string.h>

#define BUFFERS 200
#define EACH	50

/* The input of a reader: EACH numbered records at a time, always in the same buffer. */
struct input {
	struct walk_rec records[EACH];
	uint32_t id;
	unsigned int reads,
		empty; /* the number of reads; each empty'th read returns no record (0: none) */
	int end;
	unsigned int slow; /* microseconds for each read */
};

struct sink {
	GArray *seen, *soon;
	unsigned int slow;
};

static int read_one(void *data, const void **records, uint32_t *len)
{
	struct input *input = data;

	memset(input->records, 0xff, sizeof(input->records)); /* the earlier records were copied */
	*records = input->records;
	g_usleep(input->slow);
	if (input->reads == 0)
		return input->end;
	input->reads--;
	if (input->empty && input->reads % input->empty == 0)
		return 1;
	for (int i = 0; i < EACH; i++)
		input->records[i] =
			(struct walk_rec){ WALK_FILE, sizeof(struct walk_rec), input->id++ };
	*len = sizeof(input->records);
	return 1;
}

static void note(const struct walk_rec *rec, void *data)
{
	struct sink *sink = data;

	if (rec->id % EACH == 0)
		g_usleep(sink->slow);
	g_array_append_val(sink->seen, rec->id);
}

static void note_soon(const struct walk_rec *rec, void *data)
{
	struct sink *sink = data;

	g_assert_cmpuint(sink->soon->len, ==, rec->id);
	g_assert_cmpuint(rec->id, >=, sink->seen->len);
	g_array_append_val(sink->soon, rec->id);
}

static void check_one(struct input input, unsigned int slow, walk_fn soon, int want, bool parallel)
{
	struct sink sink = { g_array_new(FALSE, FALSE, sizeof(uint32_t)),
			     g_array_new(FALSE, FALSE, sizeof(uint32_t)), slow };
	struct pipeline *pipeline = pipeline_begin(read_one, &input, parallel);

	g_assert_cmpint(pipeline_end(pipeline, soon, note, &sink), ==, want);
	g_assert_cmpuint(sink.seen->len, ==, input.id);
	for (uint32_t i = 0; i < input.id; i++)
		g_assert_cmpuint(g_array_index(sink.seen, uint32_t, i), ==, i);
	g_assert_cmpuint(sink.soon->len, ==, soon ? input.id : 0);
	g_array_unref(sink.seen);
	g_array_unref(sink.soon);
}

/* With a thread that reads, and without one. */
static void check(struct input input, unsigned int slow, walk_fn soon, int want)
{
	check_one(input, slow, soon, want, true);
	check_one(input, slow, soon, want, false);
}

TEST(in_order)
{
	check((struct input){ .reads = BUFFERS }, 0, NULL, 0);
}

TEST(slower_than_read)
{
	check((struct input){ .reads = BUFFERS }, 200, NULL, 0);
}

TEST(faster_than_read)
{
	check((struct input){ .reads = BUFFERS, .slow = 200 }, 0, NULL, 0);
}

TEST(seen_before)
{
	check((struct input){ .reads = BUFFERS }, 0, note_soon, 0);
}

TEST(reads_that_bring_nothing)
{
	check((struct input){ .reads = BUFFERS, .empty = 3 }, 0, note_soon, 0);
}

TEST(nothing_at_all)
{
	check((struct input){ .reads = 0 }, 0, NULL, 0);
}

TEST(ended_early)
{
	check((struct input){ .reads = BUFFERS, .end = -ELOOP }, 0, NULL, -ELOOP);
}

static int read_mask(void *data, const void **records, uint32_t *len)
{
	pthread_sigmask(SIG_BLOCK, NULL, data);
	return 0;
}

/* An application's signal handler does not run in a thread of the library. */
TEST(signals_are_blocked_in_the_thread)
{
	struct sink sink = { g_array_new(FALSE, FALSE, sizeof(uint32_t)), NULL, 0 };
	sigset_t before, after, inside;
	struct pipeline *pipeline;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	sigemptyset(&inside);
	pipeline = pipeline_begin(read_mask, &inside, true);
	g_assert_cmpint(pipeline_end(pipeline, NULL, note, &sink), ==, 0);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	g_assert_false(sigismember(&before, SIGTERM));
	g_assert_true(sigismember(&inside, SIGTERM) && sigismember(&inside, SIGUSR1));
	g_assert_false(sigismember(&after, SIGTERM));
	g_array_unref(sink.seen);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log of controls. */
#include <unistd.h>

#include "fixture.h"

static char *show(struct errlog *log)
{
	GString *out = g_string_new(NULL);

	errlog_show(log, out);
	return g_string_free(out, FALSE);
}

TEST(line)
{
	struct errlog *log = errlog_new();
	struct caller self = { .tid = getpid() };
	g_autofree char *text = NULL, *pid = g_strdup_printf(" pid=%d comm=", (int)getpid());

	errlog_add(log, &self, "map/1/pin a b\n", -EEXIST, "some\nthing");
	text = show(log);
	g_assert_true(g_regex_match_simple("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}Z pid=[0-9]+ "
					   "comm=[!-~]+ command=map/1/pin\\\\040a\\\\040b\\\\012 "
					   "EEXIST: some\\\\012thing\n$",
					   text, 0, 0));
	g_assert_nonnull(strstr(text, pid));
	errlog_free(log);
}

TEST(daemon)
{
	struct errlog *log = errlog_new();
	g_autofree char *text = NULL;

	errlog_add(log, NULL, "auto", -ENOSPC, "full");
	text = show(log);
	g_assert_nonnull(strstr(text, " comm=bpfrefs command=auto ENOSPC: full\n"));
	errlog_free(log);
}

TEST(newest)
{
	struct errlog *log = errlog_new();
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	for (int i = 0; i < 300; i++) {
		g_autofree char *command = g_strdup_printf("number-%d", i);

		errlog_add(log, NULL, command, -EINVAL, "no");
	}
	text = show(log);
	lines = g_strsplit(text, "\n", -1);
	g_assert_cmpuint(g_strv_length(lines), ==, 257);
	g_assert_nonnull(strstr(lines[0], "command=number-44 "));
	g_assert_nonnull(strstr(lines[255], "command=number-299 "));
	g_assert_cmpuint(errlog_count(log), ==, 300);
	errlog_free(log);
}

static gpointer add_many(gpointer data)
{
	for (int i = 0; i < 500; i++) {
		g_autofree char *text = NULL;

		errlog_add(data, NULL, "x", -EPERM, "y");
		if (i % 100 == 0)
			text = show(data);
	}
	return NULL;
}

TEST(threads)
{
	struct errlog *log = errlog_new();
	GThread *threads[4];

	for (int i = 0; i < 4; i++)
		threads[i] = g_thread_new("adder", add_many, log);
	for (int i = 0; i < 4; i++)
		g_thread_join(threads[i]);
	g_assert_cmpuint(errlog_count(log), ==, 2000);
	errlog_free(log);
}

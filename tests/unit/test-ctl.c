/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands: how they are parsed, and which are refused for what reason. The kernel tests check
 * their effects.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/ctl.h"
#include "fixture.h"

/* These replace the functions of caller.c, which the linker then leaves out. */

static int entered;

int caller_is_admin(const struct caller *caller)
{
	return caller->uid == 0 ? 0 : -EPERM;
}

void caller_describe(const struct caller *caller, pid_t *pid, char comm[32])
{
	*pid = caller->tid;
	g_strlcpy(comm, "tester", 32);
}

int caller_enter(const struct caller *caller)
{
	entered++;
	return 0;
}

void caller_leave(void)
{
	entered--;
}

static const struct caller admin = { .tid = 42 }, user = { .tid = 43, .uid = 1000 };

/* ------------------------------------------------------- one command --- */

static char *parsed(const char *data, size_t size)
{
	g_autofree char *reason = NULL;
	char *command = NULL;
	int err = ctl_parse(data, size, &command, &reason);

	g_assert_cmpint(err == 0, ==, reason == NULL);
	return err ? g_strdup_printf("%s", strerrorname_np(-err)) : command;
}

#define check_parse(data, size, expected)                          \
	do {                                                       \
		g_autofree char *parsed_text = parsed(data, size); \
		g_assert_cmpstr(parsed_text, ==, expected);        \
	} while (0)

TEST(parse)
{
	char big[CTL_COMMAND_MAX + 1];

	check_parse("fd", 2, "fd");
	check_parse("fd\n", 3, "fd");
	check_parse("\n", 1, "");
	check_parse("", 0, "");
	check_parse(" a b ", 5, " a b ");
	check_parse("fd\n\n", 4, "EINVAL");
	check_parse("a\nb", 3, "EINVAL");
	check_parse("a\nb\n", 4, "EINVAL");
	check_parse("a\0b", 3, "EINVAL");
	check_parse("fd\0", 3, "EINVAL");
	check_parse("fd\r\n", 4, "fd\r");
	memset(big, 'x', sizeof(big));
	check_parse(big, sizeof(big), "E2BIG");
	big[CTL_COMMAND_MAX - 1] = '\n';
	{
		g_autofree char *longest = parsed(big, CTL_COMMAND_MAX);

		g_assert_cmpuint(strlen(longest), ==, CTL_COMMAND_MAX - 1);
	}
}

static int store_result;
static char *stored;

static int store_note(const struct where *w, const struct caller *caller, const char *command,
		      char **reason)
{
	g_free(stored);
	stored = g_strdup(command);
	if (store_result == -EBUSY)
		*reason = g_strdup("busy as can be");
	return store_result;
}

static const struct node row = { .in = DIR_OBJECT, .name = "pin", .store = store_note };

TEST_FAKE(write)
{
	struct where w = { .fs = &fake->fs, .row = &row, .key = fake_map };
	struct bpfrefs_snapshot *before;
	g_autoptr(GString) log = g_string_new(NULL);
	int scans;

	g_assert_cmpint(view_get(fake->fs.view, &before), ==, 0);
	bpfrefs_snapshot_unref(before);
	scans = fake->scans;
	store_result = 0;
	g_assert_cmpint(ctl_write(&w, &admin, "app/x\n", 6), ==, 6);
	g_assert_cmpstr(stored, ==, "app/x");
	/* The next read of the writer shows what the command did. */
	g_assert_cmpint(view_recent(fake->fs.view, &before), ==, 0);
	bpfrefs_snapshot_unref(before);
	g_assert_cmpint(fake->scans, >, scans);
	g_assert_cmpuint(errlog_count(fake->fs.errors), ==, 0);
	g_clear_pointer(&stored, g_free);
	g_assert_cmpint(ctl_write(&w, &admin, "", 0), ==, 0);
	g_assert_cmpint(ctl_check_write(&w, &admin, "app/x\n", 6), ==, 0);
	g_assert_cmpint(ctl_check_write(&w, &user, "app/x\n", 6), ==, -EPERM);
	g_assert_cmpint(ctl_write(&w, &admin, "a\nb", 3), ==, -EINVAL);
	g_assert_null(stored);
	store_result = -EBUSY;
	g_assert_cmpint(ctl_write(&w, &admin, "one", 3), ==, -EBUSY);
	store_result = -EROFS;
	g_assert_cmpint(ctl_write(&w, &admin, "two", 3), ==, -EROFS);
	errlog_show(fake->fs.errors, log);
	g_assert_cmpuint(errlog_count(fake->fs.errors), ==, 4);
	g_assert_nonnull(strstr(log->str, "pid=43 comm=tester command=map/12/pin\\040app/x EPERM"));
	g_assert_nonnull(strstr(log->str, "command=map/12/pin\\040one EBUSY: busy as can be\n"));
	g_assert_nonnull(
		strstr(log->str, "command=map/12/pin\\040two EROFS: Read-only file system\n"));
	g_clear_pointer(&stored, g_free);
}

/* ------------------------------------------------------------- paths --- */

struct sandbox {
	struct fake fake;
	struct temp_dir dir;
};

static void sandbox_init(struct sandbox *box)
{
	fake_init(&box->fake);
	temp_dir_init(&box->dir);
	temp_dir_file(&box->dir, "app/file", "x");
	temp_dir_link(&box->dir, "out", "/tmp");
	box->fake.fs.source_fd = box->dir.fd;
}

static void sandbox_clear(struct sandbox *box)
{
	/* A command that was refused has created nothing. */
	temp_dir_has_only(&box->dir, "", "app out");
	temp_dir_has_only(&box->dir, "app", "file");
	temp_dir_clear(&box->dir);
	fake_clear(&box->fake);
}

#define TEST_SANDBOX(name) TEST_WITH(struct sandbox, box, sandbox_init, sandbox_clear, name)

struct refusal {
	const char *command;
	int result;
	const char *reason; /* a part of it */
};

static void check_refusal(struct sandbox *box, struct bpfrefs_key key,
			  const struct refusal *refusal,
			  int (*store)(const struct where *w, const struct caller *caller,
				       const char *command, char **reason))
{
	struct where w = { .fs = &box->fake.fs, .row = &row, .key = key };
	g_autofree char *reason = NULL;

	g_assert_cmpint(store(&w, &admin, refusal->command, &reason), ==, refusal->result);
	g_assert_nonnull(reason);
	g_assert_nonnull(strstr(reason, refusal->reason));
	g_assert_cmpint(entered, ==, 0);
}

TEST_SANDBOX(paths)
{
	static const struct refusal refusals[] = {
		{ "", -EINVAL, "empty" },
		{ "app/", -EINVAL, "empty" },
		{ "/app/x", -EXDEV, "leaves" },
		{ "../x", -EXDEV, "leaves" },
		{ "app/../x", -EXDEV, "leaves" },
		{ "out/x", -EXDEV, "leaves" },
		{ "no/x", -ENOENT, "no such directory" },
		{ "app/file/x", -ENOTDIR, "its directory" },
		{ "a\\9", -EINVAL, "octal" },
		{ "app\\057..\\057..\\057x", -EXDEV, "leaves" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
		check_refusal(box, fake_map, &refusals[i], ctl_pin);
		check_refusal(box, fake_map, &refusals[i], ctl_unpin);
	}
}

TEST_SANDBOX(unpin_none)
{
	static const struct refusal refusals[] = {
		{ "app/none", -ENOENT, "no pin of this object" },
		{ "app", -ENOENT, "no pin of this object" },
		{ "out", -ENOENT, "no pin of this object" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++)
		check_refusal(box, fake_map, &refusals[i], ctl_unpin);
}

/* ----------------------------------------------------------- control --- */

TEST_SANDBOX(control)
{
	static const struct refusal refusals[] = {
		{ "", -EINVAL, "the commands are" },
		{ "delete map/12", -EINVAL, "the commands are" },
		{ " pin map/12 x", -EINVAL, "the commands are" },
		{ "pin", -EINVAL, "KIND/ID" },
		{ "pin map12 app/x", -EINVAL, "KIND/ID" },
		{ "pin map/012 app/x", -EINVAL, "KIND/ID" },
		{ "pin  map/12 app/x", -EINVAL, "KIND/ID" },
		{ "pin map/12", -EINVAL, "empty" },
		{ "pin map/12 ", -EINVAL, "empty" },
		{ "pin map/99 app/x", -ENOENT, "no such object" },
		{ "pin map/12 /x", -EXDEV, "leaves" },
		{ "unpin", -EINVAL, "empty" },
		{ "unpin no/x", -ENOENT, "no such directory" },
		{ "unpin app/none", -ENOENT, "no pin" },
		{ "keep map/12", -EINVAL, "the modes are" },
		{ "keep map/12 on", -EINVAL, "the modes are" },
		{ "keep map/12 fd ", -EINVAL, "the modes are" },
		{ "keep fd", -EINVAL, "KIND/ID" },
	};
	struct bpfrefs_key none = { .kind = BPFREFS_KIND_NONE };

	for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++)
		check_refusal(box, none, &refusals[i], ctl_control);
	g_assert_cmpint(box->fake.scans, ==, 0);
}

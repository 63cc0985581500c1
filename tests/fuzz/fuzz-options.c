/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines of the daemon and of mount(8), and -o lists. NULs separate the arguments. */
#include <errno.h>
#include <getopt.h>

#include "daemon/options.h"
#include "fuzz.h"

#define ARGS_MAX 16

/* GOption shows its help and ends the process, which would end the fuzzer. */
static bool asks_for_help(const char *arg)
{
	if (g_str_has_prefix(arg, "--help"))
		return true;
	return arg[0] == '-' && arg[1] != '-' && strpbrk(arg, "h?");
}

static void check(int err, const char *why, const struct options *options)
{
	must(err == 0 || err == -EINVAL);
	must((err == 0) == (why == NULL));
	if (err || options->version)
		return;
	must(options->fs.max_age <= 86400000);
	must(!options->fs.has_gid || options->fs.gid != (gid_t)-1);
	must(options->source <= BPFREFS_SOURCE_PROC);
}

/* The options for libfuse read back as the same: no option hides in the value of another one. */
static void check_passed_on(const struct options *options)
{
	struct options again;
	g_autofree char *why = NULL;

	options_init(&again);
	must(options_read_list(&again, options->mount_options->str, &why) == 0);
	must(strcmp(again.mount_options->str, options->mount_options->str) == 0);
	must(again.fs.ro == options->fs.ro && !again.fs.guard && !again.fs.has_gid);
	options_clear(&again);
}

/* Reads several -o options. */
static void read_lists(int count, char **lists)
{
	struct options options;
	g_autofree char *why = NULL;
	int err = 0;

	options_init(&options);
	for (int i = 0; i < count && !err; i++)
		err = options_read_list(&options, lists[i], &why);
	check(err, why, &options);
	if (!err)
		check_passed_on(&options);
	options_clear(&options);
}

static void read_line(int argc, char **argv)
{
	struct options options;
	g_autofree char *why = NULL;
	int err;

	options_init(&options);
	optind = 0; /* glibc: begin anew */
	err = options_read(&options, argc, argv, &why);
	check(err, why, &options);
	if (!err && !options.version)
		must(options.fs.source && options.fs.mountpoint);
	options_clear(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = exact_string(data, size), *argv[ARGS_MAX + 1] = { NULL }, *owned[ARGS_MAX];
	int argc = 0;

	for (size_t at = 0; at < size && argc < ARGS_MAX; at += strlen(text + at) + 1)
		argv[argc++] = exact_string((const uint8_t *)text + at, strlen(text + at));
	memcpy(owned, argv, sizeof(owned)); /* getopt(3) and GOption reorder them */
	read_lists(argc, owned);
	for (int i = 1; i < argc; i++)
		if (asks_for_help(owned[i]))
			argc = 0;
	if (argc)
		read_line(argc, argv);
	for (int i = 0; i < ARGS_MAX; i++)
		free(owned[i]);
	free(text);
	return 0;
}

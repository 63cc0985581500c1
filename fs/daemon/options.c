/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parses the command line. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/options.h"

#define DEFAULT_SOURCE "/sys/fs/bpf"
/* A day. A larger value is surely a mistake. */
#define MAX_AGE_LIMIT 86400000

G_GNUC_PRINTF(2, 3)
static int refuse(char **why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	*why = g_strdup_vprintf(format, args);
	va_end(args);
	return -EINVAL;
}

/* ----------------------------------------------------------- -o lists --- */

static int read_pins(struct options *options, const char *value, char **why)
{
	options->fs.pins_file = strcmp(value, "file") == 0;
	if (!options->fs.pins_file && strcmp(value, "symlink") != 0)
		return refuse(why, "pins=%s: the value must be symlink or file", value);
	return 0;
}

static int read_max_age(struct options *options, const char *value, char **why)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(value, 10, 0, MAX_AGE_LIMIT, &number, NULL))
		return refuse(why, "max_age=%s: the value must be milliseconds, at most %d", value,
			      MAX_AGE_LIMIT);
	options->fs.max_age = (unsigned int)number;
	return 0;
}

static int read_keep(struct options *options, const char *value, char **why)
{
	options->fs.keep_auto = strcmp(value, "auto") == 0;
	if (!options->fs.keep_auto && strcmp(value, "off") != 0)
		return refuse(why, "keep=%s: the value must be auto or off", value);
	return 0;
}

static int read_self(struct options *options, const char *value, char **why)
{
	options->fs.self_show = strcmp(value, "show") == 0;
	if (!options->fs.self_show && strcmp(value, "hide") != 0)
		return refuse(why, "self=%s: the value must be hide or show", value);
	return 0;
}

static int read_gid(struct options *options, const char *value, char **why)
{
	guint64 number;

	/* (gid_t)-1 means "no group" to the kernel. */
	if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32 - 1, &number, NULL))
		return refuse(why, "gid=%s: the value must be the number of a group", value);
	options->fs.has_gid = true;
	options->fs.gid = (gid_t)number;
	return 0;
}

/* The options of bpfrefs itself that have a value. */
static const struct valued {
	const char *name;
	int (*read)(struct options *options, const char *value, char **why);
} valued[] = {
	{ "pins", read_pins }, { "max_age", read_max_age }, { "keep", read_keep },
	{ "self", read_self }, { "gid", read_gid },
};

/* clang-format off */
/* Options that are passed to libfuse unchanged. */
static const char *const passed[] = {
	"ro",	 "rw",	  "allow_other", "allow_root", "auto_unmount", "exec",	    "noexec", "sync",
	"async", "dirsync", "noatime",	 "nodiratime", "norelatime",   "debug",	    NULL,
};
static const char *const passed_valued[] = {
	"max_read=", "context=", "fscontext=", "defcontext=", "rootcontext=", NULL,
};

/*
 * Options that mount(8), mount.fuse3 and fstab(5) add, and options whose value is fixed: device
 * files and setuid bits have no effect here, permissions are always checked, and access times are
 * those of bpffs.
 */
static const char *const ignored[] = {
	"",	  "defaults", "auto",  "noauto", "user",  "nouser",   "users",	  "owner",
	"group",  "nofail",   "_netdev", "suid", "nosuid", "dev",     "nodev",	  "atime",
	"diratime", "relatime", "strictatime", "default_permissions", "subtype=bpfrefs", NULL,
};
static const char *const ignored_prefix[] = {
	"x-", "X-", "comment=", "user=", "uhelper=", "helper=", NULL,
};
/* clang-format on */

static bool has_prefix(const char *const *prefixes, const char *text)
{
	for (; *prefixes; prefixes++)
		if (g_str_has_prefix(text, *prefixes))
			return true;
	return false;
}

/* @raw is the option with its backslashes, the form in which libfuse takes it. */
static int read_one(struct options *options, const char *option, const char *raw, char **why)
{
	for (size_t i = 0; i < G_N_ELEMENTS(valued); i++) {
		size_t len = strlen(valued[i].name);

		if (strncmp(option, valued[i].name, len) != 0)
			continue;
		if (option[len] == '=')
			return valued[i].read(options, option + len + 1, why);
	}
	if (strcmp(option, "guard") == 0) {
		options->fs.guard = true;
		return 0;
	}
	if (strcmp(option, "ro") == 0 || strcmp(option, "rw") == 0)
		options->fs.ro = option[1] == 'o';
	if (g_strv_contains(passed, option) || has_prefix(passed_valued, option)) {
		g_string_append_printf(options->mount_options, "%s%s",
				       options->mount_options->len ? "," : "", raw);
		return 0;
	}
	if (g_strv_contains(ignored, option) || has_prefix(ignored_prefix, option))
		return 0;
	return refuse(why, "unknown mount option: %s", option);
}

int options_read_list(struct options *options, const char *list, char **why)
{
	g_autoptr(GString) option = g_string_new(NULL), raw = g_string_new(NULL);
	int err = 0;

	for (const char *at = list; !err; at++) {
		if (*at == ',' || !*at) {
			err = read_one(options, option->str, raw->str, why);
			g_string_truncate(option, 0);
			g_string_truncate(raw, 0);
			if (!*at)
				break;
			continue;
		}
		if (*at == '\\' && !at[1])
			/*
			 * the backslash would escape the comma before the next option passed to
			 * libfuse
			 */
			return refuse(why, "the list of options ends in a backslash: %s", list);
		if (*at == '\\')
			g_string_append_c(raw, *at++);
		g_string_append_c(raw, *at);
		g_string_append_c(option, *at);
	}
	return err;
}

/* ---------------------------------------------------- the command line --- */

void options_init(struct options *options)
{
	memset(options, 0, sizeof(*options));
	options->mount_options = g_string_new(NULL);
	options->source = BPFREFS_SOURCE_AUTO;
}

void options_clear(struct options *options)
{
	g_string_free(options->mount_options, TRUE);
	g_free(options->fs.source);
	g_free(options->fs.mountpoint);
	g_free(options->mount_ns);
	g_free(options->help);
}

/* The last -N counts. */
static void take_mount_ns(struct options *options, const char *mount_ns)
{
	g_free(options->mount_ns);
	options->mount_ns = g_strdup(mount_ns);
}

/*
 * Parses what mount(8) passes to /sbin/mount.fuse.bpfrefs: SOURCE MOUNTPOINT [-sfnv] [-N ns] [-t
 * type] [-o list].
 */
static int read_helper(struct options *options, int argc, char **argv, char **why)
{
	int option, err = 0;

	opterr = 0;
	while (!err && (option = getopt(argc, argv, "sfnvN:t:o:")) != -1) {
		if (option == 'o')
			err = options_read_list(options, optarg, why);
		else if (option == 'f')
			options->fake = true;
		else if (option == 'N')
			take_mount_ns(options, optarg);
		else if (option == '?')
			err = refuse(why, "unknown argument from mount(8): %s", argv[optind - 1]);
	}
	if (err)
		return err;
	if (argc - optind != 2)
		return refuse(why, "usage as a helper of mount(8): SOURCE MOUNTPOINT [-o OPTIONS]");
	options->fs.source = g_strdup(argv[optind]);
	options->fs.mountpoint = g_strdup(argv[optind + 1]);
	return 0;
}

static int take_arguments(struct options *options, char **rest, char **why)
{
	guint count = rest ? g_strv_length(rest) : 0;

	if (options->version || options->help)
		return 0;
	if (count < 1 || count > 2)
		return refuse(why, "usage: bpfrefs [OPTIONS] [SOURCE] MOUNTPOINT (see --help)");
	options->fs.source = g_strdup(count == 2 ? rest[0] : DEFAULT_SOURCE);
	options->fs.mountpoint = g_strdup(rest[count - 1]);
	return 0;
}

static int take_source(struct options *options, const char *name, char **why)
{
	for (int i = 0; i <= BPFREFS_SOURCE_PROC; i++) {
		if (strcmp(name, bpfrefs_source_name((enum bpfrefs_source)i)) != 0)
			continue;
		options->source = (enum bpfrefs_source)i;
		return 0;
	}
	return refuse(why, "--source=%s: the value must be auto, bpf or proc", name);
}

static const char summary[] =
	"Mounts at MOUNTPOINT a mirror of SOURCE, a directory of a bpffs (" DEFAULT_SOURCE " if\n"
	"left out). A virtual tree .bpf in its root shows for every map, program, link and\n"
	"BTF in the kernel what keeps it alive. See bpfrefs(8) and bpfrefs(5).";

static int read_own(struct options *options, int argc, char **argv, char **why)
{
	g_auto(GStrv) lists = NULL, rest = NULL;
	g_autofree char *source = NULL;
	gboolean foreground = FALSE, version = FALSE, help = FALSE, mount_bpffs = FALSE;
	/* each sentence as in bpfrefs(8): tests/kernel/cases/test_session.py */
	const GOptionEntry entries[] = {
		{ "foreground", 'f', 0, G_OPTION_ARG_NONE, &foreground, "Stay in the foreground.",
		  NULL },
		{ "options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &lists,
		  "Use these mount options, separated by commas.", "LIST" },
		{ "source", 0, 0, G_OPTION_ARG_STRING, &source,
		  "Take the facts from NAME: auto, bpf or proc.", "NAME" },
		{ "mount-bpffs", 0, 0, G_OPTION_ARG_NONE, &mount_bpffs,
		  "If SOURCE is not on a bpffs, mount a new one there first.", NULL },
		{ "version", 'V', 0, G_OPTION_ARG_NONE, &version, "Print the version.", NULL },
		{ "help", 'h', 0, G_OPTION_ARG_NONE, &help, "Print a summary of the options.",
		  NULL },
		{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &rest, NULL, NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("[SOURCE] MOUNTPOINT");
	g_autoptr(GError) error = NULL;
	int err = 0;

	g_option_context_set_help_enabled(context, FALSE); /* its words are not ours */
	g_option_context_set_summary(context, summary);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return refuse(why, "%s", error->message);
	if (help)
		options->help = g_option_context_get_help(context, TRUE, NULL);
	options->foreground = foreground;
	options->version = version;
	options->mount_bpffs = mount_bpffs;
	if (source)
		err = take_source(options, source, why);
	for (char **list = lists; !err && list && *list; list++)
		err = options_read_list(options, *list, why);
	return err ? err : take_arguments(options, rest, why);
}

int options_read(struct options *options, int argc, char **argv, char **why)
{
	g_autofree char *name = g_path_get_basename(argc ? argv[0] : "bpfrefs");

	options->helper = g_str_has_prefix(name, "mount.");
	return options->helper ? read_helper(options, argc, argv, why)
			       : read_own(options, argc, argv, why);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "daemon/options.h"
#include "fixture.h"

/* Reads one list into new options. Returns NULL, or the reason why the list is refused. */
static char *read_list(struct options *options, const char *list)
{
	char *why = NULL;
	int err;

	options_init(options);
	err = options_read_list(options, list, &why);
	g_assert_cmpint(err, ==, why ? -EINVAL : 0);
	return why;
}

TEST(own)
{
	struct options options;

	g_assert_null(
		read_list(&options, "pins=file,max_age=1500,keep=auto,guard,self=show,gid=12,ro"));
	g_assert_true(options.fs.pins_file);
	g_assert_cmpuint(options.fs.max_age, ==, 1500);
	g_assert_true(options.fs.keep_auto);
	g_assert_true(options.fs.guard);
	g_assert_true(options.fs.self_show);
	g_assert_true(options.fs.has_gid);
	g_assert_cmpuint(options.fs.gid, ==, 12);
	g_assert_true(options.fs.ro);
	g_assert_cmpstr(options.mount_options->str, ==, "ro");
	options_clear(&options);
	g_assert_null(read_list(&options, "pins=file,pins=symlink,keep=auto,keep=off,self=show,"
					  "self=hide,ro,rw"));
	g_assert_false(options.fs.pins_file);
	g_assert_false(options.fs.keep_auto);
	g_assert_false(options.fs.self_show);
	g_assert_false(options.fs.ro);
	options_clear(&options);
}

TEST(passed_on)
{
	struct options options;

	g_assert_null(read_list(&options, "rw,dev,suid,allow_other,x-systemd.automount,nofail,,"
					  "noatime,max_read=65536,default_permissions"));
	g_assert_cmpstr(options.mount_options->str, ==, "rw,allow_other,noatime,max_read=65536");
	options_clear(&options);
	/* Escapes stay, since libfuse resolves them. */
	g_assert_null(read_list(&options, "context=a\\,b\\\\c,ro"));
	g_assert_cmpstr(options.mount_options->str, ==, "context=a\\,b\\\\c,ro");
	options_clear(&options);
}

TEST(refused)
{
	static const char *const lists[] = {
		"pins=",	  "pins=files", "max_age=",
		"max_age=-1",	  "max_age=1x", "max_age=86400001",
		"self=",	  "self=yes",	"keep=on",
		"keep",		  "gid=wheel",	"gid=",
		"gid=4294967295", "fsname=x",	"subtype=x",
		"pins",		  "ro=1",	"kernel_cache",
		"guard=1",	  "max_age",	"context=a\\",
		"ro\\",
	};
	struct options options;

	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
		g_autofree char *why = read_list(&options, lists[i]);

		g_assert_nonnull(why);
		g_assert_nonnull(strstr(why, lists[i]));
		options_clear(&options);
	}
}

static int read_line(struct options *options, const char *line, char **why)
{
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);
	/* GOption and getopt(3) reorder the arguments, so they get a list of their own. */
	g_autofree char **moved = g_memdup2(argv, (g_strv_length(argv) + 1) * sizeof(*argv));

	*why = NULL;
	options_init(options);
	return options_read(options, (int)g_strv_length(argv), moved, why);
}

TEST(command_line)
{
	struct options options;
	char *why;

	g_assert_cmpint(
		read_line(&options, "bpfrefs -f --source=proc -o pins=file -o ro /b /m", &why), ==,
		0);
	g_assert_true(options.foreground && options.fs.pins_file && options.fs.ro);
	g_assert_cmpint(options.source, ==, BPFREFS_SOURCE_PROC);
	g_assert_cmpstr(options.fs.source, ==, "/b");
	g_assert_cmpstr(options.fs.mountpoint, ==, "/m");
	options_clear(&options);
	g_assert_cmpint(read_line(&options, "/usr/sbin/bpfrefs /m", &why), ==, 0);
	g_assert_cmpstr(options.fs.source, ==, "/sys/fs/bpf");
	g_assert_false(options.foreground || options.helper || options.mount_bpffs);
	options_clear(&options);
	/* The command line of mount.fuse3. */
	g_assert_cmpint(read_line(&options, "bpfrefs /b /m -o rw,dev,suid,max_age=5", &why), ==, 0);
	g_assert_cmpuint(options.fs.max_age, ==, 5);
	options_clear(&options);
	for (size_t i = 0; i < 4; i++) {
		static const char *const bad[] = { "bpfrefs", "bpfrefs a b c", "bpfrefs --bad a",
						   "bpfrefs --source=x a" };

		g_assert_cmpint(read_line(&options, bad[i], &why), ==, -EINVAL);
		g_assert_nonnull(why);
		g_free(why);
		options_clear(&options);
	}
}

TEST(helper)
{
	struct options options;
	char *why;

	g_assert_cmpint(read_line(&options,
				  "/sbin/mount.fuse.bpfrefs /b /m -sv -t fuse.bpfrefs "
				  "-N 12 -o rw,pins=file",
				  &why),
			==, 0);
	g_assert_true(options.helper && options.fs.pins_file);
	g_assert_false(options.fake || options.foreground);
	g_assert_cmpstr(options.mount_ns, ==, "12");
	g_assert_cmpstr(options.fs.source, ==, "/b");
	g_assert_cmpstr(options.fs.mountpoint, ==, "/m");
	options_clear(&options);
}

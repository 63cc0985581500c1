/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: our own form, and mount(8)'s. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "fs.h"

struct options {
	struct fs_options fs;	/* source and mountpoint as given, until main() has resolved them */
	GString *mount_options; /* for libfuse, comma separated */
	enum bpfrefs_source source; /* --source */
	bool foreground, mount_bpffs, version;
	bool helper;	/* called as mount(8) calls its helpers: exit codes are mount's */
	bool fake;	/* -f of mount(8): all but the mount itself */
	char *mount_ns; /* -N of mount(8) */
};

/*
 * Reads a command line. 0, or -EINVAL and an owned sentence in *why. -h ends the process. The
 * strings are owned by @options: options_clear().
 */
int options_read(struct options *options, int argc, char **argv, char **why);
/* One list of -o; commas in it may be escaped by a backslash. For tests too. */
int options_read_list(struct options *options, const char *list, char **why);
void options_init(struct options *options);
void options_clear(struct options *options);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line, in the form of bpfrefs(8) and in that of a helper of mount(8). */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "fs.h"

struct options {
	struct fs_options fs;	/* source and mountpoint are as given until main() resolves them */
	GString *mount_options; /* options for libfuse, separated by commas */
	enum bpfrefs_source source; /* --source */
	bool foreground, mount_bpffs, version;
	bool helper;	/* called as a helper of mount(8), whose exit codes are to be used */
	bool fake;	/* -f of mount(8): do everything but the mount */
	char *mount_ns; /* -N of mount(8) */
	char *help;	/* what --help prints */
};

/*
 * Parses a command line. Returns 0, or -EINVAL and an owned message in *why. options_clear() frees
 * the strings of @options.
 */
int options_read(struct options *options, int argc, char **argv, char **why);
/* Parses one list of -o, in which a backslash escapes a comma. Unit tests call it too. */
int options_read_list(struct options *options, const char *list, char **why);
void options_init(struct options *options);
void options_clear(struct options *options);

#endif

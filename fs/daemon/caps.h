/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's own privileges: those that it needs, and what it gives away at its start. */
#ifndef CAPS_H
#define CAPS_H

#include "fs.h"

/*
 * Gives up, for good, every capability that a mount with these options does not need, in all of its
 * sets and in the bounding set, and sets no_new_privs. For the calling thread and those that it
 * starts: so it is called before there is another. 0 or -errno.
 */
int caps_drop(const struct fs_options *opt);
/* For status: what the calling thread still has. */
void caps_show(GString *out);

/* What the kernel checks names and attributes of files by: a caller's are taken on with its ids. */
uint64_t caps_of_files(void);
/* Those of them that read what modes deny. */
uint64_t caps_to_read(void);
/*
 * Makes the permitted ones of @files, and all others that are permitted, effective in the calling
 * thread. 0 or -errno.
 */
int caps_set_files(uint64_t files);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The capabilities that the daemon needs, and the drop of all others at its start. */
#ifndef CAPS_H
#define CAPS_H

#include "fs.h"

/*
 * Drops, for good, every capability that a mount with these options does not need, from all sets
 * and from the bounding set, and sets no_new_privs. This applies to the calling thread and to the
 * threads it starts, so the call comes before there is a second thread. Returns 0 or -errno.
 */
int caps_drop(const struct fs_options *opt);
/* Shows the calling thread's capabilities, for .bpf/status. */
void caps_show(GString *out);

/*
 * The capabilities that the kernel checks for access to files and for changes of their
 * attributes. A thread that acts as a caller gets the caller's (caller_enter()).
 */
uint64_t caps_of_files(void);
/* Those of caps_of_files() that override a denied read permission. */
uint64_t caps_to_read(void);
/*
 * Makes those of @files that are permitted effective in the calling thread, and every permitted
 * capability that is not in caps_of_files(). Returns 0 or -errno.
 */
int caps_set_files(uint64_t files);

#endif

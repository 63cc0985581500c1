/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Controls: a write is a command. Everything that changes something on purpose is here, and all of it
 * is done for a caller who could do it with bpf(2) himself.
 */
#ifndef CTL_H
#define CTL_H

#include "fs.h"

#define CTL_COMMAND_MAX 4096

/*
 * Cuts one write(2) to a command: an owned string without its newline. -E2BIG, or -EINVAL for a NUL
 * or a newline in it; @reason then gets an owned sentence.
 */
int ctl_parse(const char *data, size_t size, char **command, char **reason);

/* May the caller open this control for writing? 0 or -EPERM, which the error log then tells of. */
int ctl_open(const struct where *w, const struct caller *caller);
/*
 * May the caller write that command? The same. (A check at the open alone is passed by an inherited
 * descriptor.) The caller's thread waits for its write(2) meanwhile, so that what is found stays true
 * until the command has run.
 */
int ctl_check_write(const struct where *w, const struct caller *caller, const char *data,
		    size_t size);
/* Runs one command on a control: the bytes taken (all), or -errno, which is then in the error log. */
ssize_t ctl_write(const struct where *w, const struct caller *caller, const char *data,
		  size_t size);

/* Gives the sentence and returns @err. */
int ctl_refuse(char **reason, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * What the table's rows store. @reason gets an owned sentence where they fail,
 * or stays NULL where the errno says it all. ctl_unpin() takes any object's pin where the row has
 * no object.
 */
int ctl_pin(const struct where *w, const struct caller *caller, const char *command, char **reason);
int ctl_unpin(const struct where *w, const struct caller *caller, const char *command,
	      char **reason);
int ctl_keep(const struct where *w, const struct caller *caller, const char *command,
	     char **reason);
int ctl_control(const struct where *w, const struct caller *caller, const char *command,
		char **reason);

#endif

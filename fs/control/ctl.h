/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Controls: each write is a command. Every intended change is made here or in guard.c, and for a
 * caller who could make it with bpf(2).
 */
#ifndef CTL_H
#define CTL_H

#include "fs.h"

#define CTL_COMMAND_MAX 4096

/*
 * Checks one write(2) and returns its command as an owned string without the newline. -E2BIG, or
 * -EINVAL for a NUL byte or a second line; then *reason gets an owned sentence.
 */
int ctl_parse(const char *data, size_t size, char **command, char **reason);

/* Checks that the caller may open this control for writing. Returns 0, or -EPERM and logs it. */
int ctl_open(const struct where *w, const struct caller *caller);
/*
 * Checks that the caller may write this command, in the same way. The check at the open is not
 * enough, since a descriptor can be inherited. The caller's thread waits in write(2), so that the
 * result stays true until the command has run.
 */
int ctl_check_write(const struct where *w, const struct caller *caller, const char *data,
		    size_t size);
/* Runs one command on a control. Returns the number of bytes (all), or -errno and logs it. */
ssize_t ctl_write(const struct where *w, const struct caller *caller, const char *data,
		  size_t size);

/* Sets *reason to the message and returns @err. */
int errlog_refuse(char **reason, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * The store functions of the table's rows. If they fail, *reason gets an owned sentence, or stays
 * NULL if the errno is enough. For a row without an object, ctl_unpin() accepts a pin of any
 * object.
 */
int ctl_pin(const struct where *w, const struct caller *caller, const char *command, char **reason);
int ctl_unpin(const struct where *w, const struct caller *caller, const char *command,
	      char **reason);
int ctl_keep(const struct where *w, const struct caller *caller, const char *command,
	     char **reason);
int ctl_control(const struct where *w, const struct caller *caller, const char *command,
		char **reason);

/*
 * Opens the directory of @path, which is relative to SOURCE, and returns its last component. Uses
 * openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV and the caller's
 * rights, which the thread has entered. -EXDEV if the path leaves SOURCE (absolute, "..", a
 * symlink, a mount), -EINVAL if the path or a component is empty, -ENOENT if there is no such
 * directory. @dir_fd gets an owned O_PATH descriptor, and @name points into @path.
 */
int ctl_open_parent(int source_fd, const char *path, int *dir_fd, const char **name);

#endif

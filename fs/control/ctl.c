/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands. A command succeeds or changes nothing. A refusal adds a sentence to .bpf/errors,
 * since a shell shows at most the errno.
 */
#include "control/ctl.h"

#include <errno.h>
#include <string.h>

#include "tree/node.h"

/* ------------------------------------------------------------- a write --- */

int ctl_parse(const char *data, size_t size, char **command, char **reason)
{
	if (size > CTL_COMMAND_MAX)
		return errlog_refuse(reason, -E2BIG, "a command has at most %d bytes",
				     CTL_COMMAND_MAX);
	if (size && data[size - 1] == '\n')
		size--;
	if (memchr(data, '\0', size))
		return errlog_refuse(reason, -EINVAL, "the command contains a NUL byte");
	if (memchr(data, '\n', size))
		return errlog_refuse(reason, -EINVAL, "a write must be one command on one line");
	*command = g_strndup(data, size);
	return 0;
}

/* Returns the control's path below .bpf, for the log: "map/12/pin". */
static char *control_name(const struct where *w)
{
	char key[BPFREFS_KEY_MAX];

	if (w->key.kind == BPFREFS_KIND_NONE)
		return g_strdup(w->row->name);
	return g_strdup_printf("%s/%s", bpfrefs_key_format(w->key, key), w->row->name);
}

/* @data is the data of the write, or NULL for an open. A newline at its end is not logged. */
static void log_failure(const struct where *w, const struct caller *caller, const char *data,
			size_t size, int err, const char *reason)
{
	g_autofree char *name = control_name(w);
	g_autofree char *command = g_strndup(data ? data : "", MIN(size, CTL_COMMAND_MAX));
	g_autofree char *line = NULL;

	if (g_str_has_suffix(command, "\n"))
		command[strlen(command) - 1] = '\0';
	line = g_strconcat(name, data ? " " : NULL, command, NULL);

	errlog_add(w->fs->errors, caller, line, err, reason ? reason : g_strerror(-err));
}

int ctl_check_write(const struct where *w, const struct caller *caller, const char *data,
		    size_t size)
{
	int err = caller_is_admin(caller);

	if (err)
		log_failure(
			w, caller, data, size, err,
			"the calling thread has no CAP_SYS_ADMIN in the initial user namespace");
	return err;
}

int ctl_open(const struct where *w, const struct caller *caller)
{
	return ctl_check_write(w, caller, NULL, 0);
}

ssize_t ctl_write(const struct where *w, const struct caller *caller, const char *data, size_t size)
{
	g_autofree char *command = NULL, *reason = NULL;
	int err;

	if (size == 0)
		return 0;
	err = ctl_parse(data, size, &command, &reason);
	if (!err)
		err = w->row->store(w, caller, command, &reason);
	if (err) {
		log_failure(w, caller, data, size, err, reason);
		return err;
	}
	view_invalidate(w->fs->view);
	return (ssize_t)size;
}

/* ---------------------------------------------------------------- keep --- */

int ctl_keep(const struct where *w, const struct caller *caller, const char *command, char **reason)
{
	enum bpfrefs_keep_mode mode;
	int err;

	/* the caller is an administrator, and the directories of keeps belong to root */
	(void)caller;
	if (bpfrefs_keep_parse(command, &mode) != 0)
		return errlog_refuse(reason, -EINVAL, "the modes are fd, pin, auto and off");
	err = bpfrefs_keep_set(w->fs->keeper, w->key, mode);
	switch (err) {
	case 0:
		break;
	case -ENOENT:
		return errlog_refuse(reason, err, "there is no such object");
	case -EOPNOTSUPP:
		return errlog_refuse(reason, err,
				     mode == BPFREFS_KEEP_AUTO
					     ? "auto is only for maps that have a user state"
					     : "objects of this kind cannot be kept in this mode");
	case -EPERM:
		return errlog_refuse(reason, err,
				     "bpfrefs, bpfrefs/keep or bpfrefs/auto in SOURCE is not a "
				     "directory of root with mode 0700");
	default:
		return err;
	}
	if (mode == BPFREFS_KEEP_AUTO)
		auto_wake(w->fs->auto_keep);
	return 0;
}

/* ------------------------------------------------------------- control --- */

static const struct verb {
	const char *name;
	bool keyed; /* KIND/ID comes before its argument */
	int (*run)(const struct where *w, const struct caller *caller, const char *command,
		   char **reason);
} verbs[] = {
	{ "pin", true, ctl_pin },
	{ "unpin", false, ctl_unpin },
	{ "keep", true, ctl_keep },
};

/* Returns the first word of *rest, owned, and moves *rest behind the blank after it. */
static char *take_word(const char **rest)
{
	const char *start = *rest, *end = strchr(start, ' ');

	if (!end) {
		*rest = start + strlen(start);
		return g_strdup(start);
	}
	*rest = end + 1;
	return g_strndup(start, (gsize)(end - start));
}

int ctl_control(const struct where *w, const struct caller *caller, const char *command,
		char **reason)
{
	g_autofree char *name = take_word(&command), *key = NULL;
	const struct verb *verb = verbs, *end = verbs + G_N_ELEMENTS(verbs);
	struct where object = *w;

	while (verb < end && strcmp(verb->name, name) != 0)
		verb++;
	if (verb == end)
		return errlog_refuse(reason, -EINVAL, "the commands are pin, unpin and keep");
	if (!verb->keyed)
		return verb->run(&object, caller, command, reason);
	key = take_word(&command);
	if (bpfrefs_key_parse(key, &object.key) != 0)
		return errlog_refuse(reason, -EINVAL, "an object is named KIND/ID, such as map/12");
	return verb->run(&object, caller, command, reason);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkobj makes BPF objects and holders of them, one by one, as it is told on its standard input, so
 * that a test knows exactly who holds what. A command names the descriptors that it makes; each is
 * answered by one line, "ok KEY=VALUE ..." or "err ERRNO".
 */
#ifndef MKOBJ_H
#define MKOBJ_H

#include <stdbool.h>

struct cmd {
	const char *name;
	int args;		 /* positional arguments that it needs */
	int (*run)(char **args); /* 0 or -errno; prints what it has to say with say() */
};

extern const struct cmd bpf_cmds[], sys_cmds[], object_cmds[],
	file_cmds[]; /* a NULL name ends each */

/* Runs commands until the standard input ends. */
void serve(void);
/* Forgets what was said so far. */
void answer_begin(void);
/* Adds " KEY=VALUE" to the answer. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The value of "KEY=..." among the arguments, or NULL. */
const char *option(char **args, const char *key);
unsigned int option_num(char **args, const char *key, unsigned int otherwise);

/* The descriptor of that name, or -1. */
int var_get(const char *name);
/* Takes ownership of @fd, and says its number and the id of what is behind it. */
int var_set(const char *name, int fd);
int var_close(const char *name);

#endif

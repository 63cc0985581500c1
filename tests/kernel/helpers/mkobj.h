/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkobj makes BPF objects and holders of them, one by one, by the commands on its standard input, so
 * that a test knows exactly what holds each of them. A command names the descriptors that it makes;
 * each is answered by one line, "ok KEY=VALUE ..." or "err ERRNO".
 *
 * `mkobj SUBCOMMAND ARGUMENT...` does one thing instead, each documented where it is defined. If it
 * fails, the errno's name is on standard error.
 */
#ifndef MKOBJ_H
#define MKOBJ_H

#include <stdbool.h>

enum { KEY_ROOM = 32 };

struct cmd {
	const char *name;
	int args;		 /* positional arguments that it needs */
	int (*run)(char **args); /* 0 or -errno; a command of standard input answers by say() */
};

/* The entry of that name in a table that a NULL name ends, or NULL. */
const struct cmd *cmd_find(const struct cmd *table, const char *name);

extern const struct cmd bpf_cmds[], sys_cmds[], object_cmds[],
	file_cmds[]; /* a NULL name ends each */

/* The subcommands. */
int many_run(char **args);
int object_run(char **args);
int caller_run(char **args);
int churn_run(char **args);
int cgroup_run(char **args);
int net_run(char **args);

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

/* "map/12" and the like, of what is behind a descriptor; empty if it is no object. */
const char *key_of(int fd, char key[KEY_ROOM]);
/* A type by libbpf's word or as a number, or -EINVAL. */
int attach_type(const char *name);

#endif

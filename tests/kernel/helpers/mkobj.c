// SPDX-License-Identifier: GPL-2.0-or-later
#include "mkobj.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_VARS = 4096, MAX_WORDS = 64, MAX_NAME = 32 };

static struct {
	char name[MAX_NAME];
	int fd;
} vars[MAX_VARS];
static unsigned int var_count;

static char answer[4096];
static size_t answered;

void answer_begin(void)
{
	answered = 0;
	answer[0] = 0;
}

void say(const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(answer + answered, sizeof(answer) - answered, format, args);
	va_end(args);
	if (length > 0 && answered + (size_t)length < sizeof(answer))
		answered += (size_t)length;
}

const char *option(char **args, const char *key)
{
	size_t length = strlen(key);

	for (; *args; args++)
		if (strncmp(*args, key, length) == 0 && (*args)[length] == '=')
			return *args + length + 1;
	return NULL;
}

unsigned int option_num(char **args, const char *key, unsigned int otherwise)
{
	const char *value = option(args, key);

	return value ? (unsigned int)strtoul(value, NULL, 0) : otherwise;
}

static int var_find(const char *name)
{
	for (unsigned int i = 0; i < var_count; i++)
		if (vars[i].fd >= 0 && strcmp(vars[i].name, name) == 0)
			return (int)i;
	return -1;
}

int var_get(const char *name)
{
	int i = var_find(name);

	return i < 0 ? -1 : vars[i].fd;
}

/* "map_id: 12" and the like in fdinfo. A link's own id stands before those of what it uses. */
const char *key_of(int fd, char key[KEY_ROOM])
{
	static const char *const kinds[] = { "map", "prog", "link", "btf" };
	char path[64], line[256];
	unsigned int id;
	FILE *file;

	*key = '\0';
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return key;
	while (!*key && fgets(line, sizeof(line), file)) {
		for (unsigned int i = 0; !*key && i < sizeof(kinds) / sizeof(*kinds); i++) {
			size_t length = strlen(kinds[i]);

			if (strncmp(line, kinds[i], length) == 0 &&
			    sscanf(line + length, "_id: %u", &id) == 1)
				snprintf(key, KEY_ROOM, "%s/%u", kinds[i], id);
		}
	}
	fclose(file);
	return key;
}

int var_set(const char *name, int fd)
{
	int i = var_find(name);
	char key[KEY_ROOM];

	if (fd < 0)
		return fd;
	if (i >= 0) {
		close(vars[i].fd);
	} else {
		if (var_count == MAX_VARS || strlen(name) >= MAX_NAME) {
			close(fd);
			return -ENOSPC;
		}
		i = (int)var_count++;
	}
	strcpy(vars[i].name, name);
	vars[i].fd = fd;
	say(" fd=%d", fd);
	if (*key_of(fd, key))
		say(" key=%s", key);
	return 0;
}

int var_close(const char *name)
{
	int i = var_find(name);

	if (i < 0)
		return -ENOENT;
	close(vars[i].fd);
	vars[i].fd = -1;
	return 0;
}

const struct cmd *cmd_find(const struct cmd *table, const char *name)
{
	while (table->name && strcmp(table->name, name) != 0)
		table++;
	return table->name ? table : NULL;
}

static int run(char *line)
{
	static const struct cmd *const tables[] = { bpf_cmds, sys_cmds, object_cmds, file_cmds };
	char *words[MAX_WORDS + 1] = { NULL }, *save = NULL, *word;
	const struct cmd *cmd = NULL;
	int count = 0;

	for (word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (count == MAX_WORDS)
			return -E2BIG;
		words[count++] = word;
	}
	if (count == 0)
		return -EINVAL;
	for (unsigned int i = 0; !cmd && i < sizeof(tables) / sizeof(*tables); i++)
		cmd = cmd_find(tables[i], words[0]);
	if (!cmd)
		return -ENOSYS;
	if (count - 1 < cmd->args)
		return -EINVAL;
	return cmd->run(words + 1);
}

/* glibc has no name for what the kernel should not have returned, as ENOTSUPP: then its number. */
static const char *error_word(int error)
{
	static char number[16];
	const char *name = strerrorname_np(error);

	snprintf(number, sizeof(number), "%d", error);
	return name ? name : number;
}

void serve(void)
{
	char line[8192];
	int error;

	while (fgets(line, sizeof(line), stdin)) {
		answer_begin();
		error = run(line);
		if (error)
			printf("err %s%s\n", error_word(-error), answer);
		else
			printf("ok%s\n", answer);
	}
}

static const struct cmd subcommands[] = {
	/* clang-format off */
	{ "many",   2, many_run },
	{ "object", 3, object_run },
	{ "caller", 3, caller_run },
	{ "churn",  3, churn_run },
	{ "cgroup", 5, cgroup_run },
	{ "net",    3, net_run },
	{ NULL,     0, NULL },
	/* clang-format on */
};

int main(int argc, char **argv)
{
	const struct cmd *cmd = argc > 1 ? cmd_find(subcommands, argv[1]) : NULL;
	int error;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2) {
		printf("ok pid=%d\n", getpid());
		serve();
		return 0;
	}
	error = cmd && argc - 2 >= cmd->args ? cmd->run(argv + 2) : -EINVAL;
	if (error)
		fprintf(stderr, "%s\n", error_word(-error));
	return error != 0;
}

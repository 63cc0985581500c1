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
static void say_id(int fd)
{
	static const char *const kinds[] = { "map", "prog", "link", "btf" };
	char path[64], line[256];
	unsigned int id;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return;
	for (bool found = false; !found && fgets(line, sizeof(line), file);) {
		for (unsigned int i = 0; !found && i < sizeof(kinds) / sizeof(*kinds); i++) {
			size_t length = strlen(kinds[i]);

			found = strncmp(line, kinds[i], length) == 0 &&
				sscanf(line + length, "_id: %u", &id) == 1;
			if (found)
				say(" key=%s/%u", kinds[i], id);
		}
	}
	fclose(file);
}

int var_set(const char *name, int fd)
{
	int i = var_find(name);

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
	say_id(fd);
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

static const struct cmd *find_cmd(const char *name)
{
	static const struct cmd *const tables[] = { bpf_cmds, sys_cmds, object_cmds, file_cmds };

	for (unsigned int i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		for (const struct cmd *cmd = tables[i]; cmd->name; cmd++)
			if (strcmp(cmd->name, name) == 0)
				return cmd;
	return NULL;
}

static int run(char *line)
{
	char *words[MAX_WORDS + 1] = { NULL }, *save = NULL, *word;
	const struct cmd *cmd;
	int count = 0;

	for (word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (count == MAX_WORDS)
			return -E2BIG;
		words[count++] = word;
	}
	if (count == 0)
		return -EINVAL;
	cmd = find_cmd(words[0]);
	if (!cmd)
		return -ENOSYS;
	if (count - 1 < cmd->args)
		return -EINVAL;
	return cmd->run(words + 1);
}

void serve(void)
{
	char line[8192];
	int error;

	while (fgets(line, sizeof(line), stdin)) {
		answer_begin();
		error = run(line);
		if (error)
			printf("err %s%s\n", strerrorname_np(-error), answer);
		else
			printf("ok%s\n", answer);
	}
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ok pid=%d\n", getpid());
	serve();
	return 0;
}

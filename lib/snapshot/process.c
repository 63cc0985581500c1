/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Facts about processes beyond what they hold: cgroups and namespaces. What no scan has found is read
 * from procfs when it is first needed; a snapshot remembers the cgroups, so that its answers agree.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "procfs/fdinfo.h"
#include "snapshot/index.h"

/* A line for each hierarchy of version 1, of which there are at most 16, and one for version 2. */
#define CGROUP_MAX (64 * 1024)

/* What snap->cgroups has for a process whose cgroup could not be read. */
static const char unreadable[] = "?";

/* ---------------------------------------------------------------- procfs --- */

/*
 * Finds the path in "0::/a/b\n", the line of version 2. The kernel allows no newline in the name of
 * a cgroup (cgroup_mkdir()). There is no such line until version 2 has been mounted for the first
 * time (proc_cgroup_show()): all processes are in its root then.
 */
static char *v2_path(char *text)
{
	char *save = NULL;

	if (!*text)
		return NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "0::", 3) == 0)
			return line + 3;
	return strcpy(text, "/");
}

/* Returns the path in @text, or NULL and a negative errno in @err. */
static const char *cgroup_read(int proc_fd, uint32_t pid, char text[CGROUP_MAX], int *err)
{
	const char *path = NULL;
	char name[32];
	ssize_t len;

	snprintf(name, sizeof(name), "%u/cgroup", pid);
	len = proc_text_read_at(proc_fd, name, text, CGROUP_MAX);
	if (len >= 0)
		path = v2_path(text);
	/* ESRCH: the process exited between open and read. */
	*err = len == -ESRCH || (len >= 0 && !path) ? -ENOENT : (int)MIN(len, 0);
	return path;
}

int bpfrefs_cgroup_read(struct bpfrefs_ctx *ctx, uint32_t pid, char **path)
{
	g_autofree char *text = g_malloc(CGROUP_MAX);
	int err;
	const char *found = cgroup_read(ctx->proc_fd, pid, text, &err);

	if (!found)
		return err;
	*path = strdup(found);
	return *path ? 0 : -ENOMEM;
}

static uint64_t namespace_read(const struct bpfrefs_ctx *ctx, uint32_t pid, const char *kind)
{
	char path[32], target[64];
	const char *number;
	uint64_t inode;
	ssize_t len;

	snprintf(path, sizeof(path), "%u/ns/%s", pid, kind);
	len = readlinkat(ctx->proc_fd, path, target, sizeof(target) - 1);
	target[MAX(len, 0)] = '\0';
	number = strchr(target, '['); /* "mnt:[4026531841]" */
	inode = number ? g_ascii_strtoull(number + 1, NULL, 10) : 0;
	return inode ? inode : BPFREFS_UNKNOWN;
}

void bpfrefs_process_namespaces(const struct bpfrefs_ctx *ctx, uint32_t pid, uint64_t *mnt_ns,
				uint64_t *net_ns)
{
	*mnt_ns = namespace_read(ctx, pid, "mnt");
	*net_ns = namespace_read(ctx, pid, "net");
}

/* --------------------------------------------------------------- cgroups --- */

/* Called with snap->indexing held. */
static const char *cgroup_of(struct bpfrefs_snapshot *snap, uint32_t index)
{
	const struct bpfrefs_process *process = snap->processes->pdata[index];
	g_autofree char *text = NULL;
	const char *path;
	int err;

	if (!snap->cgroups) {
		snap->cgroups = memory_try(snap->processes->len, sizeof(*snap->cgroups));
		snap->cgroup_names = g_string_chunk_new(256);
	}
	if (!snap->cgroups)
		return unreadable;
	if (snap->cgroups[index])
		return snap->cgroups[index];
	path = idmap_get(&snap->placed, process->pid);
	text = !path && snap->proc ? g_try_malloc(CGROUP_MAX) : NULL;
	if (text) {
		path = cgroup_read(*snap->proc, process->pid, text, &err);
		if (path)
			path = g_string_chunk_insert_const(snap->cgroup_names, path);
	}
	snap->cgroups[index] = path ? path : unreadable;
	return snap->cgroups[index];
}

const char *bpfrefs_process_cgroup(const struct bpfrefs_snapshot *frozen, uint32_t pid)
{
	struct bpfrefs_snapshot *snap = (struct bpfrefs_snapshot *)(uintptr_t)frozen;
	uint32_t index = snapshot_process_index(snap, pid);
	const char *path = unreadable;

	if (index != UINT32_MAX) {
		g_mutex_lock(&snap->indexing);
		path = cgroup_of(snap, index);
		g_mutex_unlock(&snap->indexing);
	}
	return path == unreadable ? NULL : path;
}

bool bpfrefs_cgroup_contains(const char *cgroup, const char *path)
{
	size_t len = strlen(cgroup);

	if (strcmp(cgroup, "/") == 0)
		return true;
	return path && strncmp(path, cgroup, len) == 0 && (!path[len] || path[len] == '/');
}

char *process_text(const struct bpfrefs_snapshot *snap, uint32_t pid)
{
	const struct bpfrefs_process *process = bpfrefs_snapshot_find_pid(snap, pid);
	const char *cgroup = bpfrefs_process_cgroup(snap, pid);
	bool named = process && process->comm, placed = cgroup && strcmp(cgroup, "/") != 0;

	return g_strdup_printf("pid %u%s%s%s%s%s", pid, named ? " (" : "",
			       named ? process->comm : "", named ? ")" : "", placed ? " in " : "",
			       placed ? cgroup : "");
}

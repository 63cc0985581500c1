/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "procfs/enter.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "procfs/locations.h"
#include "procfs/procfs.h"

struct enter {
	int proc_fd;	   /* borrowed */
	uint32_t own;	   /* the network namespace of this process; 0: not read yet */
	GHashTable *netns; /* number -> owned path; NULL: not read yet */
	bool by_process;   /* @netns has the namespaces of all processes too */
	char *cgroups;	   /* where the v2 hierarchy is mounted; NULL: not found yet */
};

struct enter *enter_new(int proc_fd)
{
	struct enter *enter = g_new0(struct enter, 1);

	enter->proc_fd = proc_fd;
	return enter;
}

void enter_free(struct enter *enter)
{
	g_clear_pointer(&enter->netns, g_hash_table_unref);
	g_free(enter->cgroups);
	g_free(enter);
}

/* Returns false if there is no such link, or if this process may not read it. */
static bool read_link(const struct enter *enter, const char *path, char text[PATH_MAX])
{
	ssize_t len = readlinkat(enter->proc_fd, path, text, PATH_MAX - 1);

	if (len < 0)
		return false;
	text[len] = '\0';
	return true;
}

/* ------------------------------------------------- network namespaces --- */

bool enter_is_own_netns(struct enter *enter, uint32_t netns)
{
	char text[PATH_MAX];

	if (!enter->own && read_link(enter, "self/ns/net", text))
		enter->own = locations_netns_number(text);
	return enter->own && enter->own == netns;
}

/* The file itself is not touched, since anything may be mounted there. */
static void add_mounted(struct enter *enter)
{
	GPtrArray *mounts;

	enter->netns = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	if (mounts_read_type(enter->proc_fd, 0, "nsfs", &mounts) != 0)
		return;
	for (guint i = 0; i < mounts->len; i++) {
		const struct bpffs_mount *mount = mounts->pdata[i];
		uint32_t number = locations_netns_number(mount->root);

		if (number && !mount->hidden)
			g_hash_table_insert(enter->netns, GUINT_TO_POINTER(number),
					    g_strdup(mount->target));
	}
	g_ptr_array_unref(mounts);
}

static void add_of_processes(struct enter *enter)
{
	g_autoptr(GArray) pids = NULL;
	char path[32], text[PATH_MAX];

	enter->by_process = true;
	if (proc_numbers(enter->proc_fd, ".", &pids) != 0)
		return;
	for (guint i = 0; i < pids->len; i++) {
		uint32_t number;

		snprintf(path, sizeof(path), "%u/ns/net", g_array_index(pids, uint32_t, i));
		number = read_link(enter, path, text) ? locations_netns_number(text) : 0;
		if (number && !g_hash_table_contains(enter->netns, GUINT_TO_POINTER(number)))
			g_hash_table_insert(enter->netns, GUINT_TO_POINTER(number),
					    g_strconcat("/proc/", path, NULL));
	}
}

const char *enter_netns(struct enter *enter, uint32_t netns)
{
	const char *path;

	if (!enter->netns)
		add_mounted(enter);
	path = g_hash_table_lookup(enter->netns, GUINT_TO_POINTER(netns));
	if (path || enter->by_process)
		return path;
	add_of_processes(enter);
	return g_hash_table_lookup(enter->netns, GUINT_TO_POINTER(netns));
}

/* ------------------------------------------------------------- cgroups --- */

char *enter_cgroup(struct enter *enter, const char *path)
{
	GPtrArray *mounts;

	if (!enter->cgroups && mounts_read_type(enter->proc_fd, 0, "cgroup2", &mounts) == 0) {
		for (guint i = 0; !enter->cgroups && i < mounts->len; i++) {
			const struct bpffs_mount *mount = mounts->pdata[i];

			if (!mount->hidden && strcmp(mount->root, "/") == 0)
				enter->cgroups = g_strdup(mount->target);
		}
		g_ptr_array_unref(mounts);
	}
	return enter->cgroups ? g_strconcat(enter->cgroups, path, NULL) : NULL;
}

/* --------------------------------------------------------------- bpffs --- */

char *enter_bpffs(const struct enter *enter, uint32_t pid, const struct pin_location *place)
{
	g_autofree char *path = NULL;
	GPtrArray *mounts;

	if (mounts_read(enter->proc_fd, pid, &mounts) != 0)
		return NULL;
	path = mounts_path(mounts, place->major, place->minor, place->inner);
	g_ptr_array_unref(mounts);
	return path ? g_strdup_printf("/proc/%u/root%s", pid, path) : NULL;
}

char *enter_directory(const struct enter *enter, uint32_t pid, const char *link, const char *inner)
{
	g_autofree char *path = g_strdup_printf("%u/%s", pid, link);
	char text[PATH_MAX];
	size_t len;

	/* Such a link shows the path in the mount, which begins with "/". */
	if (!read_link(enter, path, text))
		return NULL;
	len = strcmp(text, "/") == 0 ? 0 : strlen(text);
	if (strncmp(text, inner, len) != 0 || inner[len] != '/')
		return NULL;
	return g_strdup_printf("/proc/%s%s", path, inner + len);
}

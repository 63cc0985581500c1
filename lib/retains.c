/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes when one process exits: what roots lead to now, and not any more without that process.
 * An unexplained count stays, whoever it is.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fdinfo.h"
#include "graph.h"

const char *bpfrefs_effect_name(enum bpfrefs_effect effect)
{
	static const char *const names[BPFREFS_EFFECT_COUNT] = {
		[BPFREFS_FREED] = "freed",
		[BPFREFS_CLEARED_BY_EXIT] = "cleared",
	};

	return effect < BPFREFS_EFFECT_COUNT ? names[effect] : "?";
}

/* ---------------------------------------------------- what goes with it --- */

struct leaver {
	uint32_t pid;
	bool alone; /* in its mount namespace: the mounts there go with it */
};

static bool read_namespace(int proc_fd, const char *pid, char name[64])
{
	g_autofree char *path = g_strdup_printf("%s/ns/mnt", pid);
	ssize_t length = readlinkat(proc_fd, path, name, 63);

	if (length < 0)
		return false;
	name[length] = '\0';
	return true;
}

/* False too where that cannot be told: then what only it can reach is said to stay. */
static bool is_alone(int proc_fd, uint32_t pid)
{
	g_autofree char *self = g_strdup_printf("%u", pid);
	char mine[64], other[64];
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool alone;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	alone = read_namespace(proc_fd, self, mine);
	while (alone && (entry = readdir(dir))) {
		if (!g_ascii_isdigit(entry->d_name[0]) || strcmp(entry->d_name, self) == 0)
			continue;
		if (read_namespace(proc_fd, entry->d_name, other) && strcmp(mine, other) == 0)
			alone = false;
	}
	closedir(dir);
	return alone;
}

/*
 * A pin that only other mount namespaces can reach names one process that is in such a one; with
 * the last of these the mount goes.
 */
static bool goes_with(const struct leaver *leaver, const struct bpfrefs_ref *ref)
{
	if (!leaver || graph_pid(ref) != leaver->pid)
		return false;
	return ref->pid == leaver->pid || leaver->alone;
}

static void mark_roots(struct mark *mark, const struct leaver *leaver)
{
	const struct graph *graph = mark->graph;

	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct edge *edge = &graph->edge[graph->outside[i]];

		if (edge->kind != EDGE_AUTO && !goes_with(leaver, edge->ref))
			mark_node(mark, edge->to, edge, 1);
	}
	mark_surplus(mark);
	mark_spread(mark);
}

static bool has_pins_behind(const struct graph *graph, uint32_t pid)
{
	for (uint32_t i = 0; i < graph->outsides; i++) {
		const struct bpfrefs_ref *ref = graph->edge[graph->outside[i]].ref;

		if (!ref->pid && graph_pid(ref) == pid)
			return true;
	}
	return false;
}

int bpfrefs_retains(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap, uint32_t pid,
		    bpfrefs_retain_fn fn, void *data)
{
	graph_auto *graph = graph_new(snap);
	mark_auto *before = mark_new(graph);
	mark_auto *after = mark_new(graph);
	struct leaver leaver = { pid, false };
	int stop = 0;

	if (!before || !after)
		return -ENOMEM;
	if (has_pins_behind(graph, pid))
		leaver.alone = is_alone(ctx->proc_fd, pid);
	mark_roots(before, NULL);
	mark_roots(after, &leaver);
	for (uint32_t i = 0; !stop && i < graph->objects; i++) {
		const struct bpfrefs_object *object = graph_object(graph, i);
		uint32_t user = node_user(i), whole = node_object(i);

		if (before->reached[whole] && !after->reached[whole])
			stop = fn(object, BPFREFS_FREED, data);
		else if (object->user_state && before->reached[user] && !after->reached[user])
			stop = fn(object, BPFREFS_CLEARED_BY_EXIT, data);
	}
	return stop;
}

/* -------------------------------------------------------------- memory --- */

/* What fdinfo of one descriptor says, if it is still one of this object. */
static bool read_memlock(struct bpfrefs_ctx *ctx, const struct bpfrefs_ref *ref, uint64_t *bytes)
{
	struct bpfrefs_value fd = bpfrefs_ref_get(ref, "fd"), tid = bpfrefs_ref_get(ref, "tid");
	g_autofree char *path = NULL;
	struct bpfrefs_key key;
	char text[4096];

	if (fd.type != BPFREFS_VALUE_NUM || !ref->pid)
		return false;
	if (tid.type == BPFREFS_VALUE_NUM)
		path = g_strdup_printf("%u/task/%" G_GUINT64_FORMAT "/fdinfo/%" G_GUINT64_FORMAT,
				       ref->pid, tid.num, fd.num);
	else
		path = g_strdup_printf("%u/fdinfo/%" G_GUINT64_FORMAT, ref->pid, fd.num);
	return text_read_at(ctx->proc_fd, path, text, sizeof(text)) > 0 &&
	       fdinfo_key(text, &key) == 0 && bpfrefs_key_compare(key, ref->target) == 0 &&
	       fdinfo_num(text, "memlock", bytes);
}

uint64_t bpfrefs_memlock(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
			 struct bpfrefs_key key)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, key);
	size_t first, count = bpfrefs_snapshot_holders(snap, key, &first);
	uint64_t bytes;

	if (object && object->memlock != BPFREFS_UNKNOWN)
		return object->memlock;
	for (size_t i = first; i < first + count; i++)
		if (read_memlock(ctx, bpfrefs_snapshot_ref_at(snap, i), &bytes))
			return bytes;
	return BPFREFS_UNKNOWN;
}

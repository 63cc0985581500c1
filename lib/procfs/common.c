/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions that the parts of the procfs source share: gaps, the memory of an object, edges, and the
 * program arrays seen so far.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "procfs/fdinfo.h"
#include "procfs/procfs.h"
#include "uapi/syscalls.h"

/* ---------------------------------------------------------- helpers --- */

void proc_miss(struct proc_missed *missed, int err)
{
	missed->count++;
	if (!missed->error)
		missed->error = -err;
}

void proc_gaps(struct scan *scan, const struct proc_gap *gaps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct proc_missed *missed = gaps[i].missed;

		if (!missed->count)
			continue;
		scan_gap(scan, missed->count, gaps[i].what, missed->error);
		return;
	}
}

bool proc_is_gone(int err)
{
	return err == -ENOENT || err == -ESRCH || err == -ENOTDIR;
}

/* ------------------------------------------------------------ memory --- */

/* From fdinfo (bpf_map_show_fdinfo(), bpf_prog_show_fdinfo()). */
uint64_t proc_memlock_fd(int proc_fd, int fd)
{
	char path[32], text[4096];
	uint64_t bytes;

	snprintf(path, sizeof(path), "self/fdinfo/%d", fd);
	if (proc_text_read_at(proc_fd, path, text, sizeof(text)) < 0 ||
	    !fdinfo_num(text, "memlock", &bytes))
		return BPFREFS_UNKNOWN;
	return bytes;
}

uint64_t proc_memlock(struct bpfrefs_ctx *ctx, struct bpfrefs_key key)
{
	bpfrefs_autofd fd = syscall_open_id(key.kind, key.id);

	return fd < 0 ? BPFREFS_UNKNOWN : proc_memlock_fd(ctx->proc_fd, fd);
}

/* ------------------------------------------------------------- edges --- */

struct proc_edge *proc_edge_add(struct proc_edges *edges, struct bpfrefs_key holder,
				struct bpfrefs_key target, unsigned int via, uint32_t user)
{
	struct proc_edge edge = {
		.target = target, .holder = holder, .via = via, .ref = 1, .user = user
	};

	if (!memory_can_grow(sizeof(edge) * edges->edges->len, sizeof(edge))) {
		edges->failed = true;
		return NULL;
	}
	g_array_append_val(edges->edges, edge);
	return &g_array_index(edges->edges, struct proc_edge, edges->edges->len - 1);
}

/* ---------------------------------------------------- program arrays --- */

const struct proc_array *proc_array_find(const struct proc_data *data, uint32_t id)
{
	return g_hash_table_lookup(data->arrays, GUINT_TO_POINTER(id));
}

static void proc_array_add(struct proc_data *data, const struct map_facts *facts, uint64_t memlock)
{
	struct proc_array *array = g_new0(struct proc_array, 1);

	array->facts = *facts;
	array->memlock = memlock;
	g_hash_table_replace(data->arrays, GUINT_TO_POINTER(facts->id), array);
}

void proc_array_meet(struct proc_data *data, const struct map_facts *facts, uint64_t memlock)
{
	if (facts->type == BPF_MAP_TYPE_PROG_ARRAY)
		proc_array_add(data, facts, memlock);
	else
		g_hash_table_add(data->others, GUINT_TO_POINTER(facts->id));
}

bool proc_array_is_unclassified(const struct proc_data *data, uint32_t id)
{
	return !g_hash_table_contains(data->arrays, GUINT_TO_POINTER(id)) &&
	       !g_hash_table_contains(data->others, GUINT_TO_POINTER(id));
}

void proc_array_wait(void)
{
	struct timespec ts = { 0, 10 * 1000 * 1000 };

	nanosleep(&ts, NULL);
}

static gboolean is_missing(gpointer id, gpointer value, gpointer data)
{
	struct bpfrefs_key key = { BPFREFS_KIND_MAP, GPOINTER_TO_UINT(id) };

	(void)value;
	return scan_object(data, key) == NULL;
}

void proc_arrays_sweep(struct scan *scan)
{
	const struct proc_data *data = scan->ctx->source_data;

	g_hash_table_foreach_remove(data->arrays, is_missing, scan);
	g_hash_table_foreach_remove(data->others, is_missing, scan);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The procfs source: one scan, and what it keeps for the next one. */
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "procfs/fdinfo.h"
#include "procfs/procfs.h"
#include "snapshot/snapshot.h"
#include "uapi/syscalls.h"
#include "uapi/uapi_info.h"

/* ----------------------------------------------------------- kcmp(2) --- */

static int compare_by_kcmp(uint32_t tid_a, uint32_t tid_b, int what, uint32_t a, uint32_t b)
{
	long order = syscall(SYS_kcmp, tid_a, tid_b, what, (unsigned long)a, (unsigned long)b);

	return order >= 0 ? (int)order : -errno;
}

_Static_assert((int)PROC_COMPARE_FILE == (int)KCMP_FILE &&
		       (int)PROC_COMPARE_FILES == (int)KCMP_FILES,
	       "kcmp(2)");

/* -------------------------------------------------------- collection --- */

static void edge_clear(gpointer data)
{
	g_free(((struct proc_edge *)data)->slot_text);
}

/* Finds the maps that have a user now: these may be opened at any time. */
static void find_users(struct proc_scan *proc)
{
	for (guint i = 0; i < proc->fds.files->len; i++) {
		const struct proc_file *file = &g_array_index(proc->fds.files, struct proc_file, i);

		if (!file->gone && file->key.kind == BPFREFS_KIND_MAP)
			g_hash_table_add(proc->users, GUINT_TO_POINTER(file->key.id));
	}
	for (guint i = 0; i < proc->pins.pins->len; i++) {
		const struct proc_pin *pin = &g_array_index(proc->pins.pins, struct proc_pin, i);

		if (pin->key.kind == BPFREFS_KIND_MAP)
			g_hash_table_add(proc->users, GUINT_TO_POINTER(pin->key.id));
	}
}

static void collect_class(struct scan *scan)
{
	const struct holder_class *class = scan->class;
	int err;

	scan_source(scan, "procfs");
	if (!class->proc) {
		scan_unavailable(scan,
				 class->proc_gap ? class->proc_gap : "procfs does not show it", 0);
		return;
	}
	err = class->proc(scan);
	if (err)
		scan_unavailable(scan, NULL, -err);
	else if (class->proc_gap)
		scan_gap(scan, 0, class->proc_gap, 0);
}

static int collect_all(struct scan *scan, struct proc_scan *proc)
{
	const struct proc_data *data = scan->ctx->source_data;
	int err = proc_fds_read(scan->ctx->proc_fd, data->compare, &proc->fds);

	if (!err)
		err = proc_pins_read(scan->ctx->proc_fd, &proc->pins);
	if (!err)
		err = scan_charge(scan, proc->fds.files->len * sizeof(struct proc_file) +
						proc->pins.pins->len * sizeof(struct proc_pin));
	if (err)
		return err;
	find_users(proc);
	err = proc_objects(scan);
	if (!err && proc->edges.failed)
		err = -ENOMEM;
	if (err)
		return err;
	proc_owners(scan);
	for (unsigned int i = 0; scan->classes[i] && !scan_failed(scan); i++) {
		scan_set_class(scan, scan->classes[i]);
		collect_class(scan);
	}
	return 0;
}

static int proc_collect(struct scan *scan)
{
	struct proc_scan proc = {
		.users = g_hash_table_new(NULL, NULL),
		.unclassified = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
	};
	int err;

	proc.edges.edges = g_array_new(FALSE, TRUE, sizeof(struct proc_edge));
	g_array_set_clear_func(proc.edges.edges, edge_clear);
	scan->source_data = &proc;
	err = collect_all(scan, &proc);
	scan->source_data = NULL;
	proc_fds_clear(&proc.fds);
	proc_pins_clear(&proc.pins);
	g_array_unref(proc.edges.edges);
	g_hash_table_unref(proc.users);
	g_array_unref(proc.unclassified);
	return err;
}

/* ------------------------------------------------------------ source --- */

static int proc_open(struct bpfrefs_ctx *ctx, char **why)
{
	struct proc_data *data = g_new0(struct proc_data, 1);

	(void)why;
	data->arrays = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	data->others = g_hash_table_new(NULL, NULL);
	data->prog_names = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	data->compare = compare_by_kcmp;
	ctx->source_data = data;
	return 0;
}

static void proc_close(struct bpfrefs_ctx *ctx)
{
	struct proc_data *data = ctx->source_data;

	if (!data)
		return;
	g_hash_table_unref(data->arrays);
	g_hash_table_unref(data->others);
	g_hash_table_unref(data->prog_names);
	g_free(data);
	ctx->source_data = NULL;
}

static int proc_next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start,
			uint32_t *id)
{
	(void)ctx;
	return syscall_next_id(kind, start, id);
}

/* The properties of a program array never change: it is opened for them only once. */
static int array_info(const struct proc_array *array, struct bpfrefs_info **info)
{
	uint32_t next;
	int err = syscall_next_id(BPFREFS_KIND_MAP, array->facts.id - 1, &next);

	if (err)
		return err;
	if (next != array->facts.id)
		return -ENOENT;
	*info = info_new();
	info_map(*info, &array->facts);
	return 0;
}

static int map_info(struct proc_data *data, uint32_t id, struct bpfrefs_info **info)
{
	const struct proc_array *array = proc_array_find(data, id);
	bpfrefs_autofd fd = -1;
	struct map_facts facts;
	int err;

	if (array)
		return array_info(array, info);
	if (proc_array_is_unclassified(data, id))
		proc_array_wait();
	fd = syscall_open_id(BPFREFS_KIND_MAP, id);
	if (fd < 0)
		return fd;
	err = uapi_info_map_read(fd, &facts);
	if (err)
		return err;
	proc_array_meet(data, &facts, BPFREFS_UNKNOWN);
	*info = info_new();
	info_map(*info, &facts);
	return 0;
}

static int proc_info(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **info)
{
	bpfrefs_autofd fd = -1;

	if (key.kind == BPFREFS_KIND_MAP)
		return map_info(ctx->source_data, key.id, info);
	fd = syscall_open_id(key.kind, key.id);
	return fd < 0 ? fd : uapi_info_read(fd, key.kind, info);
}

const struct source source_proc = {
	.id = BPFREFS_SOURCE_PROC,
	.open = proc_open,
	.close = proc_close,
	.next_id = proc_next_id,
	.info = proc_info,
	.memlock = proc_memlock,
	.collect = proc_collect,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes, and all processes of a cgroup: who they are, what they hold, and what ends with them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "render/show.h"
#include "tree/node.h"

/* --------------------------------------------------------- one process --- */

int show_comm(const struct where *w, GString *out)
{
	char path[40], comm[64];
	ssize_t length;
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/comm", w->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read(fd, comm, sizeof(comm) - 1);
	err = errno;
	close(fd);
	/* ESRCH: the process exited between open and read. */
	if (length < 0)
		return err == ESRCH ? -ENOENT : -err;
	if (length > 0 && comm[length - 1] == '\n')
		length--;
	comm[length] = '\0';
	fmt_add_text(out, show_line_start(out, comm));
	g_string_append_c(out, '\n');
	return 0;
}

/* The same value as in .bpf/processes. */
int show_pid_cgroup(const struct where *w, GString *out)
{
	char *path;
	int err = bpfrefs_cgroup_read(w->fs->ctx, w->pid, &path);

	if (err)
		return err;
	fmt_add_value(out, path);
	g_string_append_c(out, '\n');
	free(path);
	return 0;
}

/* Shows the target of .bpf/pid/PID/fd/N. */
int show_fd_link(const struct where *w, GString *out)
{
	struct bpfrefs_key target;
	char key[BPFREFS_KEY_MAX];
	int err = pid_holds(w->fs, w->pid, w->fd, &target);

	if (err)
		return err;
	g_string_append_printf(out, "../../../%s", bpfrefs_key_format(target, key));
	return 0;
}

int show_processes(const struct where *w, GString *out)
{
	return bpfrefs_snapshot_to_processes(w->fs->ctx, w->snap, NULL, 0, show_write, out);
}

/* ------------------------------------------------------------- holding --- */

/* The references that a process holds are in the classes whose records have its comm. */
static bool is_class_of_processes(const struct bpfrefs_class *class_, const void *data)
{
	(void)data;
	for (size_t i = 0; class_->keys[i]; i++)
		if (strcmp(class_->keys[i], "comm") == 0)
			return true;
	return false;
}

/* A function that shows something about processes; of a cgroup, without what lists leave out. */
typedef int (*show_pids_fn)(const struct where *w, GString *out, const GArray *pids, bool hides);

static uint32_t pid_at(const GArray *pids, guint index)
{
	return g_array_index(pids, uint32_t, index);
}

static int show_held(const struct where *w, GString *out, const GArray *pids, bool hides)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .hide_self = hides };
	int err = 0;

	for (guint i = 0; !err && i < pids->len; i++) {
		filter.pid = pid_at(pids, i);
		err = show_records(out, w->snap, &filter);
	}
	show_gaps(out, w->snap, is_class_of_processes, NULL);
	return err;
}

static int show_one(const struct where *w, GString *out, show_pids_fn show)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	if (!bpfrefs_snapshot_find_pid(w->snap, w->pid))
		return -ENOENT;
	g_array_append_val(pids, w->pid);
	return show(w, out, pids, false);
}

int show_pid_holding(const struct where *w, GString *out)
{
	return show_one(w, out, show_held);
}

/* ------------------------------------------------------------- retains --- */

static int show_retained(const struct where *w, GString *out,
			 const struct bpfrefs_retained *retained)
{
	const struct bpfrefs_object *object = retained->object;
	char key[BPFREFS_KEY_MAX];

	g_string_append_printf(out, "%s name=", bpfrefs_key_format(object->key, key));
	fmt_add_value(out, object->name);
	g_string_append_printf(out, " effect=%s memlock=", bpfrefs_effect_name(retained->effect));
	fmt_add_number(out, bpfrefs_memlock(w->fs->ctx, w->snap, object->key));
	g_string_append_c(out, '\n');
	return text_room(out);
}

static int show_retained_by(const struct where *w, GString *out, const GArray *pids, bool hides)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .hide_self = hides };
	const struct bpfrefs_retained *retained;
	selection_auto *all = NULL;
	int err = bpfrefs_select_retained(w->snap, (const uint32_t *)(const void *)pids->data,
					  pids->len, &filter, &all);

	while (!err && (retained = bpfrefs_next_retained(all)))
		err = show_retained(w, out, retained);
	if (!err)
		show_gaps(out, w->snap, NULL, NULL);
	return err;
}

int show_retains(const struct where *w, GString *out)
{
	return show_one(w, out, show_retained_by);
}

/* ------------------------------------------------- processes of a cgroup --- */

/* Returns the processes of the cgroup, owned; without this daemon if lists leave that out and @hides. */
static GArray *cgroup_pids(const struct where *w, const char *path, bool hides)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter),
					 .cgroup = path,
					 .hide_self = hides };
	/* An empty array is an array, too: NULL would stand for all processes. */
	GArray *pids = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), 1);
	const struct bpfrefs_process *process;
	selection_auto *processes = NULL;

	bpfrefs_select_processes(w->snap, &filter, &processes);
	while ((process = bpfrefs_next_process(processes)))
		g_array_append_val(pids, process->pid);
	return pids;
}

/* Appends a line if processes whose cgroup is unknown may be among these. */
static void show_cgroup_gap(GString *out, const struct where *w)
{
	const struct bpfrefs_process *process;
	selection_auto *processes = NULL;
	size_t unknown = 0;

	bpfrefs_select_processes(w->snap, NULL, &processes);
	while ((process = bpfrefs_next_process(processes)))
		unknown += !bpfrefs_process_cgroup(w->snap, process->pid);
	/* The root has all processes. */
	if (unknown && w->cgroup)
		g_string_append_printf(out, "# processes: partial: %zu whose cgroup is unknown\n",
				       unknown);
}

/* Ends a list with the line that says what is left out, if this daemon is one of its processes. */
static void show_self(GString *out, const struct where *w, const GArray *pids)
{
	uint32_t own = bpfrefs_snapshot_self(w->snap)->pid;

	for (guint i = 0; i < pids->len; i++)
		if (pid_at(pids, i) == own)
			bpfrefs_self_to_text(w->snap, show_write, out);
}

static int show_lines(const struct where *w, GString *out, const GArray *pids, bool hides)
{
	(void)hides;
	return bpfrefs_snapshot_to_processes(w->fs->ctx, w->snap,
					     (const uint32_t *)(const void *)pids->data, pids->len,
					     show_write, out);
}

static int show_picture(const struct where *w, GString *out, const GArray *pids, bool hides)
{
	(void)hides;
	return bpfrefs_processes_to_dot(w->snap, (const uint32_t *)(const void *)pids->data,
					pids->len, show_write, out);
}

/* @listed: it shows a line for each process, without this daemon if lists leave that out. */
static int show_cgroup(const struct where *w, GString *out, show_pids_fn show, bool listed)
{
	g_autofree char *path = cgroup_path(w->fs, w->snap, w->cgroup);
	g_autoptr(GArray) all = path ? cgroup_pids(w, path, false) : NULL;
	g_autoptr(GArray) others = path && listed ? cgroup_pids(w, path, true) : NULL;
	int err;

	if (!path)
		return -ENOENT;
	/* If no other process of the cgroup holds objects, the picture shows this daemon. */
	err = show(w, out, others && (others->len || show != show_picture) ? others : all, true);
	if (!err)
		show_cgroup_gap(out, w);
	if (!err && show != show_picture)
		show_self(out, w, all);
	return err;
}

int show_cgroup_processes(const struct where *w, GString *out)
{
	return show_cgroup(w, out, show_lines, true);
}

int show_cgroup_holding(const struct where *w, GString *out)
{
	return show_cgroup(w, out, show_held, false);
}

int show_cgroup_dot(const struct where *w, GString *out)
{
	return show_cgroup(w, out, show_picture, true);
}

int show_cgroup_retains(const struct where *w, GString *out)
{
	return show_cgroup(w, out, show_retained_by, false);
}

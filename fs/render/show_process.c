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

struct lines {
	const struct where *w;
	GString *out;
	bool hides; /* leaves out what the daemon holds for itself */
};

static int append_line(const struct bpfrefs_ref *ref, void *data)
{
	const struct lines *lines = data;

	if (lines->hides && bpfrefs_snapshot_hides_ref(lines->w->snap, ref))
		return 0;
	return bpfrefs_ref_to_record(ref, show_write, lines->out);
}

static int show_held(struct lines lines, const uint32_t *pids, size_t count)
{
	const struct where *w = lines.w;
	GString *out = lines.out;
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = bpfrefs_snapshot_pid_holding(w->snap, pids[i], append_line, &lines);
	show_gaps(out, w->snap, is_class_of_processes, NULL);
	return err;
}

int show_pid_holding(const struct where *w, GString *out)
{
	if (!bpfrefs_snapshot_find_pid(w->snap, w->pid))
		return -ENOENT;
	return show_held((struct lines){ w, out, false }, &w->pid, 1);
}

/* ------------------------------------------------------------- retains --- */

static int show_retained(const struct bpfrefs_object *object, enum bpfrefs_effect effect,
			 void *data)
{
	const struct lines *lines = data;
	const struct where *w = lines->w;
	GString *out = lines->out;
	char key[BPFREFS_KEY_MAX];

	if (lines->hides && bpfrefs_snapshot_hides(w->snap, object))
		return 0;
	g_string_append_printf(out, "%s name=", bpfrefs_key_format(object->key, key));
	fmt_add_value(out, object->name);
	g_string_append_printf(out, " effect=%s memlock=", bpfrefs_effect_name(effect));
	fmt_add_number(out, bpfrefs_memlock(w->fs->ctx, w->snap, object->key));
	g_string_append_c(out, '\n');
	return text_room(out);
}

static int show_retained_by(struct lines lines, const uint32_t *pids, size_t count)
{
	int err = bpfrefs_retains_all(lines.w->snap, pids, count, show_retained, &lines);

	if (!err)
		show_gaps(lines.out, lines.w->snap, NULL, NULL);
	return err;
}

int show_retains(const struct where *w, GString *out)
{
	if (!bpfrefs_snapshot_find_pid(w->snap, w->pid))
		return -ENOENT;
	return show_retained_by((struct lines){ w, out, false }, &w->pid, 1);
}

/* ------------------------------------------------- processes of a cgroup --- */

int show_cgroup_pids(const struct where *w, uint32_t **pids, size_t *count)
{
	g_autofree char *path = cgroup_path(w->fs, w->snap, w->cgroup);

	return path ? bpfrefs_cgroup_processes(w->snap, path, pids, count) : -ENOENT;
}

void show_cgroup_gap(GString *out, const struct where *w)
{
	const struct bpfrefs_process *process;
	size_t unknown = 0;

	for (size_t i = 0; (process = bpfrefs_snapshot_process(w->snap, i)); i++)
		unknown += !bpfrefs_process_cgroup(w->snap, process->pid);
	/* The root has all processes. */
	if (unknown && w->cgroup)
		g_string_append_printf(out, "# processes: partial: %zu whose cgroup is unknown\n",
				       unknown);
}

typedef int (*show_pids_fn)(struct lines lines, const uint32_t *pids, size_t count);

/* Ends a list with the line that says what is left out, if this daemon is one of its processes. */
static void show_self(GString *out, const struct where *w, const uint32_t *pids, size_t count)
{
	uint32_t own = bpfrefs_snapshot_self(w->snap)->pid;

	for (size_t i = 0; i < count; i++)
		if (pids[i] == own)
			bpfrefs_self_to_text(w->snap, show_write, out);
}

/* Returns the processes without this daemon if lists leave that out, owned. */
static uint32_t *listed(const struct bpfrefs_snapshot *snap, const uint32_t *pids, size_t *count)
{
	uint32_t *found = g_new(uint32_t, *count + 1);
	size_t n = 0;

	for (size_t i = 0; i < *count; i++)
		if (!bpfrefs_snapshot_hides_process(snap, pids[i]))
			found[n++] = pids[i];
	*count = n;
	return found;
}

static int show_lines(struct lines lines, const uint32_t *pids, size_t count)
{
	const struct where *w = lines.w;
	g_autofree uint32_t *shown = listed(w->snap, pids, &count);

	return bpfrefs_snapshot_to_processes(w->fs->ctx, w->snap, shown, count, show_write,
					     lines.out);
}

/* If no other process of the cgroup holds objects, the picture shows this daemon. */
static int show_picture(struct lines lines, const uint32_t *pids, size_t count)
{
	size_t others = count;
	g_autofree uint32_t *shown = listed(lines.w->snap, pids, &others);

	return bpfrefs_processes_to_dot(lines.w->snap, others ? shown : pids,
					others ? others : count, show_write, lines.out);
}

static int show_cgroup(const struct where *w, GString *out, show_pids_fn show)
{
	uint32_t *pids;
	size_t count;
	int err = show_cgroup_pids(w, &pids, &count);

	if (err)
		return err;
	err = show((struct lines){ w, out, true }, pids, count);
	if (!err)
		show_cgroup_gap(out, w);
	if (!err && show != show_picture)
		show_self(out, w, pids, count);
	free(pids);
	return err;
}

int show_cgroup_processes(const struct where *w, GString *out)
{
	return show_cgroup(w, out, show_lines);
}

int show_cgroup_holding(const struct where *w, GString *out)
{
	return show_cgroup(w, out, show_held);
}

int show_cgroup_dot(const struct where *w, GString *out)
{
	return show_cgroup(w, out, show_picture);
}

int show_cgroup_retains(const struct where *w, GString *out)
{
	return show_cgroup(w, out, show_retained_by);
}

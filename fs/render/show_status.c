/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole system, and the daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "daemon/caps.h"
#include "daemon/mounted.h"
#include "mirror/source.h"
#include "render/show.h"

/* -------------------------------------------------------------- bpffs --- */

static bool is_pin_class(const struct bpfrefs_class *class_, const void *data)
{
	(void)data;
	return class_->flags & BPFREFS_CLASS_PIN;
}

/*
 * Shows the mount options of an instance. mountinfo leaves out what has the default of
 * bpf_show_options() in kernel/bpf/inode.c; nothing is delegated by default.
 */
static void show_mount_options(GString *out, const struct bpfrefs_bpffs *bpffs)
{
	static const struct {
		const char *key, *otherwise;
	} options[] = {
		{ "mode", "777" },	    { "uid", "0" },	     { "gid", "0" },
		{ "delegate_cmds", "" },    { "delegate_maps", "" }, { "delegate_progs", "" },
		{ "delegate_attachs", "" },
	};
	g_auto(GStrv) words = bpffs->options ? g_strsplit(bpffs->options, ",", 0) : NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
		const char *value = words ? options[i].otherwise : NULL;
		size_t length = strlen(options[i].key);

		for (char **word = words; word && *word; word++)
			if (strncmp(*word, options[i].key, length) == 0 && (*word)[length] == '=')
				value = *word + length + 1;
		g_string_append_printf(out, " %s=", options[i].key);
		fmt_add_value(out, value);
	}
}

/*
 * Shows one instance of bpffs on a line. Each of its mounts has three keys: mnt_ns is the
 * namespace, pid is a process in it, and path is the mount point that the process sees, or
 * covered if another mount hides it there. A detached instance has each process that keeps it
 * instead.
 */
static int show_instance(GString *out, const struct bpfrefs_bpffs *bpffs)
{
	g_string_append_printf(out, "%" PRIu32 ":%" PRIu32 " pins=", bpffs->major, bpffs->minor);
	fmt_add_number(out, bpffs->pins);
	g_string_append_printf(out, " state=%s", bpffs->attached ? "attached" : "detached");
	show_mount_options(out, bpffs);
	for (size_t i = 0; i < bpffs->mount_count; i++) {
		const struct bpfrefs_mount *mount = bpffs->mounts[i];

		g_string_append_printf(out, " mnt_ns=%" PRIu32 " pid=", mount->mnt_ns);
		fmt_add_number(out, mount->pid ? mount->pid : BPFREFS_UNKNOWN);
		g_string_append(out, mount->covered ? " covered=" : " path=");
		fmt_add_value(out, mount->path);
		if (text_room(out))
			return -ENOMEM;
	}
	for (size_t i = 0; i < bpffs->pid_count; i++)
		g_string_append_printf(out, " pid=%" PRIu32, bpffs->pids[i]);
	g_string_append_c(out, '\n');
	return text_room(out);
}

int show_bpffs(const struct where *w, GString *out)
{
	const struct bpfrefs_bpffs *bpffs;
	selection_auto *all = NULL;
	int err = bpfrefs_select_bpffs(w->snap, NULL, &all);

	while (!err && (bpffs = bpfrefs_next_bpffs(all)))
		err = show_instance(out, bpffs);
	show_gaps(out, w->snap, is_pin_class, NULL);
	return err;
}

int show_source_link(const struct where *w, GString *out)
{
	char path[PATH_MAX];
	int err = source_path(w->fs->source, "", path);

	if (!err)
		g_string_append(out, path);
	return err;
}

/* ------------------------------------------------------------- status --- */

/* Shows whether the path given for SOURCE still leads to it, and if not, which path does. */
static void show_directory(GString *out, const struct fs *fs)
{
	static const char *const states[] = {
		[SOURCE_VISIBLE] = "visible",	[SOURCE_COVERED] = "covered",
		[SOURCE_DETACHED] = "detached", [SOURCE_REMOVED] = "removed",
		[SOURCE_UNKNOWN] = "unknown",
	};
	static const char *const reasons[] = {
		[SOURCE_COVERED] = "another mount covers it or a directory on its path",
		[SOURCE_DETACHED] =
			"its mount was removed here, and exists until this bpfrefs ends",
		[SOURCE_REMOVED] = "the directory was removed",
		[SOURCE_UNKNOWN] = "the mounts could not be read",
	};
	char path[PATH_MAX], proc_path[PATH_MAX];
	enum source_state state = source_state(fs->source, path);

	show_pair(out, "directory", fs->opt.source);
	if (state == SOURCE_VISIBLE && strcmp(path, fs->opt.source) != 0) {
		show_pair(out, "directory_state", "moved");
		show_pair(out, "directory_now", path);
		return;
	}
	if (state == SOURCE_VISIBLE) {
		show_pair(out, "directory_state", states[state]);
		return;
	}
	source_proc_path(fs->source, proc_path);
	g_string_append_printf(out,
			       "directory_state: %s: %s: its path leads to another directory or to "
			       "none; the mirror still shows the directory that it was started "
			       "with, and its symlinks lead there through %s\n",
			       states[state], reasons[state], proc_path);
}

static void show_options(GString *out, const struct fs *fs)
{
	const struct fs_options *opt = &fs->opt;

	show_directory(out, fs);
	show_pair(out, "mountpoint", opt->mountpoint);
	g_string_append_printf(out, "options: %s,pins=%s,max_age=%u,keep=%s,self=%s",
			       opt->ro ? "ro" : "rw", opt->pins_file ? "file" : "symlink",
			       opt->max_age, opt->keep_auto ? "auto" : "off",
			       opt->self_show ? "show" : "hide");
	if (opt->guard)
		g_string_append(out, ",guard");
	if (opt->has_gid)
		g_string_append_printf(out, ",gid=%u", (unsigned int)opt->gid);
	g_string_append_c(out, '\n');
}

static void show_source(GString *out, const struct fs *fs)
{
	const char *why = NULL;
	enum bpfrefs_source source = bpfrefs_ctx_source(fs->ctx, &why);

	show_pair(out, "source", bpfrefs_source_name(source));
	if (why)
		show_pair(out, "source_why", why);
}

static void show_class_states(GString *out, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_class_status *status;
	selection_auto *classes = NULL;

	bpfrefs_select_classes(snap, NULL, &classes);
	while ((status = bpfrefs_next_class(classes))) {
		g_string_append_printf(out, "class %s: %s: ", status->class_->name, status->source);
		bpfrefs_class_status_to_text(status, show_write, out);
		g_string_append_c(out, '\n');
	}
}

static void show_scan(GString *out, const struct view_last *last)
{
	struct timespec when = { .tv_sec = (time_t)(last->wall_ns / 1000000000u),
				 .tv_nsec = (long)(last->wall_ns % 1000000000u) };

	g_string_append(out, "last_scan: ");
	show_time(out, when);
	g_string_append_printf(out, "\nlast_scan_ms: %" PRIu64 ".%03" PRIu64 "\n",
			       last->took_ns / 1000000, last->took_ns / 1000 % 1000);
	show_pair_number(out, "attempts", last->attempts);
	show_pair_number(out, "last_scan_bytes", last->memory);
	show_pair_number(out, "objects", last->objects);
	show_pair_number(out, "references", last->references);
}

static void show_keeps(GString *out, const struct fs *fs)
{
	static const enum bpfrefs_keep_mode modes[] = { BPFREFS_KEEP_FD, BPFREFS_KEEP_PIN,
							BPFREFS_KEEP_AUTO };

	g_string_append(out, "keeps:");
	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		int count = bpfrefs_keep_count(fs->keeper, modes[i]);

		g_string_append_printf(out, " %s=", bpfrefs_keep_name(modes[i]));
		fmt_add_number(out, count < 0 ? BPFREFS_UNKNOWN : (uint64_t)count);
	}
	g_string_append_c(out, '\n');
}

/* After an unmount here, shows what keeps the daemon running and SOURCE busy. */
static void show_own_mount(GString *out, const struct fs *fs)
{
	if (mounted_is_here(fs)) {
		show_pair(out, "mount_state", "mounted");
		return;
	}
	show_pair(out, "mount_state",
		  "unmounted here: this bpfrefs keeps running, and SOURCE stays busy, until "
		  "each copy of the mount is unmounted and no process uses a file or directory of "
		  "it");
	overmount_show_elsewhere(out, fs);
}

int show_status(const struct where *w, GString *out)
{
	struct fs *fs = w->fs;
	struct bpfrefs_snapshot *snap;
	struct view_last last;
	struct utsname uts;
	/* If the scan fails, status shows that. */
	int err = view_get(fs->view, &snap);

	show_pair(out, "version", bpfrefs_version());
	show_pair(out, "kernel", uname(&uts) == 0 ? uts.release : NULL);
	show_options(out, fs);
	caps_show(out);
	show_source(out, fs);
	if (!err)
		show_class_states(out, snap);
	else
		show_pair(out, "scan_failed", g_strerror(-err));
	show_pair_number(out, "scans", view_scans(fs->view, NULL));
	if (view_last(fs->view, &last))
		show_scan(out, &last);
	show_pair_number(out, "scan_bytes_max", fs->scan_bytes_max);
	show_keeps(out, fs);
	show_pair_number(out, "control_errors", errlog_count(fs->errors));
	overmount_show_over(out, fs);
	show_own_mount(out, fs);
	if (!err)
		bpfrefs_snapshot_unref(snap);
	return 0;
}

/* ----------------------------------------------------------- controls --- */

int show_errors(const struct where *w, GString *out)
{
	return errlog_show(w->fs->errors, out);
}

/* Shows the commands. */
int show_control(const struct where *w, GString *out)
{
	(void)w;
	g_string_append(out, "# pin KIND/ID PATH\n"
			     "# unpin PATH\n"
			     "# keep KIND/ID fd|pin|auto|off\n");
	return 0;
}

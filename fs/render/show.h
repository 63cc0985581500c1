/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Formats the facts as bpfrefs(5) describes, and changes nothing. The row functions (those with a
 * struct where) return 0 or -errno; -ENOENT if the object or process does not exist.
 */
#ifndef SHOW_H
#define SHOW_H

#include "fs.h"
#include "text/fmt.h"

/* ------------------------------------------------------- text (text.c) --- */

/* Escapes a '#' at the start of a line, which would mark a gap. Returns the rest of @str. */
const char *show_line_start(GString *out, const char *str);
/*
 * Undoes the escapes of fmt_add_value() and fmt_add_text(). -EINVAL if a backslash is not followed by three octal digits of one
 * byte, or for an escaped NUL. @out gets an owned string.
 */
int text_unescape(const char *text, char **out);
/*
 * Returns -ENOMEM if the text has become longer than text_set_limit() allows. Loops over objects
 * or references that write a text end then.
 */
int text_room(const GString *out);
/*
 * The same for @more bytes, which it allocates in one step: growth in small steps would copy the
 * text.
 */
int text_room_for(GString *out, size_t more);
/* "KEY: VALUE\n" */
void show_pair(GString *out, const char *key, const char *text);
void show_pair_number(GString *out, const char *key, uint64_t number);
/* A bpfrefs_write_fn that appends to @out, a GString; -ENOMEM by text_room(). */
int show_write(const char *text, size_t length, void *out);
/* "2025-11-22T09:01:02.345Z" */
void show_time(GString *out, struct timespec when);

/* ------------------------------------------------- records (show.c) --- */

/*
 * Appends "# CLASS: partial: ..." for each class with a gap for which @affects returns true
 * (NULL: all). Every file that such a gap affects ends with these lines.
 */
void show_gaps(GString *out, const struct bpfrefs_snapshot *snap,
	       bool (*affects)(const struct bpfrefs_class *class_, const void *data),
	       const void *data);

/* Appends the record of each reference that the filter selects. */
int show_records(GString *out, const struct bpfrefs_snapshot *snap,
		 const struct bpfrefs_filter *filter);
int show_holders(const struct where *w, GString *out);
int show_holding(const struct where *w, GString *out);
int show_slots(const struct where *w, GString *out);
int show_all_holders(const struct where *w, GString *out);
int show_attachments(const struct where *w, GString *out);

/* Returns whether the object is of a type with slots: a program array or a map of maps. */
bool show_has_slots(const struct where *w);

/* ------------------------------------------- objects (show_object.c) --- */

int show_info(const struct where *w, GString *out);
int show_refs(const struct where *w, GString *out);
int show_pins(const struct where *w, GString *out);
int show_keep(const struct where *w, GString *out);
int show_objects(const struct where *w, GString *out);

/* ----------------------------------------- processes (show_process.c) --- */

int show_comm(const struct where *w, GString *out);
int show_pid_cgroup(const struct where *w, GString *out);
int show_fd_link(const struct where *w, GString *out);
int show_pid_holding(const struct where *w, GString *out);
int show_retains(const struct where *w, GString *out);
int show_processes(const struct where *w, GString *out);
int show_cgroup_processes(const struct where *w, GString *out);
int show_cgroup_holding(const struct where *w, GString *out);
int show_cgroup_retains(const struct where *w, GString *out);
int show_cgroup_dot(const struct where *w, GString *out);

/* ------------------------- derived from references (show_answers.c) --- */

int show_roots(const struct where *w, GString *out);
int show_script(const struct where *w, GString *out);
int show_at_risk(const struct where *w, GString *out);
int show_unused(const struct where *w, GString *out);
int show_json(const struct where *w, GString *out);
int show_all_json(const struct where *w, GString *out);
int show_dot(const struct where *w, GString *out);
int show_object_dot(const struct where *w, GString *out);
int show_pid_dot(const struct where *w, GString *out);

/* ------------------------------ for Prometheus (show_metrics.c) --- */

int show_metrics(const struct where *w, GString *out);

/* ----------------------------------- the whole system (show_status.c) --- */

int show_bpffs(const struct where *w, GString *out);
int show_source_link(const struct where *w, GString *out);
int show_status(const struct where *w, GString *out);
int show_errors(const struct where *w, GString *out);
int show_control(const struct where *w, GString *out);

/*
 * Appends a "mounted_over: ..." line for each mount that hides a part of the mirror, and perhaps
 * one for a gap (overmount.c).
 */
void overmount_show_over(GString *out, const struct fs *fs);
/* Appends a line for each mount of the mirror itself, in this and in other mount namespaces. */
void overmount_show_elsewhere(GString *out, const struct fs *fs);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From facts to text, as bpfrefs(5) has it. Nothing here changes anything. The row functions (those
 * that take a struct where) return 0 or -errno: -ENOENT where the object or process is not there.
 */
#ifndef SHOW_H
#define SHOW_H

#include "fs.h"

/* ------------------------------------------------------- text (text.c) --- */

/*
 * A VALUE of the grammar: backslash and bytes outside 0x21-0x7e octal-escaped; NULL is "?", and what
 * is called "?" is escaped too.
 */
void show_value(GString *out, const char *str);
/* What goes to the end of a line: the same, but blanks stay as they are. */
void show_text(GString *out, const char *str);
/* Escapes a '#' that would begin a line, which would then tell of a gap: what is left of @str. */
const char *show_line_start(GString *out, const char *str);
/*
 * Undoes the escapes of both. -EINVAL for a backslash without three octal digits of one byte, or
 * for an escaped NUL. @out gets an owned string.
 */
int text_unescape(const char *text, char **out);
/*
 * A loop over objects or references that writes a text ends where this gives -ENOMEM: the text has
 * become longer than text_set_limit() allows.
 */
int text_room(const GString *out);
/* The same, for @more bytes, which are allocated at once: to grow step by step would copy the text. */
int text_room_for(GString *out, size_t more);
/* A number, or "?" for BPFREFS_UNKNOWN. */
void show_number(GString *out, uint64_t number);
/* The same, but of what is known. */
void show_digits(GString *out, uint64_t number);
void show_key(GString *out, struct bpfrefs_key key); /* KIND/ID */
/* "KEY: VALUE\n" */
void show_pair(GString *out, const char *key, const char *text);
void show_pair_number(GString *out, const char *key, uint64_t number);
/* "2025-11-22T09:01:02.345Z" */
void show_time(GString *out, struct timespec when);

/* ------------------------------------------------- records (show.c) --- */

/* One LINE of the grammar, newline included. */
void show_line(GString *out, const struct bpfrefs_ref *ref);
/* "complete", "partial: 3 processes: Permission denied" or "unavailable: why" */
void show_coverage(GString *out, const struct bpfrefs_class_status *status);
/*
 * "# CLASS: partial: ..." for each class with a gap that @affects tells of (NULL: all). Ends every
 * file whose answer such a gap touches.
 */
void show_gaps(GString *out, const struct bpfrefs_snapshot *snap,
	       bool (*affects)(const struct bpfrefs_class *class_, const void *data),
	       const void *data);

int show_holders(const struct where *w, GString *out);
int show_holding(const struct where *w, GString *out);
int show_pid_holding(const struct where *w, GString *out);
int show_slots(const struct where *w, GString *out);
int show_all_holders(const struct where *w, GString *out);

/* Does an object of this type have slots to show: a program array or a map of maps? */
bool has_slots(const struct where *w);

/* ------------------------------------------- objects (show-object.c) --- */

int show_info(const struct where *w, GString *out);
int show_refs(const struct where *w, GString *out);
int show_pins(const struct where *w, GString *out);
int show_keep(const struct where *w, GString *out);
int show_objects(const struct where *w, GString *out);
int show_comm(const struct where *w, GString *out);
int show_fd_link(const struct where *w, GString *out);
/* What is missing of its counters, or too much; BPFREFS_UNKNOWN where that cannot be said. */
uint64_t show_missing(const struct bpfrefs_object *object);
/* One line of .bpf/objects. */
void show_object(GString *out, const struct bpfrefs_object *object);

/* ------------------ what follows (show-answers.c, show-json.c, show-dot.c) --- */

int show_roots(const struct where *w, GString *out);
int show_retains(const struct where *w, GString *out);
int show_at_risk(const struct where *w, GString *out);
int show_json(const struct where *w, GString *out);
int show_all_json(const struct where *w, GString *out);
int show_dot(const struct where *w, GString *out);

/* ------------------------------ for Prometheus (show-metrics.c) --- */

int show_metrics(const struct where *w, GString *out);

/* ----------------------------------- the whole system (show-status.c) --- */

int show_bpffs(const struct where *w, GString *out);
int show_source_link(const struct where *w, GString *out);
int show_status(const struct where *w, GString *out);
int show_errors(const struct where *w, GString *out);
int show_control(const struct where *w, GString *out);

/* What hides part of the mirror (overmount.c): "mounted_over: ..." lines, and perhaps one of a gap. */
void show_mounted_over(GString *out, const struct fs *fs);
/* Where mounts of the mirror itself are, a line each: in other mount namespaces, or our own. */
void show_mounted_elsewhere(GString *out, const struct fs *fs);

#endif

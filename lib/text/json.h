/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes JSON. Unknown values are null. Bytes that are not UTF-8 become U+FFFD, each one, as
 * g_utf8_make_valid() replaces them.
 */
#ifndef BPFREFS_JSON_H
#define BPFREFS_JSON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpfrefs.h"

/* An object or array in the making. @key is NULL for an item of an array. */
struct json {
	GString *out;
	unsigned int depth;
	bool pretty;	/* each value begins a line, indented by its depth */
	bool new_line;	/* the next value begins a line */
	bool continued; /* a value came before in the innermost object or array */
};

void json_begin(struct json *json, const char *key, char bracket);
void json_end(struct json *json, char bracket);
void json_text(struct json *json, const char *key, const char *text);
/* Larger numbers than 2^63 - 1, which not all parsers support, are written as strings. */
void json_number(struct json *json, const char *key, uint64_t number);
void json_signed(struct json *json, const char *key, int64_t number);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
void json_key(struct json *json, const char *key, struct bpfrefs_key object);

#endif

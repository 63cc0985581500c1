/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text by its bytes, for answers of a hundred thousand fields: GLib's functions, a call and a check
 * of the room for each, took half of such an answer's time. Each function writes at @at, where there
 * is room, no NUL, and returns where it ended.
 */
#ifndef FMT_H
#define FMT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpfrefs.h"

#define FMT_DIGITS_MAX 20
/* An escaped string's, at most; "?" of NULL is shorter. */
#define FMT_ESCAPED_MAX(str) ((str) ? 4 * strlen(str) + 4 : 4)

/* Room for @bytes at the end of @out; fmt_end() says how much was used. */
static inline char *fmt_begin(GString *out, size_t bytes)
{
	size_t len = out->len;

	g_string_set_size(out, len + bytes);
	return out->str + len;
}

static inline void fmt_end(GString *out, const char *at)
{
	g_string_truncate(out, (gsize)(at - out->str));
}

static inline char *fmt_str(char *at, const char *str)
{
	size_t len = strlen(str);

	memcpy(at, str, len);
	return at + len;
}

static inline char *fmt_digits(char *at, uint64_t number)
{
	char digits[FMT_DIGITS_MAX], *first = digits + sizeof(digits);
	size_t len;

	do {
		*--first = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	len = (size_t)(digits + sizeof(digits) - first);
	memcpy(at, first, len);
	return at + len;
}

#define FMT_KEY_MAX BPFREFS_KEY_MAX

static inline char *fmt_key(char *at, struct bpfrefs_key key) /* KIND/ID */
{
	at = fmt_str(at, bpfrefs_kind_name(key.kind));
	*at++ = '/';
	return fmt_digits(at, key.id);
}

/* Stands for itself; the NUL at the end does not. */
static inline bool fmt_is_plain(char c, unsigned char least)
{
	unsigned char byte = (unsigned char)c;

	return byte >= least && byte <= 0x7e && byte != '\\';
}

static inline char *fmt_octal(char *at, unsigned char byte)
{
	*at++ = '\\';
	*at++ = (char)('0' + (byte >> 6));
	*at++ = (char)('0' + (byte >> 3 & 7));
	*at++ = (char)('0' + (byte & 7));
	return at;
}

/* Escapes backslash and every byte that is not @least to 0x7e; NULL is "?". */
static inline char *fmt_escaped(char *at, const char *str, unsigned char least)
{
	if (!str) {
		*at++ = '?';
		return at;
	}
	/* What is called so is known, and shall not look as if it were not. */
	if (str[0] == '?' && !str[1])
		return fmt_octal(at, '?');
	for (; *str; str++) {
		if (fmt_is_plain(*str, least))
			*at++ = *str;
		else
			at = fmt_octal(at, (unsigned char)*str);
	}
	return at;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Formats text byte by byte, for texts of a hundred thousand fields: with GLib's functions, a
 * call and a check of the allocation for each field took half of the time of such a text. Each
 * function writes at @at, where the caller has made room, adds no NUL, and returns the new end.
 */
#ifndef FMT_H
#define FMT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpfrefs.h"

#define FMT_DIGITS_MAX 20
/* The most bytes of an escaped string. NULL becomes "?". */
#define FMT_ESCAPED_MAX(str) ((str) ? 4 * strlen(str) + 4 : 4)

/* Makes room for @bytes at the end of @out. fmt_end() sets the new length. */
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

/* Returns whether a character needs no escape. The NUL at the end of a string does. */
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

/* Escapes a backslash and every byte that is not from @least to 0x7e. NULL becomes "?". */
static inline char *fmt_escaped(char *at, const char *str, unsigned char least)
{
	if (!str) {
		*at++ = '?';
		return at;
	}
	/* A name that is "?" is escaped, since an unescaped "?" means unknown. */
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

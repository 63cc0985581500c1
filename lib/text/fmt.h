/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formats text byte by byte, for texts of a hundred thousand fields: with GLib's functions, a
 * call and a check of the allocation for each field took half of the time of such a text. The
 * functions that take @at write there, where the caller has made room, add no NUL, and return the
 * new end. Those that take @out append to it.
 */
#ifndef BPFREFS_FMT_H
#define BPFREFS_FMT_H

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

/* ----------------------------------------------------------- appending --- */

/*
 * Appends a VALUE of the grammar in bpfrefs(5): a backslash and bytes outside 0x21-0x7e are
 * escaped in octal, as in /proc/self/mountinfo. NULL becomes "?", and a value that is "?" is
 * escaped.
 */
static inline void fmt_add_value(GString *out, const char *str)
{
	fmt_end(out, fmt_escaped(fmt_begin(out, FMT_ESCAPED_MAX(str)), str, 0x21));
}

/* Appends a text that ends its line: the same, but blanks are not escaped. */
static inline void fmt_add_text(GString *out, const char *str)
{
	fmt_end(out, fmt_escaped(fmt_begin(out, FMT_ESCAPED_MAX(str)), str, 0x20));
}

/* Appends a number, or "?" for BPFREFS_UNKNOWN. */
static inline void fmt_add_number(GString *out, uint64_t number)
{
	if (number == BPFREFS_UNKNOWN)
		g_string_append_c(out, '?');
	else
		fmt_end(out, fmt_digits(fmt_begin(out, FMT_DIGITS_MAX), number));
}

static inline void fmt_add_key(GString *out, struct bpfrefs_key key) /* KIND/ID */
{
	fmt_end(out, fmt_key(fmt_begin(out, FMT_KEY_MAX), key));
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text/json.h"

#include "text/fmt.h"

/* The most bytes of a string: each may become "\u001f", and a byte that is not UTF-8 takes 3. */
#define STRING_MAX(text) (6 * strlen(text) + 2)

/* Escapes a quotation mark, a backslash or a control character. */
static char *copy_escaped(char *at, unsigned char byte)
{
	static const char digits[] = "0123456789abcdef", letters[] = "btn?fr";

	*at++ = '\\';
	if (byte == '"' || byte == '\\') {
		*at++ = (char)byte;
	} else if (byte >= '\b' && byte <= '\r' && byte != '\v') {
		*at++ = letters[byte - '\b'];
	} else {
		at = fmt_str(at, "u00");
		*at++ = digits[byte >> 4];
		*at++ = digits[byte & 0xf];
	}
	return at;
}

/* Copies one character of UTF-8, or replaces one byte that does not belong to one. */
static char *copy_character(char *at, const char **text)
{
	gunichar character = g_utf8_get_char_validated(*text, -1);
	const char *next = *text + 1;

	if (character & 0x80000000u) { /* (gunichar)-1 or -2 */
		*text = next;
		return fmt_str(at, "\xef\xbf\xbd");
	}
	next = g_utf8_next_char(*text);
	for (; *text < next; (*text)++)
		*at++ = **text;
	return at;
}

static char *copy_string(char *at, const char *text)
{
	*at++ = '"';
	while (*text) {
		unsigned char byte = (unsigned char)*text;

		if (byte >= 0x80) {
			at = copy_character(at, &text);
			continue;
		}
		if (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f)
			at = copy_escaped(at, byte);
		else
			*at++ = (char)byte;
		text++;
	}
	*at++ = '"';
	return at;
}

/* Writes what stands before a value, and makes room for it. */
static char *begin_value(struct json *json, const char *key, size_t room)
{
	size_t len = key ? strlen(key) : 0;
	char *at = fmt_begin(json->out, len + json->depth + room + sizeof(",\n\"\" : "));

	if (json->continued)
		*at++ = ',';
	if (json->pretty || json->new_line)
		*at++ = '\n';
	for (unsigned int i = 0; json->pretty && i < json->depth; i++)
		*at++ = ' ';
	if (key) {
		*at++ = '"';
		memcpy(at, key, len);
		at = fmt_str(at + len, json->pretty ? "\" : " : "\":");
	}
	json->continued = true;
	json->new_line = false;
	return at;
}

void json_begin(struct json *json, const char *key, char bracket)
{
	if (json->depth)
		fmt_end(json->out, begin_value(json, key, 0));
	g_string_append_c(json->out, bracket);
	json->depth++;
	json->continued = false;
}

void json_end(struct json *json, char bracket)
{
	json->depth--;
	if (json->pretty && json->continued)
		g_string_append_printf(json->out, "\n%*s", (int)json->depth, "");
	g_string_append_c(json->out, bracket);
	json->continued = true;
}

static void add_word(struct json *json, const char *key, const char *word)
{
	fmt_end(json->out, fmt_str(begin_value(json, key, strlen(word)), word));
}

void json_null(struct json *json, const char *key)
{
	add_word(json, key, "null");
}

void json_bool(struct json *json, const char *key, bool value)
{
	add_word(json, key, value ? "true" : "false");
}

void json_text(struct json *json, const char *key, const char *text)
{
	if (text)
		fmt_end(json->out, copy_string(begin_value(json, key, STRING_MAX(text)), text));
	else
		json_null(json, key);
}

void json_number(struct json *json, const char *key, uint64_t number)
{
	bool quoted = number > INT64_MAX;
	char *at;

	if (number == BPFREFS_UNKNOWN) {
		json_null(json, key);
		return;
	}
	at = begin_value(json, key, FMT_DIGITS_MAX + 2);
	if (quoted)
		*at++ = '"';
	at = fmt_digits(at, number);
	if (quoted)
		*at++ = '"';
	fmt_end(json->out, at);
}

void json_signed(struct json *json, const char *key, int64_t number)
{
	char *at = begin_value(json, key, FMT_DIGITS_MAX + 1);

	if (number < 0)
		*at++ = '-';
	fmt_end(json->out, fmt_digits(at, number < 0 ? -(uint64_t)number : (uint64_t)number));
}

void json_key(struct json *json, const char *key, struct bpfrefs_key object)
{
	char *at = begin_value(json, key, FMT_KEY_MAX + 2);

	*at++ = '"';
	at = fmt_key(at, object);
	*at++ = '"';
	fmt_end(json->out, at);
}

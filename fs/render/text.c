/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The octal escapes of the grammar, which are those of /proc/self/mountinfo, and other small
 * pieces of text.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "render/show.h"

/* The most bytes of one text. Set once, before there is a second thread. */
static size_t limit = SIZE_MAX;

void text_set_limit(size_t bytes)
{
	limit = bytes;
}

size_t text_limit(void)
{
	return limit;
}

int text_room(const GString *out)
{
	return out->len > limit ? -ENOMEM : 0;
}

int text_room_for(GString *out, size_t more)
{
	size_t len = out->len;

	if (more > limit || len > limit - more)
		return -ENOMEM;
	g_string_set_size(out, len + more);
	g_string_truncate(out, len);
	return 0;
}

#define PART 4096

int text_read(const char *path, char **out, size_t *length)
{
	GString *text = g_string_new(NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;
	char part[PART];

	while (!err) {
		ssize_t got = read(fd, part, PART);

		if (got < 0 && errno != EINTR)
			err = -errno;
		if (got == 0)
			break;
		if (got > 0) {
			g_string_append_len(text, part, got);
			err = text_room(text);
		}
	}
	if (fd >= 0)
		close(fd);
	if (length)
		*length = text->len;
	*out = g_string_free(text, err != 0);
	return err;
}

int show_write(const char *text, size_t length, void *data)
{
	GString *out = data;

	g_string_append_len(out, text, (gssize)length);
	return text_room(out);
}

const char *show_line_start(GString *out, const char *str)
{
	if (*str != '#')
		return str;
	g_string_append_printf(out, "\\%03o", *str);
	return str + 1;
}

/* Returns the byte of three octal digits, 1 to 255, or 0 if they are invalid. */
static unsigned char octal_byte(const char *digits)
{
	unsigned int byte = 0;

	for (int i = 0; i < 3; i++) {
		if (digits[i] < '0' || digits[i] > '7')
			return 0;
		byte = byte * 8 + (unsigned int)(digits[i] - '0');
	}
	return byte <= 0xff ? (unsigned char)byte : 0;
}

int text_unescape(const char *text, char **out)
{
	g_autoptr(GString) plain = g_string_new(NULL);

	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '\\') {
			byte = octal_byte(text + 1);
			if (!byte)
				return -EINVAL;
			text += 3;
		}
		g_string_append_c(plain, (char)byte);
	}
	*out = g_strdup(plain->str);
	return 0;
}

void show_pair(GString *out, const char *key, const char *text)
{
	g_string_append_printf(out, "%s: ", key);
	fmt_add_text(out, text);
	g_string_append_c(out, '\n');
}

void show_pair_number(GString *out, const char *key, uint64_t number)
{
	g_string_append_printf(out, "%s: ", key);
	fmt_add_number(out, number);
	g_string_append_c(out, '\n');
}

void show_time(GString *out, struct timespec when)
{
	struct tm tm;
	char text[32];

	if (!gmtime_r(&when.tv_sec, &tm) ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
		g_string_append_c(out, '?');
		return;
	}
	g_string_append_printf(out, "%s.%03ldZ", text, when.tv_nsec / 1000000);
}

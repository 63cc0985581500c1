/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names: for any bytes, what is shown is one word (or one line) of ASCII, and resolving the
 * escapes gives the name again. A name that was read back and is shown again reads back as the
 * same. KIND/ID is parsed too.
 */
#include <errno.h>

#include "fuzz.h"
#include "render/show.h"
#include "text/fmt.h"

static void check_shown(const char *name, void (*show)(GString *, const char *), char least)
{
	g_autoptr(GString) shown = g_string_new(NULL);
	g_autofree char *back = NULL;

	show(shown, name);
	for (gsize i = 0; i < shown->len; i++)
		must(shown->str[i] >= least && shown->str[i] <= 0x7e);
	must(text_unescape(shown->str, &back) == 0);
	must(strcmp(back, name) == 0);
}

static void check_read(const char *text)
{
	g_autofree char *name = NULL;

	if (text_unescape(text, &name) != 0) {
		must(!name && strchr(text, '\\'));
		return;
	}
	check_shown(name, fmt_add_value, 0x21);
	check_shown(name, fmt_add_text, 0x20);
}

static void check_key(const char *text)
{
	struct bpfrefs_key key;
	char out[BPFREFS_KEY_MAX];

	if (bpfrefs_key_parse(text, &key) == 0)
		must(strcmp(bpfrefs_key_format(key, out), text) == 0);
}

static void check_line(const char *name)
{
	g_autoptr(GString) out = g_string_new(NULL);

	show_pair(out, "key", name);
	must(g_str_has_prefix(out->str, "key: ") &&
	     strchr(out->str, '\n') == out->str + out->len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = exact_string(data, size);
	enum bpfrefs_keep_mode mode;

	check_shown(text, fmt_add_value, 0x21);
	check_shown(text, fmt_add_text, 0x20);
	check_read(text);
	check_key(text);
	check_line(text);
	if (bpfrefs_keep_parse(text, &mode) == 0)
		must(strcmp(bpfrefs_keep_name(mode), text) == 0);
	free(text);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The JSON writer, judged by json-glib. */
#include <json-glib/json-glib.h>
#include <string.h>

#include "fixture.h"
#include "text/json.h"

/* Writes one string, and returns it as json-glib reads it: owned. */
static char *read_back(const char *text)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json json = { .out = out };
	g_autoptr(JsonNode) node = NULL;

	json_begin(&json, NULL, '{');
	json_text(&json, "key", text);
	json_end(&json, '}');
	g_assert_true(g_utf8_validate(out->str, -1, NULL));
	for (const char *c = out->str; *c; c++)
		g_assert_cmpuint((unsigned char)*c, >=, 0x20);
	node = json_from_string(out->str, NULL);
	g_assert_nonnull(node);
	return g_strdup(json_object_get_string_member(json_node_get_object(node), "key"));
}

/* Bytes that are not UTF-8 are replaced one by one, as GLib replaces them. */
static void check_string(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1), *read = read_back(text);

	g_assert_cmpstr(read, ==, valid);
}

TEST(strings_are_escaped)
{
	static const char *const texts[] = {
		"",
		"plain",
		"\"quoted\" \\ / \x7f",
		"\xe2\x82\xac \xf0\x9f\x90\x9d \xc3\xa9",
		"\xff",
		"\xe2\x82",
		"a\xe2\x82z",
		"\xc0\xaf overlong",
		"\xed\xa0\x80 surrogate",
		"\xf4\x90\x80\x80 too large",
		"\x80\xbf",
		"\xf0\x9f\x90",
		"\xef\xbf\xbf",
	};
	char one[2] = "";

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		check_string(texts[i]);
	for (int byte = 1; byte < 256; byte++) {
		one[0] = (char)byte;
		check_string(one);
	}
}

TEST(random_strings_are_escaped)
{
	/* parts of characters, so that valid and cut ones are frequent */
	static const char parts[] = "a\"\\\n\x1f\x80\xbf\xc3\xa9\xe2\x82\xac\xed\xa0\xf0\x9f\xff";
	char text[33];

	for (int i = 0; i < 20000; i++) {
		int len = g_test_rand_int_range(0, sizeof(text));

		for (int j = 0; j < len; j++)
			text[j] = parts[g_test_rand_int_range(0, sizeof(parts) - 1)];
		text[len] = '\0';
		check_string(text);
	}
}

#define check_written(pretty_, text)                           \
	do {                                                   \
		g_autofree char *written = write_all(pretty_); \
		g_assert_cmpstr(written, ==, text);            \
	} while (0)

static char *write_all(bool pretty)
{
	struct json json = { .out = g_string_new(NULL), .pretty = pretty };

	json_begin(&json, NULL, '{');
	json_number(&json, "zero", 0);
	json_number(&json, "large", INT64_MAX);
	json_number(&json, "larger", (uint64_t)INT64_MAX + 1);
	json_number(&json, "unknown", BPFREFS_UNKNOWN);
	json_signed(&json, "least", INT64_MIN);
	json_bool(&json, "true", true);
	json_text(&json, "null", NULL);
	json_begin(&json, "none", '[');
	json_end(&json, ']');
	json_begin(&json, "keys", '[');
	json_key(&json, NULL, (struct bpfrefs_key){ BPFREFS_KIND_MAP, 12 });
	json_begin(&json, NULL, '{');
	json_bool(&json, "false", false);
	json_end(&json, '}');
	json_end(&json, ']');
	json_end(&json, '}');
	return g_string_free(json.out, FALSE);
}

TEST(layouts)
{
	check_written(false,
		      "{\"zero\":0,\"large\":9223372036854775807,"
		      "\"larger\":\"9223372036854775808\",\"unknown\":null,"
		      "\"least\":-9223372036854775808,\"true\":true,\"null\":null,\"none\":[],"
		      "\"keys\":[\"map/12\",{\"false\":false}]}");
	check_written(true, "{\n \"zero\" : 0,\n \"large\" : 9223372036854775807,\n"
			    " \"larger\" : \"9223372036854775808\",\n \"unknown\" : null,\n"
			    " \"least\" : -9223372036854775808,\n \"true\" : true,\n"
			    " \"null\" : null,\n \"none\" : [],\n \"keys\" : [\n  \"map/12\",\n"
			    "  {\n   \"false\" : false\n  }\n ]\n}");
}

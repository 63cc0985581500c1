/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing and formatting kinds, ids and keys. */
#include <string.h>

#include "fixture.h"
#include "snapshot/private.h"

TEST(ids_are_canonical)
{
	static const char *const bad[] = { "",	 "0",	       "01",  "+1",
					   "-1", " 1",	       "1 ",  "1a",
					   "a",	 "4294967296", "0x1", "99999999999999999999999" };
	uint32_t id = 77;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(bpfrefs_id_parse(bad[i], &id), ==, -EINVAL);
	g_assert_cmpuint(id, ==, 77);
	g_assert_cmpint(bpfrefs_id_parse("1", &id), ==, 0);
	g_assert_cmpuint(id, ==, 1);
	g_assert_cmpint(bpfrefs_id_parse("4294967295", &id), ==, 0);
	g_assert_cmpuint(id, ==, UINT32_MAX);
}

TEST(keys_round_trip)
{
	static const char *const good[] = { "map/1", "prog/42", "link/4294967295", "btf/7" };
	static const char *const bad[] = {
		"map",	 "map/",   "/1",     "maps/1", "map/01",
		"MAP/1", "map/1/", "map//1", "",       "a-very-long-kind/1"
	};
	struct bpfrefs_key key = { BPFREFS_KIND_LINK, 9 };
	char buf[BPFREFS_KEY_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(bpfrefs_key_parse(bad[i], &key), ==, -EINVAL);
	g_assert_cmpint(key.kind, ==, BPFREFS_KIND_LINK);
	g_assert_cmpuint(key.id, ==, 9);
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_assert_cmpint(bpfrefs_key_parse(good[i], &key), ==, 0);
		g_assert_cmpstr(bpfrefs_key_format(key, buf), ==, good[i]);
	}
}

TEST(keys_are_ordered)
{
	struct bpfrefs_key map2 = { BPFREFS_KIND_MAP, 2 }, map10 = { BPFREFS_KIND_MAP, 10 };
	struct bpfrefs_key prog1 = { BPFREFS_KIND_PROG, 1 };

	g_assert_cmpint(bpfrefs_key_compare(map2, map10), <, 0);
	g_assert_cmpint(bpfrefs_key_compare(map10, map2), >, 0);
	g_assert_cmpint(bpfrefs_key_compare(map10, prog1), <, 0);
	g_assert_cmpint(bpfrefs_key_compare(map2, map2), ==, 0);
}

/* Every value of a public enumeration has a name, and one past the last is "?". */
TEST(enumerations_have_words)
{
	enum bpfrefs_keep_mode mode;
	enum bpfrefs_kind kind;

	for (unsigned int i = 0; i < KIND_COUNT; i++) {
		g_assert_cmpint(bpfrefs_kind_parse(bpfrefs_kind_name(i), &kind), ==, 0);
		g_assert_cmpuint(kind, ==, i);
	}
	for (unsigned int i = 0; i < KEEP_COUNT; i++) {
		g_assert_cmpint(bpfrefs_keep_parse(bpfrefs_keep_name(i), &mode), ==, 0);
		g_assert_cmpuint(mode, ==, i);
	}
	g_assert_cmpint(bpfrefs_keep_parse("on", &mode), ==, -EINVAL);
	for (unsigned int i = 0; i < STATE_COUNT; i++)
		g_assert_cmpstr(bpfrefs_state_name(i), !=, "?");
	for (unsigned int i = 0; i < SOURCE_COUNT; i++)
		g_assert_cmpstr(bpfrefs_source_name(i), !=, "?");
	for (unsigned int i = 0; i < COVERAGE_COUNT; i++)
		g_assert_cmpstr(bpfrefs_coverage_name(i), !=, "?");
	g_assert_cmpstr(bpfrefs_kind_name(KIND_COUNT), ==, "?");
	g_assert_cmpstr(bpfrefs_kind_name(BPFREFS_KIND_NONE), ==, "?");
	g_assert_cmpstr(bpfrefs_state_name(STATE_COUNT), ==, "?");
	g_assert_cmpstr(bpfrefs_keep_name(KEEP_COUNT), ==, "?");
}

TEST(keeps_are_identified_by_their_path)
{
	static const struct bpfrefs_key map = { BPFREFS_KIND_MAP, 12 };
	static const struct {
		const char *inner;
		enum bpfrefs_keep_mode mode;
	} cases[] = {
		{ "/bpfrefs/keep/map_12", BPFREFS_KEEP_PIN },
		{ "/bpfrefs/auto/map_12", BPFREFS_KEEP_AUTO },
		{ "/a/b/bpfrefs/auto/map_12", BPFREFS_KEEP_AUTO },
		{ "/bpfrefs/keep/map_13", BPFREFS_KEEP_OFF },
		{ "/bpfrefs/keep/prog_12", BPFREFS_KEEP_OFF },
		{ "/bpfrefs/keeps/map_12", BPFREFS_KEEP_OFF },
		{ "/bpfrefs/keep/sub/map_12", BPFREFS_KEEP_OFF },
		{ "/xbpfrefs/keep/map_12", BPFREFS_KEEP_OFF },
		{ "/keep/map_12", BPFREFS_KEEP_OFF },
		{ "/map_12", BPFREFS_KEEP_OFF },
		{ "map_12", BPFREFS_KEEP_OFF },
		{ "/", BPFREFS_KEEP_OFF },
		{ "", BPFREFS_KEEP_OFF },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpint(keep_of_path(cases[i].inner, map), ==, cases[i].mode);
}

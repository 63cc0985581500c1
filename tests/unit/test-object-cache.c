/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of programs: the maps that they use, as long as the number of maps stays the same. The end of
 * lists that have none.
 */
#include "fixture.h"
#include "kernel/bpf_source.h"
#include "kernel/object_cache.h"

#include <string.h>
#include <unistd.h>

static void note_prog(struct object_cache *cache, uint32_t id, uint32_t used)
{
	struct walk_prog prog = {
		.rec = { WALK_PROG, sizeof(prog), id },
		.address = 0x1000 + id,
		.refcnt = 1,
		.type = 1,
		.used = used,
	};

	object_cache_note(cache, &prog.rec);
}

static const struct walk_rec *prog_of(const struct object_cache *cache, uint32_t id)
{
	return object_cache_find(cache, (struct bpfrefs_key){ BPFREFS_KIND_PROG, id });
}

static void add_maps(struct object_cache *cache, uint32_t prog, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		object_cache_use(cache, prog, first + i);
}

static void check_used(const struct object_cache *cache, uint32_t prog, uint32_t first,
		       uint32_t count)
{
	const uint32_t *maps;
	uint32_t found;

	g_assert_true(object_cache_used(cache, prog_of(cache, prog), &maps, &found));
	g_assert_cmpuint(found, ==, count);
	for (uint32_t i = 0; i < count; i++)
		g_assert_cmpuint(maps[i], ==, first + i);
}

static void check_not_cached(const struct object_cache *cache, uint32_t prog)
{
	const uint32_t *maps;
	uint32_t found;

	g_assert_false(object_cache_used(cache, prog_of(cache, prog), &maps, &found));
}

/* Four programs, with 0 to 3 maps: their maps are cached when the walk has ended. */
static struct object_cache *four(void)
{
	struct object_cache *cache = object_cache_new();

	for (uint32_t id = 1; id <= 4; id++) {
		note_prog(cache, id, id - 1);
		check_not_cached(cache, id);
		object_cache_program_begin(cache, prog_of(cache, id));
	}
	for (uint32_t id = 1; id <= 4; id++)
		add_maps(cache, id, 10 * id, id - 1);
	return cache;
}

TEST(cached_at_the_end)
{
	struct object_cache *cache = four();

	for (uint32_t id = 1; id <= 4; id++)
		check_not_cached(cache, id);
	object_cache_program_end(cache);
	for (uint32_t id = 1; id <= 4; id++)
		check_used(cache, id, 10 * id, id - 1);
	object_cache_free(cache);
}

/* A map was bound or removed while the walk listed the maps: the walk lists them again. */
TEST(not_as_many)
{
	struct object_cache *cache = four();

	object_cache_use(cache, 4, 99);
	note_prog(cache, 5, 2);
	object_cache_program_begin(cache, prog_of(cache, 5));
	object_cache_use(cache, 5, 7);
	object_cache_program_end(cache);
	check_used(cache, 3, 30, 2);
	check_not_cached(cache, 4);
	check_not_cached(cache, 5);
	for (uint32_t id = 4; id <= 5; id++)
		object_cache_program_begin(cache, prog_of(cache, id));
	add_maps(cache, 4, 70, 3);
	add_maps(cache, 5, 80, 2);
	object_cache_program_end(cache);
	check_used(cache, 4, 70, 3);
	check_used(cache, 5, 80, 2);
	object_cache_free(cache);
}

/*
 * Other references than used maps are not cached, nor are maps that were not listed without
 * interruption.
 */
TEST(something_else)
{
	struct object_cache *cache = four();

	object_cache_use(cache, 1, 0);
	object_cache_use(cache, 2, 21);
	object_cache_use(cache, 77, 5); /* of no program */
	object_cache_program_end(cache);
	check_not_cached(cache, 1);
	check_not_cached(cache, 2);
	check_used(cache, 4, 40, 3);
	object_cache_free(cache);
}

/* After a failure the cache keeps what was complete before, and nothing of the walk that failed. */
TEST(not_ended)
{
	struct object_cache *cache = four();

	object_cache_program_end(cache);
	object_cache_program_begin(cache, prog_of(cache, 3));
	object_cache_use(cache, 3, 1);
	check_not_cached(cache, 3);
	check_used(cache, 4, 40, 3);
	object_cache_program_begin(cache, prog_of(cache, 3));
	add_maps(cache, 3, 50, 2);
	object_cache_program_end(cache);
	check_used(cache, 3, 50, 2);
	object_cache_begin(cache); /* a new scan */
	note_prog(cache, 3, 2);
	check_not_cached(cache, 3);
	object_cache_free(cache);
}

TEST(types)
{
	struct object_cache *cache = object_cache_new();
	struct walk_map map = { .rec = { WALK_MAP, sizeof(map), 5 }, .type = 17, .refcnt = 1 };

	g_assert_cmpuint(object_cache_types(cache, BPFREFS_KIND_MAP), ==, 0);
	object_cache_note(cache, &map.rec);
	map.rec.id = 6;
	map.type = 1000; /* has no bit */
	object_cache_note(cache, &map.rec);
	note_prog(cache, 1, 0);
	g_assert_cmpuint(object_cache_types(cache, BPFREFS_KIND_MAP), ==, 1u << 17);
	g_assert_cmpuint(object_cache_types(cache, BPFREFS_KIND_PROG), ==, 1u << 1);
	object_cache_begin(cache);
	g_assert_cmpuint(object_cache_types(cache, BPFREFS_KIND_MAP), ==, 0);
	object_cache_free(cache);
}

static void note_link(struct object_cache *cache, uint32_t id, uint32_t map_id)
{
	struct walk_link link = {
		.rec = { WALK_LINK, sizeof(link), id },
		.refcnt = 1,
		.map_id = map_id,
	};

	object_cache_link(cache, &link.rec);
}

/* No link has these ids yet, so that no newer link can exist, which only root can check. */
TEST(links)
{
	const uint32_t last = (1u << 30) - 1;
	struct object_cache *cache = object_cache_new();

	g_assert_false(object_cache_links_hold_no_map(cache));
	object_cache_links_begin(cache);
	note_link(cache, last, 0);
	note_link(cache, last - 1, 0);
	g_assert_false(object_cache_links_hold_no_map(cache)); /* the walk has not ended */
	object_cache_links_end(cache);
	if (geteuid() == 0)
		g_assert_true(object_cache_links_hold_no_map(cache));
	object_cache_links_begin(cache);
	note_link(cache, last, 0);
	note_link(cache, last - 1, 5);
	object_cache_links_end(cache);
	g_assert_false(object_cache_links_hold_no_map(cache));
	object_cache_links_begin(cache);
	note_link(cache, last + 1, 0); /* ids may wrap */
	object_cache_links_end(cache);
	g_assert_false(object_cache_links_hold_no_map(cache));
	object_cache_free(cache);
}

/* A list with a cycle fills the buffer for ever; one with many objects moves on in between. */
TEST(endless_lists)
{
	struct walk_control *control = g_new0(struct walk_control, 1);
	struct walk_calls calls = { 0 };
	unsigned int count = 0;

	control->ended = WALK_DONE;
	g_assert_false(object_records_go_on(control, &calls));
	control->ended = WALK_FULL;
	while (object_records_go_on(control, &calls))
		g_assert_cmpuint(count++, <, 10000);
	g_assert_cmpuint(count, >, 1000);
	g_assert_cmpuint(control->ended, ==, WALK_TORN);
	control->ended = WALK_FULL;
	calls = (struct walk_calls){ 0 };
	for (unsigned int i = 0; i < 10 * count; i++) {
		control->list_at = i / 3;
		g_assert_true(object_records_go_on(control, &calls));
	}
	g_free(control);
}

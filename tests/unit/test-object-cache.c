/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of programs: the maps they use, for as long as they use as many as were told. */
#include "fixture.h"
#include "kernel/object_cache.h"

#include <string.h>
#include <unistd.h>

static void note_prog(struct object_cache *known, uint32_t id, uint32_t used)
{
	struct walk_prog prog = {
		.rec = { WALK_PROG, sizeof(prog), id },
		.address = 0x1000 + id,
		.refcnt = 1,
		.type = 1,
		.used = used,
	};

	object_cache_note(known, &prog.rec);
}

static const struct walk_rec *prog_of(const struct object_cache *known, uint32_t id)
{
	return object_cache_find(known, (struct bpfrefs_key){ BPFREFS_PROG, id });
}

static void tell(struct object_cache *known, uint32_t prog, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		object_cache_use(known, prog, first + i);
}

static void check_used(const struct object_cache *known, uint32_t prog, uint32_t first,
		       uint32_t count)
{
	const uint32_t *maps;
	uint32_t told;

	g_assert_true(object_cache_used(known, prog_of(known, prog), &maps, &told));
	g_assert_cmpuint(told, ==, count);
	for (uint32_t i = 0; i < count; i++)
		g_assert_cmpuint(maps[i], ==, first + i);
}

static void check_not_learnt(const struct object_cache *known, uint32_t prog)
{
	const uint32_t *maps;
	uint32_t told;

	g_assert_false(object_cache_used(known, prog_of(known, prog), &maps, &told));
}

/* Four programs, with 0 to 3 maps: learnt once all was told. */
static struct object_cache *four(void)
{
	struct object_cache *known = object_cache_new();

	for (uint32_t id = 1; id <= 4; id++) {
		note_prog(known, id, id - 1);
		check_not_learnt(known, id);
		object_cache_program_begin(known, prog_of(known, id));
	}
	for (uint32_t id = 1; id <= 4; id++)
		tell(known, id, 10 * id, id - 1);
	return known;
}

TEST(learnt_at_the_end)
{
	struct object_cache *known = four();

	for (uint32_t id = 1; id <= 4; id++)
		check_not_learnt(known, id);
	object_cache_program_end(known);
	for (uint32_t id = 1; id <= 4; id++)
		check_used(known, id, 10 * id, id - 1);
	object_cache_free(known);
}

/* One more was bound while it was told, or one less: it is told again. */
TEST(not_as_many)
{
	struct object_cache *known = four();

	object_cache_use(known, 4, 99);
	note_prog(known, 5, 2);
	object_cache_program_begin(known, prog_of(known, 5));
	object_cache_use(known, 5, 7);
	object_cache_program_end(known);
	check_used(known, 3, 30, 2);
	check_not_learnt(known, 4);
	check_not_learnt(known, 5);
	for (uint32_t id = 4; id <= 5; id++)
		object_cache_program_begin(known, prog_of(known, id));
	tell(known, 4, 70, 3);
	tell(known, 5, 80, 2);
	object_cache_program_end(known);
	check_used(known, 4, 70, 3);
	check_used(known, 5, 80, 2);
	object_cache_free(known);
}

/* What is no used map is told by the kernel each time, and so is what was not told at a stretch. */
TEST(something_else)
{
	struct object_cache *known = four();

	object_cache_use(known, 1, 0);
	object_cache_use(known, 2, 21);
	object_cache_use(known, 77, 5); /* nobody's */
	object_cache_program_end(known);
	check_not_learnt(known, 1);
	check_not_learnt(known, 2);
	check_used(known, 4, 40, 3);
	object_cache_free(known);
}

/* A failure: what had begun is not learnt, and what was learnt before stays. */
TEST(not_ended)
{
	struct object_cache *known = four();

	object_cache_program_end(known);
	object_cache_program_begin(known, prog_of(known, 3));
	object_cache_use(known, 3, 1);
	check_not_learnt(known, 3);
	check_used(known, 4, 40, 3);
	object_cache_program_begin(known, prog_of(known, 3));
	tell(known, 3, 50, 2);
	object_cache_program_end(known);
	check_used(known, 3, 50, 2);
	object_cache_begin(known); /* all is told anew */
	note_prog(known, 3, 2);
	check_not_learnt(known, 3);
	object_cache_free(known);
}

TEST(types)
{
	struct object_cache *known = object_cache_new();
	struct walk_map map = { .rec = { WALK_MAP, sizeof(map), 5 }, .type = 17, .refcnt = 1 };

	g_assert_cmpuint(object_cache_types(known, BPFREFS_MAP), ==, 0);
	object_cache_note(known, &map.rec);
	map.rec.id = 6;
	map.type = 1000; /* beyond what has a bit */
	object_cache_note(known, &map.rec);
	note_prog(known, 1, 0);
	g_assert_cmpuint(object_cache_types(known, BPFREFS_MAP), ==, 1u << 17);
	g_assert_cmpuint(object_cache_types(known, BPFREFS_PROG), ==, 1u << 1);
	object_cache_begin(known);
	g_assert_cmpuint(object_cache_types(known, BPFREFS_MAP), ==, 0);
	object_cache_free(known);
}

static void note_link(struct object_cache *known, uint32_t id, uint32_t map_id)
{
	struct walk_link link = {
		.rec = { WALK_LINK, sizeof(link), id },
		.refcnt = 1,
		.map_id = map_id,
	};

	object_cache_link(known, &link.rec);
}

/* Ids that no link has yet, and so nothing newer: to be heard by who may ask the kernel. */
TEST(links)
{
	const uint32_t last = (1u << 30) - 1;
	struct object_cache *known = object_cache_new();

	g_assert_false(object_cache_links_hold_no_map(known));
	object_cache_links_begin(known);
	note_link(known, last, 0);
	note_link(known, last - 1, 0);
	g_assert_false(object_cache_links_hold_no_map(known)); /* not all was told */
	object_cache_links_end(known);
	if (geteuid() == 0)
		g_assert_true(object_cache_links_hold_no_map(known));
	object_cache_links_begin(known);
	note_link(known, last, 0);
	note_link(known, last - 1, 5);
	object_cache_links_end(known);
	g_assert_false(object_cache_links_hold_no_map(known));
	object_cache_links_begin(known);
	note_link(known, last + 1, 0); /* ids may begin again */
	object_cache_links_end(known);
	g_assert_false(object_cache_links_hold_no_map(known));
	object_cache_free(known);
}

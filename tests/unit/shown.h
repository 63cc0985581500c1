/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a renderer writes of the made-up world. */
#ifndef SHOWN_H
#define SHOWN_H

#include "fake.h"

typedef int (*show_fn)(const struct where *w, GString *out);

struct world {
	struct fs fs;
	struct fake fake;
	struct bpfrefs_snapshot *snap;
};

/* Standings are the graph's to say, and tested there: here they are one and the same. */
static inline void world_scan(struct world *world)
{
	bpfrefs_snapshot_unref(world->snap);
	g_assert_cmpint(view_fresh(world->fs.view, &world->snap), ==, 0);
	bpfrefs_snapshot_object(world->snap, 0); /* its first question finds the standings */
	for (size_t i = 0; i < world->snap->objects->len; i++) {
		struct bpfrefs_object *object = world->snap->objects->pdata[i];

		object->state = BPFREFS_HELD;
		object->because = "it is so";
	}
}

static inline void world_init(struct world *world)
{
	memset(world, 0, sizeof(*world));
	fake_init(&world->fs, &world->fake);
	world_scan(world);
}

static inline void world_clear(struct world *world)
{
	bpfrefs_snapshot_unref(world->snap);
	fake_clear(&world->fs, &world->fake);
}

static inline char *shown(struct world *world, struct bpfrefs_key key, uint32_t pid, show_fn show)
{
	struct where w = { .fs = &world->fs, .key = key, .pid = pid, .snap = world->snap };
	g_autoptr(GString) out = g_string_new(NULL);

	g_assert_cmpint(show(&w, out), ==, 0);
	return g_strdup(out->str);
}

/* Each says ENOENT, and nothing else, of an object and of a process that are gone. */
static inline void check_gone(const show_fn *shows, size_t count)
{
	struct world world;

	world_init(&world);
	for (size_t i = 0; i < count; i++) {
		struct where w = { .fs = &world.fs,
				   .key = { BPFREFS_MAP, 99 },
				   .pid = NODE_PID_MAX - 5,
				   .snap = world.snap };
		g_autoptr(GString) out = g_string_new(NULL);

		g_assert_cmpint(shows[i](&w, out), ==, -ENOENT);
		g_assert_cmpstr(out->str, ==, "");
	}
	world_clear(&world);
}

#endif

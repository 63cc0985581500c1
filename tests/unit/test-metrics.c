/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Prometheus reads: word by word of the made-up world, and its escapes. */
#include <fcntl.h>

#include "render/show.h"
#include "shown.h"

static void metrics_init(struct world *world)
{
	world_init(world);
	world->fs.source_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(bpfrefs_keeper_open(world->fs.ctx, world->fs.source_fd, &world->fs.keeper),
			==, 0);
}

static void metrics_clear(struct world *world)
{
	bpfrefs_keeper_close(world->fs.keeper);
	close(world->fs.source_fd);
	world_clear(world);
}

/* The samples of one family, or a comment's lines: those that begin so. */
static char *lines_of(struct world *world, const char *prefix)
{
	g_autofree char *text = shown(world, fake_map, FAKE_PID, show_metrics);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *found = g_string_new(NULL);

	for (char **line = lines; *line; line++)
		if (g_str_has_prefix(*line, prefix))
			g_string_append_printf(found, "%s\n", *line);
	return g_string_free(found, FALSE);
}

#define check(world, prefix, text)                                \
	do {                                                      \
		g_autofree char *found = lines_of(world, prefix); \
		g_assert_cmpstr(found, ==, text);                 \
	} while (0)

#define GROUP(kind, type, held, cleared)                                                       \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"held\"} " held "\n"       \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"at-risk\"} 0\n"           \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"cleared\"} " cleared "\n" \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"unrooted\"} 0\n"          \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"unknown\"} 0\n"

static struct bpfrefs_object *object_of(struct world *world, struct bpfrefs_key key)
{
	return idmap_get(&world->snap->by_key, key_number(key));
}

static void test_objects(void)
{
	struct world world;

	metrics_init(&world);
	object_of(&world, fake_tail)->state = BPFREFS_CLEARED;
	check(&world, "bpfrefs_objects",
	      GROUP("map", "hash", "1", "0") GROUP("map", "prog_array", "1", "0")
		      GROUP("prog", "xdp", "1", "1") GROUP("link", "xdp", "1", "0")
			      GROUP("btf", "btf", "1", "0"));
	metrics_clear(&world);
}

static void test_escapes(void)
{
	struct world world;

	metrics_init(&world);
	object_of(&world, fake_plain)->type = "a\\b\"c\nd\377";
	object_of(&world, fake_map)->type = NULL;
	check(&world, "bpfrefs_objects{kind=\"map\"",
	      GROUP("map", "?", "1", "0") GROUP("map", "a\\\\b\\\"c\\nd\357\277\275", "1", "0"));
	metrics_clear(&world);
}

static void test_references(void)
{
	struct world world;

	metrics_init(&world);
	check(&world, "bpfrefs_references{class=\"fd\"", "bpfrefs_references{class=\"fd\"} 2\n");
	check(&world, "bpfrefs_references{class=\"pin\"", "bpfrefs_references{class=\"pin\"} 3\n");
	check(&world, "bpfrefs_references{class=\"map\"", "bpfrefs_references{class=\"map\"} 2\n");
	check(&world, "bpfrefs_references{class=\"xdp\"", "bpfrefs_references{class=\"xdp\"} 0\n");
	/* prog/6 two, btf/1 one; of map/13 nothing is known. */
	check(&world, "bpfrefs_unexplained_r", "bpfrefs_unexplained_references 3\n");
	check(&world, "bpfrefs_unexplained_c", "bpfrefs_unexplained_constant_references 0\n");
	check(&world, "bpfrefs_gaps{class=\"refcnt\"", "bpfrefs_gaps{class=\"refcnt\"} 1\n");
	check(&world, "bpfrefs_gaps{class=\"pin\"", "bpfrefs_gaps{class=\"pin\"} 0\n");
	metrics_clear(&world);
}

static void check_unexplained(struct world *world, unsigned int constant, unsigned int rest)
{
	g_autofree char *of_constant =
		g_strdup_printf("bpfrefs_unexplained_constant_references %u\n", constant);
	/* 3 are of prog/6 and btf/1. */
	g_autofree char *of_rest = g_strdup_printf("bpfrefs_unexplained_references %u\n", rest + 3);

	world_scan(world);
	check(world, "bpfrefs_unexplained_c", of_constant);
	check(world, "bpfrefs_unexplained_r", of_rest);
}

/* What is unexplained of the kernel's BTFs from the first scan on, and what came later. */
static void test_constant(void)
{
	struct world world;

	metrics_init(&world);
	/* metrics_init() has scanned already: to begin with there was nothing. */
	world.fake.vmlinux = 5;
	check_unexplained(&world, 0, 5);
	/* As if the next scan were the first one. */
	g_clear_pointer(&world.fs.ctx->constant, g_hash_table_unref);
	check_unexplained(&world, 5, 0);
	world.fake.vmlinux = 7;
	check_unexplained(&world, 5, 2);
	world.fake.vmlinux = 4;
	check_unexplained(&world, 4, 0);
	world.fake.vmlinux = 5;
	check_unexplained(&world, 4, 1);
	/* Of a module that was loaded since nothing was there before. */
	world.fake.module = 2;
	check_unexplained(&world, 4, 3);
	metrics_clear(&world);
}

static void test_gaps(void)
{
	struct world world;

	metrics_init(&world);
	world.fake.gaps = world.fake.changing = true;
	world_scan(&world);
	check(&world, "bpfrefs_gaps{class=\"fd\"", "bpfrefs_gaps{class=\"fd\"} 3\n");
	check(&world, "bpfrefs_gaps{class=\"pin\"", "bpfrefs_gaps{class=\"pin\"} 1\n");
	check(&world, "bpfrefs_gaps{class=\"map\"", "bpfrefs_gaps{class=\"map\"} 1\n");
	check(&world, "bpfrefs_gaps{class=\"prog\"", "bpfrefs_gaps{class=\"prog\"} 0\n");
	check(&world, "bpfrefs_gaps{class=\"refcnt\"", "bpfrefs_gaps{class=\"refcnt\"} 2\n");
	/* Partial is a lower bound, unavailable no number at all. */
	check(&world, "bpfrefs_references{class=\"fd\"", "bpfrefs_references{class=\"fd\"} 2\n");
	check(&world, "bpfrefs_references{class=\"pin\"",
	      "bpfrefs_references{class=\"pin\"} NaN\n");
	check(&world, "# fd: ", "# fd: partial: 3 processes: Permission denied\n");
	for (guint i = 0; i < world.snap->objects->len; i++)
		((struct bpfrefs_object *)world.snap->objects->pdata[i])->refcnt = BPFREFS_UNKNOWN;
	check(&world, "bpfrefs_unexplained_r", "bpfrefs_unexplained_references NaN\n");
	check(&world, "bpfrefs_gaps{class=\"refcnt\"", "bpfrefs_gaps{class=\"refcnt\"} 6\n");
	metrics_clear(&world);
}

static void test_ourselves(void)
{
	struct world world;
	g_autofree char *build = NULL;

	metrics_init(&world);
	world.snap->stats.took_ns = 2000345678u;
	check(&world, "bpfrefs_scan", "bpfrefs_scan_seconds 2.000345678\n");
	check(&world, "bpfrefs_keeps",
	      "bpfrefs_keeps{mode=\"fd\"} 0\n"
	      "bpfrefs_keeps{mode=\"pin\"} 0\n"
	      "bpfrefs_keeps{mode=\"auto\"} 0\n");
	build = g_strdup_printf("bpfrefs_build_info{version=\"%s\"} 1\n", bpfrefs_version());
	check(&world, "bpfrefs_build", build);
	metrics_clear(&world);
}

/* Each family is told once, by HELP and TYPE, before its samples. */
static void test_families(void)
{
	struct world world;

	metrics_init(&world);
	check(&world, "# TYPE ",
	      "# TYPE bpfrefs_objects gauge\n"
	      "# TYPE bpfrefs_references gauge\n"
	      "# TYPE bpfrefs_unexplained_references gauge\n"
	      "# TYPE bpfrefs_unexplained_constant_references gauge\n"
	      "# TYPE bpfrefs_gaps gauge\n"
	      "# TYPE bpfrefs_scan_seconds gauge\n"
	      "# TYPE bpfrefs_keeps gauge\n"
	      "# TYPE bpfrefs_build_info gauge\n");
	metrics_clear(&world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/metrics/objects", test_objects);
	g_test_add_func("/metrics/escapes", test_escapes);
	g_test_add_func("/metrics/references", test_references);
	g_test_add_func("/metrics/constant", test_constant);
	g_test_add_func("/metrics/gaps", test_gaps);
	g_test_add_func("/metrics/ourselves", test_ourselves);
	g_test_add_func("/metrics/families", test_families);
	return g_test_run();
}

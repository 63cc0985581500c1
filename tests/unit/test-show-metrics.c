/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exact metrics, and their escapes. */
#include <fcntl.h>

#include "fixture.h"
#include "render/show.h"

static void metrics_init(struct fake *fake)
{
	fake_init_scanned(fake);
	fake->fs.source_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(bpfrefs_keeper_open(fake->fs.ctx, fake->fs.source_fd, &fake->fs.keeper), ==,
			0);
}

static void metrics_clear(struct fake *fake)
{
	bpfrefs_keeper_close(fake->fs.keeper);
	close(fake->fs.source_fd);
	fake_clear(fake);
}

#define TEST_METRICS(name) TEST_WITH(struct fake, fake, metrics_init, metrics_clear, name)

/* Returns the lines that begin with @prefix: the samples of a family, or comments. */
static char *lines_of(struct fake *fake, const char *prefix)
{
	g_autofree char *text = shown(fake, fake_map, FAKE_PID, show_metrics);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *found = g_string_new(NULL);

	for (char **line = lines; *line; line++)
		if (g_str_has_prefix(*line, prefix))
			g_string_append_printf(found, "%s\n", *line);
	return g_string_free(found, FALSE);
}

#define check(fake, prefix, text)                                \
	do {                                                     \
		g_autofree char *found = lines_of(fake, prefix); \
		g_assert_cmpstr(found, ==, text);                \
	} while (0)

#define GROUP(kind, type, held, cleared)                                                       \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"held\"} " held "\n"       \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"at-risk\"} 0\n"           \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"cleared\"} " cleared "\n" \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"unrooted\"} 0\n"          \
	"bpfrefs_objects{kind=\"" kind "\",type=\"" type "\",state=\"unknown\"} 0\n"

TEST_METRICS(objects)
{
	fake_object(fake, fake_tail)->state = BPFREFS_STATE_CLEARED;
	check(fake, "bpfrefs_objects",
	      GROUP("map", "hash", "1", "0") GROUP("map", "prog_array", "1", "0")
		      GROUP("prog", "xdp", "1", "1") GROUP("link", "xdp", "1", "0")
			      GROUP("btf", "btf", "1", "0"));
}

TEST_METRICS(memlock)
{
	fake->memlock = 100;
	/* A program array is not opened: a scan computes it. */
	fake_object(fake, fake_map)->memlock = 1200;
	check(fake, "bpfrefs_memlock_bytes",
	      "bpfrefs_memlock_bytes{kind=\"map\",type=\"hash\"} 1300\n"
	      "bpfrefs_memlock_bytes{kind=\"map\",type=\"prog_array\"} 1200\n"
	      "bpfrefs_memlock_bytes{kind=\"prog\",type=\"xdp\"} NaN\n"
	      "bpfrefs_memlock_bytes{kind=\"link\",type=\"xdp\"} 0\n"
	      "bpfrefs_memlock_bytes{kind=\"btf\",type=\"btf\"} 0\n");
}

TEST_METRICS(escapes)
{
	fake_object(fake, fake_plain)->type = "a\\b\"c\nd\377";
	fake_object(fake, fake_map)->type = NULL;
	check(fake, "bpfrefs_objects{kind=\"map\"",
	      GROUP("map", "?", "1", "0") GROUP("map", "a\\\\b\\\"c\\nd\357\277\275", "1", "0"));
}

TEST_METRICS(references)
{
	check(fake, "bpfrefs_references{class=\"fd\"", "bpfrefs_references{class=\"fd\"} 2\n");
	check(fake, "bpfrefs_references{class=\"pin\"", "bpfrefs_references{class=\"pin\"} 3\n");
	check(fake, "bpfrefs_references{class=\"map\"", "bpfrefs_references{class=\"map\"} 2\n");
	check(fake, "bpfrefs_references{class=\"xdp\"", "bpfrefs_references{class=\"xdp\"} 0\n");
	/* prog/6 has two and btf/1 has one; the counters of map/13 are unknown. */
	check(fake, "bpfrefs_unexplained_r", "bpfrefs_unexplained_references 3\n");
	check(fake, "bpfrefs_unexplained_c", "bpfrefs_unexplained_constant_references 0\n");
	check(fake, "bpfrefs_gaps{class=\"refcnt\"", "bpfrefs_gaps{class=\"refcnt\"} 1\n");
	check(fake, "bpfrefs_gaps{class=\"pin\"", "bpfrefs_gaps{class=\"pin\"} 0\n");
}

static void check_unexplained(struct fake *fake, unsigned int constant, unsigned int rest)
{
	g_autofree char *of_constant =
		g_strdup_printf("bpfrefs_unexplained_constant_references %u\n", constant);
	/* prog/6 and btf/1 have 3. */
	g_autofree char *of_rest = g_strdup_printf("bpfrefs_unexplained_references %u\n", rest + 3);

	fake_scan(fake);
	check(fake, "bpfrefs_unexplained_c", of_constant);
	check(fake, "bpfrefs_unexplained_r", of_rest);
}

/*
 * The references to the kernel's BTF objects that were unexplained in the first scan are
 * constant; later ones are not.
 */
TEST_METRICS(constant)
{
	/* metrics_init() has scanned already, when there were none. */
	fake->vmlinux = 5;
	check_unexplained(fake, 0, 5);
	/* As if the next scan were the first one. */
	g_clear_pointer(&fake->fs.ctx->constant, g_hash_table_unref);
	check_unexplained(fake, 5, 0);
	fake->vmlinux = 7;
	check_unexplained(fake, 5, 2);
	fake->vmlinux = 4;
	check_unexplained(fake, 4, 0);
	fake->vmlinux = 5;
	check_unexplained(fake, 4, 1);
	/* A module was loaded, which had none before. */
	fake->module = 2;
	check_unexplained(fake, 4, 3);
}

TEST_METRICS(gaps)
{
	fake->gaps = fake->changing = true;
	fake_scan(fake);
	check(fake, "bpfrefs_gaps{class=\"fd\"", "bpfrefs_gaps{class=\"fd\"} 3\n");
	check(fake, "bpfrefs_gaps{class=\"pin\"", "bpfrefs_gaps{class=\"pin\"} 1\n");
	check(fake, "bpfrefs_gaps{class=\"map\"", "bpfrefs_gaps{class=\"map\"} 1\n");
	check(fake, "bpfrefs_gaps{class=\"prog\"", "bpfrefs_gaps{class=\"prog\"} 0\n");
	check(fake, "bpfrefs_gaps{class=\"refcnt\"", "bpfrefs_gaps{class=\"refcnt\"} 2\n");
	/* A partial class has a lower bound, and an unavailable class has no number. */
	check(fake, "bpfrefs_references{class=\"fd\"", "bpfrefs_references{class=\"fd\"} 2\n");
	check(fake, "bpfrefs_references{class=\"pin\"", "bpfrefs_references{class=\"pin\"} NaN\n");
	check(fake, "# fd: ", "# fd: partial: 3 processes: Permission denied\n");
	for (guint i = 0; i < fake->snap->objects->len; i++)
		((struct bpfrefs_object *)fake->snap->objects->pdata[i])->refcnt = BPFREFS_UNKNOWN;
	check(fake, "bpfrefs_unexplained_r", "bpfrefs_unexplained_references NaN\n");
	check(fake, "bpfrefs_gaps{class=\"refcnt\"", "bpfrefs_gaps{class=\"refcnt\"} 6\n");
}

TEST_METRICS(ourselves)
{
	g_autofree char *build = NULL;

	fake->snap->stats.took_ns = 2000345678u;
	check(fake, "bpfrefs_scan", "bpfrefs_scan_seconds 2.000345678\n");
	check(fake, "bpfrefs_self_objects", "bpfrefs_self_objects 0\n");
	check(fake, "bpfrefs_keeps",
	      "bpfrefs_keeps{mode=\"fd\"} 0\n"
	      "bpfrefs_keeps{mode=\"pin\"} 0\n"
	      "bpfrefs_keeps{mode=\"auto\"} 0\n");
	build = g_strdup_printf("bpfrefs_build_info{version=\"%s\"} 1\n", bpfrefs_version());
	check(fake, "bpfrefs_build", build);
}

/* Each family is described once, by HELP and TYPE, before its samples. */
TEST_METRICS(families)
{
	check(fake, "# TYPE ",
	      "# TYPE bpfrefs_objects gauge\n"
	      "# TYPE bpfrefs_memlock_bytes gauge\n"
	      "# TYPE bpfrefs_unused_objects gauge\n"
	      "# TYPE bpfrefs_references gauge\n"
	      "# TYPE bpfrefs_unexplained_references gauge\n"
	      "# TYPE bpfrefs_unexplained_constant_references gauge\n"
	      "# TYPE bpfrefs_gaps gauge\n"
	      "# TYPE bpfrefs_scan_seconds gauge\n"
	      "# TYPE bpfrefs_self_objects gauge\n"
	      "# TYPE bpfrefs_keeps gauge\n"
	      "# TYPE bpfrefs_build_info gauge\n");
}

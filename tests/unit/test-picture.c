/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures: what is shown of the graph, what is drawn as one, and labels of any bytes. */
#include "fixture.h"

static int append(const char *text, size_t length, void *out)
{
	g_string_append_len(out, text, (gssize)length);
	return 0;
}

static int refuse(const char *text, size_t length, void *data)
{
	(void)text;
	(void)length;
	(void)data;
	return -EIO;
}

static GString *drawn(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key)
{
	GString *out = g_string_new(NULL);
	int err = key.kind == BPFREFS_KIND_NONE ? bpfrefs_snapshot_to_dot(snap, false, append, out)
						: bpfrefs_object_to_dot(snap, key, append, out);

	g_assert_cmpint(err, ==, 0);
	return out;
}

static GString *drawn_pids(const struct bpfrefs_snapshot *snap, const uint32_t *pids, size_t count)
{
	GString *out = g_string_new(NULL);

	g_assert_cmpint(bpfrefs_processes_to_dot(snap, pids, count, append, out), ==, 0);
	return out;
}

/* The names of the nodes, and the arrows with their labels, a blank after each. */
static char *outline(const GString *dot)
{
	g_auto(GStrv) lines = g_strsplit(dot->str, "\n", 0);
	g_autoptr(GString) out = g_string_new(NULL);

	for (char **line = lines; *line; line++) {
		const char *name = g_str_has_prefix(*line, "\t\"") ? *line + 2 : NULL;
		const char *arrow = strstr(*line, "\" -> \"");
		const char *label = strstr(*line, " [label=\"");

		if (!name || !label)
			continue;
		g_string_append_len(out, name, strchr(name, '"') - name);
		if (arrow) {
			arrow += strlen("\" -> \"");
			label += strlen(" [label=\"");
			g_string_append_c(out, '>');
			g_string_append_len(out, arrow, strchr(arrow, '"') - arrow);
			g_string_append_printf(out, "(%.*s)", (int)strcspn(label, "\""), label);
		}
		g_string_append_c(out, ' ');
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

static void outline_is(GString *dot, const char *expected)
{
	g_autofree char *text = outline(dot);

	g_assert_cmpstr(text, ==, expected);
	g_string_free(dot, TRUE);
}

static void has(const GString *dot, const char *part)
{
	if (!strstr(dot->str, part))
		g_error("no \"%s\" in\n%s", part, dot->str);
}

/*
 * What leads to an object is shown whole, what it holds one step far. What else holds that is a
 * number, and what is held by neither is not shown.
 */
TEST_GRAPH(object)
{
	g_autoptr(GString) dot = NULL;

	array(scan, 1);
	object(scan, map(2), "hash", false);
	object(scan, map(3), "hash", false);
	for (uint32_t id = 11; id <= 13; id++)
		program(scan, id);
	fd(scan, map(1), 77);
	fd(scan, map(3), 77);
	pin(scan, prog(11), 100);
	uses(scan, 11, 1);
	slot(scan, 1, 4, 12);
	uses(scan, 12, 2);
	fd(scan, prog(12), 78);
	fd(scan, prog(13), 79);
	snap = freeze(scan);
	outline_is(drawn(snap, map(1)),
		   "map/1 prog/11 prog/12 pid/77 root/7 map/1>prog/12(slot 4) "
		   "prog/11>map/1(used_maps) pid/77>map/1(fd) root/7>prog/11() ");
	dot = drawn(snap, map(1));
	has(dot, "\"prog/12\" [label=\"prog/12\\nxdp\\n1 other reference\"");
	has(dot, " penwidth=4");
	outline_is(drawn(snap, map(2)),
		   "map/1 map/2 prog/11 prog/12 pid/77 root/7 pid/78 map/1>prog/12(slot 4) "
		   "prog/11>map/1(used_maps) prog/12>map/2(used_maps) pid/77>map/1(fd) "
		   "root/7>prog/11() pid/78>prog/12(fd) ");
	g_assert_cmpint(bpfrefs_object_to_dot(snap, map(9), append, dot), ==, -ENOENT);
	g_assert_cmpint(bpfrefs_object_to_dot(snap, map(1), refuse, NULL), ==, -EIO);
}

/* What a process holds, directly and through objects. */
TEST_GRAPH(processes)
{
	const uint32_t pids[] = { 77, 78, 99 };
	g_autoptr(GString) dot = g_string_new(NULL);

	array(scan, 1);
	program(scan, 11);
	program(scan, 12);
	fd(scan, map(1), 77);
	slot(scan, 1, 0, 11);
	fd(scan, prog(11), 78);
	fd(scan, prog(12), 79);
	snap = freeze(scan);
	outline_is(drawn_pids(snap, pids, 1),
		   "map/1 prog/11 pid/77 map/1>prog/11(slot 0) pid/77>map/1(fd) ");
	outline_is(drawn_pids(snap, pids, 3),
		   "map/1 prog/11 pid/77 pid/78 map/1>prog/11(slot 0) pid/77>map/1(fd) "
		   "pid/78>prog/11(fd) ");
	g_assert_cmpint(bpfrefs_processes_to_dot(snap, pids + 2, 1, append, dot), ==, -ENOENT);
}

/* Of a thousand maps that a process holds, one other is found. */
TEST_GRAPH(same_neighbors)
{
	g_autoptr(GString) dot = NULL;

	for (uint32_t id = 1; id <= 1000; id++) {
		object(scan, map(id), "hash", false);
		fd(scan, map(id), 77);
	}
	program(scan, 11);
	fd(scan, prog(11), 77);
	uses(scan, 11, 500);
	snap = freeze(scan);
	dot = drawn(snap, nobody);
	has(dot, "label=\"Folded to fit a page: 1002 nodes are drawn as 4.\\l");
	has(dot, "\"map/1\" [label=\"999 maps\\nmap/1 \xe2\x80\xa6 map/1000\\nhash\"");
	outline_is(g_steal_pointer(&dot), "map/1 map/500 prog/11 pid/77 prog/11>map/500(used_maps) "
					  "pid/77>map/1(fd \xc3\x97"
					  "999) pid/77>map/500(fd) pid/77>prog/11(fd) ");
	/* The picture of one is about that one. */
	outline_is(drawn(snap, map(7)), "map/7 pid/77 pid/77>map/7(fd) ");
}

/* A hundred loaders that do the same, of which one has lost its array. */
TEST_GRAPH(alike)
{
	g_autoptr(GString) dot = NULL;

	for (uint32_t id = 1; id <= 100; id++) {
		array(scan, id);
		program(scan, 1000 + id);
		program(scan, 2000 + id);
		if (id != 50)
			fd(scan, map(id), 7000 + id);
		else
			program(scan, 3000);
		fd(scan, prog(1000 + id), 7000 + id);
		uses(scan, 1000 + id, id);
		if (id != 50)
			slot(scan, id, 0, 2000 + id);
		fd(scan, prog(2000 + id), 7000 + id);
	}
	fd(scan, prog(3000), 1);
	snap = freeze(scan);
	dot = drawn(snap, nobody);
	has(dot, "with neighbors that are alike");
	has(dot, "[label=\"99 maps\\nmap/1 \xe2\x80\xa6 map/100\\n");
	has(dot, "\"map/50\" [label=\"map/50\\n");
	has(dot, "\\ncleared\" ");
	g_assert_cmpuint(strlen(dot->str), <, 4000);
}

/* ---------------------------------------------------------------- bytes --- */

/* The grammar of dot(1): outside of strings there is nothing that a name could have brought. */
static void is_well_formed(const GString *dot)
{
	const char *c = dot->str;
	bool string = false;

	g_assert_true(g_utf8_validate(dot->str, (gssize)dot->len, NULL));
	for (; *c; c++) {
		if (string && *c == '\\') {
			/* A quote or a backslash that is meant, or a line's end. */
			c++;
			g_assert_nonnull(strchr("\"\\nl", *c));
		} else if (string && *c == '&') {
			g_assert_true(g_str_has_prefix(c, "&amp;"));
		} else if (*c == '"') {
			string = !string;
		} else if (string) {
			g_assert_true((unsigned char)*c >= 0x20);
		} else {
			g_assert_true(g_ascii_isalnum(*c) || strchr(" \t\n[]{}=;->.", *c));
		}
	}
	g_assert_false(string);
}

/* A name of random bytes, or of those that mean something in DOT, HTML and terminals. */
static char *odd_name(void)
{
	static const char bytes[] = "\"\\<>&;\n\r\t{}|[]#%'`$ \x1b\x7f\x80\xff\xc3nlrNGLTH0";
	unsigned int length = (unsigned int)g_test_rand_int_range(1, 80);
	char *name = g_malloc0(length + 1);

	for (unsigned int i = 0; i < length; i++)
		name[i] = g_test_rand_bit() ? bytes[g_test_rand_int_range(0, sizeof(bytes) - 1)]
					    : (char)g_test_rand_int_range(1, 256);
	return name;
}

static void add_odd(struct scan *scan, uint32_t id)
{
	g_autofree char *name = odd_name(), *comm = odd_name(), *path = odd_name();

	object(scan, map(id), "hash", false)->name = scan_str(scan, name);
	open_fd(scan, map(id), 7000 + id, comm, 3, id);
	set(scan, pin(scan, map(id), 100 + id), "path", path, 0);
}

TEST_GRAPH(names_of_any_bytes)
{
	g_autoptr(GString) dot = NULL;

	for (uint32_t id = 1; id <= 200; id++)
		add_odd(scan, id);
	snap = freeze(scan);
	dot = drawn(snap, nobody);
	is_well_formed(dot);
	for (uint32_t id = 1; id <= 200; id++) {
		g_autoptr(GString) one = drawn(snap, map(id));
		const uint32_t pid = 7000 + id;
		g_autoptr(GString) process = drawn_pids(snap, &pid, 1);

		is_well_formed(one);
		is_well_formed(process);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exact text of roots, retains, at-risk, JSON and DOT. */
#include <json-glib/json-glib.h>
#include <linux/bpf.h>

#include "fixture.h"
#include "render/show.h"

#define GAPS                                              \
	"# fd: partial: 3 processes: Permission denied\n" \
	"# pin: unavailable: no bpffs here\n"             \
	"# map: partial: one never knows\n"

/* --------------------------------------------------------------- lines --- */

/*
 * Each process and each pin is a root of its own. The program of link/7 only uses the array,
 * which does not lead to the slots of the array.
 */
TEST_SCANNED(roots)
{
	check_shown(
		fake, fake_tail, 0, show_roots,
		"map/12 fd ref=1 user=1 file=1 pid=4194303 comm=the\\040loader fd=9 "
		"ways=2 chain=map/12,prog/6\n"
		"map/12 pin ref=1 user=1 path=/sys/fs/bpf/app/conns ino=77 chain=map/12,prog/6\n"
		"map/12 pin ref=1 user=1 path=/sys/fs/bpf/other/x ino=78 chain=map/12,prog/6\n");
	check_shown(fake, fake_link, 0, show_roots,
		    "link/7 fd ref=1 user=0 file=2 pid=4194302 comm=the\\040loader fd=3 "
		    "chain=link/7\n");
	check_shown(fake, fake_btf, 0, show_roots, "");
	fake->gaps = true;
	fake_scan(fake);
	check_shown(fake, fake_btf, 0, show_roots, GAPS);
}

TEST_SCANNED(retains)
{
	check_shown(fake, fake_map, FAKE_PID, show_retains, "");
	check_shown(fake, fake_map, FAKE_PID2, show_retains,
		    "link/7 name=? effect=freed memlock=0\n");
	fake_object(fake, fake_link)->memlock = 4096;
	check_shown(fake, fake_map, FAKE_PID2, show_retains,
		    "link/7 name=? effect=freed memlock=4096\n");
	fake->gaps = true;
	fake_scan(fake);
	check_shown(fake, fake_map, FAKE_PID, show_retains, GAPS);
}

/* Program arrays come first, whatever their id. */
TEST_SCANNED(at_risk)
{
	check_shown(fake, fake_map, 0, show_at_risk, "");
	fake_object(fake, fake_map)->type = "sockmap";
	fake_object(fake, fake_map)->type_number = BPF_MAP_TYPE_SOCKMAP;
	fake_object(fake, fake_map)->state = BPFREFS_STATE_AT_RISK;
	fake_object(fake, fake_plain)->type = "prog_array";
	fake_object(fake, fake_plain)->type_number = BPF_MAP_TYPE_PROG_ARRAY;
	fake_object(fake, fake_plain)->state = BPFREFS_STATE_CLEARED;
	fake_object(fake, fake_tail)->state = BPFREFS_STATE_UNROOTED;
	check_shown(fake, fake_map, 0, show_at_risk,
		    "map/13 name=a\\040b\\134c\\012\\377 type=prog_array refcnt=? usercnt=? "
		    "unexplained=? "
		    "pins=1 memlock=? state=cleared because=it is so\n"
		    "map/12 name=conns type=sockmap refcnt=4 usercnt=3 unexplained=0 pins=2 "
		    "memlock=? state=at-risk because=it is so\n");
}

TEST_SCANNED(removed)
{
	static const show_fn shows[] = { show_roots, show_retains, show_json };

	check_removed(fake, shows, G_N_ELEMENTS(shows));
}

/* ---------------------------------------------------------------- JSON --- */

/* Removes the layout, so that only the content is compared. */
static char *compact(const char *text)
{
	g_autoptr(JsonNode) node = json_from_string(text, NULL);

	g_assert_nonnull(node);
	return json_to_string(node, FALSE);
}

TEST_SCANNED(json)
{
	g_autofree char *text = NULL, *short_text = NULL;

	text = shown(fake, fake_entry, 0, show_json);
	g_assert_true(g_str_has_prefix(text, "{\n \"object\" : \"prog/5\",\n"));
	g_assert_true(g_str_has_suffix(text, "\n}\n"));
	short_text = compact(text);
	g_assert_cmpstr(
		short_text, ==,
		"{\"object\":\"prog/5\",\"kind\":\"prog\",\"id\":5,\"name\":\"entry\","
		"\"type\":\"xdp\",\"refcnt\":2,\"explained\":2,\"unexplained\":0,"
		"\"changing\":false,\"pins\":0,\"memlock\":null,\"state\":\"held\",\"because\":"
		"\"it is so\","
		"\"info\":{\"kind\":\"prog\",\"id\":5,\"name\":\"plain\"},"
		"\"holders\":[{\"object\":\"prog/5\",\"class\":\"map\",\"ref\":1,\"user\":0,"
		"\"id\":12,\"name\":\"conns\",\"via\":\"slot\",\"slot\":2},"
		"{\"object\":\"prog/5\",\"class\":\"link\",\"ref\":1,\"user\":0,"
		"\"id\":7,\"name\":null,\"via\":\"prog\"}],"
		"\"holding\":[{\"object\":\"map/12\",\"class\":\"prog\",\"ref\":1,\"user\":0,"
		"\"id\":5,\"name\":\"entry\",\"via\":\"used_maps\"}],"
		"\"roots\":[{\"object\":\"map/12\",\"class\":\"fd\",\"ref\":1,\"user\":1,"
		"\"file\":1,\"pid\":4194303,\"comm\":\"the loader\",\"fd\":9,"
		"\"ways\":2,\"chain\":[\"map/12\",\"prog/5\"]},"
		"{\"object\":\"map/12\",\"class\":\"pin\",\"ref\":1,\"user\":1,"
		"\"path\":\"/sys/fs/bpf/app/conns\",\"ino\":77,"
		"\"chain\":[\"map/12\",\"prog/5\"]},"
		"{\"object\":\"map/12\",\"class\":\"pin\",\"ref\":1,\"user\":1,"
		"\"path\":\"/sys/fs/bpf/other/x\",\"ino\":78,"
		"\"chain\":[\"map/12\",\"prog/5\"]},"
		"{\"object\":\"link/7\",\"class\":\"fd\",\"ref\":1,\"user\":0,"
		"\"file\":2,\"pid\":4194302,\"comm\":\"the loader\",\"fd\":3,"
		"\"chain\":[\"link/7\",\"prog/5\"]}],"
		"\"gaps\":[]}");
}

/* What is unknown is null, bytes that are not UTF-8 are replaced, and too many references are a negative number. */
TEST_SCANNED(json_unknown)
{
	g_autofree char *text = NULL, *short_text = NULL, *tail = NULL, *short_tail = NULL;

	text = shown(fake, fake_plain, 0, show_json);
	short_text = compact(text);
	g_assert_nonnull(strstr(short_text,
				"\"name\":\"a b\\\\c\\n\xef\xbf\xbd\",\"type\":\"hash\","
				"\"refcnt\":null,\"explained\":1,\"unexplained\":null,"
				"\"usercnt\":null,\"user_explained\":1,"
				"\"user_unexplained\":null,\"changing\":false,"
				"\"pins\":1,\"memlock\":null,"));
	fake_object(fake, fake_tail)->refcnt = 0;
	tail = shown(fake, fake_tail, 0, show_json);
	short_tail = compact(tail);
	g_assert_nonnull(strstr(short_tail, "\"refcnt\":0,\"explained\":1,\"unexplained\":-1,"));
}

/* A number that is larger than the integers of JSON parsers. */
TEST_SCANNED(json_large)
{
	g_autofree char *text = NULL;

	fake_object(fake, fake_tail)->refcnt = UINT64_MAX - 1;
	text = shown(fake, fake_tail, 0, show_json);
	g_assert_nonnull(strstr(text, "\"refcnt\" : \"18446744073709551614\","));
}

TEST_SCANNED(json_all)
{
	g_autofree char *text = NULL, *gaps = NULL;
	g_autoptr(JsonNode) node = NULL;
	JsonObject *root;

	fake->gaps = true;
	fake_scan(fake);
	text = shown(fake, fake_map, 0, show_all_json);
	node = json_from_string(text, NULL);
	g_assert_nonnull(node);
	root = json_node_get_object(node);
	g_assert_cmpstr(json_object_get_string_member(root, "version"), ==, bpfrefs_version());
	g_assert_cmpuint(json_array_get_length(json_object_get_array_member(root, "objects")), ==,
			 6);
	g_assert_cmpuint(json_array_get_length(json_object_get_array_member(root, "holders")), ==,
			 10);
	g_assert_cmpuint(json_array_get_length(json_object_get_array_member(root, "processes")), ==,
			 2);
	gaps = json_to_string(json_object_get_member(root, "gaps"), FALSE);
	g_assert_cmpstr(gaps, ==,
			"[{\"class\":\"fd\",\"coverage\":\"partial\",\"count\":3,"
			"\"what\":\"processes\",\"error\":\"Permission denied\"},"
			"{\"class\":\"pin\",\"coverage\":\"unavailable\","
			"\"what\":\"no bpffs here\",\"error\":null},"
			"{\"class\":\"map\",\"coverage\":\"partial\",\"count\":null,"
			"\"what\":\"one never knows\",\"error\":null}]");
}

/* ----------------------------------------------------------------- DOT --- */

#define HEAD                                                                   \
	"digraph bpfrefs {\n\trankdir=LR;\n\tranksep=0.6;\n\tnodesep=0.15;\n"  \
	"\tnode [style=filled fontname=\"sans-serif\" fontsize=10 height=0.3 " \
	"margin=\"0.08,0.07\"];\n"                                             \
	"\tedge [fontname=\"sans-serif\" fontsize=9 color=\"#666666\"];\n"

TEST_SCANNED(dot)
{
	fake->gaps = true;
	fake_scan(fake);
	fake_object(fake, fake_map)->state = BPFREFS_STATE_AT_RISK;
	fake_object(fake, fake_btf)->state = BPFREFS_STATE_UNKNOWN;
	fake_object(fake, fake_link)->because = "a \"quoted\" \\ word";
	check_shown(
		fake, fake_map, 0, show_dot,
		HEAD
		"\t\"map/12\" [label=\"map/12\\nconns\\nprog_array\\nat-risk\" shape=cylinder "
		"fillcolor=\"#cfe2f3\" color=\"#cc0000\" fontcolor=\"#cc0000\" penwidth=3 "
		"tooltip=\"conns: it is so\"];\n"
		"\t\"map/13\" [label=\"map/13\\na b\\\\134c\\\\012\\\\377\\nhash\" shape=cylinder "
		"fillcolor=\"#cfe2f3\" tooltip=\"a b\\\\134c\\\\012\\\\377: it is so\"];\n"
		"\t\"prog/5\" [label=\"prog/5\\nentry\\nxdp\" shape=box fillcolor=\"#d9ead3\" "
		"tooltip=\"entry: it is so\"];\n"
		"\t\"prog/6\" [label=\"prog/6\\nxdp\\n2 unexplained references\" shape=box "
		"fillcolor=\"#d9ead3\" "
		"tooltip=\"it is so\"];\n"
		"\t\"link/7\" [label=\"link/7\\nxdp\" shape=cds margin=\"0.2,0.1\" "
		"fillcolor=\"#fff2cc\" tooltip=\"a \\\"quoted\\\" \\\\134 word\"];\n"
		"\t\"btf/1\" [label=\"btf/1\\nbtf\\nunknown\\n1 unexplained reference\" shape=note "
		"fillcolor=\"#eeeeee\" color=\"#7f7f7f\" style=\"filled,dashed\" "
		"tooltip=\"it is so\"];\n"
		"\t\"pid/4194303\" [label=\"pid 4194303\\nthe loader\" shape=ellipse "
		"fillcolor=\"#f4cccc\"];\n"
		"\t\"root/7\" [label=\"pin\\n/sys/fs/bpf/app/conns\" shape=house "
		"fillcolor=\"#ead1dc\" tooltip=\"/sys/fs/bpf/app/conns\"];\n"
		"\t\"root/8\" [label=\"pin\\n/sys/fs/bpf/other/x\" shape=house "
		"fillcolor=\"#ead1dc\" tooltip=\"/sys/fs/bpf/other/x\"];\n"
		"\t\"root/9\" [label=\"pin\\n/sys/fs/bpf/app/#odd name\" shape=house "
		"fillcolor=\"#ead1dc\" tooltip=\"/sys/fs/bpf/app/#odd name\"];\n"
		"\t\"pid/4194302\" [label=\"pid 4194302\\nthe loader\" shape=ellipse "
		"fillcolor=\"#f4cccc\"];\n"
		"\t\"map/12\" -> \"prog/5\" [label=\"slot 2\"];\n"
		"\t\"map/12\" -> \"prog/6\" [label=\"slot 10\"];\n"
		"\t\"prog/5\" -> \"map/12\" [label=\"used_maps\"];\n"
		"\t\"link/7\" -> \"prog/5\" [label=\"prog\"];\n"
		"\t\"pid/4194303\" -> \"map/12\" [label=\"fd \xc3\x97"
		"2\"];\n"
		"\t\"root/7\" -> \"map/12\" [label=\"\"];\n"
		"\t\"root/8\" -> \"map/12\" [label=\"\"];\n"
		"\t\"root/9\" -> \"map/13\" [label=\"\"];\n"
		"\t\"pid/4194302\" -> \"link/7\" [label=\"fd 3\"];\n"
		"}\n" GAPS);
}

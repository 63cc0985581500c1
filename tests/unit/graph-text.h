/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The roots of an object and what a process retains, as text to compare. */
#ifndef TEST_GRAPH_TEXT_H
#define TEST_GRAPH_TEXT_H

#include "world.h"

static int add_root(const struct bpfrefs_root *root, void *data)
{
	GString *text = data;
	char key[BPFREFS_KEY_MAX];

	g_string_append(text, bpfrefs_ref_class(root->ref)->name);
	if (bpfrefs_ref_pid(root->ref))
		g_string_append_printf(text, "(%u)", bpfrefs_ref_pid(root->ref));
	if (root->owner)
		g_string_append_printf(text, "[%s %u]", root->owner, root->pid);
	for (size_t i = 0; i < root->count; i++)
		g_string_append_printf(text, "%s%s", i ? "," : ":",
				       bpfrefs_key_format(root->chain[i], key));
	g_string_append_c(text, ' ');
	return 0;
}

static void roots_are(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key,
		      const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_cmpint(bpfrefs_snapshot_roots(snap, key, add_root, text), ==, 0);
	g_assert_cmpstr(text->str, ==, expected);
}

static int add_retained(const struct bpfrefs_object *object, enum bpfrefs_effect effect, void *data)
{
	char key[BPFREFS_KEY_MAX];

	g_string_append_printf(data, "%s:%s ", bpfrefs_key_format(object->key, key),
			       bpfrefs_effect_name(effect));
	return 0;
}

static void retained_is(const struct bpfrefs_snapshot *snap, uint32_t pid, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_cmpint(bpfrefs_retains(snap, pid, add_retained, text), ==, 0);
	g_assert_cmpstr(text->str, ==, expected);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares the names of UAPI values with the BTF of the running kernel. */
#include <bpf/btf.h>
#include <string.h>

#include "fixture.h"
#include "snapshot/private.h"

static const struct {
	enum bpfrefs_enum what;
	const char *type, *prefix;
} enums[] = {
	{ BPFREFS_ENUM_MAP_TYPE, "bpf_map_type", "BPF_MAP_TYPE_" },
	{ BPFREFS_ENUM_PROG_TYPE, "bpf_prog_type", "BPF_PROG_TYPE_" },
	{ BPFREFS_ENUM_LINK_TYPE, "bpf_link_type", "BPF_LINK_TYPE_" },
	{ BPFREFS_ENUM_ATTACH_TYPE, "bpf_attach_type", "BPF_" },
};

/* Whether @word is the kernel's name of a value, or one of its names if it has an older one too. */
static bool is_word_of(const struct btf *btf, const struct btf_type *type, const char *prefix,
		       uint32_t value, const char *word)
{
	const struct btf_enum *values = btf_enum(type);

	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		g_autofree char *name = NULL;

		if ((uint32_t)values[i].val != value)
			continue;
		name = g_ascii_strdown(
			btf__name_by_offset(btf, values[i].name_off) + strlen(prefix), -1);
		if (strcmp(name, word) == 0)
			return true;
	}
	return false;
}

static void check_enum(const struct btf *btf, size_t index)
{
	int id = btf__find_by_name_kind(btf, enums[index].type, BTF_KIND_ENUM);
	const struct btf_type *type;

	g_assert_cmpint(id, >, 0);
	type = btf__type_by_id(btf, (uint32_t)id);
	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		const char *name = btf__name_by_offset(btf, btf_enum(type)[i].name_off);
		uint32_t value = (uint32_t)btf_enum(type)[i].val;
		const char *word = bpfrefs_enum_name(enums[index].what, value);

		/* MAX_BPF_LINK_TYPE of 6.1 has no underscores, and is another type later */
		if (g_str_has_prefix(name, "__MAX_") || g_str_has_prefix(name, "MAX_"))
			continue;
		if (!word)
			g_error("%s %u has no word", name, value);
		if (!is_word_of(btf, type, enums[index].prefix, value, word))
			g_error("%s %u is called %s", name, value, word);
	}
}

TEST(kernel)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf) {
		g_test_skip("the running kernel has no BTF");
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(enums); i++)
		check_enum(btf, i);
	btf__free(btf);
}

TEST(words)
{
	g_assert_cmpstr(bpfrefs_enum_name(BPFREFS_ENUM_MAP_TYPE, 3), ==, "prog_array");
	g_assert_cmpstr(bpfrefs_enum_name(BPFREFS_ENUM_PROG_TYPE, 3), ==, "sched_cls");
	g_assert_cmpstr(bpfrefs_enum_name(BPFREFS_ENUM_LINK_TYPE, 11), ==, "tcx");
	g_assert_cmpstr(bpfrefs_enum_name(BPFREFS_ENUM_ATTACH_TYPE, 46), ==, "tcx_ingress");
	g_assert_cmpstr(bpfrefs_enum_name(BPFREFS_ENUM_ATTACH_TYPE, 0), ==, "cgroup_inet_ingress");
	g_assert_cmpstr(bpfrefs_enum_name(BPFREFS_ENUM_MAP_TYPE, 34), ==, "insn_array");
}

TEST(unknown)
{
	for (unsigned int i = 0; i < ENUM_COUNT; i++) {
		g_assert_null(bpfrefs_enum_name((enum bpfrefs_enum)i, 1000));
		g_assert_null(bpfrefs_enum_name((enum bpfrefs_enum)i, UINT32_MAX));
	}
	g_assert_null(bpfrefs_enum_name(ENUM_COUNT, 0));
}

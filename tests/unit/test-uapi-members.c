/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares the structures of uapi_info.h, member by member, with the BTF of the running kernel. */
#include <bpf/btf.h>
#include <string.h>

#include "fixture.h"
#include "uapi/uapi_info.h"
#include "uapi/uapi_members.h"

struct member {
	const char *type; /* the structure of the UAPI */
	const char *path; /* "perf_event.uprobe.offset" */
	size_t offset, size;
};

#define MEMBER(ours, uapi, member) \
	{ #uapi, #member, offsetof(struct ours, member), sizeof(((struct ours *)NULL)->member) },

/* clang-format off */
static const struct member members[] = { UAPI_MEMBERS(MEMBER) };
static const struct member newer[] = { RAW_NEWER_MEMBERS(MEMBER) };
/* clang-format on */

/* Returns the structure or union of that name, or NULL if this kernel has none. */
static const struct btf_type *composite(const struct btf *btf, uint32_t id)
{
	const struct btf_type *type;
	int resolved = btf__resolve_type(btf, id);

	type = resolved < 0 ? NULL : btf__type_by_id(btf, (uint32_t)resolved);
	return type && btf_is_composite(type) ? type : NULL;
}

/*
 * Returns the member of that name, which may be in an unnamed structure or union. Adds its offset
 * in bits.
 */
static const struct btf_member *find(const struct btf *btf, const struct btf_type *type,
				     const char *name, size_t len, uint32_t *bits)
{
	const struct btf_member *list = btf_members(type);

	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		const char *found = btf__name_by_offset(btf, list[i].name_off);
		const struct btf_type *inner = composite(btf, list[i].type);
		const struct btf_member *deeper = NULL;
		uint32_t at = *bits + btf_member_bit_offset(type, i);

		if (strlen(found) == len && strncmp(found, name, len) == 0) {
			*bits = at;
			return &list[i];
		}
		if (!*found && inner)
			deeper = find(btf, inner, name, len, &at);
		if (deeper) {
			*bits = at;
			return deeper;
		}
	}
	return NULL;
}

/* Returns false if this kernel has no such member. */
static bool check_member(const struct btf *btf, const struct member *member)
{
	int id = btf__find_by_name_kind(btf, member->type, BTF_KIND_STRUCT);
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(btf, (uint32_t)id);
	g_auto(GStrv) parts = g_strsplit(member->path, ".", -1);
	const struct btf_member *found = NULL;
	uint32_t bits = 0;

	for (char **part = parts; *part; part++) {
		found = type ? find(btf, type, *part, strlen(*part), &bits) : NULL;
		if (!found)
			return false;
		type = composite(btf, found->type);
	}
	if (bits != member->offset * 8 ||
	    btf__resolve_size(btf, found->type) != (int64_t)member->size)
		g_error("%s.%s is at %u, %d bytes; ours at %zu, %zu bytes", member->type,
			member->path, bits / 8, (int)btf__resolve_size(btf, found->type),
			member->offset, member->size);
	return true;
}

TEST(kernel)
{
	struct btf *btf = btf__load_vmlinux_btf();
	unsigned int absent = 0;

	if (!btf) {
		g_test_skip("the running kernel has no BTF");
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
		if (!check_member(btf, &members[i]))
			g_error("no member %s.%s", members[i].type, members[i].path);
	for (size_t i = 0; i < G_N_ELEMENTS(newer); i++)
		absent += !check_member(btf, &newer[i]);
	g_test_message("%u of %zu newer members are not in this kernel", absent,
		       G_N_ELEMENTS(newer));
	btf__free(btf);
}

/* Compares the values of the link types that have facts of their own. */
TEST(link_types)
{
	static const char *const words[UAPI_LINK_COUNT] = {
		[UAPI_LINK_RAW_TRACEPOINT] = "raw_tracepoint",
		[UAPI_LINK_TRACING] = "tracing",
		[UAPI_LINK_CGROUP] = "cgroup",
		[UAPI_LINK_ITER] = "iter",
		[UAPI_LINK_NETNS] = "netns",
		[UAPI_LINK_XDP] = "xdp",
		[UAPI_LINK_PERF_EVENT] = "perf_event",
		[UAPI_LINK_KPROBE_MULTI] = "kprobe_multi",
		[UAPI_LINK_STRUCT_OPS] = "struct_ops",
		[UAPI_LINK_NETFILTER] = "netfilter",
		[UAPI_LINK_TCX] = "tcx",
		[UAPI_LINK_UPROBE_MULTI] = "uprobe_multi",
		[UAPI_LINK_NETKIT] = "netkit",
		[UAPI_LINK_SOCKMAP] = "sockmap",
	};

	for (uint32_t i = 1; i < UAPI_LINK_COUNT; i++)
		g_assert_cmpstr(bpfrefs_enum_name(BPFREFS_ENUM_LINK_TYPE, i), ==, words[i]);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each holder class is whole (docs/design.md, "Adding a holder class"), and nothing has no class. */
#include "bpf/records.h"
#include "fixture.h"
#include "holders/class.h"
#include "snapshot/private.h"

/* Records that sources read themselves: about processes, bpffs, what keeps owners, and gaps. */
static const enum walk_type of_sources[] = {
	WALK_TASK,    WALK_NS,		WALK_SB,	WALK_MOUNT,    WALK_INODE,
	WALK_DENTRY,  WALK_PINNED_ITER, WALK_HOLD,	WALK_NS_MOUNT, WALK_GAP,
	WALK_MAPPING, WALK_MEMORY,	WALK_IN_CGROUP,
};

static void check_fields(const struct holder_class *class)
{
	unsigned int count = 0;

	while (class->pub.keys[count])
		count++;
	g_assert_cmpuint(count, >, 0);
	g_assert_cmpuint(count, <=, REF_FIELDS_MAX);
	g_assert_cmpuint(class->pub.place, <, count);
}

/* A class says what .bpf/attachments calls its references, or that they are no attachments. */
static void check_hook(const struct holder_class *class)
{
	unsigned int count = 0;

	while (class->pub.keys[count])
		count++;
	g_assert_true(class->no_hook == !class->hook);
	for (unsigned int i = 0; i < REF_FIELDS_MAX; i++)
		g_assert_true(!class->hook_words[i] || (class->hook && i < count));
	g_assert_true(!class->runs || class->hook);
	if (class->hook_shared)
		g_assert_cmpstr(class->pub.keys[0], ==, "share");
}

TEST(members)
{
	for (unsigned int i = 0; i < CLASS_COUNT; i++) {
		const struct holder_class *class = holder_classes[i];

		g_test_message("%s", class->pub.name);
		g_assert_cmpuint(class->id, ==, i);
		check_fields(class);
		g_assert_true(class->walk || class->derive || class->decoders[0].decode);
		g_assert_true(class->proc || class->proc_gap);
		g_assert_true(class->state || !class->end);
		g_assert_nonnull(class->removes);
		g_assert_true(class->non_fd || !class->iterate);
		check_hook(class);
	}
	g_assert_null(holder_classes[CLASS_COUNT]);
}

/* The number of classes that decode records of a type. */
static unsigned int decoders_of(unsigned int type)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < CLASS_COUNT; i++)
		for (unsigned int j = 0; j < HOLDER_DECODERS_MAX; j++)
			count += holder_classes[i]->decoders[j].decode &&
				 holder_classes[i]->decoders[j].type == type;
	return count;
}

TEST(records)
{
	for (unsigned int type = WALK_NO_TYPE + 1; type < WALK_TYPES; type++) {
		bool known = decoders_of(type) > 0;

		for (size_t i = 0; i < G_N_ELEMENTS(of_sources); i++)
			known |= type == of_sources[i];
		g_test_message("record %u", type);
		g_assert_true(known);
	}
}

TEST(gaps)
{
	for (unsigned int kind = 0; kind < WALK_GAP_COUNT; kind++) {
		unsigned int count = 0;

		for (unsigned int i = 0; i < CLASS_COUNT; i++)
			for (unsigned int j = 0; j < HOLDER_GAPS_MAX; j++)
				count += holder_classes[i]->gaps[j].what &&
					 holder_classes[i]->gaps[j].kind == kind;
		g_test_message("gap %u", kind);
		g_assert_cmpuint(count, ==, 1);
	}
}

TEST(vias)
{
	for (unsigned int via = 0; via < WALK_VIA_COUNT; via++) {
		g_test_message("via %u", via);
		g_assert_nonnull(ref_via_of(via)->word);
	}
	g_assert_null(ref_via_of(WALK_VIA_NONE)->word);
	g_assert_true(ref_via_of(UINT32_MAX) == ref_via_of(WALK_VIA_NONE));
}

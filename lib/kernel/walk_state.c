/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of one walk: prepared before the first record, and freed after the last. */
#include "kernel/bpf_source.h"
#include "kernel/nested_files.h"
#include "kernel/pin_tree.h"

void walk_state_begin(struct walk_state *state, const struct holder_class *const *classes)
{
	for (unsigned int i = 0; classes[i]; i++)
		for (unsigned int type = 0; type < WALK_TYPES; type++)
			if (classes[i]->takes & WALK_BIT(type))
				state->takers[type] |= (uint64_t)1 << i;
}

/* Frees also what classes would have freed themselves: after a failure they do not run any more. */
void walk_state_clear(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);

	if (state->non_fd_walked)
		scan->ctx->non_fd_nested = state->non_fd_nested;
	nested_files_free(scan);
	pin_tree_free(state->pins);
	g_clear_pointer(&state->metas, g_array_unref);
	g_clear_pointer(&state->slotted, g_array_unref);
	g_clear_pointer(&state->xsks, g_array_unref);
	g_clear_pointer(&state->carried, g_hash_table_unref);
	g_clear_pointer(&state->qdiscs, g_hash_table_unref);
	g_hash_table_unref(state->roots);
	g_clear_pointer(&state->holds.bytes, g_byte_array_unref);
	for (unsigned int i = 0; i < NON_FD_WALKS; i++)
		g_clear_pointer(&state->early[i].bytes, g_byte_array_unref);
	scan->source_data = NULL;
}

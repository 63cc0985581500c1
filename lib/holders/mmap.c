/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory mappings of maps. A mapping holds the open file (vm_file: get_file() in mmap_region()),
 * and with it a reference and a user of the map, even when the descriptor is closed. A process that
 * maps a file several times, or changes the protection of a part of a mapping, is shown once.
 */
#include "holders/holders.h"
#include "kernel/mappings.h"
#include "kernel/nested_files.h"

#define FIELDS(X) NESTED_FILE_FIELDS(X) X(MMAP_ADDR, "addr")
HOLDER_FIELDS(FIELDS);

/* The range as in /proc/PID/maps and /proc/PID/map_files. */
static void fill(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_held *held,
		 const struct nested_file *nested)
{
	char text[64];

	(void)nested;
	g_snprintf(text, sizeof(text), "%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x",
		   (guint64)held->at, (guint64)held->end);
	ref_set_str(scan, ref, MMAP_ADDR, text);
}

static void decode(struct scan *scan, const void *record)
{
	const struct walk_held *held = record;

	if (held->how == WALK_HOW_MMAP)
		nested_file_take(scan, held, fill);
}

static int walk(struct scan *scan)
{
	return dispatch_non_fd(scan, &holder_mmap);
}

const struct holder_class holder_mmap = {
	.pub = { HOLDER_PUB("mmap") },
	.id = CLASS_MMAP,
	.no_hook = true,
	.removes = removal_by_process,
	.process_says = "has it mapped",
	.non_fd = "walk_mappings",
	.iterate = mappings_walk,
	.walk = walk,
	.decoders = { DECODER(walk_held, decode) },
	.proc_gap = "procfs does not show which map a process has mapped",
};

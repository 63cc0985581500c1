/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory mappings of maps. A mapping holds the open file (vm_file: get_file() in mmap_region()),
 * and with it a reference and a user of the map, even when the descriptor is closed. A process that
 * maps a file several times, or changes the protection of a part of a mapping, is shown once.
 */
#include "holders/holders.h"
#include "kernel/nested_files.h"

enum { MMAP_ADDR = NESTED_FILE_MORE };

static const char *const keys[] = { "file", "pid", "comm", "addr", NULL };
static const char *const walks[] = { "walk_mappings", NULL };

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

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_held *held = walk_record(rec, walk_held);

	if (!held || held->how != WALK_HOW_MMAP)
		return false;
	nested_file_take(scan, held, fill);
	return true;
}

const struct holder_class holder_mmap = {
	.pub = { "mmap", keys },
	.id = CLASS_MMAP,
	.process_says = "has it mapped",
	.walks = walks,
	.takes = WALK_BIT(WALK_HELD),
	.decode = decode,
	.proc_gap = "procfs does not show which map a process has mapped",
};

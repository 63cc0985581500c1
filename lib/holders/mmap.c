/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory mappings of maps. A mapping holds the open file (vm_file: get_file() in mmap_region()),
 * and with it a reference and a user of the map, even when the descriptor is closed. A process that
 * maps a file several times, or changes the protection of a part of a mapping, is shown once.
 */
#include "holders/holders.h"
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

/*
 * walk_mappings reads every mapping of every process. walk_vmas, if the kernel supports it, reads
 * only those of processes that have changed since, or that had emitted something.
 */
static int iterate(struct scan *scan, walk_fn fn, void *data)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	struct walk_control *control = bpf_loader_control(walkers);
	int err;

	if (control->vmas != WALK_VMAS_UNABLE) {
		control->vmas_busy = 0;
		err = bpf_loader_iterate(walkers, "walk_vmas", fn, data);
		if (err || control->vmas != WALK_VMAS_ABLE)
			control->vmas = WALK_VMAS_UNABLE;
		else if (!control->vmas_busy)
			return 0;
	}
	return bpf_loader_iterate(walkers, "walk_mappings", fn, data);
}

static int walk(struct scan *scan)
{
	return dispatch_non_fd(scan, &holder_mmap);
}

const struct holder_class holder_mmap = {
	.pub = { "mmap", keys },
	.id = CLASS_MMAP,
	.process_says = "has it mapped",
	.non_fd = "walk_mappings",
	.iterate = iterate,
	.walk = walk,
	.decoders = { DECODER(walk_held, decode) },
	.proc_gap = "procfs does not show which map a process has mapped",
};

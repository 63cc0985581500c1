/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pending requests of the older asynchronous I/O (io_submit(2)): each keeps its open file
 * (__io_submit_one(): fget()). Of a BPF object's file only IOCB_CMD_POLL can be pending.
 */
#include "holders/holders.h"
#include "kernel/nested_files.h"

enum { AIO_REQUEST = NESTED_FILE_MORE };

static const char *const keys[] = { "file", "pid", "comm", "request", NULL };

/* The address of the struct iocb in the process, which io_cancel(2) takes. */
static void fill(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_held *held,
		 const struct nested_file *nested)
{
	char text[32];

	(void)nested;
	g_snprintf(text, sizeof(text), "%" G_GINT64_MODIFIER "x", (guint64)held->at);
	ref_set_str(scan, ref, AIO_REQUEST, text);
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_held *held = walk_record(rec, walk_held);
	const struct walk_gap *gap = walk_record(rec, walk_gap);

	if (gap && gap->kind == WALK_GAP_AIO) {
		scan_gap(scan, 1, "lists of requests that could not be followed", 0);
		return true;
	}
	if (!held || held->how != WALK_HOW_AIO)
		return false;
	nested_file_take(scan, held, fill);
	return true;
}

/* The file of a request may be a socket, so nested files are read afterwards. */
static int walk(struct scan *scan)
{
	return nested_files_walk(scan, "walk_aio");
}

const struct holder_class holder_aio = {
	.pub = { "aio", keys },
	.id = CLASS_AIO,
	.walk = walk,
	.takes = WALK_BIT(WALK_HELD) | WALK_BIT(WALK_GAP),
	.decode = decode,
	.proc_gap = "procfs does not show pending requests",
};

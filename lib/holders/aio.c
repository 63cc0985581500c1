/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pending requests of the older asynchronous I/O (io_submit(2)): each keeps its open file
 * (__io_submit_one(): fget()). Of a BPF object's file only IOCB_CMD_POLL can be pending.
 */
#include "holders/holders.h"
#include "kernel/nested_files.h"

#define FIELDS(X) NESTED_FILE_FIELDS(X) X(AIO_REQUEST, "request")
HOLDER_FIELDS(FIELDS);

/* The address of the struct iocb in the process, which io_cancel(2) takes. */
static void fill(struct scan *scan, struct bpfrefs_ref *ref, const struct walk_held *held,
		 const struct nested_file *nested)
{
	char text[32];

	(void)nested;
	g_snprintf(text, sizeof(text), "%" G_GINT64_MODIFIER "x", (guint64)held->at);
	ref_set_str(scan, ref, AIO_REQUEST, text);
}

static void decode(struct scan *scan, const void *record)
{
	const struct walk_held *held = record;

	if (held->how == WALK_HOW_AIO)
		nested_file_take(scan, held, fill);
}

/* The file of a request may be a socket, so nested files are read afterwards. */
static int walk(struct scan *scan)
{
	int err = dispatch_non_fd(scan, &holder_aio);

	return err ? err : nested_files_walk(scan);
}

const struct holder_class holder_aio = {
	.pub = { HOLDER_PUB("aio") },
	.id = CLASS_AIO,
	.no_hook = true,
	.removes = removal_by_process,
	.non_fd = "walk_aio",
	.walk = walk,
	.decoders = { DECODER(walk_held, decode) },
	.gaps = { { WALK_GAP_AIO, "lists of requests that could not be followed" } },
	.proc_gap = "procfs does not show pending requests",
};

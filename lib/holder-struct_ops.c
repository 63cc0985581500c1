/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kernel subsystem in which a struct_ops map is registered without a link: it holds the map, with
 * no process and no pin (bpf_struct_ops_map_update_elem()). Links and sockets that use one are told
 * by their own classes.
 */
#include <string.h>

#include "holders.h"
#include "walk-scan.h"

enum { OPS_TYPE, OPS_NAME };

static const char *const keys[] = { "ops", "algorithm", NULL };
static const char *const walks[] = { "walk_registered", NULL };

static void set_text(struct scan *scan, struct bpfrefs_ref *ref, unsigned int index,
		     const char *text, size_t size)
{
	g_autofree char *copy = g_strndup(text, size);

	ref_set_str(scan, ref, index, copy);
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_struct_ops *ops =
		walk_record(rec, WALK_STRUCT_OPS, struct walk_struct_ops);
	struct bpfrefs_ref *ref;

	if (!ops)
		return false;
	ref = scan_add(scan, (struct bpfrefs_key){ BPFREFS_MAP, rec->id }, 1, 0);
	if (!ref)
		return true;
	set_text(scan, ref, OPS_TYPE, ops->ops, sizeof(ops->ops));
	if (strncmp(ops->ops, "tcp_congestion_ops", sizeof(ops->ops)) == 0)
		set_text(scan, ref, OPS_NAME, ops->algorithm, sizeof(ops->algorithm));
	return true;
}

static int proc(struct scan *scan)
{
	scan_unavailable(scan, "the UAPI does not tell whether a struct_ops map is registered", 0);
	return 0;
}

const struct holder_class holder_struct_ops = {
	.pub = { "struct_ops", keys },
	.walks = walks,
	.takes = WALK_BIT(WALK_STRUCT_OPS),
	.decode = decode,
	.proc = proc,
};

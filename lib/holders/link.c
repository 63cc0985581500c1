/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What links hold: their program (bpf_link_init(); struct_ops links have none), and a map: the target
 * of an iterator link (bpf_iter_attach_map()) and of a sockmap link (sock_map_link_create()), as
 * users, and a struct_ops link's (bpf_struct_ops_link_create()); the program that a tracing or
 * freplace link is attached to (bpf_tracing_prog_attach()).
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"

static const char *const keys[] = { "id", "name", "via", "slot", NULL };

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_link *link = walk_record(rec, walk_link);
	struct bpfrefs_key holder = { BPFREFS_LINK, rec->id };

	if (!link)
		return false;
	if (link->prog_id)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_PROG, link->prog_id }, 1, 0,
			      holder, "prog");
	if (link->map_id)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_MAP, link->map_id }, 1,
			      link->map_user, holder, link->map_user ? "target" : "struct_ops");
	if (link->target)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_PROG, link->target }, 1, 0,
			      holder, "target");
	return true;
}

const struct holder_class holder_link = {
	.pub = { "link", keys },
	.takes = WALK_BIT(WALK_LINK),
	.decode = decode,
	.proc = proc_scan_link,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Links hold their program (bpf_link_init()), except struct_ops links, which have none. Some hold a
 * map: iterator links (bpf_iter_attach_map()) and sockmap links (sock_map_link_create()) hold their
 * target with a user, struct_ops links hold their map (bpf_struct_ops_link_create()). Tracing and
 * freplace links hold the program that they are attached to (bpf_tracing_prog_attach()).
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
			      holder, WALK_VIA_PROG);
	if (link->map_id)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_MAP, link->map_id }, 1,
			      link->map_user, holder,
			      link->map_user ? WALK_VIA_TARGET : WALK_VIA_STRUCT_OPS);
	if (link->target)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_PROG, link->target }, 1, 0,
			      holder, WALK_VIA_LINK_TARGET);
	return true;
}

const struct holder_class holder_link = {
	.pub = { "link", keys, .holders = 1u << BPFREFS_LINK },
	.id = CLASS_LINK,
	.takes = WALK_BIT(WALK_LINK),
	.decode = decode,
	.proc = proc_scan_link,
};

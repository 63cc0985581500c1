/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BTFs hold the BTF of the kernel once for each kptr in their structures with special fields
 * (btf_parse_struct_metas(), btf_parse_kptr()). They hold nothing else: a split BTF has no
 * reference to its base.
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"

HOLDER_FIELDS(HELD_FIELDS);

/* A BTF with such structures. The records of objects lead to it. */
struct btf_metas {
	uint64_t address;
	uint32_t id;
};

struct btf_state {
	GArray *metas;
};

static void decode_btf(struct scan *scan, const void *record)
{
	const struct walk_btf *btf = record;
	struct btf_state *state = scan_state(scan, &holder_btf);
	struct btf_metas metas = { btf->address, btf->rec.id };

	if (!btf->metas || btf->kernel)
		return;
	if (!state->metas)
		state->metas = g_array_new(FALSE, FALSE, sizeof(metas));
	for (guint i = 0; i < state->metas->len; i++)
		if (g_array_index(state->metas, struct btf_metas, i).id == metas.id)
			return;
	g_array_append_val(state->metas, metas);
}

static void decode_edge(struct scan *scan, const void *record)
{
	const struct walk_edge *edge = record;

	if (edge->holder == WALK_KIND_BTF)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_KIND_BTF, edge->target_id }, 1, 0,
			      (struct bpfrefs_key){ BPFREFS_KIND_BTF, edge->rec.id }, edge->via);
}

static int walk_one(struct scan *scan, const struct btf_metas *metas)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	struct walk_control *control = bpf_loader_control(walkers);
	struct walk_calls calls = { 0 };
	int err;

	control->btf_at = metas->address;
	control->btf_id = metas->id;
	control->meta_at = 0;
	do {
		err = bpf_loader_call(walkers, "walk_metas", dispatch_record, scan);
	} while (!err && object_records_go_on(control, &calls));
	return err; /* WALK_TORN: the BTF has been freed, and so have its references */
}

static int walk(struct scan *scan)
{
	const struct btf_state *state = scan_state(scan, &holder_btf);
	int err = 0;

	for (guint i = 0; state->metas && !err && i < state->metas->len; i++)
		err = walk_one(scan, &g_array_index(state->metas, struct btf_metas, i));
	return err;
}

static void end(void *data)
{
	struct btf_state *state = data;

	g_clear_pointer(&state->metas, g_array_unref);
}

const struct holder_class holder_btf = {
	.pub = { HOLDER_PUB("btf"), 1u << BPFREFS_KIND_BTF, .holders = 1u << BPFREFS_KIND_BTF },
	.id = CLASS_BTF,
	.no_hook = true,
	.removes = removal_by_process,
	.state = sizeof(struct btf_state),
	.end = end,
	.walk = walk,
	.decoders = { DECODER(walk_btf, decode_btf), DECODER(walk_edge, decode_edge) },
	.proc_gap = "bpf(2) does not show what a BTF holds",
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory cgroup that pays for a map. Only a program of ours can read it: bpf(2) does not show it. */
#include "kernel/bpf_source.h"

struct reading {
	GString *path;
	bool dying, cut; /* there are more cgroups above */
	unsigned int levels;
};

/* The cgroups come from the one that pays up to the root, which has no name. */
static void take_payer(const struct walk_rec *rec, void *data)
{
	const struct walk_payer *payer = walk_record(rec, walk_payer);
	struct reading *reading = data;

	if (!payer)
		return;
	if (!reading->levels++)
		reading->dying = payer->dying;
	reading->cut = payer->above;
	if (!payer->above)
		return;
	g_string_prepend_len(reading->path, payer->name,
			     (gssize)strnlen(payer->name, sizeof(payer->name)));
	g_string_prepend_c(reading->path, '/');
}

int payer_read(struct bpfrefs_ctx *ctx, uint32_t id, struct map_payer *payer)
{
	struct walk_control *control = bpf_loader_control(ctx->source_data);
	g_autoptr(GString) path = g_string_new(NULL);
	struct reading reading = { .path = path };
	int err;

	control->filter_id = id;
	control->ended = WALK_DONE;
	err = bpf_loader_iterate(ctx->source_data, "walk_payers", take_payer, &reading);
	control->filter_id = 0;
	if (!err && control->ended == WALK_NONE)
		err = -EOPNOTSUPP;
	if (!err && !reading.levels)
		err = -ENOENT;
	if (!err && reading.cut)
		err = -E2BIG;
	if (err)
		return err;
	payer->dying = reading.dying;
	payer->path = g_strdup(path->len ? path->str : "/");
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The records of the BPF programs, through the dispatcher, the decoders of all classes, the graph
 * and the renderers. A walk may read structures while they change: for any records, none is read
 * past its end, none is fatal, and no name adds a line to a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "kernel/mount_cache.h"
#include "kernel/object_cache.h"
#include "render/show.h"
#include "snapshot/snapshot.h"
#include "world.h"

static const char mountinfo[] = "30 1 0:30 / /sys/fs/bpf rw - bpf bpf rw\n"
				"31 30 0:31 /app /sys/fs/bpf/over rw - bpf bpf rw\n"
				"1 1 0:1 / / rw - tmpfs tmpfs rw\n";

static struct source source;
static int proc_fd;

void fuzz_begin(void)
{
	const char *dir = fuzz_dir();
	int self_fd;

	proc_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(proc_fd >= 0 && mkdirat(proc_fd, "self", 0700) == 0);
	self_fd = openat(proc_fd, "self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fuzz_write(self_fd, "mountinfo", mountinfo, sizeof(mountinfo) - 1);
	source = source_bpf;
	source.open = NULL;
	source.close = NULL;
}

/* -------------------------------------------------------------- checks --- */

static void check_text(const GString *text)
{
	for (gsize i = 0; i < text->len; i++)
		must((text->str[i] >= 0x20 && text->str[i] <= 0x7e) || text->str[i] == '\n');
	must(!text->len || text->str[text->len - 1] == '\n');
}

/* KIND/ID CLASS ref=N user=N KEY=VALUE... */
static void check_record(const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	struct bpfrefs_key key;

	must(g_strv_length(words) >= 4);
	must(bpfrefs_key_parse(words[0], &key) == 0);
	must(g_str_has_prefix(words[2], "ref=") && g_str_has_prefix(words[3], "user="));
	for (char **word = words + 4; *word; word++)
		must(g_ascii_islower(**word) && strchr(*word, '='));
}

static void check_records(const GString *text, size_t count)
{
	g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
	size_t seen = 0;

	for (char **line = lines; *line; line++) {
		if (!**line || **line == '#')
			continue;
		check_record(*line);
		seen++;
	}
	must(seen == count);
}

static void check_json(const GString *text)
{
	g_autoptr(JsonParser) parser = json_parser_new();

	must(json_parser_load_from_data(parser, text->str, (gssize)text->len, NULL));
}

/* The counters of an object are the sums over its lines. */
static void check_account(const struct bpfrefs_snapshot *snap, const struct bpfrefs_object *object)
{
	struct ref_range refs = index_holders(snap, object->key);
	const struct bpfrefs_ref *ref;
	uint64_t count = 0, user = 0;

	while ((ref = ref_range_next(&refs))) {
		count += bpfrefs_ref_count(ref);
		user += bpfrefs_ref_user(ref);
	}
	must(count == object->explained && user == object->user_explained);
}

/* --------------------------------------------------------------- files --- */

typedef int (*show_fn)(const struct where *w, GString *out);

static GString *shown(const struct where *w, show_fn show)
{
	GString *out = g_string_new(NULL);
	int err = show(w, out);

	must(err <= 0);
	if (err)
		g_string_truncate(out, 0);
	return out;
}

static void show_one(const struct where *w, show_fn show, bool json)
{
	g_autoptr(GString) out = shown(w, show);

	if (json && out->len)
		check_json(out);
	else
		check_text(out);
}

static void show_objects_of(const struct where *all, const struct bpfrefs_snapshot *snap)
{
	static const show_fn texts[] = { show_holding, show_refs, show_roots,
					 show_slots,   show_pins, show_info };

	for (guint i = 0; i < MIN(snap->objects->len, 8u); i++) {
		const struct bpfrefs_object *object = g_ptr_array_index(snap->objects, i);
		struct where w = *all;
		struct ref_range refs = index_holders(snap, object->key);
		g_autoptr(GString) holders = NULL;

		w.key = object->key;
		check_account(snap, object);
		holders = shown(&w, show_holders);
		check_text(holders);
		check_records(holders, refs.end - refs.at);
		for (size_t text = 0; text < G_N_ELEMENTS(texts); text++)
			show_one(&w, texts[text], false);
		show_one(&w, show_json, true);
	}
}

static void show_all(struct fs *fs, struct bpfrefs_snapshot *snap)
{
	static const show_fn texts[] = { show_objects, show_attachments, show_at_risk, show_bpffs };
	struct where w = { .fs = fs, .key = { BPFREFS_KIND_NONE, 0 }, .snap = snap };
	g_autoptr(GString) holders = shown(&w, show_all_holders);
	g_autoptr(GString) dot = shown(&w, show_dot);

	check_text(holders);
	check_records(holders, bpfrefs_snapshot_ref_count(snap));
	for (size_t text = 0; text < G_N_ELEMENTS(texts); text++)
		show_one(&w, texts[text], false);
	show_one(&w, show_all_json, true);
	must(g_utf8_validate(dot->str, (gssize)dot->len, NULL));
	show_objects_of(&w, snap);
	for (guint i = 0; i < MIN(snap->processes->len, 4u); i++) {
		const struct bpfrefs_process *process = g_ptr_array_index(snap->processes, i);

		w.pid = process->pid;
		show_one(&w, show_pid_holding, false);
		show_one(&w, show_retains, false);
	}
}

/* Takes a snapshot as context.c does, without its pauses. */
static struct bpfrefs_snapshot *walk(struct bpfrefs_ctx *ctx)
{
	struct scan *scan = scan_new(ctx, holder_classes);
	int err = source.collect(scan);
	struct bpfrefs_snapshot *snap = scan_finish(scan);

	if (err) {
		bpfrefs_snapshot_unref(snap);
		return NULL;
	}
	snapshot_freeze(snap, -1);
	states_find(snap, false);
	return snap;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bpf_loader *loader = world_new(data, size);
	struct fs fs = { .source_fd = -1, .source_minor = 30, .source_ino = 2 };
	struct bpfrefs_snapshot *snap;

	fs.opt.source = (char *)"/sys/fs/bpf";
	must(ctx_open_with(&source, loader, &fs.ctx) == 0);
	fs.ctx->proc_fd = proc_fd;
	fs.ctx->object_cache = object_cache_new();
	snap = walk(fs.ctx);
	if (snap)
		show_all(&fs, snap);
	bpfrefs_snapshot_unref(snap);
	fs.ctx->proc_fd = -1;
	mount_cache_free(fs.ctx->mount_cache);
	object_cache_free(fs.ctx->object_cache);
	bpfrefs_ctx_close(fs.ctx);
	world_free(loader);
	return 0;
}

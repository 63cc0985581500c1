/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What bpfrefs itself keeps: descriptors of this context, and pins in the directories bpfrefs/keep
 * and bpfrefs/auto of any bpffs, which any instance of bpfrefs may have made. The classes fd and
 * pin find them, and add them by keep_add().
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"
#include "procfs/procfs.h"

#define FIELDS(X) X(KEEP_MODE, "mode") X(KEEP_PATH, "path")
HOLDER_FIELDS(FIELDS);

struct bpfrefs_ref *keep_add(struct scan *scan, struct bpfrefs_key key, enum bpfrefs_keep_mode mode,
			     const char *path, uint32_t count)
{
	const struct holder_class *own_class = scan_set_class(scan, &holder_keep);
	struct bpfrefs_ref *ref;

	ref = scan_add(scan, key, count, key.kind == BPFREFS_KIND_MAP ? count : 0);
	scan_set_class(scan, own_class);
	if (!ref)
		return NULL;
	ref->automatic = mode == BPFREFS_KEEP_AUTO;
	ref_set_static(ref, KEEP_MODE, bpfrefs_keep_name(mode));
	if (mode == BPFREFS_KEEP_FD)
		ref_set_pid(ref, scan->ctx->self);
	else
		ref_set_str(scan, ref, KEEP_PATH, path);
	return ref;
}

/* Returns the last component of @path[0..*len) and removes it from *len. */
static const char *last_component(const char *path, size_t *len, size_t *component_len)
{
	size_t end = *len;

	while (*len && path[*len - 1] != '/')
		--*len;
	*component_len = end - *len;
	if (*len)
		--*len; /* the slash */
	return path + *len + 1;
}

static bool is_component(const char *component, size_t len, const char *wanted)
{
	return len == strlen(wanted) && strncmp(component, wanted, len) == 0;
}

enum bpfrefs_keep_mode keep_of_path(const char *inner, struct bpfrefs_key key)
{
	size_t len = strlen(inner), component_len;
	const char *component;
	enum bpfrefs_keep_mode mode;
	char name[BPFREFS_KEY_MAX];

	*strchr(bpfrefs_key_format(key, name), '/') = '_';
	component = last_component(inner, &len, &component_len);
	if (!is_component(component, component_len, name))
		return BPFREFS_KEEP_OFF;
	component = last_component(inner, &len, &component_len);
	if (is_component(component, component_len, "keep"))
		mode = BPFREFS_KEEP_PIN;
	else if (is_component(component, component_len, "auto"))
		mode = BPFREFS_KEEP_AUTO;
	else
		return BPFREFS_KEEP_OFF;
	component = last_component(inner, &len, &component_len);
	return is_component(component, component_len, "bpfrefs") ? mode : BPFREFS_KEEP_OFF;
}

/* ------------------------------------------------------------ procfs --- */

static void add_kept(struct scan *scan)
{
	GHashTableIter iter;
	gpointer kept;

	g_hash_table_iter_init(&iter, scan->ctx->kept);
	while (g_hash_table_iter_next(&iter, NULL, &kept)) {
		const struct bpfrefs_key *key = kept;

		keep_add(scan, *key, BPFREFS_KEEP_FD, NULL, 1);
	}
}

static int proc(struct scan *scan)
{
	const struct proc_scan *found = scan->source_data;
	const struct proc_pins *pins = &found->pins;

	add_kept(scan);
	for (guint i = 0; i < pins->pins->len; i++) {
		const struct proc_pin *pin = &g_array_index(pins->pins, struct proc_pin, i);
		g_autofree char *path = NULL;
		struct bpfrefs_ref *ref;

		if (pin->keep == BPFREFS_KEEP_OFF)
			continue;
		path = mounts_path(pins->own, pin->major, pin->minor, pin->inner);
		ref = keep_add(scan, pin->key, pin->keep, path, 1);
		if (ref)
			ref_set_location(scan, ref, proc_pin_location(pin));
	}
	pin_proc_gaps(scan, pins);
	return 0;
}

static char *says(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref, bool owned)
{
	struct bpfrefs_value mode = bpfrefs_ref_value(ref, KEEP_MODE);

	(void)snap;
	(void)owned;
	return g_strdup_printf("bpfrefs keeps it (%s)",
			       mode.type == BPFREFS_VALUE_STR ? mode.str : "?");
}

/* A keep in the directory that is mirrored is released there; of another bpfrefs only the pin is known. */
static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	const struct bpfrefs_script_options *options = removal->options;
	struct bpfrefs_value path = bpfrefs_ref_value(ref, KEEP_PATH);
	char key[BPFREFS_KEY_MAX];
	g_autofree char *control = NULL;

	if (ref->place && path.type == BPFREFS_VALUE_STR &&
	    !bpfrefs_snapshot_pin_path(removal->snap, ref, options->major, options->minor,
				       options->dir_ino)) {
		removal_pin(removal, ref, path.str);
		return;
	}
	control = g_strconcat(options->mountpoint, "/.bpf/", bpfrefs_key_format(ref->target, key),
			      "/keep", NULL);
	removal_words(removal, "sh", "-c", "echo off >\"$1\"", "sh", control, NULL);
}

const struct holder_class holder_keep = {
	.pub = { HOLDER_PUB("keep"), .flags = BPFREFS_CLASS_KEEP, .place = KEEP_PATH },
	.id = CLASS_KEEP,
	.no_hook = true,
	.removes = removes,
	.root = true,
	.says = says,
	.walk = dispatch_tasks,
	.proc = proc,
};

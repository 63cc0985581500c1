/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The facts for Prometheus, in its text format 0.0.4. Unknown numbers are NaN. */
#include <inttypes.h>
#include <string.h>

#include "render/show.h"

/* ---------------------------------------------------------- the format --- */

static void family(GString *out, const char *name, const char *help)
{
	g_string_append_printf(out, "# HELP bpfrefs_%s %s\n# TYPE bpfrefs_%s gauge\n", name, help,
			       name);
}

/* Appends NAME="VALUE" in UTF-8, with the three escapes of the format. */
static void label(GString *out, const char *name, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value ? value : "?", -1);

	g_string_append_printf(out, "%s=\"", name);
	for (const char *at = valid; *at; at++) {
		if (*at == '\n')
			g_string_append(out, "\\n");
		else if (*at == '\\' || *at == '"')
			g_string_append_printf(out, "\\%c", *at);
		else
			g_string_append_c(out, *at);
	}
	g_string_append_c(out, '"');
}

static void number(GString *out, uint64_t value)
{
	if (value == BPFREFS_UNKNOWN)
		g_string_append(out, " NaN\n");
	else
		g_string_append_printf(out, " %" PRIu64 "\n", value);
}

static void labelled(GString *out, const char *name, const char *key, const char *value,
		     uint64_t count)
{
	g_string_append_printf(out, "bpfrefs_%s{", name);
	label(out, key, value);
	g_string_append_c(out, '}');
	number(out, count);
}

/* ------------------------------------------------------------- objects --- */

#define STATES (BPFREFS_STATE_UNKNOWN + 1)

/* The objects of one kind and type. */
struct object_group {
	enum bpfrefs_kind kind;
	const char *type;
	uint32_t type_number;
	uint64_t count[STATES];
	uint64_t memlock; /* the sum of what is known */
	bool known;	  /* that of one object at least is */
	uint64_t unused;
};

/* Sorts by kind, then by the UAPI's number of the type, unknown types first. */
static int by_kind_and_type(gconstpointer a, gconstpointer b)
{
	const struct object_group *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (!x->type || !y->type)
		return !y->type - !x->type;
	return x->type_number < y->type_number ? -1 : x->type_number > y->type_number;
}

/* Objects are sorted by kind, so the search goes back over the few types of one kind. */
static struct object_group *group_of(GArray *groups, const struct bpfrefs_object *object)
{
	struct object_group group = { .kind = object->key.kind,
				      .type = object->type,
				      .type_number = object->type_number };

	for (guint i = groups->len; i > 0; i--) {
		struct object_group *found = &g_array_index(groups, struct object_group, i - 1);

		if (by_kind_and_type(found, &group) == 0)
			return found;
	}
	g_array_append_val(groups, group);
	return &g_array_index(groups, struct object_group, groups->len - 1);
}

static void show_group(GString *out, const struct object_group *group)
{
	/*
	 * States without objects are shown too, since a series with missing samples is hard to
	 * monitor.
	 */
	for (int state = 0; state < STATES; state++) {
		g_string_append(out, "bpfrefs_objects{");
		label(out, "kind", bpfrefs_kind_name(group->kind));
		g_string_append_c(out, ',');
		label(out, "type", group->type);
		g_string_append_c(out, ',');
		label(out, "state", bpfrefs_state_name((enum bpfrefs_state)state));
		g_string_append_c(out, '}');
		number(out, group->count[state]);
	}
}

static void add_memlock(struct object_group *group, uint64_t bytes)
{
	if (bytes == BPFREFS_UNKNOWN)
		return;
	group->memlock += bytes;
	group->known = true;
}

/* Shows a number for all states of a group together. */
static void show_sum(GString *out, const char *name, const struct object_group *group, uint64_t sum)
{
	g_string_append_printf(out, "bpfrefs_%s{", name);
	label(out, "kind", bpfrefs_kind_name(group->kind));
	g_string_append_c(out, ',');
	label(out, "type", group->type);
	g_string_append_c(out, '}');
	number(out, sum);
}

static void show_memlock(GString *out, const struct object_group *group)
{
	show_sum(out, "memlock_bytes", group, group->known ? group->memlock : BPFREFS_UNKNOWN);
}

static void show_unused_count(GString *out, const struct object_group *group)
{
	show_sum(out, "unused_objects", group, group->unused);
}

static void show_family(GString *out, const GArray *groups, const char *name, const char *help,
			void (*show)(GString *out, const struct object_group *group))
{
	family(out, name, help);
	for (guint i = 0; i < groups->len; i++)
		show(out, &g_array_index(groups, struct object_group, i));
}

/* @memlock: of each object of the snapshot. */
static int count_objects(GArray *groups, const struct bpfrefs_snapshot *snap,
			 const uint64_t *memlock)
{
	const struct bpfrefs_object *object;
	selection_auto *objects = NULL;
	int err = bpfrefs_select_objects(snap, NULL, &objects);

	for (size_t i = 0; (object = bpfrefs_next_object(objects)); i++) {
		struct object_group *group;

		if (bpfrefs_snapshot_hides(snap, object))
			continue;
		group = group_of(groups, object);
		group->count[object->state]++;
		add_memlock(group, memlock[i]);
	}
	return err;
}

static int show_groups(GString *out, struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(struct object_group));
	const struct bpfrefs_unused *unused;
	g_autofree uint64_t *memlock = NULL;
	selection_auto *left_over = NULL;
	int err = bpfrefs_snapshot_memlock(ctx, snap, &memlock);

	if (!err)
		err = count_objects(groups, snap, memlock);
	if (!err)
		err = bpfrefs_select_unused(ctx, snap, NULL, &left_over);
	while ((unused = bpfrefs_next_unused(left_over)))
		group_of(groups, unused->object)->unused++;
	g_array_sort(groups, by_kind_and_type);
	show_family(out, groups, "objects", "BPF objects, by kind, type and state.", show_group);
	show_family(out, groups, "memlock_bytes",
		    "Memory that is charged for BPF objects, by kind and type: the sum of memlock= "
		    "over the objects where it is known.",
		    show_memlock);
	show_family(out, groups, "unused_objects",
		    "BPF objects that only pins, keeps or nothing leads to, and that run nowhere: "
		    ".bpf/unused. An upper bound while a class has a gap.",
		    show_unused_count);
	return err;
}

/* ---------------------------------------------------------- references --- */

/* Shows how many references of the kernel's counters each class explains. */
static void show_references(GString *out, const struct bpfrefs_snapshot *snap)
{
	struct bpfrefs_filter listed = { .size = sizeof(listed), .hide_self = true };
	g_autoptr(GHashTable) counts = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	selection_auto *classes = NULL, *refs = NULL;
	const struct bpfrefs_class_status *status;
	const struct bpfrefs_ref *ref;

	bpfrefs_select_refs(snap, &listed, &refs);
	while ((ref = bpfrefs_next_ref(refs))) {
		gpointer class_ = (gpointer)bpfrefs_ref_class(ref);
		uint64_t *count = g_hash_table_lookup(counts, class_);

		if (!count) {
			count = g_new0(uint64_t, 1);
			g_hash_table_insert(counts, class_, count);
		}
		*count += bpfrefs_ref_count(ref);
	}
	family(out, "references",
	       "References to BPF objects that were found, by class of holder: the sum of ref=. "
	       "NaN if the class could not be read.");
	bpfrefs_select_classes(snap, NULL, &classes);
	while ((status = bpfrefs_next_class(classes))) {
		const uint64_t *count = g_hash_table_lookup(counts, status->class_);

		labelled(out, "references", "class", status->class_->name,
			 status->coverage == BPFREFS_COVERAGE_UNAVAILABLE ? BPFREFS_UNKNOWN
			 : count					  ? *count
									  : 0);
	}
}

/*
 * Returns the number of objects whose unexplained references are unknown. It is shown as a gap,
 * as is "# refcnt: changing" in refs.
 */
static uint64_t show_unexplained(GString *out, const struct bpfrefs_snapshot *snap)
{
	struct bpfrefs_filter listed = { .size = sizeof(listed), .hide_self = true };
	uint64_t sum = 0, constant = 0, known = 0, unknown = 0, one;
	const struct bpfrefs_object *object;
	selection_auto *objects = NULL;

	bpfrefs_select_objects(snap, &listed, &objects);
	while ((object = bpfrefs_next_object(objects))) {
		one = bpfrefs_object_unexplained(object);
		if (one == BPFREFS_UNKNOWN) {
			unknown++;
			continue;
		}
		known++;
		sum += one - object->constant;
		constant += object->constant;
	}
	family(out, "unexplained_references",
	       "The difference between counters and holders: the sum of unexplained= over the "
	       "objects where it is known, without unexplained_constant_references. For alerts: "
	       "0 if nothing leaks.");
	g_string_append(out, "bpfrefs_unexplained_references");
	number(out, unknown && !known ? BPFREFS_UNKNOWN : sum);
	family(out, "unexplained_constant_references",
	       "Unexplained references to the BTFs of vmlinux and modules that every scan of this "
	       "bpfrefs has found.");
	g_string_append(out, "bpfrefs_unexplained_constant_references");
	number(out, unknown && !known ? BPFREFS_UNKNOWN : constant);
	return unknown;
}

static uint64_t count_gaps(const struct bpfrefs_class_status *status)
{
	if (status->coverage == BPFREFS_COVERAGE_COMPLETE)
		return 0;
	return status->coverage == BPFREFS_COVERAGE_PARTIAL ? MAX(status->count, 1) : 1;
}

static void show_gap_counts(GString *out, const struct bpfrefs_snapshot *snap, uint64_t counters)
{
	const struct bpfrefs_class_status *status;
	selection_auto *classes = NULL;

	family(out, "gaps",
	       "Parts that could not be read, by class of holder: 0 if the class is complete. "
	       "Class refcnt: objects whose counters could not be read, or were changing.");
	bpfrefs_select_classes(snap, NULL, &classes);
	while ((status = bpfrefs_next_class(classes)))
		labelled(out, "gaps", "class", status->class_->name, count_gaps(status));
	labelled(out, "gaps", "class", "refcnt", counters);
}

/* -------------------------------------------------------- the daemon --- */

static void show_seconds(GString *out, const struct bpfrefs_snapshot *snap)
{
	uint64_t ns = bpfrefs_snapshot_stats(snap)->took_ns;

	family(out, "scan_seconds", "Duration of the scan from which the other metrics are.");
	g_string_append_printf(out, "bpfrefs_scan_seconds %" PRIu64 ".%09" PRIu64 "\n",
			       ns / 1000000000, ns % 1000000000);
}

static void show_self(GString *out, const struct bpfrefs_snapshot *snap)
{
	const struct bpfrefs_self *self = bpfrefs_snapshot_self(snap);

	family(out, "self_objects",
	       "Objects that only this bpfrefs holds, and for itself. The other metrics leave them "
	       "out, unless it is mounted with self=show.");
	g_string_append(out, "bpfrefs_self_objects");
	number(out, self->objects);
}

static void show_keep_counts(GString *out, const struct fs *fs)
{
	static const enum bpfrefs_keep_mode modes[] = { BPFREFS_KEEP_FD, BPFREFS_KEEP_PIN,
							BPFREFS_KEEP_AUTO };

	family(out, "keeps", "Objects that this bpfrefs keeps, by mode.");
	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		int count = bpfrefs_keep_count(fs->keeper, modes[i]);

		labelled(out, "keeps", "mode", bpfrefs_keep_name(modes[i]),
			 count < 0 ? BPFREFS_UNKNOWN : (uint64_t)count);
	}
}

int show_metrics(const struct where *w, GString *out)
{
	uint64_t counters;
	int err;

	err = show_groups(out, w->fs->ctx, w->snap);
	show_references(out, w->snap);
	counters = show_unexplained(out, w->snap);
	show_gap_counts(out, w->snap, counters);
	show_seconds(out, w->snap);
	show_self(out, w->snap);
	show_keep_counts(out, w->fs);
	family(out, "build_info", "Always 1, with the version as a label.");
	labelled(out, "build_info", "version", bpfrefs_version(), 1);
	show_gaps(out, w->snap, NULL, NULL);
	return err;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines of .bpf/attachments: one place where a program runs on each, with a link or without. The
 * classes of the references say which of these are attachments (holder_class.hook).
 */
#include <linux/bpf.h>

#include "bpf/records.h"
#include "text/sink.h"
#include "uapi/link_words.h"
#include "uapi/uapi_info.h"

struct attachments {
	const struct bpfrefs_snapshot *snap;
	struct link_words *words;
	struct idmap links; /* id of a link -> owned struct bpfrefs_info, of those that are there */
	struct text_sink sink;
	int err;
};

/* The program whose attachments are being written. */
struct attached {
	struct attachments *all;
	const struct bpfrefs_object *prog;
	GHashTable *shared; /* tokens of what is written, or a link has */
	GHashTable *events; /* id of a link -> the reference of what it holds besides the program */
};

static void begin_line(const struct attached *attached, uint32_t link, const char *hook)
{
	GString *out = attached->all->sink.out;

	fmt_add_key(out, attached->prog->key);
	g_string_append(out, " name=");
	fmt_add_value(out, attached->prog->name);
	g_string_append(out, " link=");
	if (link)
		fmt_add_number(out, link);
	g_string_append_c(out, ' ');
	fmt_add_value(out, hook);
}

static void end_line(const struct attached *attached)
{
	struct attachments *all = attached->all;

	g_string_append_c(all->sink.out, '\n');
	if (!all->err)
		all->err = sink_pass(&all->sink);
}

static void add_pair(const struct attached *attached, const char *key, const char *str,
		     uint64_t number)
{
	GString *out = attached->all->sink.out;

	g_string_append_c(out, ' ');
	g_string_append(out, key);
	g_string_append_c(out, '=');
	if (str)
		fmt_add_value(out, str);
	else
		fmt_add_number(out, number);
}

/* --------------------------------------------------------------- links --- */

/* What is in a link's info and does not say where it is attached, or says it under another name too. */
static const char *const left_out[] = {
	"kind",	     "type",	  "id",	       "prog_id", "perf_event_type", "tp_name",
	"file_name", "func_name", "netns_ino", "missed",  "count",	     "flags",
	"addr",	     "addrs",	  "functions", "offsets", "cookies",	     "target_btf_id",
	NULL,
};

/* Lists in a link's info, which has an attachment for each element, and the word for an element. */
static const char *const lists[][2] = {
	{ "functions", "function" },
	{ "offsets", "offset" },
	{ "cookies", "cookie" },
};

struct lists {
	char **parts[G_N_ELEMENTS(lists)]; /* owned; NULL: the link has none */
	size_t counts[G_N_ELEMENTS(lists)];
	bool unknown[G_N_ELEMENTS(lists)]; /* it has one that could not be read */
	size_t count;			   /* of the longest */
};

static const struct bpfrefs_field *find(const struct bpfrefs_info *info, const char *key)
{
	const struct bpfrefs_field *field;

	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++)
		if (strcmp(field->key, key) == 0)
			return field;
	return NULL;
}

static struct lists split_lists(const struct bpfrefs_info *info)
{
	struct lists split = { .count = 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
		const struct bpfrefs_field *field = find(info, lists[i][0]);

		split.unknown[i] = field && !field->str;
		if (!field || !field->str)
			continue;
		split.parts[i] = g_strsplit(field->str, " ", -1);
		split.counts[i] = g_strv_length(split.parts[i]);
		split.count = MAX(split.count, split.counts[i]);
	}
	return split;
}

/* In the words of those who load such programs: the type of the link says less. */
static const char *hook_of_link(const struct attached *attached, const struct bpfrefs_info *info)
{
	const struct bpfrefs_field *type = find(info, "type");
	const struct bpfrefs_field *event = find(info, "perf_event_type");

	if (event && event->str && strcmp(event->str, "event") != 0)
		return event->str;
	if (type && type->num == UAPI_LINK_TRACING &&
	    attached->prog->type_number == BPF_PROG_TYPE_EXT)
		return "freplace";
	if (type && type->num == UAPI_LINK_TRACING &&
	    attached->prog->type_number == BPF_PROG_TYPE_LSM)
		return "lsm";
	return type ? type->str : NULL;
}

/*
 * Before Linux 6.6 the facts about the link of a perf event do not say which event it is: the reference
 * of the event does.
 */
static void add_event(const struct attached *attached, uint32_t id, const struct bpfrefs_info *info)
{
	const struct bpfrefs_ref *ref = g_hash_table_lookup(attached->events, GUINT_TO_POINTER(id));
	struct bpfrefs_value event = { .type = BPFREFS_VALUE_ABSENT };

	if (ref && !find(info, "perf_event_type"))
		event = bpfrefs_ref_get(ref, "event");
	if (event.type != BPFREFS_VALUE_ABSENT)
		add_pair(attached, "event", event.str, BPFREFS_UNKNOWN);
}

static void add_element(const struct attached *attached, const char *word,
			const struct lists *split, size_t list, size_t index)
{
	const char *part = NULL;

	if (!split->parts[list] && !split->unknown[list])
		return;
	if (index < split->counts[list])
		part = split->parts[list][index];
	add_pair(attached, word, part && strcmp(part, "?") != 0 ? part : NULL, BPFREFS_UNKNOWN);
}

static void add_link_line(const struct attached *attached, uint32_t id,
			  const struct bpfrefs_info *info, const struct lists *split, size_t index)
{
	const struct bpfrefs_field *field;

	begin_line(attached, id, hook_of_link(attached, info));
	add_event(attached, id, info);
	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++)
		if (!g_strv_contains(left_out, field->key))
			add_pair(attached, field->key, field->str, field->num);
	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		add_element(attached, lists[i][1], split, i, index);
	end_line(attached);
}

/* A link that was detached, or was removed since the snapshot, is no attachment. */
static void add_link(const struct attached *attached, uint32_t id)
{
	const struct bpfrefs_info *info = idmap_get(&attached->all->links, id);
	const struct bpfrefs_field *is = info ? find(info, "attached") : NULL;
	struct lists split;

	if (!info || (is && is->str && strcmp(is->str, "no") == 0))
		return;
	split = split_lists(info);
	for (size_t i = 0; !i || i < split.count; i++)
		add_link_line(attached, id, info, &split, i);
	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		g_strfreev(split.parts[i]);
}

/* An iterator is no attachment: its program runs when somebody reads it. */
static bool is_attached_link(const struct bpfrefs_object *object)
{
	return object->key.kind == BPFREFS_KIND_LINK && object->type_number != UAPI_LINK_ITER;
}

/* The lock is held while the links are read: it is taken once for all of them. */
static void read_links(struct attachments *all, struct bpfrefs_ctx *ctx)
{
	ctx_lock(ctx);
	all->words = link_words_new(ctx, 0);
	for (guint i = 0; i < all->snap->objects->len; i++) {
		const struct bpfrefs_object *object = all->snap->objects->pdata[i];
		struct bpfrefs_info *info = NULL;
		int err = is_attached_link(object) ? ctx->source->info(ctx, object->key, &info)
						   : -ENOENT;

		if (err == -ENOENT)
			continue;
		if (err) {
			info = info_new();
			info_str(info, "type", object->type ? object->type : "?");
			info_num(info, "attach_type", BPFREFS_UNKNOWN);
		} else {
			link_words_add(all->words, object->key.id, info);
		}
		if (!idmap_set(&all->links, object->key.id, info)) {
			bpfrefs_info_free(info);
			all->err = -ENOMEM;
		}
	}
	g_mutex_unlock(&ctx->lock);
}

static void free_links(struct attachments *all)
{
	for (size_t i = 0; i < all->links.slots; i++)
		bpfrefs_info_free(all->links.entries[i].value);
	idmap_clear(&all->links);
}

/* -------------------------------------------------------- without a link --- */

static bool is_attachment(const struct bpfrefs_ref *ref)
{
	const struct holder_class *class = ref->class;

	return class->hook && (!class->runs || class->runs(ref)) &&
	       ref->holder.kind != BPFREFS_KIND_LINK;
}

static void add_netns_name(const struct attached *attached, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value netns = bpfrefs_ref_get(ref, "netns");
	const char *name = netns.type == BPFREFS_VALUE_NUM
				   ? link_words_netns(attached->all->words, netns.num)
				   : NULL;

	if (name)
		add_pair(attached, "netns_name", name, 0);
}

static void add_direct(const struct attached *attached, const struct bpfrefs_ref *ref)
{
	const struct holder_class *class = ref->class;

	begin_line(attached, 0, class->hook);
	for (size_t i = 0; class->pub.keys[i]; i++) {
		const char *word = class->hook_words[i] ? class->hook_words[i] : class->pub.keys[i];
		struct bpfrefs_value value = bpfrefs_ref_value(ref, i);
		bool number = value.type == BPFREFS_VALUE_NUM;

		if (*word && value.type != BPFREFS_VALUE_ABSENT)
			add_pair(attached, word, number ? NULL : value.str,
				 number ? value.num : BPFREFS_UNKNOWN);
	}
	add_netns_name(attached, ref);
	end_line(attached);
}

/* Whether the reference is one of those whose attachment is written already, or has a link. */
static bool is_written(const struct attached *attached, const struct bpfrefs_ref *ref)
{
	return ref->class->hook_shared &&
	       !g_hash_table_add(attached->shared,
				 GSIZE_TO_POINTER((size_t)bpfrefs_ref_value(ref, 0).num));
}

/* ----------------------------------------------------------- struct_ops --- */

/* The programs of a struct_ops map run where the map is registered, by a link or without. */
static void add_registered(const struct attached *attached, struct bpfrefs_key map)
{
	struct ref_range refs = index_holders(attached->all->snap, map);
	const struct bpfrefs_ref *ref;

	while ((ref = ref_range_next(&refs))) {
		if (ref->holder.kind == BPFREFS_KIND_LINK && ref->via == WALK_VIA_STRUCT_OPS)
			add_link(attached, ref->holder.id);
		else if (is_attachment(ref))
			add_direct(attached, ref);
	}
}

/* ------------------------------------------------------------- programs --- */

/* What has a link is written as that of the link alone. */
static void note_links(struct attached *attached, struct ref_range refs)
{
	const struct bpfrefs_ref *ref;

	while ((ref = ref_range_next(&refs))) {
		if (ref->holder.kind != BPFREFS_KIND_LINK)
			continue;
		if (ref->class->hook_shared) {
			g_hash_table_add(attached->shared,
					 GSIZE_TO_POINTER((size_t)bpfrefs_ref_value(ref, 0).num));
			g_hash_table_insert(attached->events, GUINT_TO_POINTER(ref->holder.id),
					    (gpointer)(uintptr_t)ref);
		}
	}
}

static void add_program(struct attached *attached)
{
	struct ref_range refs = index_holders(attached->all->snap, attached->prog->key);
	const struct bpfrefs_ref *ref;

	g_hash_table_remove_all(attached->shared);
	g_hash_table_remove_all(attached->events);
	note_links(attached, refs);
	while (!attached->all->err && (ref = ref_range_next(&refs))) {
		if (ref->holder.kind == BPFREFS_KIND_LINK && ref->via == WALK_VIA_PROG)
			add_link(attached, ref->holder.id);
		else if (ref->holder.kind == BPFREFS_KIND_MAP && ref->via == WALK_VIA_STRUCT_OPS)
			add_registered(attached, ref->holder);
		else if (is_attachment(ref) && !is_written(attached, ref))
			add_direct(attached, ref);
	}
}

int bpfrefs_snapshot_to_attachments(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
				    bpfrefs_write_fn write, void *data)
{
	struct attachments all = { .snap = snap, .sink = sink_begin(write, data) };
	struct attached attached = { .all = &all,
				     .shared = g_hash_table_new(NULL, NULL),
				     .events = g_hash_table_new(NULL, NULL) };

	read_links(&all, ctx);
	for (guint i = 0; i < snap->objects->len && !all.err; i++) {
		attached.prog = g_ptr_array_index(snap->objects, i);
		if (attached.prog->key.kind == BPFREFS_KIND_PROG)
			add_program(&attached);
	}
	free_links(&all);
	link_words_free(all.words);
	g_hash_table_unref(attached.shared);
	g_hash_table_unref(attached.events);
	sink_gaps(all.sink.out, snap);
	return sink_end(&all.sink, all.err);
}

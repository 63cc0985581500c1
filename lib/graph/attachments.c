/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The places where the kernel runs programs, with a link or without. The classes of the references say
 * which of these are attachments (holder_class.hook).
 */
#include <linux/bpf.h>
#include <string.h>

#include "bpf/records.h"
#include "snapshot/select.h"
#include "uapi/link_words.h"
#include "uapi/uapi_info.h"

/* Lists in a link's info, which has an attachment for each element, and the word for an element. */
static const struct {
	const char *key, *word;
	bool number;
} lists[] = {
	{ "functions", "function", false },
	{ "offsets", "offset", true },
	{ "cookies", "cookie", true },
};

/* The elements of the lists of one link. */
struct elements {
	char **parts[G_N_ELEMENTS(lists)]; /* owned; NULL: the link has none */
	size_t counts[G_N_ELEMENTS(lists)];
	bool unknown[G_N_ELEMENTS(lists)]; /* it has one that could not be read */
	size_t count;			   /* of the longest */
	size_t next;
};

/* A reference that is an attachment without a link, or the id of a link. */
struct hooked {
	const struct bpfrefs_ref *ref;
	uint32_t link;
};

struct attachments {
	struct bpfrefs_ctx *ctx;
	struct link_words *words;
	struct idmap links; /* id of a link -> owned struct bpfrefs_info, of those that are there */
	/* The following are about the program whose attachments are returned. */
	GArray *places;
	guint place;	    /* the next one */
	GHashTable *shared; /* tokens of what is among the places, or a link has */
	GHashTable *events; /* id of a link -> the reference of what it holds besides the program */
	/* The following are about the last attachment that was returned. */
	struct elements elements;
	GPtrArray *keys;
	GArray *values;
	struct bpfrefs_attachment item;
};

/* ---------------------------------------------------------------- words --- */

static void begin_item(struct attachments *all, enum bpfrefs_hook hook, uint32_t link)
{
	all->item.hook = hook;
	all->item.hook_name = bpfrefs_hook_name(hook);
	all->item.link = (struct bpfrefs_key){ link ? BPFREFS_KIND_LINK : BPFREFS_KIND_NONE, link };
	g_ptr_array_set_size(all->keys, 0);
	g_array_set_size(all->values, 0);
}

static const struct bpfrefs_attachment *end_item(struct attachments *all)
{
	g_ptr_array_add(all->keys, NULL);
	all->item.keys = (const char *const *)(const void *)all->keys->pdata;
	all->item.values = (const struct bpfrefs_value *)(const void *)all->values->data;
	return &all->item;
}

static void add_word(struct attachments *all, const char *key, struct bpfrefs_value value)
{
	g_ptr_array_add(all->keys, (gpointer)(uintptr_t)key);
	g_array_append_val(all->values, value);
}

/* A string, or an unknown one if it is NULL. */
static struct bpfrefs_value str_value(const char *str)
{
	return (struct bpfrefs_value){ .type = str ? BPFREFS_VALUE_STR : BPFREFS_VALUE_UNKNOWN,
				       .str = str };
}

static struct bpfrefs_value num_value(uint64_t num)
{
	return (struct bpfrefs_value){ .type = BPFREFS_VALUE_NUM, .num = num };
}

static struct bpfrefs_value known(struct bpfrefs_value value)
{
	return value.type == BPFREFS_VALUE_NUM && value.num == BPFREFS_UNKNOWN ? str_value(NULL)
									       : value;
}

/* ---------------------------------------------------------------- links --- */

/* What is in a link's info and does not say where it is attached, or says it under another name too. */
static const char *const left_out[] = {
	"kind",	     "type",	  "id",	       "prog_id", "perf_event_type", "tp_name",
	"file_name", "func_name", "netns_ino", "missed",  "count",	     "flags",
	"addr",	     "addrs",	  "functions", "offsets", "cookies",	     "target_btf_id",
	NULL,
};

static const struct bpfrefs_field *find(const struct bpfrefs_info *info, const char *key)
{
	const struct bpfrefs_field *field;

	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++)
		if (strcmp(field->key, key) == 0)
			return field;
	return NULL;
}

static void elements_clear(struct elements *elements)
{
	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		g_strfreev(elements->parts[i]);
	*elements = (struct elements){ .count = 0 };
}

static void elements_split(struct elements *elements, const struct bpfrefs_info *info)
{
	elements_clear(elements);
	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
		const struct bpfrefs_field *field = find(info, lists[i].key);

		elements->unknown[i] = field && !field->str;
		if (!field || !field->str)
			continue;
		elements->parts[i] = g_strsplit(field->str, " ", -1);
		elements->counts[i] = g_strv_length(elements->parts[i]);
		elements->count = MAX(elements->count, elements->counts[i]);
	}
}

/* In the words of those who load such programs: the type of the link says less. */
static enum bpfrefs_hook hook_of_link(const struct attachments *all,
				      const struct bpfrefs_info *info)
{
	static const enum bpfrefs_hook events[] = {
		[UAPI_PERF_UPROBE] = BPFREFS_HOOK_UPROBE,
		[UAPI_PERF_URETPROBE] = BPFREFS_HOOK_URETPROBE,
		[UAPI_PERF_KPROBE] = BPFREFS_HOOK_KPROBE,
		[UAPI_PERF_KRETPROBE] = BPFREFS_HOOK_KRETPROBE,
		[UAPI_PERF_TRACEPOINT] = BPFREFS_HOOK_TRACEPOINT,
	};
	static const enum bpfrefs_hook types[UAPI_LINK_COUNT] = {
		[UAPI_LINK_RAW_TRACEPOINT] = BPFREFS_HOOK_RAW_TRACEPOINT,
		[UAPI_LINK_TRACING] = BPFREFS_HOOK_TRACING,
		[UAPI_LINK_CGROUP] = BPFREFS_HOOK_CGROUP,
		[UAPI_LINK_NETNS] = BPFREFS_HOOK_NETNS,
		[UAPI_LINK_XDP] = BPFREFS_HOOK_XDP,
		[UAPI_LINK_PERF_EVENT] = BPFREFS_HOOK_PERF_EVENT,
		[UAPI_LINK_KPROBE_MULTI] = BPFREFS_HOOK_KPROBE_MULTI,
		[UAPI_LINK_STRUCT_OPS] = BPFREFS_HOOK_STRUCT_OPS,
		[UAPI_LINK_NETFILTER] = BPFREFS_HOOK_NETFILTER,
		[UAPI_LINK_TCX] = BPFREFS_HOOK_TCX,
		[UAPI_LINK_UPROBE_MULTI] = BPFREFS_HOOK_UPROBE_MULTI,
		[UAPI_LINK_NETKIT] = BPFREFS_HOOK_NETKIT,
		[UAPI_LINK_SOCKMAP] = BPFREFS_HOOK_SOCKMAP,
	};
	const struct bpfrefs_field *type = find(info, "type");
	const struct bpfrefs_field *event = find(info, "perf_event_type");

	if (event && event->num < G_N_ELEMENTS(events) && events[event->num])
		return events[event->num];
	if (!type || type->num >= UAPI_LINK_COUNT)
		return BPFREFS_HOOK_OTHER;
	if (type->num == UAPI_LINK_TRACING && all->item.prog->type_number == BPF_PROG_TYPE_EXT)
		return BPFREFS_HOOK_FREPLACE;
	if (type->num == UAPI_LINK_TRACING && all->item.prog->type_number == BPF_PROG_TYPE_LSM)
		return BPFREFS_HOOK_LSM;
	return types[type->num];
}

/*
 * Before Linux 6.6 the facts about the link of a perf event do not say which event it is: the reference
 * of the event does.
 */
static void add_event(struct attachments *all, uint32_t id, const struct bpfrefs_info *info)
{
	const struct bpfrefs_ref *ref = g_hash_table_lookup(all->events, GUINT_TO_POINTER(id));
	struct bpfrefs_value event = { .type = BPFREFS_VALUE_ABSENT };

	if (ref && !find(info, "perf_event_type"))
		event = bpfrefs_ref_get(ref, "event");
	if (event.type != BPFREFS_VALUE_ABSENT)
		add_word(all, "event", str_value(event.str));
}

static void add_element(struct attachments *all, size_t list)
{
	const struct elements *elements = &all->elements;
	const char *part = NULL;

	if (!elements->parts[list] && !elements->unknown[list])
		return;
	if (elements->next < elements->counts[list])
		part = elements->parts[list][elements->next];
	if (part && strcmp(part, "?") == 0)
		part = NULL;
	add_word(all, lists[list].word,
		 part && lists[list].number ? num_value(g_ascii_strtoull(part, NULL, 10))
					    : str_value(part));
}

/* A link that was detached, or was removed since the snapshot, is no attachment. */
static const struct bpfrefs_info *attached_link(const struct attachments *all, uint32_t id)
{
	const struct bpfrefs_info *info = idmap_get(&all->links, id);
	const struct bpfrefs_field *is = info ? find(info, "attached") : NULL;

	return is && is->str && strcmp(is->str, "no") == 0 ? NULL : info;
}

/* The next element of the link, of which there is one even if it has no lists. */
static const struct bpfrefs_attachment *of_link(struct attachments *all, uint32_t id)
{
	const struct bpfrefs_info *info = idmap_get(&all->links, id);
	const struct bpfrefs_field *field;

	if (all->elements.next == 0)
		elements_split(&all->elements, info);
	begin_item(all, hook_of_link(all, info), id);
	field = find(info, "type");
	if (all->item.hook == BPFREFS_HOOK_OTHER)
		all->item.hook_name = field ? field->str : NULL;
	add_event(all, id, info);
	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++)
		if (!g_strv_contains(left_out, field->key))
			add_word(all, field->key,
				 field->str ? str_value(field->str) : known(num_value(field->num)));
	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		add_element(all, i);
	if (++all->elements.next >= all->elements.count) {
		all->elements.next = 0;
		all->place++;
	}
	return end_item(all);
}

/* An iterator is no attachment: its program runs when somebody reads it. */
static bool is_attached_link(const struct bpfrefs_object *object)
{
	return object->key.kind == BPFREFS_KIND_LINK && object->type_number != UAPI_LINK_ITER;
}

/* The facts about a link, or what is left of them if they could not be read. */
static struct bpfrefs_info *read_link(struct attachments *all, const struct bpfrefs_object *link)
{
	struct bpfrefs_info *info = NULL;
	int err = all->ctx->source->info(all->ctx, link->key, &info);

	if (err == -ENOENT)
		return NULL;
	if (!err) {
		link_words_add(all->words, link->key.id, info);
		return info;
	}
	info = info_new();
	info_enum(info, "type", BPFREFS_ENUM_LINK_TYPE, link->type_number);
	info_num(info, "attach_type", BPFREFS_UNKNOWN);
	return info;
}

/* The lock is held while the links are read: it is taken once for all of them. */
static int read_links(struct attachments *all, const struct bpfrefs_selection *selection)
{
	struct bpfrefs_key one = selection->filter.holder;
	const GPtrArray *objects = selection->snap->objects;
	int err = 0;

	ctx_lock(all->ctx);
	all->words = link_words_new(all->ctx, one.id);
	for (guint i = 0; !err && i < objects->len; i++) {
		const struct bpfrefs_object *object = objects->pdata[i];
		bool wanted = is_attached_link(object) && (!one.id || one.id == object->key.id);
		struct bpfrefs_info *info = wanted ? read_link(all, object) : NULL;

		if (info && !idmap_set(&all->links, object->key.id, info)) {
			bpfrefs_info_free(info);
			err = -ENOMEM;
		}
	}
	g_mutex_unlock(&all->ctx->lock);
	return err;
}

/* -------------------------------------------------------- without a link --- */

static bool is_attachment(const struct bpfrefs_ref *ref)
{
	const struct holder_class *class = ref->class;

	return class->hook && (!class->runs || class->runs(ref)) &&
	       ref->holder.kind != BPFREFS_KIND_LINK;
}

static const struct bpfrefs_attachment *of_ref(struct attachments *all,
					       const struct bpfrefs_ref *ref)
{
	const struct holder_class *class = ref->class;
	struct bpfrefs_value netns = bpfrefs_ref_get(ref, "netns");
	const char *name;

	begin_item(all, class->hook, 0);
	for (size_t i = 0; class->pub.keys[i]; i++) {
		const char *word = class->hook_words[i] ? class->hook_words[i] : class->pub.keys[i];
		struct bpfrefs_value value = bpfrefs_ref_value(ref, i);

		if (*word && value.type != BPFREFS_VALUE_ABSENT)
			add_word(all, word, known(value));
	}
	name = netns.type == BPFREFS_VALUE_NUM ? link_words_netns(all->words, netns.num) : NULL;
	if (name)
		add_word(all, "netns_name", str_value(name));
	all->place++;
	return end_item(all);
}

/* --------------------------------------------------------------- places --- */

static void add_link(struct attachments *all, uint32_t id)
{
	struct hooked place = { NULL, id };

	if (attached_link(all, id))
		g_array_append_val(all->places, place);
}

static void add_ref(struct attachments *all, const struct bpfrefs_ref *ref)
{
	struct hooked place = { ref, 0 };

	g_array_append_val(all->places, place);
}

/* Whether the reference is one of those whose attachment is noted already, or has a link. */
static bool is_noted(struct attachments *all, const struct bpfrefs_ref *ref)
{
	return ref->class->hook_shared &&
	       !g_hash_table_add(all->shared,
				 GSIZE_TO_POINTER((size_t)bpfrefs_ref_value(ref, 0).num));
}

/* The programs of a struct_ops map run where the map is registered, by a link or without. */
static void add_registered(struct attachments *all, struct ref_range refs)
{
	const struct bpfrefs_ref *ref;

	while ((ref = ref_range_next(&refs))) {
		if (ref->holder.kind == BPFREFS_KIND_LINK && ref->via == WALK_VIA_STRUCT_OPS)
			add_link(all, ref->holder.id);
		else if (is_attachment(ref))
			add_ref(all, ref);
	}
}

/* What has a link is returned as that of the link alone. */
static void note_links(struct attachments *all, struct ref_range refs)
{
	const struct bpfrefs_ref *ref;

	while ((ref = ref_range_next(&refs)))
		if (ref->holder.kind == BPFREFS_KIND_LINK && ref->class->hook_shared) {
			is_noted(all, ref);
			g_hash_table_insert(all->events, GUINT_TO_POINTER(ref->holder.id),
					    (gpointer)(uintptr_t)ref);
		}
}

static void find_places(struct attachments *all, const struct bpfrefs_snapshot *snap)
{
	struct ref_range refs = index_holders(snap, all->item.prog->key);
	const struct bpfrefs_ref *ref;

	g_hash_table_remove_all(all->shared);
	g_hash_table_remove_all(all->events);
	g_array_set_size(all->places, 0);
	all->place = 0;
	note_links(all, refs);
	while ((ref = ref_range_next(&refs))) {
		if (ref->holder.kind == BPFREFS_KIND_LINK && ref->via == WALK_VIA_PROG)
			add_link(all, ref->holder.id);
		else if (ref->holder.kind == BPFREFS_KIND_MAP && ref->via == WALK_VIA_STRUCT_OPS)
			add_registered(all, index_holders(snap, ref->holder));
		else if (is_attachment(ref) && !is_noted(all, ref))
			add_ref(all, ref);
	}
}

/* ------------------------------------------------------------ selection --- */

static void attachments_free(void *state)
{
	struct attachments *all = state;

	for (size_t i = 0; i < all->links.slots; i++)
		bpfrefs_info_free(all->links.entries[i].value);
	idmap_clear(&all->links);
	link_words_free(all->words);
	elements_clear(&all->elements);
	g_array_unref(all->places);
	g_array_unref(all->values);
	g_ptr_array_unref(all->keys);
	g_hash_table_unref(all->shared);
	g_hash_table_unref(all->events);
	g_free(all);
}

static int begin(struct bpfrefs_selection *selection, const void *ctx)
{
	struct attachments *all = selection->state = g_new0(struct attachments, 1);

	all->ctx = (struct bpfrefs_ctx *)(uintptr_t)ctx;
	all->places = g_array_new(FALSE, FALSE, sizeof(struct hooked));
	all->values = g_array_new(FALSE, FALSE, sizeof(struct bpfrefs_value));
	all->keys = g_ptr_array_new();
	all->shared = g_hash_table_new(NULL, NULL);
	all->events = g_hash_table_new(NULL, NULL);
	all->item.size = sizeof(all->item);
	return read_links(all, selection);
}

static const void *next(struct bpfrefs_selection *selection)
{
	struct attachments *all = selection->state;
	const GPtrArray *objects = selection->snap->objects;

	while (all->place == all->places->len) {
		if (selection->at == objects->len)
			return NULL;
		all->item.prog = objects->pdata[selection->at++];
		if (all->item.prog->key.kind == BPFREFS_KIND_PROG &&
		    select_object(selection, all->item.prog))
			find_places(all, selection->snap);
	}
	if (g_array_index(all->places, struct hooked, all->place).ref)
		return of_ref(all, g_array_index(all->places, struct hooked, all->place).ref);
	return of_link(all, g_array_index(all->places, struct hooked, all->place).link);
}

static bool matches(const struct bpfrefs_selection *selection, const void *item)
{
	struct bpfrefs_key link = selection->filter.holder;

	return !link.id ||
	       bpfrefs_key_compare(((const struct bpfrefs_attachment *)item)->link, link) == 0;
}

int bpfrefs_select_attachments(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
			       const struct bpfrefs_filter *filter, struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_ATTACHMENT,
		.members = SELECT_BY_OBJECT | SELECT_BY_HOLDER,
		.begin = begin,
		.next = next,
		.matches = matches,
		.clear = attachments_free,
	};

	return select_new(&question, snap, NULL, filter, ctx, out);
}

const struct bpfrefs_attachment *bpfrefs_next_attachment(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_ATTACHMENT);
}

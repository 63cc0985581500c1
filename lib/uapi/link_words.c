/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uapi/link_words.h"

#include <string.h>

#include "procfs/locations.h"
#include "uapi/uapi_info.h"

struct link_words {
	struct idmap locations; /* id of a link -> owned struct link_location */
	struct locations *names;
};

struct link_words *link_words_new(struct bpfrefs_ctx *ctx, uint32_t id)
{
	struct link_words *words = g_new0(struct link_words, 1);

	words->names = locations_new(ctx->proc_fd);
	/* If that fails, the words are unknown. */
	if (ctx->source->link_locations)
		ctx->source->link_locations(ctx, id, &words->locations);
	return words;
}

void link_words_free(struct link_words *words)
{
	if (!words)
		return;
	for (size_t i = 0; i < words->locations.slots; i++)
		g_free(words->locations.entries[i].value);
	idmap_clear(&words->locations);
	locations_free(words->names);
	g_free(words);
}

const char *link_words_netns(struct link_words *words, uint64_t netns)
{
	return netns <= UINT32_MAX ? locations_netns(words->names, (uint32_t)netns) : NULL;
}

/* ------------------------------------------------------------ one link --- */

/* The link whose words are being added. */
struct link {
	struct bpfrefs_info *info;
	const struct link_location *at; /* NULL: it could not be read */
	struct link_words *words;
};

static const struct bpfrefs_field *fact(const struct bpfrefs_info *info, const char *key)
{
	const struct bpfrefs_field *field;

	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++)
		if (strcmp(field->key, key) == 0)
			return field;
	return NULL;
}

/* A word, or an unknown one if it is NULL. */
static void add_word(const struct link *link, const char *key, const char *word)
{
	if (word)
		info_str(link->info, key, word);
	else
		info_num(link->info, key, BPFREFS_UNKNOWN);
}

static void add_netns(const struct link *link, uint64_t netns)
{
	const char *name = link_words_netns(link->words, netns);

	info_num(link->info, "netns", netns);
	if (name)
		info_str(link->info, "netns_name", name);
}

/* The device may have been removed since the facts were read, and then it is unknown. */
static void add_device(const struct link *link)
{
	const struct bpfrefs_field *ifindex = fact(link->info, "ifindex");
	bool found = link->at && ifindex && link->at->ifindex == ifindex->num;

	add_word(link, "ifname", found ? link->at->ifname : NULL);
	add_netns(link, found ? link->at->netns : BPFREFS_UNKNOWN);
}

static void add_mprog(const struct link *link)
{
	bool found = link->at && link->at->position >= 0;

	add_device(link);
	info_num(link->info, "position", found ? (uint64_t)link->at->position : BPFREFS_UNKNOWN);
}

static void add_netns_link(const struct link *link)
{
	const struct bpfrefs_field *netns = fact(link->info, "netns_ino");

	add_netns(link, netns ? netns->num : BPFREFS_UNKNOWN);
}

static void add_netfilter(const struct link *link)
{
	if (link->at && link->at->detached)
		info_str(link->info, "attached", "no");
	else
		add_netns(link, link->at ? link->at->netns : BPFREFS_UNKNOWN);
}

static void add_cgroup(const struct link *link)
{
	const struct bpfrefs_field *id = fact(link->info, "cgroup_id");
	g_autofree char *path = NULL;
	int err = id ? locations_cgroup(link->words->names, id->num, &path) : 0;

	if (id)
		add_word(link, "cgroup", path);
	/* The word that class cgroup has for it: the link is detached when it is freed. */
	if (err == -ESTALE)
		info_str(link->info, "state", "dying");
}

static void add_iter(const struct link *link)
{
	const struct bpfrefs_field *target = fact(link->info, "target_name");

	add_word(link, "target", target ? target->str : NULL);
	add_cgroup(link);
}

static void add_tracing(const struct link *link)
{
	static const char *const tracepoint = "trace_raw_tp";
	const struct bpfrefs_field *type = fact(link->info, "attach_type");
	const char *function = link->at && link->at->function[0] ? link->at->function : NULL;

	add_word(link,
		 type && type->str && strcmp(type->str, tracepoint) == 0 ? "tracepoint"
									 : "function",
		 function);
}

static void add_raw_tracepoint(const struct link *link)
{
	const struct bpfrefs_field *name = fact(link->info, "tp_name");

	add_word(link, "tracepoint", name ? name->str : NULL);
}

/*
 * A uprobe is set in the memory of one process or of all; whatever else uses its event is called for
 * any (trace_call_bpf()). Only what counts, such as cycles, is for one processor.
 */
static void add_event(const struct link *link, bool counts)
{
	const struct link_location *at = link->at;

	if (!at || at->pid)
		info_num(link->info, "pid", at ? at->pid : BPFREFS_UNKNOWN);
	if (counts && (!at || at->cpu >= 0))
		info_num(link->info, "cpu", at ? (uint64_t)at->cpu : BPFREFS_UNKNOWN);
}

static void add_perf_event(const struct link *link)
{
	static const struct {
		const char *key, *word;
		bool private;
	} names[] = { { "tp_name", "tracepoint", false },
		      { "func_name", "function", false },
		      { "file_name", "path", true } };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const struct bpfrefs_field *name = fact(link->info, names[i].key);

		if (!name)
			continue;
		add_word(link, names[i].word, name->str);
		if (names[i].private)
			add_event(link, false);
		return;
	}
	if (fact(link->info, "event_type"))
		add_event(link, true);
}

/* The functions at the addresses, in the order of these. */
static void add_functions(const struct link *link)
{
	const struct bpfrefs_field *addrs = fact(link->info, "addrs");
	g_auto(GStrv) parts = addrs ? g_strsplit(addrs->str, " ", -1) : NULL;
	g_autoptr(GString) text = g_string_new(NULL);

	for (char **part = parts; part && *part; part++) {
		const char *name =
			locations_symbol(link->words->names, g_ascii_strtoull(*part, NULL, 10));

		g_string_append_printf(text, "%s%s", text->len ? " " : "", name ? name : "?");
	}
	add_word(link, "functions", parts ? text->str : NULL);
}

/* Before Linux 6.8 the kernel does not say where such a link is. */
static void add_offsets(const struct link *link)
{
	static const char *const keys[] = { "path", "offsets" };

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (!fact(link->info, keys[i]))
			add_word(link, keys[i], NULL);
}

static void (*const add_type[UAPI_LINK_COUNT])(const struct link *link) = {
	[UAPI_LINK_RAW_TRACEPOINT] = add_raw_tracepoint,
	[UAPI_LINK_TRACING] = add_tracing,
	[UAPI_LINK_CGROUP] = add_cgroup,
	[UAPI_LINK_ITER] = add_iter,
	[UAPI_LINK_NETNS] = add_netns_link,
	[UAPI_LINK_XDP] = add_device,
	[UAPI_LINK_PERF_EVENT] = add_perf_event,
	[UAPI_LINK_KPROBE_MULTI] = add_functions,
	[UAPI_LINK_NETFILTER] = add_netfilter,
	[UAPI_LINK_UPROBE_MULTI] = add_offsets,
	[UAPI_LINK_TCX] = add_mprog,
	[UAPI_LINK_NETKIT] = add_mprog,
};

void link_words_add(struct link_words *words, uint32_t id, struct bpfrefs_info *info)
{
	const struct bpfrefs_field *type = fact(info, "type");
	struct link link = { info, idmap_get(&words->locations, id), words };

	/* A link that was detached has no place any more. */
	if (type && type->num < UAPI_LINK_COUNT && add_type[type->num] && !fact(info, "attached"))
		add_type[type->num](&link);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The facts about objects as names and values, rendered by tables of the members of each UAPI
 * structure.
 */
#include <stdio.h>
#include <string.h>

#include "uapi/uapi_info.h"

struct bpfrefs_info {
	GArray *fields;	       /* struct bpfrefs_field */
	GStringChunk *strings; /* keys and values */
};

struct bpfrefs_info *info_new(void)
{
	struct bpfrefs_info *info = g_new0(struct bpfrefs_info, 1);

	info->fields = g_array_new(FALSE, TRUE, sizeof(struct bpfrefs_field));
	info->strings = g_string_chunk_new(512);
	return info;
}

void bpfrefs_info_free(struct bpfrefs_info *info)
{
	if (!info)
		return;
	g_array_unref(info->fields);
	g_string_chunk_free(info->strings);
	g_free(info);
}

const struct bpfrefs_field *bpfrefs_info_field(const struct bpfrefs_info *info, size_t index)
{
	if (index >= info->fields->len)
		return NULL;
	return &g_array_index(info->fields, struct bpfrefs_field, index);
}

void info_num(struct bpfrefs_info *info, const char *key, uint64_t num)
{
	struct bpfrefs_field field = { .size = sizeof(field), .num = num };

	field.key = g_string_chunk_insert_const(info->strings, key);
	g_array_append_val(info->fields, field);
}

void info_str(struct bpfrefs_info *info, const char *key, const char *str)
{
	struct bpfrefs_field field = { .size = sizeof(field) };

	field.key = g_string_chunk_insert_const(info->strings, key);
	field.str = g_string_chunk_insert(info->strings, str);
	g_array_append_val(info->fields, field);
}

void info_enum(struct bpfrefs_info *info, const char *key, enum bpfrefs_enum what, uint32_t value)
{
	info_num(info, key, value);
	g_array_index(info->fields, struct bpfrefs_field, info->fields->len - 1).str =
		bpfrefs_enum_name(what, value);
}

/* ------------------------------------------------------------- tables --- */

/*
 * The names of the values of an enumeration that only one member has. NULL: the value has no name.
 */
struct value_names {
	const char *words[11];
};

/* clang-format off */
static const struct value_names cgroup_iter_orders = { {
	"order_unspec", "self_only", "descendants_pre", "descendants_post", "ancestors_up",
	"children",
} };
static const struct value_names perf_event_types = { {
	"unspec", "uprobe", "uretprobe", "kprobe", "kretprobe", "tracepoint", "event",
} };
static const struct value_names perf_types = { {
	"hardware", "software", "tracepoint", "hw_cache", "raw", "breakpoint",
} };
static const struct value_names netfilter_protocols = { {
	[1] = "inet", [2] = "ipv4", [3] = "arp", [5] = "netdev", [7] = "bridge", [10] = "ipv6",
} };
static const struct value_names inet_hooks = { {
	"pre_routing", "local_in", "forward", "local_out", "post_routing",
} };
/* clang-format on */

enum how {
	HOW_NUM,  /* a number of 4 or 8 bytes */
	HOW_SET,  /* the same, left out if 0: it was not set, or the kernel does not have it */
	HOW_INT,  /* a signed number of 4 bytes */
	HOW_BIT,  /* bit 0 */
	HOW_HEX,  /* bytes, in hexadecimal */
	HOW_NAME, /* characters, padded with NULs */
	HOW_MAP_TYPE,
	HOW_PROG_TYPE,
	HOW_ATTACH_TYPE,
	HOW_WORDS,
};

/* One member of a structure. It is left out if the kernel fills less than @since bytes. */
struct row {
	const char *key;
	uint16_t offset, size;
	enum how how;
	const struct value_names *words;
	uint16_t since; /* 0: its own end */
};

#define ROW(type, member, key, how, ...)                                                   \
	{                                                                                  \
		key, offsetof(struct type, member), sizeof(((struct type *)NULL)->member), \
			HOW_##how, __VA_ARGS__, 0                                          \
	}
/* NOLINTBEGIN(bugprone-macro-parentheses): members of a structure */
#define MAP(member, how)	ROW(map_facts, member, #member, how, NULL)
#define PROG(member, how)	ROW(uapi_prog, member, #member, how, NULL)
#define BTF(member, how)	ROW(uapi_btf, member, #member, how, NULL)
#define LINK(part, member, how) ROW(uapi_link, part.member, #member, how, NULL)
#define END                                  \
	{                                    \
		NULL, 0, 0, HOW_NUM, NULL, 0 \
	}

/*
 * kprobe_multi.missed was added together with perf_event.kprobe.missed (Linux 6.7). It lies within
 * the older size of struct bpf_link_info, so whether the kernel has it follows from the size up to
 * the end of the latter.
 */
#define MISSED_SINCE (offsetof(struct uapi_link, perf_event.kprobe.cookie))
#define MISSED                                                                                  \
	{                                                                                       \
		"missed", offsetof(struct uapi_link, kprobe_multi.missed),                      \
			sizeof(((struct uapi_link *)NULL)->kprobe_multi.missed), HOW_NUM, NULL, \
			MISSED_SINCE                                                            \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

/* clang-format off */
static const struct row map_rows[] = {
	MAP(type, MAP_TYPE), MAP(id, NUM), MAP(key_size, NUM), MAP(value_size, NUM),
	MAP(max_entries, NUM), MAP(map_flags, NUM), MAP(name, NAME), MAP(ifindex, NUM),
	MAP(btf_vmlinux_value_type_id, NUM), MAP(netns_dev, NUM), MAP(netns_ino, NUM),
	MAP(btf_id, NUM), MAP(btf_key_type_id, NUM), MAP(btf_value_type_id, NUM), END,
};
/* Since Linux 5.16; btf_vmlinux_id since Linux 6.9, in what was padding before. */
static const struct row map_more_rows[] = { MAP(btf_vmlinux_id, SET), MAP(map_extra, NUM), END };

/* The members before map_ids, and those after it. */
static const struct row prog_rows[] = {
	PROG(type, PROG_TYPE), PROG(id, NUM), PROG(tag, HEX), PROG(jited_prog_len, NUM),
	PROG(xlated_prog_len, NUM), PROG(load_time, NUM), PROG(created_by_uid, NUM),
	PROG(nr_map_ids, NUM), END,
};
static const struct row prog_more_rows[] = {
	PROG(name, NAME), PROG(ifindex, NUM), ROW(uapi_prog, flags, "gpl_compatible", BIT, NULL),
	PROG(netns_dev, NUM), PROG(netns_ino, NUM), PROG(nr_jited_ksyms, NUM),
	PROG(nr_jited_func_lens, NUM), PROG(btf_id, NUM), PROG(func_info_rec_size, NUM),
	PROG(nr_func_info, NUM), PROG(nr_line_info, NUM), PROG(nr_jited_line_info, NUM),
	PROG(line_info_rec_size, NUM), PROG(jited_line_info_rec_size, NUM),
	PROG(nr_prog_tags, NUM), PROG(run_time_ns, NUM), PROG(run_cnt, NUM),
	PROG(recursion_misses, NUM), PROG(verified_insns, NUM), PROG(attach_btf_obj_id, NUM),
	PROG(attach_btf_id, NUM), END,
};

static const struct row raw_tracepoint_rows[] = { LINK(raw_tracepoint, cookie, SET), END };
static const struct row tracing_rows[] = {
	LINK(tracing, attach_type, ATTACH_TYPE), LINK(tracing, target_obj_id, NUM),
	LINK(tracing, target_btf_id, NUM), LINK(tracing, cookie, SET), END,
};
static const struct row cgroup_rows[] = {
	LINK(cgroup, cgroup_id, NUM), LINK(cgroup, attach_type, ATTACH_TYPE), END,
};
static const struct row netns_rows[] = {
	LINK(netns, netns_ino, NUM), LINK(netns, attach_type, ATTACH_TYPE), END,
};
static const struct row xdp_rows[] = { LINK(xdp, ifindex, NUM), END };
static const struct row tcx_rows[] = {
	LINK(tcx, ifindex, NUM), LINK(tcx, attach_type, ATTACH_TYPE), END,
};
static const struct row netkit_rows[] = {
	LINK(netkit, ifindex, NUM), LINK(netkit, attach_type, ATTACH_TYPE), END,
};
static const struct row struct_ops_rows[] = { LINK(struct_ops, map_id, NUM), END };
static const struct row sockmap_rows[] = {
	LINK(sockmap, map_id, NUM), LINK(sockmap, attach_type, ATTACH_TYPE), END,
};
static const struct row netfilter_rows[] = {
	ROW(uapi_link, netfilter.pf, "pf", WORDS, &netfilter_protocols),
	ROW(uapi_link, netfilter.hooknum, "hooknum", WORDS, &inet_hooks),
	LINK(netfilter, priority, INT), LINK(netfilter, flags, NUM), END,
};
static const struct row kprobe_multi_rows[] = {
	LINK(kprobe_multi, count, NUM), LINK(kprobe_multi, flags, NUM), MISSED, END,
};
static const struct row uprobe_multi_rows[] = {
	LINK(uprobe_multi, count, NUM), LINK(uprobe_multi, flags, NUM),
	LINK(uprobe_multi, pid, SET), END,
};

static const struct row iter_map_rows[] = { LINK(iter.map, map_id, NUM), END };
static const struct row iter_cgroup_rows[] = {
	LINK(iter.cgroup, cgroup_id, NUM),
	ROW(uapi_link, iter.cgroup.order, "order", WORDS, &cgroup_iter_orders), END,
};
static const struct row iter_task_rows[] = {
	LINK(iter.task, tid, SET), LINK(iter.task, pid, SET), END,
};

static const struct row uprobe_rows[] = {
	LINK(perf_event.uprobe, offset, NUM), LINK(perf_event.uprobe, cookie, SET),
	LINK(perf_event.uprobe, ref_ctr_offset, SET), END,
};
static const struct row kprobe_rows[] = {
	LINK(perf_event.kprobe, offset, NUM), LINK(perf_event.kprobe, addr, NUM),
	LINK(perf_event.kprobe, missed, NUM), LINK(perf_event.kprobe, cookie, SET), END,
};
static const struct row tracepoint_rows[] = { LINK(perf_event.tracepoint, cookie, SET), END };
static const struct row event_rows[] = {
	ROW(uapi_link, perf_event.event.type, "event_type", WORDS, &perf_types),
	LINK(perf_event.event, config, NUM), LINK(perf_event.event, cookie, SET), END,
};

static const struct row btf_rows[] = { BTF(btf_size, NUM), BTF(id, NUM), END };
static const struct row btf_more_rows[] = { BTF(kernel_btf, NUM), END };
/* clang-format on */

/* ---------------------------------------------------------- rendering --- */

static uint64_t row_value(const struct row *row, const char *base)
{
	uint64_t wide = 0;
	uint32_t narrow = 0;

	if (row->size == sizeof(wide)) {
		memcpy(&wide, base + row->offset, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, base + row->offset, sizeof(narrow));
	return narrow;
}

static void add_text(struct bpfrefs_info *info, const struct row *row, const char *base)
{
	const unsigned char *bytes = (const unsigned char *)base + row->offset;
	g_autoptr(GString) text = g_string_new(NULL);

	for (uint16_t i = 0; i < row->size; i++) {
		if (row->how == HOW_NAME && !bytes[i])
			break;
		if (row->how == HOW_NAME)
			g_string_append_c(text, (char)bytes[i]);
		else
			g_string_append_printf(text, "%02x", bytes[i]);
	}
	info_str(info, row->key, text->str);
}

static void add_int(struct bpfrefs_info *info, const char *key, int32_t value)
{
	char text[12];

	if (value >= 0) {
		info_num(info, key, (uint64_t)value);
		return;
	}
	snprintf(text, sizeof(text), "%d", value);
	info_str(info, key, text);
}

static void add_word(struct bpfrefs_info *info, const char *key, const struct value_names *words,
		     uint32_t value)
{
	const char *word = value < G_N_ELEMENTS(words->words) ? words->words[value] : NULL;

	info_num(info, key, value);
	g_array_index(info->fields, struct bpfrefs_field, info->fields->len - 1).str = word;
}

static void add_row(struct bpfrefs_info *info, const struct row *row, const char *base)
{
	uint64_t value;

	if (row->how == HOW_NAME || row->how == HOW_HEX) {
		add_text(info, row, base);
		return;
	}
	value = row_value(row, base);
	switch (row->how) {
	case HOW_SET:
		if (value)
			info_num(info, row->key, value);
		return;
	case HOW_INT:
		add_int(info, row->key, (int32_t)value);
		return;
	case HOW_BIT:
		info_num(info, row->key, value & 1);
		return;
	case HOW_MAP_TYPE:
		info_enum(info, row->key, BPFREFS_ENUM_MAP_TYPE, (uint32_t)value);
		return;
	case HOW_PROG_TYPE:
		info_enum(info, row->key, BPFREFS_ENUM_PROG_TYPE, (uint32_t)value);
		return;
	case HOW_ATTACH_TYPE:
		info_enum(info, row->key, BPFREFS_ENUM_ATTACH_TYPE, (uint32_t)value);
		return;
	case HOW_WORDS:
		add_word(info, row->key, row->words, (uint32_t)value);
		return;
	default:
		info_num(info, row->key, value);
	}
}

static void add_rows(struct bpfrefs_info *info, const struct row *rows, const void *base,
		     uint32_t len)
{
	for (const struct row *row = rows; row->key; row++)
		if (MAX(row->since, row->offset + row->size) <= (int)len)
			add_row(info, row, base);
}

void info_map(struct bpfrefs_info *info, const struct map_facts *facts)
{
	info_str(info, "kind", bpfrefs_kind_name(BPFREFS_KIND_MAP));
	add_rows(info, map_rows, facts, sizeof(*facts));
	if (!facts->short_info)
		add_rows(info, map_more_rows, facts, sizeof(*facts));
}

void info_prog(struct bpfrefs_info *info, const struct prog_facts *facts)
{
	g_autoptr(GString) maps = g_string_new(NULL);

	for (uint32_t i = 0; i < facts->map_count; i++)
		g_string_append_printf(maps, "%s%u", i ? " " : "", facts->map_ids[i]);
	info_str(info, "kind", bpfrefs_kind_name(BPFREFS_KIND_PROG));
	add_rows(info, prog_rows, &facts->raw, facts->len);
	info_str(info, "map_ids", maps->str);
	add_rows(info, prog_more_rows, &facts->raw, facts->len);
}

void info_btf(struct bpfrefs_info *info, const struct btf_facts *facts)
{
	info_str(info, "kind", bpfrefs_kind_name(BPFREFS_KIND_BTF));
	add_rows(info, btf_rows, &facts->raw, facts->len);
	if (facts->len >= offsetof(struct uapi_btf, kernel_btf))
		info_str(info, "name", facts->name);
	add_rows(info, btf_more_rows, &facts->raw, facts->len);
}

bool info_iter_has_map(const char *target)
{
	return strcmp(target, "bpf_map_elem") == 0 || strcmp(target, "bpf_sk_storage_map") == 0 ||
	       strcmp(target, "sockmap") == 0;
}

/* -------------------------------------------------------------- links --- */

static void add_iter(struct bpfrefs_info *info, const struct link_facts *facts)
{
	const char *target = facts->text;

	info_str(info, "target_name", target);
	if (info_iter_has_map(target))
		add_rows(info, iter_map_rows, &facts->raw, facts->len);
	else if (strcmp(target, "cgroup") == 0)
		add_rows(info, iter_cgroup_rows, &facts->raw, facts->len);
	else if (g_str_has_prefix(target, "task"))
		add_rows(info, iter_task_rows, &facts->raw, facts->len);
}

static void add_perf_event(struct bpfrefs_info *info, const struct link_facts *facts)
{
	static const struct {
		const char *name;
		const struct row *rows;
	} types[] = {
		[UAPI_PERF_UPROBE] = { "file_name", uprobe_rows },
		[UAPI_PERF_URETPROBE] = { "file_name", uprobe_rows },
		[UAPI_PERF_KPROBE] = { "func_name", kprobe_rows },
		[UAPI_PERF_KRETPROBE] = { "func_name", kprobe_rows },
		[UAPI_PERF_TRACEPOINT] = { "tp_name", tracepoint_rows },
		[UAPI_PERF_EVENT] = { NULL, event_rows },
	};
	uint32_t type = facts->raw.perf_event.type;

	/* Before Linux 6.6, the kernel does not fill the facts about a perf event link. */
	if (type == 0)
		return;
	add_word(info, "perf_event_type", &perf_event_types, type);
	if (type >= G_N_ELEMENTS(types))
		return;
	if (types[type].name)
		info_str(info, types[type].name, facts->text);
	add_rows(info, types[type].rows, &facts->raw, facts->len);
}

/* How the facts about a type of link are rendered, and how a detached link is recognized. */
struct link_type {
	const struct row *rows;
	const char *text; /* the key of its string, which comes before the rows */
	bool has_target;  /* the value of its first row is 0 if it was detached */
	/* the value of its first row is 0 if the kernel does not fill the facts */
	bool zero_is_unknown;
	void (*add)(struct bpfrefs_info *info, const struct link_facts *facts);
};

/* clang-format off */
static const struct link_type link_types[UAPI_LINK_COUNT] = {
	[UAPI_LINK_RAW_TRACEPOINT] = { .rows = raw_tracepoint_rows, .text = "tp_name" },
	[UAPI_LINK_TRACING] = { .rows = tracing_rows },
	[UAPI_LINK_CGROUP] = { .rows = cgroup_rows, .has_target = true },
	[UAPI_LINK_ITER] = { .add = add_iter },
	[UAPI_LINK_NETNS] = { .rows = netns_rows, .has_target = true },
	[UAPI_LINK_XDP] = { .rows = xdp_rows, .has_target = true },
	[UAPI_LINK_PERF_EVENT] = { .add = add_perf_event },
	[UAPI_LINK_KPROBE_MULTI] = { .rows = kprobe_multi_rows, .zero_is_unknown = true },
	[UAPI_LINK_STRUCT_OPS] = { .rows = struct_ops_rows, .has_target = true },
	[UAPI_LINK_NETFILTER] = { .rows = netfilter_rows },
	[UAPI_LINK_TCX] = { .rows = tcx_rows, .has_target = true },
	[UAPI_LINK_UPROBE_MULTI] = { .rows = uprobe_multi_rows, .text = "path",
				    .zero_is_unknown = true },
	[UAPI_LINK_NETKIT] = { .rows = netkit_rows, .has_target = true },
	[UAPI_LINK_SOCKMAP] = { .rows = sockmap_rows, .has_target = true },
};
/* clang-format on */

void info_link(struct bpfrefs_info *info, const struct link_facts *facts)
{
	const struct uapi_link *raw = &facts->raw;
	const struct link_type *type;
	uint64_t first = 0;

	info_str(info, "kind", bpfrefs_kind_name(BPFREFS_KIND_LINK));
	info_enum(info, "type", BPFREFS_ENUM_LINK_TYPE, raw->type);
	info_num(info, "id", raw->id);
	info_num(info, "prog_id", raw->prog_id);
	if (raw->type >= UAPI_LINK_COUNT)
		return;
	type = &link_types[raw->type];
	if (type->rows && type->rows->key)
		first = row_value(type->rows, (const char *)raw);
	if (type->zero_is_unknown && first == 0)
		return;
	if (type->text)
		info_str(info, type->text, facts->text);
	if (type->rows)
		add_rows(info, type->rows, raw, facts->len);
	if (type->add)
		type->add(info, facts);
	if (type->has_target && first == 0)
		info_str(info, "attached", "no");
}

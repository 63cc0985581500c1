/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uapi/uapi_info.h"

#include <linux/bpf.h>
#include <string.h>

#include "uapi/syscalls.h"
#include "uapi/uapi_members.h"

/*
 * Compares the structures of uapi_info.h with those of the system's linux/bpf.h, member by member.
 * The header of Debian 12 (Linux 6.1) has all of UAPI_MEMBERS. Newer members are compared if the
 * header has them. The unit test "layout" compares all members with the BTF of the running kernel.
 */
#define SAME(ours, uapi, member)                                                         \
	_Static_assert(offsetof(struct ours, member) == offsetof(struct uapi, member) && \
			       sizeof(((struct ours *)NULL)->member) ==                  \
				       sizeof(((struct uapi *)NULL)->member),            \
		       #uapi "." #member);

UAPI_MEMBERS(SAME)
#if HAVE_BPF_LINK_INFO_STRUCT_OPS
UAPI_MEMBERS_STRUCT_OPS(SAME)
#endif
#if HAVE_BPF_LINK_INFO_NETFILTER
UAPI_MEMBERS_NETFILTER(SAME)
#endif
#if HAVE_BPF_LINK_INFO_PERF_EVENT
UAPI_MEMBERS_PERF_EVENT(SAME)
#endif
#if HAVE_BPF_LINK_INFO_TCX
UAPI_MEMBERS_TCX(SAME)
#endif
#if HAVE_BPF_LINK_INFO_NETKIT
UAPI_MEMBERS_NETKIT(SAME)
#endif
#if HAVE_BPF_LINK_INFO_MISSED
UAPI_MEMBERS_MISSED(SAME)
#endif
#if HAVE_BPF_LINK_INFO_UPROBE_MULTI
UAPI_MEMBERS_UPROBE_MULTI(SAME)
#endif
#if HAVE_BPF_LINK_INFO_COOKIES
UAPI_MEMBERS_COOKIES(SAME)
#endif
#if HAVE_BPF_LINK_INFO_SOCKMAP
UAPI_MEMBERS_SOCKMAP(SAME)
#endif
#if HAVE_BPF_LINK_INFO_TRACING_COOKIE
UAPI_MEMBERS_TRACING_COOKIE(SAME)
#endif
#if HAVE_BPF_LINK_INFO_RAW_TRACEPOINT_COOKIE
UAPI_MEMBERS_RAW_TRACEPOINT_COOKIE(SAME)
#endif
#if HAVE_BPF_LINK_INFO_REF_CTR_OFFSET
UAPI_MEMBERS_REF_CTR_OFFSET(SAME)
#endif
#if HAVE_BPF_MAP_INFO_BTF_VMLINUX_ID
UAPI_MEMBERS_BTF_VMLINUX_ID(SAME)
#endif

/* A program can have 64 maps when it is loaded (MAX_USED_MAPS); BPF_PROG_BIND_MAP adds to them. */
#define MAP_IDS_MAX 65536
/* MAX_KPROBE_MULTI_CNT and MAX_UPROBE_MULTI_CNT of kernel/trace/bpf_trace.c */
#define MANY_MAX (1U << 20)

int uapi_info_map_read(int fd, struct map_facts *facts)
{
	struct uapi_map raw = { 0 };
	uint32_t len = sizeof(raw);
	int err = syscall_info(fd, &raw, &len);

	if (err)
		return err;
	*facts = (struct map_facts){
		.type = raw.type,
		.id = raw.id,
		.key_size = raw.key_size,
		.value_size = raw.value_size,
		.max_entries = raw.max_entries,
		.map_flags = raw.map_flags,
		.ifindex = raw.ifindex,
		.btf_vmlinux_value_type_id = raw.btf_vmlinux_value_type_id,
		.netns_dev = raw.netns_dev,
		.netns_ino = raw.netns_ino,
		.btf_id = raw.btf_id,
		.btf_key_type_id = raw.btf_key_type_id,
		.btf_value_type_id = raw.btf_value_type_id,
		.btf_vmlinux_id = raw.btf_vmlinux_id,
		.map_extra = raw.map_extra,
		.short_info = len < sizeof(raw),
	};
	memcpy(facts->name, raw.name, sizeof(facts->name));
	return 0;
}

void uapi_info_prog_clear(struct prog_facts *facts)
{
	g_clear_pointer(&facts->map_ids, g_free);
	facts->map_count = 0;
}

int uapi_info_prog_read(int fd, struct prog_facts *facts)
{
	uint32_t room = 0;

	memset(facts, 0, sizeof(*facts));
	for (;;) {
		int err;

		memset(&facts->raw, 0, sizeof(facts->raw));
		facts->raw.nr_map_ids = room;
		facts->raw.map_ids = (uintptr_t)facts->map_ids;
		facts->len = sizeof(facts->raw);
		err = syscall_info(fd, &facts->raw, &facts->len);
		if (!err && facts->raw.nr_map_ids > MAP_IDS_MAX)
			err = -E2BIG;
		if (err) {
			uapi_info_prog_clear(facts);
			return err;
		}
		facts->map_count = facts->raw.nr_map_ids;
		if (facts->map_count <= room)
			return 0;
		/* This is the first call, or a map was bound to the program since the last one. */
		room = facts->map_count;
		g_free(facts->map_ids);
		facts->map_ids = g_new0(uint32_t, room);
	}
}

/* Sets the buffer for a string, and its size: two members of the same structure. */
static void want_text(struct link_facts *facts, uint64_t *at, uint32_t *len)
{
	*at = (uintptr_t)facts->text;
	*len = sizeof(facts->text);
}

static bool perf_want_text(struct link_facts *facts, uint32_t perf_type)
{
	struct uapi_perf *perf = &facts->raw.perf_event;

	switch (perf_type) {
	case UAPI_PERF_UPROBE:
	case UAPI_PERF_URETPROBE:
		want_text(facts, &perf->uprobe.file_name, &perf->uprobe.name_len);
		return true;
	case UAPI_PERF_KPROBE:
	case UAPI_PERF_KRETPROBE:
		want_text(facts, &perf->kprobe.func_name, &perf->kprobe.name_len);
		return true;
	case UAPI_PERF_TRACEPOINT:
		want_text(facts, &perf->tracepoint.tp_name, &perf->tracepoint.name_len);
		return true;
	default:
		return false;
	}
}

/* Sets the buffer for the string of a link of this type. False: it has no string. */
static bool link_want_text(struct link_facts *facts, const struct uapi_link *first)
{
	struct uapi_link *raw = &facts->raw;

	switch (first->type) {
	case UAPI_LINK_RAW_TRACEPOINT:
		want_text(facts, &raw->raw_tracepoint.tp_name, &raw->raw_tracepoint.tp_name_len);
		return true;
	case UAPI_LINK_ITER:
		want_text(facts, &raw->iter.target_name, &raw->iter.target_name_len);
		return true;
	case UAPI_LINK_UPROBE_MULTI:
		want_text(facts, &raw->uprobe_multi.path, &raw->uprobe_multi.path_size);
		return true;
	case UAPI_LINK_PERF_EVENT:
		return perf_want_text(facts, first->perf_event.type);
	default:
		return false;
	}
}

int uapi_info_link_read(int fd, struct link_facts *facts)
{
	struct uapi_link first = { 0 };
	uint32_t first_len = sizeof(first);
	int err = syscall_info(fd, &first, &first_len);

	if (err)
		return err;
	memset(facts, 0, sizeof(*facts));
	facts->len = sizeof(facts->raw);
	if (link_want_text(facts, &first)) {
		err = syscall_info(fd, &facts->raw, &facts->len);
		facts->text[sizeof(facts->text) - 1] = '\0';
		if (!err)
			return 0;
		/*
		 * If the string cannot be read (ENOSPC, an unlinked file), the other facts still
		 * can.
		 */
		facts->text[0] = '\0';
	}
	facts->raw = first;
	facts->len = first_len;
	return 0;
}

int uapi_info_btf_read(int fd, struct btf_facts *facts)
{
	memset(facts, 0, sizeof(*facts));
	facts->raw.name = (uintptr_t)facts->name;
	facts->raw.name_len = sizeof(facts->name);
	facts->len = sizeof(facts->raw);
	return syscall_info(fd, &facts->raw, &facts->len);
}

/* --------------------------------------------------------- rendering --- */

static int prog_info_read(int fd, struct bpfrefs_info *info)
{
	struct prog_facts facts;
	int err = uapi_info_prog_read(fd, &facts);

	if (err)
		return err;
	info_prog(info, &facts);
	uapi_info_prog_clear(&facts);
	return 0;
}

static int map_info_read(int fd, struct bpfrefs_info *info)
{
	struct map_facts facts;
	int err = uapi_info_map_read(fd, &facts);

	if (!err)
		info_map(info, &facts);
	return err;
}

/* Numbers in a row, with blanks between them. */
static void add_numbers(struct bpfrefs_info *info, const char *key, const uint64_t *numbers,
			uint32_t count)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (uint32_t i = 0; i < count; i++)
		g_string_append_printf(text, "%s%" G_GUINT64_FORMAT, i ? " " : "",
				       (guint64)numbers[i]);
	info_str(info, key, text->str);
}

static bool has_any(const uint64_t *numbers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (numbers[i])
			return true;
	return false;
}

/*
 * A link to many functions or offsets: these, and their cookies if it has any. A kernel that does not
 * fill them leaves zeros, which no function and no offset of a probe is.
 */
static void add_many(int fd, const struct link_facts *facts, struct bpfrefs_info *info)
{
	bool kprobes = facts->raw.type == UAPI_LINK_KPROBE_MULTI;
	uint32_t count = kprobes ? facts->raw.kprobe_multi.count : facts->raw.uprobe_multi.count;
	g_autofree uint64_t *places = NULL, *cookies = NULL;
	struct uapi_link raw = { 0 };
	uint32_t len = sizeof(raw);

	if (!count || count > MANY_MAX)
		return;
	places = g_new0(uint64_t, count);
	cookies = g_new0(uint64_t, count);
	if (kprobes) {
		raw.kprobe_multi.addrs = (uintptr_t)places;
		raw.kprobe_multi.cookies = (uintptr_t)cookies;
		raw.kprobe_multi.count = count;
	} else {
		raw.uprobe_multi.offsets = (uintptr_t)places;
		raw.uprobe_multi.cookies = (uintptr_t)cookies;
		raw.uprobe_multi.count = count;
	}
	if (syscall_info(fd, &raw, &len) || !has_any(places, count))
		return;
	add_numbers(info, kprobes ? "addrs" : "offsets", places, count);
	if (has_any(cookies, count))
		add_numbers(info, "cookies", cookies, count);
}

static int link_info_read(int fd, struct bpfrefs_info *info)
{
	struct link_facts facts;
	int err = uapi_info_link_read(fd, &facts);

	if (err)
		return err;
	info_link(info, &facts);
	if (facts.raw.type == UAPI_LINK_KPROBE_MULTI || facts.raw.type == UAPI_LINK_UPROBE_MULTI)
		add_many(fd, &facts, info);
	return 0;
}

static int btf_info_read(int fd, struct bpfrefs_info *info)
{
	struct btf_facts facts;
	int err = uapi_info_btf_read(fd, &facts);

	if (!err)
		info_btf(info, &facts);
	return err;
}

int uapi_info_read(int fd, enum bpfrefs_kind kind, struct bpfrefs_info **out)
{
	static int (*const read_kind[KIND_COUNT])(int, struct bpfrefs_info *) = {
		[BPFREFS_KIND_MAP] = map_info_read,
		[BPFREFS_KIND_PROG] = prog_info_read,
		[BPFREFS_KIND_LINK] = link_info_read,
		[BPFREFS_KIND_BTF] = btf_info_read,
	};
	struct bpfrefs_info *info;
	int err;

	if (kind >= KIND_COUNT)
		return -EINVAL;
	info = info_new();
	err = read_kind[kind](fd, info);
	if (err) {
		bpfrefs_info_free(info);
		return err;
	}
	*out = info;
	return 0;
}

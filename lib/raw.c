/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "raw.h"

#include <string.h>

#include "bpf.h"

/* struct bpf_map_info; its tail (a hash's buffer, since 6.18) is of no use without signed maps. */
struct raw_map {
	uint32_t type, id, key_size, value_size, max_entries, map_flags;
	char name[16];
	uint32_t ifindex, btf_vmlinux_value_type_id;
	uint64_t netns_dev, netns_ino;
	uint32_t btf_id, btf_key_type_id, btf_value_type_id, btf_vmlinux_id;
	uint64_t map_extra;
};

_Static_assert(sizeof(struct raw_map) == 88, "struct bpf_map_info up to map_extra");

/* A program has at most 64 maps from its load; BPF_PROG_BIND_MAP adds to them. */
#define MAP_IDS_MAX 65536

int raw_map_read(int fd, struct map_facts *facts)
{
	struct raw_map raw = { 0 };
	uint32_t len = sizeof(raw);
	int err = bpf_info_raw(fd, &raw, &len);

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

void raw_prog_clear(struct prog_facts *facts)
{
	g_clear_pointer(&facts->map_ids, g_free);
	facts->map_count = 0;
}

int raw_prog_read(int fd, struct prog_facts *facts)
{
	uint32_t room = 0;

	memset(facts, 0, sizeof(*facts));
	for (;;) {
		int err;

		memset(&facts->raw, 0, sizeof(facts->raw));
		facts->raw.nr_map_ids = room;
		facts->raw.map_ids = (uintptr_t)facts->map_ids;
		facts->len = sizeof(facts->raw);
		err = bpf_info_raw(fd, &facts->raw, &facts->len);
		if (!err && facts->raw.nr_map_ids > MAP_IDS_MAX)
			err = -E2BIG;
		if (err) {
			raw_prog_clear(facts);
			return err;
		}
		facts->map_count = facts->raw.nr_map_ids;
		if (facts->map_count <= room)
			return 0;
		/* The first time, or a map was bound since. */
		room = facts->map_count;
		g_free(facts->map_ids);
		facts->map_ids = g_new0(uint32_t, room);
	}
}

/* Points the one string of a link of this type at its buffer. False: it has none. */
static bool link_want_text(struct link_facts *facts, uint32_t type, uint32_t perf_type)
{
	struct raw_link *raw = &facts->raw;
	uint64_t at = (uintptr_t)facts->text;
	uint32_t len = sizeof(facts->text);

	switch (type) {
	case RAW_LINK_RAW_TRACEPOINT:
		raw->raw_tracepoint.tp_name = (struct raw_text){ at, len };
		return true;
	case RAW_LINK_ITER:
		raw->iter.target_name = at;
		raw->iter.target_name_len = len;
		return true;
	case RAW_LINK_UPROBE_MULTI:
		raw->uprobe_multi.path = at;
		raw->uprobe_multi.path_size = len;
		return true;
	case RAW_LINK_PERF_EVENT:
		/* Its names are all at one place (checked below). */
		if (perf_type < RAW_PERF_UPROBE || perf_type > RAW_PERF_TRACEPOINT)
			return false;
		raw->perf_event.tracepoint.tp_name = (struct raw_text){ at, len };
		return true;
	default:
		return false;
	}
}

_Static_assert(offsetof(struct raw_perf, tracepoint.tp_name.at) ==
			       offsetof(struct raw_perf, kprobe.func_name) &&
		       offsetof(struct raw_perf, tracepoint.tp_name.len) ==
			       offsetof(struct raw_perf, kprobe.name_len),
	       "a perf event link's name is at one place");

int raw_link_read(int fd, struct link_facts *facts)
{
	struct raw_link first = { 0 };
	uint32_t first_len = sizeof(first);
	int err = bpf_info_raw(fd, &first, &first_len);

	if (err)
		return err;
	memset(facts, 0, sizeof(*facts));
	facts->len = sizeof(facts->raw);
	if (link_want_text(facts, first.type, first.perf_event.type)) {
		err = bpf_info_raw(fd, &facts->raw, &facts->len);
		facts->text[sizeof(facts->text) - 1] = '\0';
		if (!err)
			return 0;
		/* A name that cannot be told (-ENOSPC, an unlinked file) leaves the other facts. */
		facts->text[0] = '\0';
	}
	facts->raw = first;
	facts->len = first_len;
	return 0;
}

int raw_btf_read(int fd, struct btf_facts *facts)
{
	memset(facts, 0, sizeof(*facts));
	facts->raw.name = (uintptr_t)facts->name;
	facts->raw.name_len = sizeof(facts->name);
	facts->len = sizeof(facts->raw);
	return bpf_info_raw(fd, &facts->raw, &facts->len);
}

bool raw_iter_has_map(const char *target)
{
	return strcmp(target, "bpf_map_elem") == 0 || strcmp(target, "bpf_sk_storage_map") == 0 ||
	       strcmp(target, "sockmap") == 0;
}

/* ----------------------------------------------------- facts as info --- */

static int prog_info_read(int fd, struct bpfrefs_info *info)
{
	struct prog_facts facts;
	int err = raw_prog_read(fd, &facts);

	if (err)
		return err;
	info_prog(info, &facts);
	raw_prog_clear(&facts);
	return 0;
}

static int map_info_read(int fd, struct bpfrefs_info *info)
{
	struct map_facts facts;
	int err = raw_map_read(fd, &facts);

	if (!err)
		info_map(info, &facts);
	return err;
}

static int link_info_read(int fd, struct bpfrefs_info *info)
{
	struct link_facts facts;
	int err = raw_link_read(fd, &facts);

	if (!err)
		info_link(info, &facts);
	return err;
}

static int btf_info_read(int fd, struct bpfrefs_info *info)
{
	struct btf_facts facts;
	int err = raw_btf_read(fd, &facts);

	if (!err)
		info_btf(info, &facts);
	return err;
}

int bpf_info_read(int fd, enum bpfrefs_kind kind, struct bpfrefs_info **out)
{
	static int (*const read_kind[BPFREFS_KIND_COUNT])(int, struct bpfrefs_info *) = {
		[BPFREFS_MAP] = map_info_read,
		[BPFREFS_PROG] = prog_info_read,
		[BPFREFS_LINK] = link_info_read,
		[BPFREFS_BTF] = btf_info_read,
	};
	struct bpfrefs_info *info;
	int err;

	if (kind >= BPFREFS_KIND_COUNT)
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kinds and keys of objects, and the names of the values of public enumerations. */
#include "snapshot/private.h"

#include <stdio.h>
#include <string.h>

#ifndef BPFREFS_VERSION
#error "the build defines BPFREFS_VERSION"
#endif

static const char *const kind_names[KIND_COUNT] = {
	[BPFREFS_KIND_MAP] = "map",
	[BPFREFS_KIND_PROG] = "prog",
	[BPFREFS_KIND_LINK] = "link",
	[BPFREFS_KIND_BTF] = "btf",
};

static const char *const source_names[SOURCE_COUNT] = {
	[BPFREFS_SOURCE_AUTO] = "auto",
	[BPFREFS_SOURCE_BPF] = "bpf",
	[BPFREFS_SOURCE_PROC] = "proc",
};

static const char *const state_names[STATE_COUNT] = {
	[BPFREFS_STATE_HELD] = "held",	     [BPFREFS_STATE_AT_RISK] = "at-risk",
	[BPFREFS_STATE_CLEARED] = "cleared", [BPFREFS_STATE_UNROOTED] = "unrooted",
	[BPFREFS_STATE_UNKNOWN] = "unknown",
};

static const char *const coverage_names[COVERAGE_COUNT] = {
	[BPFREFS_COVERAGE_COMPLETE] = "complete",
	[BPFREFS_COVERAGE_PARTIAL] = "partial",
	[BPFREFS_COVERAGE_UNAVAILABLE] = "unavailable",
};

static const char *const keep_names[KEEP_COUNT] = {
	[BPFREFS_KEEP_OFF] = "off",
	[BPFREFS_KEEP_FD] = "fd",
	[BPFREFS_KEEP_PIN] = "pin",
	[BPFREFS_KEEP_AUTO] = "auto",
};

static const char *name_of(const char *const *names, unsigned int count, unsigned int value)
{
	return value < count ? names[value] : "?";
}

static int value_of(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -EINVAL;
}

const char *bpfrefs_version(void)
{
	return BPFREFS_VERSION;
}

const char *bpfrefs_kind_name(enum bpfrefs_kind kind)
{
	return name_of(kind_names, KIND_COUNT, kind);
}

const char *bpfrefs_source_name(enum bpfrefs_source source)
{
	return name_of(source_names, SOURCE_COUNT, source);
}

const char *bpfrefs_state_name(enum bpfrefs_state state)
{
	return name_of(state_names, STATE_COUNT, state);
}

const char *bpfrefs_coverage_name(enum bpfrefs_coverage coverage)
{
	return name_of(coverage_names, COVERAGE_COUNT, coverage);
}

const char *bpfrefs_keep_name(enum bpfrefs_keep_mode mode)
{
	return name_of(keep_names, KEEP_COUNT, mode);
}

int bpfrefs_kind_parse(const char *name, enum bpfrefs_kind *kind)
{
	int value = value_of(kind_names, KIND_COUNT, name);

	if (value < 0)
		return value;
	*kind = (enum bpfrefs_kind)value;
	return 0;
}

int bpfrefs_keep_parse(const char *name, enum bpfrefs_keep_mode *mode)
{
	int value = value_of(keep_names, KEEP_COUNT, name);

	if (value < 0)
		return value;
	*mode = (enum bpfrefs_keep_mode)value;
	return 0;
}

int bpfrefs_id_parse(const char *text, uint32_t *id)
{
	uint64_t value = 0;

	if (text[0] == '0' || text[0] == '\0')
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return -EINVAL;
	}
	*id = (uint32_t)value;
	return 0;
}

int bpfrefs_key_parse(const char *text, struct bpfrefs_key *key)
{
	const char *slash = strchr(text, '/');
	enum bpfrefs_kind kind;
	char name[8];
	uint32_t id;
	int err;

	if (!slash || (size_t)(slash - text) >= sizeof(name))
		return -EINVAL;
	memcpy(name, text, (size_t)(slash - text));
	name[slash - text] = '\0';
	err = bpfrefs_kind_parse(name, &kind);
	if (!err)
		err = bpfrefs_id_parse(slash + 1, &id);
	if (err)
		return err;
	*key = (struct bpfrefs_key){ kind, id };
	return 0;
}

char *bpfrefs_key_format(struct bpfrefs_key key, char buf[BPFREFS_KEY_MAX])
{
	snprintf(buf, BPFREFS_KEY_MAX, "%s/%u", bpfrefs_kind_name(key.kind), key.id);
	return buf;
}

int bpfrefs_key_compare(struct bpfrefs_key a, struct bpfrefs_key b)
{
	if (a.kind != b.kind)
		return a.kind < b.kind ? -1 : 1;
	return a.id < b.id ? -1 : a.id > b.id;
}

guint key_hash(gconstpointer data)
{
	const struct bpfrefs_key *key = data;

	return key->id * 4 + (guint)key->kind;
}

gboolean key_equal(gconstpointer a, gconstpointer b)
{
	return bpfrefs_key_compare(*(const struct bpfrefs_key *)a,
				   *(const struct bpfrefs_key *)b) == 0;
}

const char *bpfrefs_hook_name(enum bpfrefs_hook hook)
{
	static const char *const names[] = {
		[BPFREFS_HOOK_CGROUP] = "cgroup",
		[BPFREFS_HOOK_FANOUT] = "fanout",
		[BPFREFS_HOOK_FREPLACE] = "freplace",
		[BPFREFS_HOOK_KPROBE] = "kprobe",
		[BPFREFS_HOOK_KPROBE_MULTI] = "kprobe_multi",
		[BPFREFS_HOOK_KRETPROBE] = "kretprobe",
		[BPFREFS_HOOK_LSM] = "lsm",
		[BPFREFS_HOOK_NETFILTER] = "netfilter",
		[BPFREFS_HOOK_NETKIT] = "netkit",
		[BPFREFS_HOOK_NETNS] = "netns",
		[BPFREFS_HOOK_PERF_EVENT] = "perf_event",
		[BPFREFS_HOOK_RAW_TRACEPOINT] = "raw_tracepoint",
		[BPFREFS_HOOK_REUSEPORT] = "reuseport",
		[BPFREFS_HOOK_ROUTE] = "route",
		[BPFREFS_HOOK_SOCKET] = "socket",
		[BPFREFS_HOOK_SOCKMAP] = "sockmap",
		[BPFREFS_HOOK_STRUCT_OPS] = "struct_ops",
		[BPFREFS_HOOK_TC] = "tc",
		[BPFREFS_HOOK_TCX] = "tcx",
		[BPFREFS_HOOK_TRACEPOINT] = "tracepoint",
		[BPFREFS_HOOK_TRACING] = "tracing",
		[BPFREFS_HOOK_TUN] = "tun",
		[BPFREFS_HOOK_UPROBE] = "uprobe",
		[BPFREFS_HOOK_UPROBE_MULTI] = "uprobe_multi",
		[BPFREFS_HOOK_URETPROBE] = "uretprobe",
		[BPFREFS_HOOK_XDP] = "xdp",
	};

	return hook < G_N_ELEMENTS(names) && names[hook] ? names[hook] : "?";
}

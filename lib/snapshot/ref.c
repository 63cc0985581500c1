/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The accessors of a reference, and the table of what `via` can be. */
#include "snapshot/private.h"

#include <string.h>

#include "bpf/records.h"

/* The words are those of bpfrefs(5). What is without @says, a sentence calls "holds it (WORD)". */
static const struct ref_via vias[WALK_VIA_COUNT + 1] = {
	[WALK_VIA_USED_MAPS] = { "used_maps", .says = "uses it" },
	[WALK_VIA_USED_BTFS] = { "used_btfs" },
	[WALK_VIA_KFUNC_BTF] = { "kfunc_btf" },
	/* prog_array_map_clear() */
	[WALK_VIA_SLOT] = { "slot", .user = true, .in_slot = true },
	[WALK_VIA_INNER] = { "inner", .in_slot = true },
	[WALK_VIA_KPTR] = { "kptr" },
	[WALK_VIA_TEMPLATE_KPTR] = { "template_kptr" },
	[WALK_VIA_ENTRY] = { "entry", .in_slot = true },
	[WALK_VIA_XSK] = { "xsk" },
	[WALK_VIA_STRUCT_OPS] = { "struct_ops" },
	/* sock_map_release() */
	[WALK_VIA_MSG_PARSER] = { "msg_parser", .user = true },
	[WALK_VIA_STREAM_PARSER] = { "stream_parser", .user = true },
	[WALK_VIA_STREAM_VERDICT] = { "stream_verdict", .user = true },
	[WALK_VIA_SKB_VERDICT] = { "skb_verdict", .user = true },
	/* array_map_free_internal_structs(), htab_map_free_internal_structs() */
	[WALK_VIA_TIMER] = { "timer", .user = true },
	[WALK_VIA_WQ] = { "wq", .user = true },
	[WALK_VIA_TASK_WORK] = { "task_work", .user = true },
	[WALK_VIA_TARGET] = { "target" },
	[WALK_VIA_ST_OPS_ASSOC] = { "st_ops_assoc", .says = "uses it" },
	[WALK_VIA_ARENA] = { "arena" },
	[WALK_VIA_FUNC_INFO] = { "func_info" },
	[WALK_VIA_ATTACH_BTF] = { "attach_btf" },
	[WALK_VIA_BTF] = { "btf" },
	[WALK_VIA_TEMPLATE] = { "template" },
	[WALK_VIA_PROG] = { "prog", .says = "attaches it" },
	[WALK_VIA_LINK_TARGET] = { "target", .says = "attaches it" },
	[WALK_VIA_LINK] = { "link", .says = "attaches it" },
	[WALK_VIA_EVENT_ARRAY] = { "perf_event_array", .in_slot = true },
	[WALK_VIA_INHERITED] = { "inherited" },
	[WALK_VIA_FILTER] = { "filter" },
	[WALK_VIA_PSOCK] = { "psock" },
	[WALK_VIA_KCM] = { "kcm" },
	[WALK_VIA_XSKMAP] = { "xskmap" },
	[WALK_VIA_STEERING] = { "steering" },
	[WALK_VIA_ACCEPT] = { "accept" },
	[WALK_VIA_QUEUE] = { "queue" },
	[WALK_VIA_LWT_IN] = { "lwt_in" },
	[WALK_VIA_LWT_OUT] = { "lwt_out" },
	[WALK_VIA_LWT_XMIT] = { "lwt_xmit" },
	[WALK_VIA_SEG6LOCAL] = { "seg6local" },
	[WALK_VIA_NFT_COMPAT] = { "nft_compat" },
	[WALK_VIA_XT_BPF] = { "xt_bpf" },
	[WALK_VIA_DEFAULT_QDISC] = { "default_qdisc" },
	[WALK_VIA_NONE] = { .says = "holds it" },
};

const struct ref_via *ref_via_of(unsigned int via)
{
	return &vias[MIN(via, (unsigned int)WALK_VIA_NONE)];
}

void ref_set_pid(struct bpfrefs_ref *ref, uint32_t pid)
{
	ref->pid = pid;
}

void ref_set_num(struct bpfrefs_ref *ref, unsigned int index, uint64_t num)
{
	if (index >= REF_FIELDS_MAX)
		return;
	ref->types[index] = num == BPFREFS_UNKNOWN ? BPFREFS_VALUE_UNKNOWN : BPFREFS_VALUE_NUM;
	ref->values[index].num = num;
}

void ref_set_static(struct bpfrefs_ref *ref, unsigned int index, const char *str)
{
	if (index >= REF_FIELDS_MAX)
		return;
	ref->types[index] = str ? BPFREFS_VALUE_STR : BPFREFS_VALUE_UNKNOWN;
	ref->values[index].str = str;
}

void ref_set_str(struct scan *scan, struct bpfrefs_ref *ref, unsigned int index, const char *str)
{
	ref_set_static(ref, index, arena_str(scan->snap->arena, str));
}

void ref_set_location(struct scan *scan, struct bpfrefs_ref *ref, struct pin_location place)
{
	struct pin_location *copy = arena_alloc(scan->snap->arena, sizeof(*copy));

	if (!copy)
		return;
	*copy = place;
	copy->inner = arena_str(scan->snap->arena, place.inner);
	ref->place = copy;
}

void ref_set_via(struct bpfrefs_ref *ref, unsigned int index, unsigned int via)
{
	ref->via = (uint8_t)MIN(via, (unsigned int)WALK_VIA_NONE);
	ref_set_static(ref, index, vias[ref->via].word);
}

struct bpfrefs_key bpfrefs_ref_target(const struct bpfrefs_ref *ref)
{
	return ref->target;
}

struct bpfrefs_key bpfrefs_ref_holder(const struct bpfrefs_ref *ref)
{
	return ref->holder;
}

const struct bpfrefs_class *bpfrefs_ref_class(const struct bpfrefs_ref *ref)
{
	return &ref->class->pub;
}

size_t bpfrefs_ref_class_index(const struct bpfrefs_ref *ref)
{
	return ref->class->id;
}

uint32_t bpfrefs_ref_count(const struct bpfrefs_ref *ref)
{
	return ref->ref;
}

uint32_t bpfrefs_ref_user(const struct bpfrefs_ref *ref)
{
	return ref->user;
}

uint32_t bpfrefs_ref_pid(const struct bpfrefs_ref *ref)
{
	return ref->pid;
}

struct bpfrefs_value bpfrefs_ref_value(const struct bpfrefs_ref *ref, size_t index)
{
	struct bpfrefs_value value = { .type = BPFREFS_VALUE_ABSENT };

	if (index >= ref->keys)
		return value;
	value.type = ref->types[index];
	if (value.type == BPFREFS_VALUE_NUM)
		value.num = ref->values[index].num;
	else if (value.type == BPFREFS_VALUE_STR)
		value.str = ref->values[index].str;
	return value;
}

struct bpfrefs_value bpfrefs_ref_get(const struct bpfrefs_ref *ref, const char *key)
{
	for (size_t i = 0; ref->class->pub.keys[i]; i++)
		if (strcmp(ref->class->pub.keys[i], key) == 0)
			return bpfrefs_ref_value(ref, i);
	return (struct bpfrefs_value){ .type = BPFREFS_VALUE_ABSENT };
}

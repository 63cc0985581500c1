/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The accessors of a reference. */
#include "snapshot/private.h"

#include <string.h>

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
	return ref->class_index;
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

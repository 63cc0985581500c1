/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Full names of programs. The kernel cuts the name of a program to 15 characters
 * (bpf_obj_name_cpy()); the program's BTF has the name of its first function in full, where bpftool
 * reads it too.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <string.h>

#include "procfs/procfs.h"
#include "uapi/syscalls.h"
#include "uapi/uapi_info.h"

/* A BTF is at most that long (BTF_MAX_SIZE of the kernel). */
#define SIZE_MAX_BTF (16U * 1024 * 1024)

struct prog_name {
	uint64_t load_time; /* of the program that has this id */
	char name[64];	    /* as long as in struct walk_prog */
};

/* The bytes behind a struct btf_type, or -1 if this kind of type is newer than the kernel's header. */
static int64_t more_of(const struct btf_type *type)
{
	uint32_t count = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case BTF_KIND_ENUM64:
		return (int64_t)sizeof(struct btf_member) * count;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return (int64_t)sizeof(struct btf_enum) * count;
	default:
		return BTF_INFO_KIND(type->info) <= BTF_KIND_ENUM64 ? 0 : -1;
	}
}

/* Types have numbers from 1 on. */
static bool find_type(const GByteArray *types, uint32_t id, struct btf_type *type)
{
	uint64_t at = 0;

	for (; id; id--) {
		int64_t more;

		if (at + sizeof(*type) > types->len)
			return false;
		memcpy(type, types->data + at, sizeof(*type));
		more = more_of(type);
		if (more < 0)
			return false;
		at += sizeof(*type) + (uint64_t)more;
	}
	return true;
}

/* A section of a BTF, owned; empty if it is not within the BTF. */
static GByteArray *section(const uint8_t *data, uint32_t size, uint64_t at, uint32_t len)
{
	GByteArray *bytes = g_byte_array_new();

	if (at + len <= size)
		g_byte_array_append(bytes, data + at, len);
	return bytes;
}

bool prog_name_in_btf(const uint8_t *data, uint32_t size, uint32_t id, char name[64])
{
	g_autoptr(GByteArray) types = NULL, strings = NULL;
	struct btf_header header;
	struct btf_type type = { 0 };

	if (size < sizeof(header))
		return false;
	memcpy(&header, data, sizeof(header));
	if (header.magic != BTF_MAGIC)
		return false;
	types = section(data, size, (uint64_t)header.hdr_len + header.type_off, header.type_len);
	strings = section(data, size, (uint64_t)header.hdr_len + header.str_off, header.str_len);
	if (!id || !find_type(types, id, &type) || type.name_off >= strings->len)
		return false;
	g_byte_array_append(strings, (const uint8_t *)"", 1);
	g_strlcpy(name, (const char *)strings->data + type.name_off, 64);
	return name[0] != '\0';
}

/* Reads the BTF of a program, which is owned by the caller; NULL if that is impossible. */
static uint8_t *read_btf(uint32_t id, uint32_t *size)
{
	bpfrefs_autofd fd = syscall_open_id(BPFREFS_KIND_BTF, id);
	struct uapi_btf raw = { 0 };
	uint32_t len = sizeof(raw);
	uint8_t *data;

	if (fd < 0 || syscall_info(fd, &raw, &len) || raw.btf_size > SIZE_MAX_BTF)
		return NULL;
	*size = raw.btf_size;
	data = g_try_malloc0(*size);
	raw = (struct uapi_btf){ .btf = (uintptr_t)data, .btf_size = *size };
	len = sizeof(raw);
	if (data && syscall_info(fd, &raw, &len) == 0)
		return data;
	g_free(data);
	return NULL;
}

static bool read_name(int fd, uint32_t btf_id, char name[64])
{
	struct bpf_func_info function = { 0 };
	struct uapi_prog raw = {
		.func_info = (uintptr_t)&function,
		.nr_func_info = 1,
		.func_info_rec_size = sizeof(function),
	};
	g_autofree uint8_t *data = NULL;
	uint32_t len = sizeof(raw), size = 0;

	if (syscall_info(fd, &raw, &len) || !raw.nr_func_info)
		return false;
	data = read_btf(btf_id, &size);
	return data && prog_name_in_btf(data, size, function.type_id, name);
}

const char *prog_name_full(struct proc_data *data, int fd, const struct prog_facts *facts)
{
	const struct uapi_prog *raw = &facts->raw;
	struct prog_name *found = g_hash_table_lookup(data->prog_names, GUINT_TO_POINTER(raw->id));

	if (!raw->name[sizeof(raw->name) - 2] || !raw->btf_id || !raw->nr_func_info)
		return NULL;
	if (!found || found->load_time != raw->load_time) {
		found = g_new0(struct prog_name, 1);
		found->load_time = raw->load_time;
		if (!read_name(fd, raw->btf_id, found->name))
			found->name[0] = '\0';
		g_hash_table_replace(data->prog_names, GUINT_TO_POINTER(raw->id), found);
	}
	return found->name[0] ? found->name : NULL;
}

static gboolean is_missing(gpointer id, gpointer name, gpointer scan)
{
	struct bpfrefs_key key = { BPFREFS_KIND_PROG, GPOINTER_TO_UINT(id) };

	(void)name;
	return scan_object(scan, key) == NULL;
}

void prog_name_sweep(struct scan *scan)
{
	const struct proc_data *data = scan->ctx->source_data;

	g_hash_table_foreach_remove(data->prog_names, is_missing, scan);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fields that the programs read are in the relocations that clang has written to .BTF.ext: a
 * type, and the path of indexes of members to the field. libbpf finds the kernel's offset by the
 * names on this path; the size that a program reads is that of our own declaration.
 */
#include <elf.h>
#include <linux/bpf.h>
#include <string.h>

#include "programs.h"

/* The header of .BTF.ext, which libbpf does not publish (struct btf_ext_header). */
struct ext_header {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t header_size;
	uint32_t func_at, func_size, line_at, line_size;
	uint32_t relo_at, relo_size;
};

struct fields {
	const struct btf *ours, *kernel;
	GHashTable
		*sized; /* "type:path" of those whose size the programs read from the relocation */
	GHashTable *names; /* of the kernel's types */
	GHashTable *parts; /* our structures of which the programs read members by relocations */
	unsigned int same, absent;
};

static const char *name_of(const struct btf *btf, uint32_t offset)
{
	return btf__name_by_offset(btf, offset);
}

static const struct btf_type *resolve(const struct btf *btf, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	while (btf_is_mod(type) || btf_is_typedef(type))
		type = btf__type_by_id(btf, type->type);
	return type;
}

/* The ids of all types of a name, for each name. */
static GHashTable *index_names(const struct btf *btf)
{
	GHashTable *names =
		g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_array_unref);

	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const char *name = name_of(btf, btf__type_by_id(btf, id)->name_off);
		GArray *ids = g_hash_table_lookup(names, name);

		if (!ids) {
			ids = g_array_new(false, false, sizeof(id));
			g_hash_table_insert(names, (char *)name, ids);
		}
		g_array_append_val(ids, id);
	}
	return names;
}

/* The kernel's types of a name of ours, which may have a flavour; NULL if there are none. */
static const GArray *types_named(struct fields *fields, const char *ours)
{
	const char *flavour = strstr(ours, "___");
	g_autofree char *name =
		flavour ? g_strndup(ours, (size_t)(flavour - ours)) : g_strdup(ours);

	return g_hash_table_lookup(fields->names, name);
}

/* A member, also one in a member without a name; 0 if there is none. @bits: its size as a bitfield. */
static uint32_t find_member(const struct btf *btf, const struct btf_type *type, const char *name,
			    uint32_t *bits)
{
	const struct btf_member *members = btf_members(type);

	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		const char *member = name_of(btf, members[i].name_off);
		const struct btf_type *inner = resolve(btf, members[i].type);
		uint32_t found = 0;

		*bits = btf_member_bitfield_size(type, i);
		if (strcmp(member, name) == 0)
			return members[i].type;
		if (!member[0] && btf_is_composite(inner))
			found = find_member(btf, inner, name, bits);
		if (found)
			return found;
	}
	return 0;
}

static bool is_number(const struct btf_type *type)
{
	return btf_is_int(type) || btf_is_any_enum(type);
}

/* Where numbers are, ours have the same size: such as unsigned long in fdtable.open_fds. */
static const char *pointer_difference(const struct btf_type *our, const struct btf_type *theirs)
{
	if (is_number(our) != is_number(theirs))
		return btf_is_void(our) || btf_is_void(theirs) ? NULL : "what a pointer leads to";
	return is_number(our) && our->size != theirs->size ? "the size of numbers by a pointer"
							   : NULL;
}

/*
 * NULL if a read of our type gives the kernel's value, else what differs. "" : libbpf finds no such.
 * A structure of which the programs read members is a place alone: each member has a relocation of its
 * own, and ours may declare members of several kernels (tests/tools/house.py sees to it that no program
 * copies a structure).
 */
static const char *difference(struct fields *fields, uint32_t our_id, uint32_t kernel_id,
			      bool whole, bool sized)
{
	const struct btf_type *our = resolve(fields->ours, our_id);
	const struct btf_type *theirs = resolve(fields->kernel, kernel_id);
	int64_t size = btf__resolve_size(fields->ours, our_id);
	int64_t their_size = btf__resolve_size(fields->kernel, kernel_id);

	if (btf_is_composite(our) && btf_is_composite(theirs))
		return size <= their_size || sized || g_hash_table_contains(fields->parts, our)
			       ? NULL
			       : "a structure is larger than the kernel's";
	if (is_number(our) && is_number(theirs))
		return size == their_size || sized ? NULL : "the size of a number";
	if (btf_is_array(our) && btf_is_array(theirs)) {
		if (whole && !sized && size > their_size && btf_array(theirs)->nelems)
			return "an array is longer than the kernel's";
		return difference(fields, btf_array(our)->type, btf_array(theirs)->type, false,
				  sized);
	}
	if (btf_is_ptr(our) && btf_is_ptr(theirs))
		return pointer_difference(resolve(fields->ours, our->type),
					  resolve(fields->kernel, theirs->type));
	return btf_kind(our) == btf_kind(theirs) ? NULL : "";
}

/*
 * Follows @path from a type of ours and one of the kernel's. Sets the types that it leads to and
 * returns true, or returns false if the kernel has no such field.
 */
static bool follow(struct fields *fields, const char *path, uint32_t *our_id, uint32_t *kernel_id,
		   uint32_t *bits)
{
	path += strcspn(path, ":"); /* the first index is that of the pointer, 0 */
	while (*path == ':') {
		const struct btf_type *our = resolve(fields->ours, *our_id);
		const struct btf_type *theirs = resolve(fields->kernel, *kernel_id);
		uint32_t index = (uint32_t)strtoul(path + 1, (char **)&path, 10);

		*bits = 0;
		if (btf_is_array(our)) {
			if (!btf_is_array(theirs))
				return false;
			*our_id = btf_array(our)->type;
			*kernel_id = btf_array(theirs)->type;
			continue;
		}
		if (!btf_is_composite(our) || !btf_is_composite(theirs))
			return false;
		const struct btf_member *member = &btf_members(our)[index];
		const char *name = name_of(fields->ours, member->name_off);

		*our_id = member->type;
		if (!name[0])
			continue; /* the kernel's may have no such member around the field */
		*kernel_id = find_member(fields->kernel, theirs, name, bits);
		if (!*kernel_id)
			return false;
	}
	return true;
}

static void check_field(struct fields *fields, uint32_t type_id, const char *path, bool sized)
{
	const struct btf_type *type = btf__type_by_id(fields->ours, type_id);
	const char *name = name_of(fields->ours, type->name_off), *reason;
	const GArray *ids = types_named(fields, name);
	bool found = false;

	for (guint i = 0; ids && i < ids->len; i++) {
		uint32_t our_id = type_id, kernel_id = g_array_index(ids, uint32_t, i), bits = 0;
		const struct btf_type *theirs = btf__type_by_id(fields->kernel, kernel_id);

		if (btf_kind(theirs) != btf_kind(type) ||
		    !follow(fields, path, &our_id, &kernel_id, &bits))
			continue;
		reason = difference(fields, our_id, kernel_id, true, sized);
		if (!reason && bits && !sized)
			reason = "the kernel's is a bitfield";
		if (reason && reason[0]) {
			g_test_message("struct %s, path %s: %s", name, path, reason);
			g_test_fail();
		}
		found |= !reason;
	}
	fields->same += found;
	fields->absent += !found;
	if (!found && g_test_verbose())
		g_test_message("struct %s, path %s: not in this kernel", name, path);
}

static const void *section(const void *elf, const char *name, size_t *size)
{
	const Elf64_Ehdr *header = elf;
	const Elf64_Shdr *sections = (const void *)((const char *)elf + header->e_shoff);
	const char *names = (const char *)elf + sections[header->e_shstrndx].sh_offset;

	for (int i = 0; i < header->e_shnum; i++)
		if (strcmp(names + sections[i].sh_name, name) == 0) {
			*size = sections[i].sh_size;
			return (const char *)elf + sections[i].sh_offset;
		}
	return NULL;
}

typedef void (*relo_fn)(struct fields *fields, const struct bpf_core_relo *relo);

/* The relocations come in parts, one for each section with programs: its name, and their number. */
static void each_relo(struct fields *fields, const struct ext_header *ext, relo_fn fn)
{
	const char *from = (const char *)ext + ext->header_size + ext->relo_at;
	const uint32_t *at = (const void *)from, *end = at + ext->relo_size / sizeof(*at);

	g_assert_cmpuint(*at, ==, sizeof(struct bpf_core_relo));
	for (at++; at < end;) {
		uint32_t count = at[1];
		const struct bpf_core_relo *relo = (const void *)(at + 2);

		for (uint32_t i = 0; i < count; i++)
			fn(fields, &relo[i]);
		at = (const void *)(relo + count);
	}
}

static char *key_of(struct fields *fields, const struct bpf_core_relo *relo)
{
	return g_strdup_printf("%u:%s", relo->type_id, name_of(fields->ours, relo->access_str_off));
}

static void note_sized(struct fields *fields, const struct bpf_core_relo *relo)
{
	if (relo->kind == BPF_CORE_FIELD_BYTE_SIZE)
		g_hash_table_add(fields->sized, key_of(fields, relo));
}

/* Notes each structure on the way to a member. */
static void note_parts(struct fields *fields, const struct bpf_core_relo *relo)
{
	const char *path = name_of(fields->ours, relo->access_str_off);
	uint32_t id = relo->type_id;

	path += strcspn(path, ":");
	while (*path == ':') {
		const struct btf_type *type = resolve(fields->ours, id);
		uint32_t index = (uint32_t)strtoul(path + 1, (char **)&path, 10);

		if (btf_is_composite(type))
			g_hash_table_add(fields->parts, (void *)type);
		else if (!btf_is_array(type))
			return; /* the index of an enumeration's value */
		id = btf_is_array(type) ? btf_array(type)->type : btf_members(type)[index].type;
	}
}

static void check_relo(struct fields *fields, const struct bpf_core_relo *relo)
{
	g_autofree char *key = key_of(fields, relo);

	if (relo->kind == BPF_CORE_FIELD_BYTE_OFFSET)
		check_field(fields, relo->type_id, name_of(fields->ours, relo->access_str_off),
			    g_hash_table_contains(fields->sized, key));
}

void programs_check_fields(const void *elf, size_t size, const struct btf *ours,
			   const struct btf *kernel)
{
	struct fields fields = { .ours = ours, .kernel = kernel };
	const struct ext_header *ext = section(elf, ".BTF.ext", &size);

	g_assert(ext); /* which the compiler knows to end the program, unlike g_assert_nonnull() */
	fields.sized = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	fields.names = index_names(kernel);
	fields.parts = g_hash_table_new(NULL, NULL);
	each_relo(&fields, ext, note_sized);
	each_relo(&fields, ext, note_parts);
	each_relo(&fields, ext, check_relo);
	g_test_message("%u fields as expected, %u not in this kernel", fields.same, fields.absent);
	g_assert_cmpuint(fields.same, >, 500);
	g_hash_table_unref(fields.sized);
	g_hash_table_unref(fields.names);
	g_hash_table_unref(fields.parts);
}

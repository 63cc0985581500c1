/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/min_core_btf.h"

#include <bpf/btf.h>
#include <string.h>

#include "uapi/syscalls.h"
#include "uapi/uapi_info.h"

struct pick {
	const struct btf *from;
	uint32_t id;
};

struct cut {
	struct btf *vmlinux, *out;
	GHashTable *wanted; /* owned names of types */
	GArray *picks;	    /* struct pick; the id of a type in out is its index + 1 */
	uint32_t copied;    /* the number of picks that are in out */
	/*
	 * The ids in out of the types of vmlinux, and of the current module; 0 if the
	 * type is not picked.
	 */
	uint32_t *ids, *module_ids;
	/* The number of types of vmlinux: the ids of a module's own types follow them. */
	uint32_t count;
};

/* The name without a flavour: libbpf matches "sk_buff___old" with the kernel's "sk_buff". */
static char *essential(const char *name)
{
	const char *flavour = strstr(name, "___");

	return flavour ? g_strndup(name, (gsize)(flavour - name)) : g_strdup(name);
}

/* Returns true for the kinds of types that a CO-RE relocation can begin with. */
static bool has_layout(const struct btf_type *type)
{
	return btf_is_composite(type) || btf_is_any_enum(type) || btf_is_typedef(type);
}

static void want_ours(struct cut *cut, const struct btf *ours)
{
	for (uint32_t id = 1; id < btf__type_cnt(ours); id++) {
		const struct btf_type *type = btf__type_by_id(ours, id);
		const char *name = btf__name_by_offset(ours, type->name_off);

		if (has_layout(type) && name && name[0])
			g_hash_table_add(cut->wanted, essential(name));
	}
}

static uint32_t pick(struct cut *cut, const struct btf *from, uint32_t id)
{
	struct pick picked = { id < cut->count ? cut->vmlinux : from, id };
	uint32_t *place = id < cut->count ? &cut->ids[id] : &cut->module_ids[id - cut->count];

	if (id == 0)
		return 0;
	if (!*place) {
		g_array_append_val(cut->picks, picked);
		*place = cut->picks->len;
	}
	return *place;
}

/*
 * Picks the types that a type consists of. What a pointer points to is left out, since no
 * layout depends on it.
 */
static void pick_parts(struct cut *cut, const struct btf *from, struct btf_type *type)
{
	struct btf_member *members = btf_members(type);

	switch (btf_kind(type)) {
	case BTF_KIND_PTR:
		type->type = 0;
		break;
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_CONST:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		type->type = pick(cut, from, type->type);
		break;
	case BTF_KIND_ARRAY:
		btf_array(type)->type = pick(cut, from, btf_array(type)->type);
		btf_array(type)->index_type = pick(cut, from, btf_array(type)->index_type);
		break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		for (unsigned int i = 0; i < btf_vlen(type); i++)
			members[i].type = pick(cut, from, members[i].type);
		break;
	default: /* integers and enumerations consist of nothing */
		break;
	}
}

/* Copies the picked types, and those that are picked on the way. */
static int copy_picks(struct cut *cut)
{
	for (; cut->copied < cut->picks->len; cut->copied++) {
		struct pick picked = g_array_index(cut->picks, struct pick, cut->copied);
		int id = btf__add_type(cut->out, picked.from,
				       btf__type_by_id(picked.from, picked.id));

		if (id < 0)
			return id;
		/*
		 * libbpf has no function that changes the types within a type. The copy belongs to
		 * us, so it may be written to.
		 */
		pick_parts(cut, picked.from,
			   (struct btf_type *)btf__type_by_id(cut->out, (uint32_t)id));
	}
	return 0;
}

static int cut_from(struct cut *cut, const struct btf *from, uint32_t first, GHashTable *found)
{
	for (uint32_t id = first; id < btf__type_cnt(from); id++) {
		const struct btf_type *type = btf__type_by_id(from, id);
		const char *name;

		if (!has_layout(type))
			continue;
		name = btf__name_by_offset(from, type->name_off);
		if (!name || !g_hash_table_contains(cut->wanted, name))
			continue;
		if (found)
			g_hash_table_add(found, (gpointer)name);
		pick(cut, from, id);
	}
	return copy_picks(cut);
}

/* Types that vmlinux has are not searched in modules. */
static int cut_vmlinux(struct cut *cut)
{
	GHashTable *found = g_hash_table_new(g_str_hash, g_str_equal);
	int err = cut_from(cut, cut->vmlinux, 1, found);
	GHashTableIter iter;
	gpointer name;

	g_hash_table_iter_init(&iter, found);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		g_hash_table_remove(cut->wanted, name);
	g_hash_table_unref(found);
	return err;
}

static bool is_module(uint32_t id)
{
	bpfrefs_autofd fd = syscall_open_id(BPFREFS_KIND_BTF, id);
	struct btf_facts facts;

	return fd >= 0 && uapi_info_btf_read(fd, &facts) == 0 && facts.raw.kernel_btf &&
	       strcmp(facts.name, "vmlinux") != 0;
}

bool min_core_btf_new_module(uint32_t *newest)
{
	bool found = false;

	while (syscall_next_id(BPFREFS_KIND_BTF, *newest, newest) == 0)
		found |= is_module(*newest);
	return found;
}

static int cut_module(struct cut *cut, uint32_t id)
{
	struct btf *module = btf__load_from_kernel_by_id_split(id, cut->vmlinux);
	int err;

	if (!module)
		return errno == ENOENT ? 0 : -errno; /* it has been unloaded meanwhile */
	cut->module_ids = g_new0(uint32_t, btf__type_cnt(module) - cut->count);
	err = cut_from(cut, module, cut->count, NULL);
	g_clear_pointer(&cut->module_ids, g_free);
	btf__free(module);
	return err;
}

static int cut_modules(struct cut *cut)
{
	uint32_t id = 0;
	int err = 0;

	while (!err && g_hash_table_size(cut->wanted) &&
	       syscall_next_id(BPFREFS_KIND_BTF, id, &id) == 0)
		if (is_module(id))
			err = cut_module(cut, id);
	return err;
}

static int write_all(int fd, const struct btf *btf)
{
	uint32_t size = 0;
	const char *data = btf__raw_data(btf, &size);

	if (!data)
		return -ENOMEM;
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n <= 0)
			return n ? -errno : -EIO;
		data += n;
		size -= (uint32_t)n;
	}
	return 0;
}

#define CAST_NAME(name) #name,
static const char *const cast_names[WALK_CASTS] = { WALK_CAST_TYPES(CAST_NAME) };

static void find_casts(const struct btf *vmlinux, uint32_t casts[WALK_CASTS])
{
	for (uint32_t id = 1; id < btf__type_cnt(vmlinux); id++) {
		const struct btf_type *type = btf__type_by_id(vmlinux, id);
		const char *name;

		if (!btf_is_struct(type))
			continue;
		name = btf__name_by_offset(vmlinux, type->name_off);
		for (unsigned int i = 0; name && i < WALK_CASTS; i++)
			if (!casts[i] && strcmp(name, cast_names[i]) == 0)
				casts[i] = id;
	}
}

int min_core_btf_write(const struct btf *ours, int fd, uint32_t casts[WALK_CASTS])
{
	struct cut cut = { .vmlinux = btf__load_vmlinux_btf(), .out = btf__new_empty() };
	int err = cut.vmlinux && cut.out ? 0 : -ENOENT;

	if (!err) {
		cut.count = btf__type_cnt(cut.vmlinux);
		cut.ids = g_new0(uint32_t, cut.count);
		cut.wanted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		cut.picks = g_array_new(FALSE, FALSE, sizeof(struct pick));
		want_ours(&cut, ours);
		err = cut_vmlinux(&cut);
		if (!err)
			err = cut_modules(&cut);
		if (!err)
			err = write_all(fd, cut.out);
		find_casts(cut.vmlinux, casts);
		g_array_unref(cut.picks);
		g_hash_table_unref(cut.wanted);
		g_free(cut.ids);
	}
	btf__free(cut.out);
	btf__free(cut.vmlinux);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The procfs source on the running kernel: what it lists for a few objects of the test, and that
 * a scan does not harm them. The cases are skipped where bpf(2) is denied.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "fixture.h"
#include "procfs/procfs.h"
#include "snapshot/private.h"
#include "uapi/syscalls.h"

/* The time in which the kernel must free an object that is no longer held, in milliseconds. */
#define PATIENCE 5000

static bool is_skipped(void)
{
	uint32_t id;

	if (syscall_next_id(BPFREFS_KIND_MAP, 0, &id) != -EPERM)
		return false;
	g_test_skip("needs CAP_SYS_ADMIN: object ids");
	return true;
}

static struct bpfrefs_ctx *open_ctx(void)
{
	struct bpfrefs_options options = { .size = sizeof(options), .source = BPFREFS_SOURCE_PROC };
	struct bpfrefs_ctx *ctx = NULL;
	int err = bpfrefs_ctx_open(&options, &ctx);

	if (err == -EPERM)
		g_test_skip("needs the initial pid namespace");
	else
		g_assert_cmpint(err, ==, 0);
	return ctx;
}

/* A BTF with a type of each kind that has a size of its own, and a function behind them. */
static struct btf *all_kinds(void)
{
	struct btf *btf = btf__new_empty();

	g_assert_cmpint(btf__add_int(btf, "int", 4, 0), ==, 1);
	g_assert_cmpint(btf__add_array(btf, 1, 1, 3), ==, 2);
	g_assert_cmpint(btf__add_struct(btf, "pair", 8), ==, 3);
	g_assert_cmpint(btf__add_field(btf, "a", 1, 0, 0), ==, 0);
	g_assert_cmpint(btf__add_field(btf, "b", 1, 32, 0), ==, 0);
	g_assert_cmpint(btf__add_enum(btf, "few", 4), ==, 4);
	g_assert_cmpint(btf__add_enum_value(btf, "one", 1), ==, 0);
	g_assert_cmpint(btf__add_enum64(btf, "many", 8, false), ==, 5);
	g_assert_cmpint(btf__add_enum64_value(btf, "two", 2), ==, 0);
	g_assert_cmpint(btf__add_func_proto(btf, 1), ==, 6);
	g_assert_cmpint(btf__add_func_param(btf, "x", 1), ==, 0);
	g_assert_cmpint(btf__add_var(btf, "var", BTF_VAR_STATIC, 1), ==, 7);
	g_assert_cmpint(btf__add_datasec(btf, ".data", 4), ==, 8);
	g_assert_cmpint(btf__add_datasec_var_info(btf, 7, 0, 4), ==, 0);
	g_assert_cmpint(btf__add_decl_tag(btf, "tag", 1, -1), ==, 9);
	g_assert_cmpint(btf__add_float(btf, "float", 4), ==, 10);
	g_assert_cmpint(btf__add_func(btf, "a_function", BTF_FUNC_GLOBAL, 6), ==, 11);
	return btf;
}

TEST(name_in_btf)
{
	static const char *const names[] = { "int", NULL,    "pair", "few",   "many",	   NULL,
					     "var", ".data", "tag",  "float", "a_function" };
	struct btf *btf = all_kinds();
	uint32_t size = 0;
	const uint8_t *data = btf__raw_data(btf, &size);
	char name[64];

	for (uint32_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_assert_cmpint(prog_name_in_btf(data, size, i + 1, name), ==, names[i] != NULL);
		if (names[i])
			g_assert_cmpstr(name, ==, names[i]);
	}
	g_assert_false(prog_name_in_btf(data, size, 0, name));
	g_assert_false(prog_name_in_btf(data, size, 12, name));
	g_assert_false(prog_name_in_btf(data, size, UINT32_MAX, name));
	/* Whatever is missing at its end, nothing behind it is read. */
	for (uint32_t less = 1; less <= size; less++) {
		g_autofree uint8_t *part = g_memdup2(data, size - less);

		g_assert_false(prog_name_in_btf(part, size - less, 11, name));
	}
	btf__free(btf);
}

/* A program that was built with an older or a newer version passes options of another size. */
TEST(options_of_another_size)
{
	struct {
		struct bpfrefs_options known;
		uint64_t later;
	} options = { .known = { .size = sizeof(options), .source = BPFREFS_SOURCE_PROC } };
	struct bpfrefs_ctx *ctx = NULL;
	char unset[] = "", *why = unset;
	int err;

	options.later = 1;
	options.known.why = &why;
	g_assert_cmpint(bpfrefs_ctx_open(&options.known, &ctx), ==, -E2BIG);
	g_assert_null(why);
	options.known.size = sizeof(options.known.size) - 1;
	g_assert_cmpint(bpfrefs_ctx_open(&options.known, &ctx), ==, -EINVAL);
	options.known.source = SOURCE_COUNT;
	options.known.size = sizeof(options.known);
	why = unset;
	g_assert_cmpint(bpfrefs_ctx_open(&options.known, &ctx), ==, -EINVAL);
	g_assert_null(why);
	g_assert_null(ctx);

	options.known.source = BPFREFS_SOURCE_PROC;
	options.later = 0;
	for (size_t size = offsetof(struct bpfrefs_options, proc_fd); size <= sizeof(options);
	     size = size == sizeof(options) ? size + 1 : sizeof(options)) {
		options.known.size = size;
		err = bpfrefs_ctx_open(&options.known, &ctx);
		if (err == -EPERM) {
			g_test_skip("needs CAP_SYS_ADMIN and the initial pid namespace");
			return;
		}
		g_assert_cmpint(err, ==, 0);
		g_assert_cmpint(bpfrefs_ctx_source(ctx, NULL), ==, BPFREFS_SOURCE_PROC);
		bpfrefs_ctx_close(ctx);
	}
}

static struct bpfrefs_key key_of(int fd)
{
	struct bpfrefs_key key = { BPFREFS_KIND_NONE, 0 };

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(syscall_identify(fd, &key), ==, 0);
	return key;
}

/* A program that uses one map. */
static int load_user(int map_fd)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "user", "GPL", insns, G_N_ELEMENTS(insns),
			     NULL);
}

/*
 * Checks "CLASS ref=N user=N via slot" of each reference, except the descriptors of other
 * processes.
 */
static void check_holders(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, const char *want)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct bpfrefs_snapshot *snap = NULL;
	const struct bpfrefs_ref *ref;
	struct ref_range refs;

	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &snap), ==, 0);
	refs = index_holders(snap, key);
	while ((ref = ref_range_next(&refs))) {
		struct bpfrefs_value via = bpfrefs_ref_get(ref, "via");
		struct bpfrefs_value slot = bpfrefs_ref_get(ref, "slot");

		if (bpfrefs_ref_pid(ref) && bpfrefs_ref_pid(ref) != (uint32_t)getpid())
			continue;
		g_string_append_printf(text, "%s ref=%u user=%u", bpfrefs_ref_class(ref)->name,
				       bpfrefs_ref_count(ref), bpfrefs_ref_user(ref));
		if (via.type == BPFREFS_VALUE_STR)
			g_string_append_printf(text, " %s", via.str);
		if (slot.type == BPFREFS_VALUE_NUM)
			g_string_append_printf(text, " %" G_GUINT64_FORMAT, slot.num);
		else if (slot.type == BPFREFS_VALUE_STR)
			g_string_append_printf(text, " %s", slot.str);
		g_string_append_c(text, '\n');
	}
	g_assert_cmpstr(text->str, ==, want);
	bpfrefs_snapshot_unref(snap);
}

static bool is_gone_soon(struct bpfrefs_key key)
{
	for (int i = 0; i < PATIENCE; i++) {
		struct timespec ts = { 0, 1000000 };
		uint32_t id = 0;

		if (syscall_next_id(key.kind, key.id - 1, &id) != 0 || id != key.id)
			return true;
		nanosleep(&ts, NULL);
	}
	return false;
}

TEST(slots)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	struct bpfrefs_ctx *ctx = is_skipped() ? NULL : open_ctx();
	bpfrefs_autofd inner = -1, narrow = -1, wide = -1, array = -1, prog = -1;
	const uint8_t long_key[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint32_t key = 7;

	if (!ctx)
		return;
	inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", 4, 4, 1, NULL);
	opts.inner_map_fd = (uint32_t)inner;
	narrow = bpf_map_create(BPF_MAP_TYPE_HASH_OF_MAPS, "narrow", 4, 4, 4, &opts);
	wide = bpf_map_create(BPF_MAP_TYPE_HASH_OF_MAPS, "wide", 8, 4, 4, &opts);
	array = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "array", 4, 4, 8, NULL);
	prog = load_user(array);
	g_assert_cmpint(bpf_map_update_elem(narrow, &key, &inner, BPF_ANY), ==, 0);
	g_assert_cmpint(bpf_map_update_elem(wide, long_key, &inner, BPF_ANY), ==, 0);
	g_assert_cmpint(bpf_map_update_elem(array, &key, &prog, BPF_ANY), ==, 0);
	check_holders(ctx, key_of(inner),
		      key_of(narrow).id < key_of(wide).id
			      ? "fd ref=1 user=1\nmap ref=1 user=0 inner 7\n"
				"map ref=1 user=0 inner 0x0102030405060708\n"
			      : "fd ref=1 user=1\nmap ref=1 user=0 inner 0x0102030405060708\n"
				"map ref=1 user=0 inner 7\n");
	check_holders(ctx, key_of(prog), "fd ref=1 user=0\nmap ref=1 user=0 slot 7\n");
	check_holders(ctx, key_of(array), "fd ref=1 user=1\nprog ref=1 user=0 used_maps\n");
	bpfrefs_ctx_close(ctx);
}

TEST(dup)
{
	struct bpfrefs_ctx *ctx = is_skipped() ? NULL : open_ctx();
	bpfrefs_autofd map = -1, second = -1, other = -1;

	if (!ctx)
		return;
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "dup", 4, 4, 1, NULL);
	second = fcntl(map, F_DUPFD_CLOEXEC, 3);
	other = syscall_open_id(BPFREFS_KIND_MAP, key_of(map).id);
	check_holders(ctx, key_of(map), "fd ref=1 user=1\nfd ref=0 user=0\nfd ref=1 user=1\n");
	bpfrefs_ctx_close(ctx);
}

/* What the context keeps itself is of class keep, not fd. */
TEST(kept)
{
	struct bpfrefs_ctx *ctx = is_skipped() ? NULL : open_ctx();
	bpfrefs_autofd map = -1;
	struct bpfrefs_key key;
	int kept;

	if (!ctx)
		return;
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kept", 4, 4, 1, NULL);
	key = key_of(map);
	kept = syscall_open_id(BPFREFS_KIND_MAP, key.id);
	g_hash_table_insert(ctx->kept, GINT_TO_POINTER(kept), g_memdup2(&key, sizeof(key)));
	check_holders(ctx, key, "fd ref=1 user=1\nkeep ref=1 user=1\n");
	bpfrefs_ctx_close(ctx);
}

/*
 * The last user of an array was released, while a program still uses the array. Reading it again
 * and again must not keep it for ever (see struct proc_data).
 */
TEST(array_is_not_leaked)
{
	struct bpfrefs_ctx *ctx = is_skipped() ? NULL : open_ctx();

	if (!ctx)
		return;
	for (int i = 0; i < 5; i++) {
		int array = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "leak", 4, 4, 8, NULL);
		int prog = load_user(array);
		struct bpfrefs_key key = key_of(array);
		struct bpfrefs_info *info = NULL;
		uint32_t slot = 1;

		g_assert_cmpint(bpf_map_update_elem(array, &slot, &prog, BPF_ANY), ==, 0);
		close(array);
		for (int j = 0; j < 30; j++) {
			g_assert_cmpint(bpfrefs_info_read(ctx, key, &info), ==, 0);
			g_assert_cmpstr(bpfrefs_info_field(info, 1)->str, ==, "prog_array");
			bpfrefs_info_free(info);
		}
		check_holders(ctx, key, "prog ref=1 user=0 used_maps\n");
		close(prog);
		g_assert_true(is_gone_soon(key));
		g_assert_cmpint(bpfrefs_info_read(ctx, key, &info), ==, -ENOENT);
		key.id = 0; /* which would read any map */
		g_assert_cmpint(bpfrefs_info_read(ctx, key, &info), ==, -ENOENT);
	}
	bpfrefs_ctx_close(ctx);
}

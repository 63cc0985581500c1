// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon's own BPF programs on this kernel: do they load as on a machine without efficient
 * unaligned access, and does each field that they read have the size and kind that they expect?
 */
#include "programs.h"

#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel/min_core_btf.h"
#include "kernel/skeleton.h"

static const char *reason_to_skip(void)
{
	struct utsname system;

	if (geteuid() != 0)
		return "needs root";
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return "this kernel has no BTF";
	uname(&system);
	return strverscmp(system.release, "5.17") < 0 ? "the programs need Linux 5.17" : NULL;
}

/* Opens the programs with the reduced BTF of the kernel, as the daemon does; @types gets that. */
static struct walk *open_programs(int types)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", types);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = path);
	struct walk *skeleton = walk__open_opts(&opts);
	uint32_t casts[WALK_CASTS] = { 0 };

	if (!skeleton)
		g_error("the programs cannot be opened: %m");
	g_assert_cmpint(min_core_btf_write(bpf_object__btf(skeleton->obj), types, casts), ==, 0);
	memcpy((void *)skeleton->rodata->walk_casts, casts, sizeof(casts));
	return skeleton;
}

static void test_alignment(void)
{
	int types = memfd_create("types", MFD_CLOEXEC);
	struct bpf_program *prog;
	struct walk *skeleton;

	if (reason_to_skip()) {
		g_test_skip(reason_to_skip());
		return;
	}
	skeleton = open_programs(types);
	bpf_object__for_each_program(prog, skeleton->obj)
		bpf_program__set_flags(prog, BPF_F_STRICT_ALIGNMENT);
	g_assert_cmpint(walk__load(skeleton), ==, 0);
	walk__destroy(skeleton);
	close(types);
}

/* Of @kernel, which is freed. */
static void check_fields(struct walk *skeleton, struct btf *kernel)
{
	const void *elf;
	size_t size;

	g_assert_nonnull(kernel);
	elf = walk__elf_bytes(&size);
	programs_check_fields(elf, size, bpf_object__btf(skeleton->obj), kernel);
	btf__free(kernel);
}

/* The reduced BTF has the types of modules, too, but not those that only pointers lead to. */
static void test_fields(void)
{
	int types = memfd_create("types", MFD_CLOEXEC);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", types);
	struct walk *skeleton;

	if (reason_to_skip()) {
		g_test_skip(reason_to_skip());
		return;
	}
	skeleton = open_programs(types);
	check_fields(skeleton, btf__parse(path, NULL));
	check_fields(skeleton, btf__load_vmlinux_btf());
	walk__destroy(skeleton);
	close(types);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/programs/strict alignment", test_alignment);
	g_test_add_func("/programs/fields", test_fields);
	return g_test_run();
}

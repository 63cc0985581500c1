/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said when the kernel does not load the BPF programs. */
#include "kernel/load_error.h"

#include "fixture.h"

static void check_text(int err, int jit, const char *expected)
{
	g_autofree char *text = load_error_text(err, jit);

	g_assert_nonnull(strstr(text, expected));
	g_assert_null(strcasestr(text, "unknown"));
}

TEST(without_jit)
{
	check_text(-524, 0, "the BPF JIT is off (sysctl net.core.bpf_jit_enable=1)");
	check_text(-EINVAL, 0, "the BPF JIT is off (sysctl net.core.bpf_jit_enable=1)");
	check_text(-524, -1, "this kernel has no BPF JIT");
	check_text(-524, 1, "the BPF JIT of this kernel cannot compile them");
}

TEST(codes_of_libbpf)
{
	check_text(-EPERM, 1, "Operation not permitted");
	check_text(-ENOMEM, 2, "Cannot allocate memory");
	check_text(-4000, 1, "libelf");			   /* LIBBPF_ERRNO__LIBELF */
	check_text(-4001, 1, "BPF object format invalid"); /* LIBBPF_ERRNO__FORMAT */
}

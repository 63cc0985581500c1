/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/load_error.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include "snapshot/private.h"

int load_error_jit(void)
{
	bpfrefs_autofd fd = open("/proc/sys/net/core/bpf_jit_enable", O_RDONLY | O_CLOEXEC);
	char value = 0;

	if (fd < 0)
		return errno == ENOENT ? -1 : 1;
	return read(fd, &value, 1) == 1 && value == '0' ? 0 : 1;
}

/* ENOTSUPP of the kernel, which no libc has a name for (bpf_prog_select_runtime()). */
#define KERNEL_ENOTSUPP 524

char *load_error_text(int err, int jit)
{
	char text[256];

	if (jit == 0)
		return g_strdup("the BPF JIT is off (sysctl net.core.bpf_jit_enable=1)");
	if (jit < 0)
		return g_strdup("this kernel has no BPF JIT");
	if (err == -KERNEL_ENOTSUPP)
		return g_strdup("the BPF JIT of this kernel cannot compile them");
	libbpf_strerror(err, text, sizeof(text)); /* libbpf has codes of its own, from 4000 on */
	return g_strdup(text);
}

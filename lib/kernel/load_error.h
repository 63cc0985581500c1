/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Says why the kernel or libbpf does not load programs. */
#ifndef BPFREFS_LOAD_ERROR_H
#define BPFREFS_LOAD_ERROR_H

/* net.core.bpf_jit_enable; -1 where a kernel without a BPF JIT has no such file. */
int load_error_jit(void);

/*
 * What kept programs from being loaded, owned by the caller. @err is -errno or the negative of one of
 * libbpf's codes, @jit what load_error_jit() returned.
 */
char *load_error_text(int err, int jit);

#endif

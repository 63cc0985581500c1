/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For programs that use the library: libbpf's warnings about what a kernel refuses go to it. */
#ifndef QUIET_H
#define QUIET_H

#include <bpf/libbpf.h>
#include <stdio.h>

#include "bpfrefs.h"

__attribute__((format(printf, 2, 0))) static inline int
quiet_print(enum libbpf_print_level level, const char *format, va_list args)
{
	if (bpfrefs_libbpf_print((int)level, format, args) || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, format, args);
}

static inline void quiet(void)
{
	libbpf_set_print(quiet_print);
}

#endif

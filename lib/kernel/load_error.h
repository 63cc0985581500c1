/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Says why the kernel or libbpf does not load programs: collects what the verifier and libbpf write
 * while this thread loads some.
 */
#ifndef BPFREFS_LOAD_ERROR_H
#define BPFREFS_LOAD_ERROR_H

#include <stdbool.h>

struct bpf_object;
struct bpfrefs_ctx;

/* net.core.bpf_jit_enable; -1 where a kernel without a BPF JIT has no such file. */
int load_error_jit(void);

/* Between these two the thread loads programs for @ctx, whose log gets libbpf's lines; NULL: for none. */
void load_error_begin(const struct bpfrefs_ctx *ctx);
void load_error_end(void);

/* Called before a load: collects what the verifier writes about each program of @obj. */
void load_error_watch(struct bpf_object *obj);
/* The name of the program that a load stopped at, owned by the caller; NULL: it is not known. */
char *load_error_program(struct bpf_object *obj);
/* Why that program, which may be NULL, was refused: in the words of the verifier or libbpf; owned, or NULL. */
char *load_error_says(int err, const char *program);
/* Logs the last lines that the verifier wrote about that program, if it was the one that refused it. */
void load_error_log(int err, const char *program);
/* Whether memory, descriptors, time or a privilege was lacking, which says nothing about a program. */
bool load_error_is_lack(int err);

/*
 * What kept programs from being loaded, owned by the caller. @err is -errno or the negative of one of
 * libbpf's codes, @jit what load_error_jit() returned.
 */
char *load_error_text(int err, int jit);
/* The same as a sentence, with what the verifier or libbpf says. */
char *load_error_reason(int err, int jit, const char *program);

#endif

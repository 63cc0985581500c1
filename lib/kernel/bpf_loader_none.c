/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replaces bpf_loader.c in a build without clang or bpftool (-Dbpf=disabled). There is
 * nothing to load, so bpf_loader_load() fails and the procfs source is used. The other
 * functions are never called.
 */
#include "kernel/bpf_loader.h"

int bpf_loader_load(const struct bpfrefs_ctx *ctx, struct bpf_loader **walkers, char **why)
{
	(void)ctx;
	*walkers = NULL;
	*why = g_strdup("this library was built without its BPF programs");
	return -EOPNOTSUPP;
}

void bpf_loader_free(struct bpf_loader *walkers)
{
	(void)walkers;
}

struct walk_control *bpf_loader_control(struct bpf_loader *walkers)
{
	(void)walkers;
	return NULL;
}

const char *bpf_loader_lack(struct bpf_loader *walkers, const char *program)
{
	(void)walkers;
	(void)program;
	return NULL;
}

const char *bpf_loader_lacked(struct bpf_loader *walkers)
{
	return bpf_loader_lack(walkers, NULL);
}

int bpf_loader_iterate(struct bpf_loader *walkers, const char *program, walk_fn fn, void *data)
{
	(void)walkers;
	(void)program;
	(void)fn;
	(void)data;
	return -EOPNOTSUPP;
}

int bpf_loader_call(struct bpf_loader *walkers, const char *program, walk_fn fn, void *data)
{
	return bpf_loader_iterate(walkers, program, fn, data);
}

int bpf_loader_own_fd(struct bpf_loader *walkers, enum bpfrefs_kind kind)
{
	(void)walkers;
	(void)kind;
	return -EOPNOTSUPP;
}

struct walk_in_net *bpf_loader_net_list(struct bpf_loader *walkers)
{
	(void)walkers;
	return NULL;
}

int bpf_loader_open_iterator(struct bpf_loader *walkers, const char *program)
{
	(void)walkers;
	(void)program;
	return -EOPNOTSUPP;
}

int bpf_loader_cpu_map_fd(struct bpf_loader *walkers)
{
	(void)walkers;
	return -EBADF;
}

bool bpf_loader_own_map(const struct bpf_loader *walkers, uint32_t id)
{
	(void)walkers;
	(void)id;
	return false;
}

uint32_t bpf_loader_program_id(struct bpf_loader *walkers, const char *program)
{
	(void)walkers;
	(void)program;
	return 0;
}

void bpf_loader_prepare(struct bpf_loader *walkers)
{
	(void)walkers;
}

struct bpf_loader_walk *bpf_loader_begin(struct bpf_loader *walkers)
{
	(void)walkers;
	return NULL;
}

int bpf_loader_end(struct bpf_loader_walk *walk, walk_fn soon, walk_fn fn, void *data)
{
	(void)walk;
	(void)soon;
	(void)fn;
	(void)data;
	return -EOPNOTSUPP;
}

bool bpf_loader_own_program(struct bpf_loader *walkers, uint32_t id)
{
	return bpf_loader_own_map(walkers, id);
}

bool bpf_loader_outdated(struct bpf_loader *walkers)
{
	(void)walkers;
	return false;
}

struct walk_listed *bpf_loader_list(struct bpf_loader *walkers)
{
	(void)walkers;
	return NULL;
}

bool bpfrefs_libbpf_print(int level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return false;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replaces bpf_loader.c in a build without clang or bpftool (-Dbpf=disabled). There is
 * nothing to load, so walkers_load() fails and the procfs source is used. The other
 * functions are never called.
 */
#include "kernel/bpf_loader.h"

int walkers_load(struct walkers **walkers, char **why)
{
	*walkers = NULL;
	*why = g_strdup("this library was built without its BPF programs");
	return -EOPNOTSUPP;
}

void walkers_free(struct walkers *walkers)
{
	(void)walkers;
}

struct walk_control *walkers_control(struct walkers *walkers)
{
	(void)walkers;
	return NULL;
}

bool walkers_lack(const struct walkers *walkers, const char *program)
{
	(void)walkers;
	(void)program;
	return true;
}

int walkers_iterate(struct walkers *walkers, const char *program, walk_fn fn, void *data)
{
	(void)walkers;
	(void)program;
	(void)fn;
	(void)data;
	return -EOPNOTSUPP;
}

int walkers_call(struct walkers *walkers, const char *program, walk_fn fn, void *data)
{
	return walkers_iterate(walkers, program, fn, data);
}

int walkers_own_fd(struct walkers *walkers, enum bpfrefs_kind kind)
{
	(void)walkers;
	(void)kind;
	return -EOPNOTSUPP;
}

int walkers_open_iterator(struct walkers *walkers, const char *program)
{
	(void)walkers;
	(void)program;
	return -EOPNOTSUPP;
}

int walkers_cpu_map_fd(struct walkers *walkers)
{
	(void)walkers;
	return -EBADF;
}

bool walkers_own_map(const struct walkers *walkers, uint32_t id)
{
	(void)walkers;
	(void)id;
	return false;
}

uint32_t walkers_program_id(struct walkers *walkers, const char *program)
{
	(void)walkers;
	(void)program;
	return 0;
}

void walkers_prepare(struct walkers *walkers)
{
	(void)walkers;
}

struct walkers_walk *walkers_begin(struct walkers *walkers, const char *program)
{
	(void)walkers;
	(void)program;
	return NULL;
}

int walkers_end(struct walkers_walk *walk, walk_fn soon, walk_fn fn, void *data)
{
	(void)walk;
	(void)soon;
	(void)fn;
	(void)data;
	return -EOPNOTSUPP;
}

bool walkers_own_program(const struct walkers *walkers, uint32_t id)
{
	return walkers_own_map(walkers, id);
}

bool walkers_outdated(struct walkers *walkers)
{
	(void)walkers;
	return false;
}

struct walk_listed *walkers_list(struct walkers *walkers)
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

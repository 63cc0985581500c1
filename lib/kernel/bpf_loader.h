/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads and runs the BPF programs, and passes on their records. Only bpf_loader.c and
 * min_core_btf.c include libbpf's headers.
 */
#ifndef BPFREFS_BPF_LOADER_H
#define BPFREFS_BPF_LOADER_H

#include "bpf/records.h"
#include "snapshot/private.h"

struct bpf_loader;

/*
 * Loads and attaches all programs. On failure @why is set to a sentence, which the caller frees. A
 * program that the verifier of this kernel refuses is left out; to run it then returns -ENOPKG. @ctx,
 * whose log says which, must exist as long as @walkers; NULL: no log.
 */
int bpf_loader_load(const struct bpfrefs_ctx *ctx, struct bpf_loader **walkers, char **why);
void bpf_loader_free(struct bpf_loader *walkers); /* NULL is allowed */

/*
 * Returns true if a module was loaded after the programs, since its BTF may have types that were
 * missing when the programs were relocated. Returns true only once for each module.
 */
bool bpf_loader_outdated(struct bpf_loader *walkers);

/* The variables that the programs share with userspace; valid as long as @walkers. */
struct walk_control *bpf_loader_control(struct bpf_loader *walkers);

typedef void (*walk_fn)(const struct walk_rec *rec, void *data);

/*
 * Calls @fn for each record of a buffer. Ends at a record whose size is invalid, which no
 * program of ours writes.
 */
static inline void walk_each(const void *buf, size_t len, walk_fn fn, void *data)
{
	size_t at = 0;

	/* The data pointer of an empty GByteArray is NULL: no offset is added to it then. */
	while (at + sizeof(struct walk_rec) <= len) {
		const struct walk_rec *rec = (const void *)((const char *)buf + at);

		if (rec->size < sizeof(*rec) || rec->size % 8 || rec->size > len - at)
			return;
		fn(rec, data);
		at += rec->size;
	}
}

/* Why this program was left out, in the words of the verifier or libbpf; NULL: it was not. */
const char *bpf_loader_lack(struct bpf_loader *walkers, const char *program);
/* The same of the last program that was to be run though it was left out; each is returned once. */
const char *bpf_loader_lacked(struct bpf_loader *walkers);

/* Runs one iterator program to its end, and calls @fn for each record. */
int bpf_loader_iterate(struct bpf_loader *walkers, const char *program, walk_fn fn, void *data);

/*
 * Runs walk_tasks in a thread while other programs run.
 *
 * bpf_loader_prepare() is called before a scan reads anything. Once an earlier run took long, it loads
 * a second instance of the program; that takes some 10 ms, and happens once.
 *
 * bpf_loader_begin() starts a thread that runs walk_tasks from the beginning, with a copy of the
 * control structure as it is now. It returns NULL where there is no second instance; the caller then
 * uses bpf_loader_iterate().
 *
 * bpf_loader_end() calls @fn for each record, in order, as the thread reads them. At the end it
 * frees @walk and returns 0 or -errno. @soon, which may be NULL, is called for each record
 * some records earlier.
 */
struct bpf_loader_walk;
void bpf_loader_prepare(struct bpf_loader *walkers);
struct bpf_loader_walk *bpf_loader_begin(struct bpf_loader *walkers);
int bpf_loader_end(struct bpf_loader_walk *walk, walk_fn soon, walk_fn fn, void *data);

/*
 * An array of WALK_LIST_MAX objects: the arguments and results of walk_counts. Valid
 * as long as @walkers.
 */
struct walk_listed *bpf_loader_list(struct bpf_loader *walkers);

/* The same of WALK_NETS_MAX: what programs of network namespaces walk over. */
struct walk_in_net *bpf_loader_net_list(struct bpf_loader *walkers);

/* Runs a syscall program once; @fn may be NULL if the program emits no records. */
int bpf_loader_call(struct bpf_loader *walkers, const char *program, walk_fn fn, void *data);

/*
 * A descriptor of one of the loader's own objects of this kind, as a sample for
 * kernel_ids.c. Borrowed.
 */
int bpf_loader_own_fd(struct bpf_loader *walkers, enum bpfrefs_kind kind);
/* The map of walk_owner_counts, which has one value for each processor. Borrowed. */
int bpf_loader_cpu_map_fd(struct bpf_loader *walkers);
/* A new descriptor of an iterator, owned by the caller. */
int bpf_loader_open_iterator(struct bpf_loader *walkers, const char *program);
/* Returns true if this map belongs to the loaded programs. */
bool bpf_loader_own_map(const struct bpf_loader *walkers, uint32_t id);
/* Returns true if this program is one of the loaded ones, without the second instance's. */
bool bpf_loader_own_program(struct bpf_loader *walkers, uint32_t id);
/* The id of one of the loaded programs, or 0. */
uint32_t bpf_loader_program_id(struct bpf_loader *walkers, const char *program);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the BPF source has learnt of maps, programs and BTFs in earlier scans and what cannot change:
 * where they are in the kernel, and their facts. Their counters are then read from there, which takes
 * a fifth of the time of the iterators.
 */
#ifndef BPFREFS_KNOWN_H
#define BPFREFS_KNOWN_H

#include "kernel/bpf_loader.h"

struct known;

struct known *known_new(void);
void known_free(struct known *known); /* NULL is allowed */

/* May there be maps or programs that are not known? Then they have to be told anew. */
bool known_is_outdated(const struct known *known);
/* Maps and programs are about to be told anew, all of them. */
void known_begin(struct known *known);
/* They were all told. */
void known_end(struct known *known);
/* Notes the record of an object, if it is one of a map, program or BTF. */
void known_note(struct known *known, const struct walk_rec *rec);
/* Reads the counters of all known objects, and forgets those that are gone. */
int known_read(struct known *known, struct walkers *walkers);
/* Hands on the record of each of that kind, its counters as they were read last, as they were noted. */
void known_each(const struct known *known, enum bpfrefs_kind kind, walk_fn fn, void *data);
/* A bit for each type below 64 that a map or program of those may have. */
uint64_t known_types(const struct known *known, enum bpfrefs_kind kind);
/* The record of a map or program, its counters as they were read last; NULL: it is not known. */
const struct walk_rec *known_find(const struct known *known, struct bpfrefs_key key);
/*
 * The maps that a program uses, if they are those that it used when that was learnt, and all that it
 * holds beside what its record tells. @prog is one of known_each()'s; @maps is valid until the next
 * change.
 */
bool known_used(const struct known *known, const struct walk_rec *prog, const uint32_t **maps,
		uint32_t *count);
/* That is about to be told: known_use() for each map, in order; 0: something that is no used map. */
void known_use_begin(struct known *known, const struct walk_rec *prog);
void known_use(struct known *known, uint32_t prog, uint32_t map);
/*
 * All was told of those that had begun, without a failure: it is learnt where a program uses as many
 * maps as were counted before. (While one more is bound, what is told may be nonsense.)
 */
void known_use_end(struct known *known);
/*
 * Is it known of all links that none holds a map? All are told by known_link() between the first and
 * the third of these. Which map an attached one holds may change, but not whether it holds one.
 */
void known_links_begin(struct known *known);
void known_link(struct known *known, const struct walk_rec *rec);
void known_links_end(struct known *known);
bool known_links_hold_no_map(const struct known *known);
/* Reads one map's; -ENOENT if it is not there, or not known. */
int known_read_map(struct known *known, struct walkers *walkers, uint32_t id, walk_fn fn,
		   void *data);

#endif

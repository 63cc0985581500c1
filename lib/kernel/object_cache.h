/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The maps, programs and BTFs that earlier scans of the BPF source have read: their addresses in
 * the kernel, and their properties, which cannot change. Later scans read the counters at these
 * addresses (walk_counts). That takes a fifth of the time of the iterators.
 */
#ifndef BPFREFS_OBJECT_CACHE_H
#define BPFREFS_OBJECT_CACHE_H

#include "kernel/bpf_loader.h"

struct known;

struct known *known_new(void);
void known_free(struct known *known); /* NULL is allowed */

/*
 * Returns true if there may be maps or programs that the cache lacks. All of them are then read
 * again by the iterators.
 */
bool known_is_outdated(const struct known *known);
/* Empties the cache of maps and programs, before all of them are read by the iterators. */
void known_begin(struct known *known);
/* Marks the cache as complete, after all maps and programs were read. */
void known_end(struct known *known);
/* Adds the object of a record, if it is a map, program or BTF. */
void known_note(struct known *known, const struct walk_rec *rec);
/* Reads the counters of all cached objects, and removes the objects that have been freed. */
int known_read(struct known *known, struct walkers *walkers);
/*
 * Calls @fn for the record of each object of that kind, with the counters as they were last read,
 * in the order in which the objects were added.
 */
void known_each(const struct known *known, enum bpfrefs_kind kind, walk_fn fn, void *data);
/* A bit for each type below 64 that a cached map or program may have. */
uint64_t known_types(const struct known *known, enum bpfrefs_kind kind);
/*
 * The record of a map or program, with the counters as they were last read; NULL
 * if it is not cached.
 */
const struct walk_rec *known_find(const struct known *known, struct bpfrefs_key key);
/*
 * Returns true if the cached maps are all that the program uses now, and the program holds no
 * other object beyond those in its record. @prog is a record from known_each(). @maps is valid
 * until the cache changes.
 */
bool known_used(const struct known *known, const struct walk_rec *prog, const uint32_t **maps,
		uint32_t *count);
/*
 * Begins the collection of what a program holds. known_use() then adds each map, in order; @map is
 * 0 for something that is not a map in used_maps.
 */
void known_use_begin(struct known *known, const struct walk_rec *prog);
void known_use(struct known *known, uint32_t prog, uint32_t map);
/*
 * Ends the collection for all programs that have begun, if it did not fail. The maps of a program
 * are valid if their number is the one that was counted before: while another map is being bound
 * (BPF_PROG_BIND_MAP), the emitted ones may be wrong.
 */
void known_use_end(struct known *known);
/*
 * Remembers whether no link holds a map. known_link() is called for each link between
 * known_links_begin() and known_links_end(). An update of an attached link may replace its map, but
 * a link without a map never gets one.
 */
void known_links_begin(struct known *known);
void known_link(struct known *known, const struct walk_rec *rec);
void known_links_end(struct known *known);
bool known_links_hold_no_map(const struct known *known);
/*
 * Reads the counters of one map, and calls @fn for its record; -ENOENT if it is
 * freed or not cached.
 */
int known_read_map(struct known *known, struct walkers *walkers, uint32_t id, walk_fn fn,
		   void *data);

#endif

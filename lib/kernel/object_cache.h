/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The maps, programs and BTFs that earlier scans of the BPF source have read: their addresses in
 * the kernel, and their properties, which cannot change. Later scans read the counters at these
 * addresses (walk_counts). That takes a fifth of the time of the iterators.
 */
#ifndef BPFREFS_OBJECT_CACHE_H
#define BPFREFS_OBJECT_CACHE_H

#include "kernel/bpf_loader.h"

struct object_cache;

struct object_cache *object_cache_new(void);
void object_cache_free(struct object_cache *cache); /* NULL is allowed */

/*
 * Returns true if there may be maps or programs that the cache lacks. All of them are then read
 * again by the iterators.
 */
bool object_cache_is_outdated(const struct object_cache *cache);
/* Empties the cache of maps and programs, before all of them are read by the iterators. */
void object_cache_begin(struct object_cache *cache);
/* Marks the cache as complete, after all maps and programs were read. */
void object_cache_end(struct object_cache *cache);
/* Adds the object of a record, if it is a map, program or BTF. */
void object_cache_note(struct object_cache *cache, const struct walk_rec *rec);
/* Reads the counters of all cached objects, and removes the objects that have been freed. */
int object_cache_read(struct object_cache *cache, struct bpf_loader *walkers);
/*
 * Calls @fn for the record of each object of that kind, with the counters as they were last read,
 * in the order in which the objects were added.
 */
void object_cache_each(const struct object_cache *cache, enum bpfrefs_kind kind, walk_fn fn,
		       void *data);
/* A bit for each type below 64 that a cached map or program may have. */
uint64_t object_cache_types(const struct object_cache *cache, enum bpfrefs_kind kind);
/*
 * The record of a map or program, with the counters as they were last read; NULL
 * if it is not cached.
 */
const struct walk_rec *object_cache_find(const struct object_cache *cache, struct bpfrefs_key key);
/*
 * Returns true if the cached maps are all that the program uses now, and the program holds no
 * other object beyond those in its record. @prog is a record from object_cache_each(). @maps is valid
 * until the cache changes.
 */
bool object_cache_used(const struct object_cache *cache, const struct walk_rec *prog,
		       const uint32_t **maps, uint32_t *count);
/*
 * Begins the collection of what a program holds. object_cache_use() then adds each map, in order; @map is
 * 0 for something that is not a map in used_maps.
 */
void object_cache_program_begin(struct object_cache *cache, const struct walk_rec *prog);
void object_cache_use(struct object_cache *cache, uint32_t prog, uint32_t map);
/*
 * Ends the collection for all programs that have begun, if it did not fail. The maps of a program
 * are valid if their number is the one that was counted before: while another map is being bound
 * (BPF_PROG_BIND_MAP), the emitted ones may be wrong.
 */
void object_cache_program_end(struct object_cache *cache);
/*
 * Remembers whether no link holds a map. object_cache_link() is called for each link between
 * object_cache_links_begin() and object_cache_links_end(). An update of an attached link may replace its map, but
 * a link without a map never gets one.
 */
void object_cache_links_begin(struct object_cache *cache);
void object_cache_link(struct object_cache *cache, const struct walk_rec *rec);
void object_cache_links_end(struct object_cache *cache);
bool object_cache_links_hold_no_map(const struct object_cache *cache);
/*
 * Reads the counters of one map, and calls @fn for its record; -ENOENT if it is
 * freed or not cached.
 */
int object_cache_read_map(struct object_cache *cache, struct bpf_loader *walkers, uint32_t id,
			  walk_fn fn, void *data);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the BPF source's parts and the holder classes that decode its records share. */
#ifndef BPFREFS_WALK_SCAN_H
#define BPFREFS_WALK_SCAN_H

#include "kernel/bpf_loader.h"

/* Learns how to tell files and pins; @why gets an owned sentence where that fails. */
int walk_learn(struct walkers *walkers, char **why);

/*
 * Can the walk tell such files? False: it need not run, since this kernel has none, or it cannot,
 * and then the class whose turn it is has been called unavailable.
 */
bool walk_knows(struct scan *scan, enum walk_other other);

/* One walk's state: scan->source_data with the BPF source. */
struct pin_tree;
struct carriers;
struct cgroups;

/* Records kept until a walk has ended; -ENOMEM where there is no memory for all of them. */
struct walk_kept {
	GByteArray *bytes;
	int err;
	int walked; /* how the walk ended */
};

/* Walks of what descriptors do not show (walk-class.c). */
#define WALK_HIDDEN 3

struct walk_state {
	struct walkers *walkers;
	bool after;	  /* the second reading of the counters */
	bool learnt;	  /* maps and programs were told anew */
	guint recounted;  /* the second reading: the place in snap->objects behind the last one's */
	uint64_t prog_types; /* a bit for each type below 64 that programs may have: use_prepare() */
	const struct walk_map *one; /* the only object whose holders are looked for, else NULL */
	bool unnamed;	  /* a holder was found that is not known */
	/* the process whose descriptors are being told */
	uint32_t pid, tid;
	const char *comm;
	GHashTable *roots; /* walk-owner.c: mount namespace -> GArray of struct walk_root */
	struct walk_kept holds;	   /* walk-owner.c: records of what keeps owners */
	struct pin_tree *pins;	   /* holder-pin.c: what it has seen */
	int pins_err;		   /* of pins_prepare() */
	GArray *metas;		   /* holder-btf.c: BTFs to be looked into */
	GHashTable *carried;	   /* use.c: files to be looked into */
	struct carriers *carriers; /* carrier.c: sockets and rings to be looked into */
	uint32_t traits; /* of the maps there are: enum walk_trait (walk-class.c) */
	GArray *xsks;	 /* holder-map.c: slots of xskmaps, struct walk_xsk */
	GArray *slotted; /* holder-map.c: the maps with slots, struct walk_place */
	/* maps of others that can be mapped or polled, files in descriptor tables that carry others */
	bool mappable, carries;
	bool in_hidden;		 /* these records are of a walk of what descriptors do not show */
	bool hidden;		 /* which told something */
	bool looked_hidden;	 /* there was such a walk */
	struct walk_kept early[WALK_HIDDEN]; /* walked before their turn; bytes NULL: not */
	bool hidden_carriers;	 /* and something that carries files */
	struct cgroups *cgroups; /* holder-cgroup.c: what it has been told */
	uint64_t takers[WALK_TYPES]; /* the classes that take a type of record, by their places */
	uint32_t unknown_queues; /* holder-socket.c: of devices, with packets that cannot be followed */
	GHashTable *qdiscs;	 /* holder-struct_ops.c: maps of kinds of qdiscs, their names */
};

/* A type of record among those that a class takes. */
#define WALK_BIT(type) ((uint64_t)1 << (type))

static inline struct walk_state *walk_state_of(struct scan *scan)
{
	return scan->source_data;
}

/* Keeps one. */
void walk_keep(const struct walk_rec *rec, void *kept);

/* A record as a structure of the list in records.h; NULL: it is of another type, or too small. */
#define walk_record(rec, structure)                                                         \
	((rec)->type == WALK_TYPE_OF_##structure && (rec)->size >= sizeof(struct structure) \
		 ? (const struct structure *)(const void *)(rec)                            \
		 : NULL)

/* A map's record, as told by walk_maps or from where it is known to be. */
struct walk_one_map {
	bool found;
	struct walk_map map;
};

/* Has maps and programs told anew to @note, which notes them in ctx->known. */
int walk_learn_objects(struct bpfrefs_ctx *ctx, walk_fn note, void *data);
int walk_read_map(struct bpfrefs_ctx *ctx, uint32_t id, struct walk_one_map *one);
/* Adds the object that a record tells; then checks its counters against a second record. */
void walk_count(struct scan *scan, const struct walk_rec *rec);
void walk_recount(struct scan *scan, const struct walk_rec *rec);
/* A kernel's name of at most @size bytes, interned. */
const char *walk_name(struct scan *scan, const char *name, size_t size);
/* Frees what a walk has noted, and leaves the context what the next one needs. */
void walk_state_clear(struct scan *scan);
/* The source's collect_one (walk-one.c). */
int walk_collect_one(struct scan *scan, struct bpfrefs_key key);

/* Prepares a state for walk_dispatch(). */
void walk_state_begin(struct walk_state *state, const struct holder_class *const *classes);
/* Takes one record of a walk: objects, processes, then the classes, one of which may want it. */
void walk_dispatch(const struct walk_rec *rec, void *scan);
/* Notes what this record says of which of walk_program()'s programs are worth running. */
void walk_note(struct scan *scan, const struct walk_rec *rec);
/*
 * Gives every class its turn: its programs, then what it derives by programs. @tasks: the walk over
 * descriptors, which goes on beside those that need not wait for it, and is ended here; NULL: it has
 * its turn too.
 */
void walk_classes(struct scan *scan, struct walkers_walk *tasks);
/* Has those classes derive whose derives_alone is @alone; walk_classes() has had the others. */
void walk_derive(struct scan *scan, bool alone);
/* Runs an iterator program that feeds classes, if it can tell anything new. */
int walk_program(struct scan *scan, const char *program);
/* An object to be looked into where it is known to be. */
struct walk_place {
	uint64_t address;
	uint32_t id;
};

/* Runs a program that looks into those (walk_slots, walk_used) for all of them. 0 or -errno. */
int walk_places(struct scan *scan, const char *program, const GArray *places);
/* Before all walks: reads which instances of bpffs there are, and where they are mounted. 0 or -errno. */
int pins_prepare(struct scan *scan);
/* Notes a map whose slots may hold the one map whose holders are looked for (holder-map.c). */
void holder_map_note(struct scan *scan, const struct walk_rec *rec);
/* The `via` of an edge, as shown. */
const char *walk_via_name(unsigned int via);

#endif

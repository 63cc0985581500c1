/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interfaces within the BPF source, and between it and the holder classes that
 * decode its records.
 */
#ifndef BPFREFS_BPF_SOURCE_H
#define BPFREFS_BPF_SOURCE_H

#include "kernel/bpf_loader.h"

/*
 * Reads the addresses by which the programs identify files and pins of each kind. On failure @why
 * is set to a sentence, which the caller frees.
 */
int kernel_ids_probe(struct bpf_loader *walkers, char **why);

/* Like source.map_payer (payer.c). */
int payer_read(struct bpfrefs_ctx *ctx, uint32_t id, struct map_payer *payer);

/*
 * Returns true if the programs can identify files of this kind. If not, then either this kernel has
 * no such files, or the current class has been marked as unavailable; its program need not run.
 */
bool kernel_ids_has(struct scan *scan, enum walk_other other);

struct pin_tree;
struct nested_files;

/*
 * Records that are collected until a program has ended. err is -ENOMEM if memory did not
 * suffice for all of them.
 */
struct walk_kept {
	GByteArray *bytes;
	int err;
};

/* A run of an iterator program, which several classes may need: it runs once in a scan. */
struct walk_run {
	bool done;
	int err;
	/* Its records, if it ran before they could be decoded (dispatch_non_fd()). */
	struct walk_kept early;
};

struct walk_state {
	struct bpf_loader *walkers;
	bool after; /* the counters are read for the second time */
	/* all maps and programs were read by the iterators, since object_cache was outdated */
	bool objects_read;
	/* In the second reading: the index in snap->objects after that of the last object. */
	guint recounted;
	/*
	 * a bit for each program type below 64 that a loaded program may have; set by socket_holder_prepare()
	 */
	uint64_t prog_types;
	/* If not NULL, only the holders of this map are collected. */
	const struct walk_map *one;
	bool unnamed; /* a holder was found that object_cache lacks */
	/* the process that the records of descriptors belong to at the moment */
	uint32_t pid, tid;
	const char *comm;
	GHashTable *roots;	/* owner_records.c: mount namespace -> GArray of struct walk_root */
	struct walk_kept holds; /* owner_records.c: records of what holds owners */
	struct net_lists *nets; /* net_namespaces.c: the namespaces and devices that were read */
	struct pin_tree *pins;	/* lib/holders/pin.c: the inodes that were read */
	int pins_err;		/* the error of pin_tree_prepare() */
	GHashTable *mapped;	/* mappings.c: rings and sockets -> what they were found by */
	struct nested_files *nested_files; /* nested_files.c: sockets and rings still to be read */
	/*
	 * mappable: a map that does not belong to us can be mapped or polled. carries: a descriptor
	 * table has a file that may hold other files.
	 */
	bool mappable, carries;
	bool in_non_fd;			     /* the current records are of a non-fd walk */
	bool hidden;			     /* a non-fd walk has emitted a record */
	bool non_fd_walked;		     /* a non-fd walk has run */
	struct walk_run non_fd[CLASS_COUNT]; /* of each class that has such a program */
	GHashTable *runs;		     /* program -> owned struct walk_run */
	bool non_fd_nested; /* a non-fd walk has met a file that holds other files */
	/* for each type of record: a bit for each class that decodes it */
	uint64_t takers[WALK_TYPES];
};

/* A row of holder_class.decoders: the records with this structure. */
#define DECODER(structure, function)                                         \
	{                                                                    \
		WALK_TYPE_OF_##structure, sizeof(struct structure), function \
	}

static inline struct walk_state *walk_state_of(struct scan *scan)
{
	return scan->source_data;
}

/* Appends a record to @kept, which is a struct walk_kept. It is a walk_fn. */
void object_records_collect(const struct walk_rec *rec, void *kept);
/*
 * The calls of one program, which is called again until the rest of its records fitted in the buffer.
 * Zeroed at first.
 */
struct walk_calls {
	unsigned int count;
	uint32_t list_at;
};

/*
 * Returns true if the program has to be called again. A list with a cycle has no end: after a great
 * many calls for one object walk_control.ended becomes WALK_TORN.
 */
bool object_records_go_on(struct walk_control *control, struct walk_calls *calls);
/*
 * Appends to @records, or replaces them with, those of a program, which is called until the buffer was
 * large enough for the rest. walk_control.ended then says whether the walk was torn. Returns 0 or -errno.
 */
int object_records_append(struct bpf_loader *walkers, const char *program, GByteArray *records);
int object_records_read_all(struct bpf_loader *walkers, const char *program, GByteArray *records);

/*
 * Returns @rec as a record of this structure, whose type follows from the list in records.h, or NULL if
 * it has another type or is too short.
 */
#define walk_record(rec, structure)                                                         \
	((rec)->type == WALK_TYPE_OF_##structure && (rec)->size >= sizeof(struct structure) \
		 ? (const struct structure *)(const void *)(rec)                            \
		 : NULL)

/* The record of a map, as walk_maps emits it or as it is in object_cache. */
struct walk_one_map {
	bool found;
	struct walk_map map;
};

/*
 * Runs the iterators over maps and programs, and calls @note for each record. @note adds the
 * records to ctx->object_cache.
 */
int object_records_read(struct bpfrefs_ctx *ctx, walk_fn note, void *data);
int object_record_read_map(struct bpfrefs_ctx *ctx, uint32_t id, struct walk_one_map *one);
/*
 * object_record_add() adds the object of a record to the snapshot. object_record_recheck() compares its counters
 * with those of a second record.
 */
void object_record_add(struct scan *scan, const struct walk_rec *rec);
void object_record_recheck(struct scan *scan, const struct walk_rec *rec);
/* Interns a name of at most @size bytes, which need not end with a NUL. */
const char *object_record_name(struct scan *scan, const char *name, size_t size);
/* Implements struct source.collect_one (one_map.c). */
int one_map_collect(struct scan *scan, struct bpfrefs_key key);

/*
 * Begins a scan with @state, whose walkers are set; and frees everything that it has collected,
 * and saves in the context what the next scan needs.
 */
void dispatch_begin(struct scan *scan, struct walk_state *state);
void dispatch_end(struct scan *scan);
/*
 * Processes one record: objects, then processes and owners, and then the classes that decode its
 * type.
 */
void dispatch_record(const struct walk_rec *rec, void *scan);
/* Only the classes. */
void dispatch_decode(struct scan *scan, const struct walk_rec *rec);
/* Records the gap of a WALK_GAP record in the classes that name it. */
void dispatch_gap(struct scan *scan, const struct walk_rec *rec);
/* Records what @rec says about which programs are worth running; see dispatch_program(). */
void dispatch_note(struct scan *scan, const struct walk_rec *rec);
/*
 * Runs the programs of every class, and then the derive() of the classes that need programs for it.
 * @tasks is a run of walk_tasks in a thread: classes that are independent of its records run first,
 * and then it is waited for. If it is NULL, walk_tasks runs here like the other programs.
 */
void dispatch_classes(struct scan *scan, struct bpf_loader_walk *tasks);
/*
 * Calls derive() of the classes whose userspace_only equals @alone. dispatch_classes() has already
 * called it with false.
 */
void dispatch_derive(struct scan *scan, bool alone);
/*
 * Runs an iterator program, once in a scan however many classes need it, and returns 0 or -errno.
 * Without @worth it cannot emit anything, and is left out. That is no gap; that it cannot run is
 * one, whether it is worth it or not.
 */
int dispatch_program(struct scan *scan, const char *program, bool worth);
/* Runs walk_tasks, the walk over descriptors. A class that needs nothing else has this as walk. */
int dispatch_tasks(struct scan *scan);
/*
 * Runs the program of a class that finds files which processes hold without a descriptor, once.
 * These programs take longer than all others together, so they are left out if they cannot emit
 * anything new: no map that does not belong to us can be mapped or polled, and no descriptor table
 * has a file that may hold other files (a ring, socket or perf event). If such a file is then the
 * only holder of an object, the object has an unexplained reference; a new unexplained reference
 * makes the next scan run these programs.
 */
int dispatch_non_fd(struct scan *scan, const struct holder_class *class);
/* An object whose address is known, for a program that reads inside it. */
struct walk_object {
	uint64_t address;
	uint32_t id;
};

/*
 * Runs a program that reads inside objects (walk_slots, walk_used) for each of @places.
 * Returns 0 or -errno.
 */
int dispatch_places(struct scan *scan, const char *program, const GArray *places);
/* Before all walks: reads which instances of bpffs there are, and where they are mounted. 0 or -errno. */
int pin_tree_prepare(struct scan *scan);

#endif

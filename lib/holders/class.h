/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a holder class is: docs/design.md, "Adding a holder class". */
#ifndef BPFREFS_CLASS_H
#define BPFREFS_CLASS_H

#include <stddef.h>

#include "bpfrefs.h"
#include "classes.h"

struct removal;
struct scan;
struct walk_rec;

/* A type of record, the size of its structure, and the function that decodes it: DECODER(). */
struct holder_decoder {
	unsigned int type;
	size_t size;
	/* Called for each record of this type. */
	void (*decode)(struct scan *scan, const void *record);
};

/* The greatest number of fields that the references of a class have. */
#define REF_FIELDS_MAX 10

#define HOLDER_DECODERS_MAX 4
#define HOLDER_GAPS_MAX	    4

/* An enum walk_gap_kind, and what it means for the class. */
struct holder_gap {
	uint32_t kind;
	const char *what;
};

/*
 * The fields of a class, by one list of X(INDEX, "name"): HOLDER_FIELDS() defines the indexes and
 * the array of names.
 */
#define HOLDER_FIELD_INDEX(index, name) index,
#define HOLDER_FIELD_NAME(index, name)	name,
#define HOLDER_FIELDS(LIST)                \
	enum { LIST(HOLDER_FIELD_INDEX) }; \
	static const char *const keys[] = { LIST(HOLDER_FIELD_NAME) NULL }
/* The first members of struct bpfrefs_class. */
#define HOLDER_PUB(name) sizeof(struct bpfrefs_class), name, keys

/*
 * A holder class: everything about it. Each is defined in a file of its own, listed in
 * lib/meson.build.
 */
struct holder_class {
	struct bpfrefs_class pub;
	enum class_id id;
	/*
	 * The graph: its references are roots even if a process has them; an automatic one is
	 * none (bpfrefs_ref.automatic).
	 */
	bool root;
	/* The graph: its references to maps are no user references. */
	bool object_only;
	/*
	 * `because`: what a process does that has one of its references; NULL: "holds it
	 * (CLASS)".
	 */
	const char *process_says;
	/*
	 * `because`: the words for a reference that neither an object nor a process has, owned;
	 * NULL: "attached (CLASS PLACE)". @owned: the sentence goes on with who keeps the owner
	 * of the reference.
	 */
	char *(*says)(const struct bpfrefs_snapshot *snap, const struct bpfrefs_ref *ref,
		      bool owned);
	/*
	 * `.bpf/attachments`: how the kernel runs a program that has one of its references, if a
	 * link does not have it too; 0 with @no_hook, if that is nothing which runs a program by
	 * itself.
	 */
	enum bpfrefs_hook hook;
	bool no_hook;
	/* Whether this reference is such an attachment; NULL: each is. */
	bool (*runs)(const struct bpfrefs_ref *ref);
	/* The names that its fields have there, if they are others; "": left out. */
	const char *hook_words[REF_FIELDS_MAX];
	/* References with the same first field, a token, are one attachment. */
	bool hook_shared;
	/*
	 * free.sh: writes the command that removes a reference, by the functions of
	 * text/removal.h. If it writes nothing, the reference ends with its holder: a process, or
	 * an object, which must then be freed too.
	 */
	void (*removes)(struct removal *removal, const struct bpfrefs_ref *ref);
	/*
	 * Its own state while a scan runs: so many zeroed bytes (scan_state()). There is no
	 * function that begins it: what a class needs, it makes in @walk or when a record needs
	 * it. @end frees what they own.
	 */
	size_t state;
	void (*end)(void *state);
	/*
	 * BPF source: runs the programs that find its references, with the functions of
	 * kernel/bpf_source.h. Returns 0 or -errno; with -ENOPKG the class is unavailable, with
	 * another error partial.
	 */
	int (*walk)(struct scan *scan);
	/*
	 * BPF source: the walk needs no record of the walk over descriptors, which may run in
	 * parallel with it (dispatch_classes()).
	 */
	bool parallel;
	/*
	 * BPF source: an iterator program that finds files which processes hold without a
	 * descriptor (dispatch_non_fd()). @iterate runs it if it is not run as others are.
	 */
	const char *non_fd;
	int (*iterate)(struct scan *scan, void (*fn)(const struct walk_rec *rec, void *data),
		       void *data);
	/* BPF source: the types of records that it decodes. */
	struct holder_decoder decoders[HOLDER_DECODERS_MAX];
	/* BPF source: what a program could not follow. */
	struct holder_gap gaps[HOLDER_GAPS_MAX];
	/*
	 * BPF source: called after all records, adds references that follow from the facts about
	 * objects.
	 */
	void (*derive)(struct scan *scan);
	/* BPF source: derive runs no BPF program, so that one may run in parallel with it. */
	bool userspace_only;
	/*
	 * procfs source: reads all references. -errno if nothing could be read; other gaps by
	 * scan_gap(). NULL: procfs shows none of them.
	 */
	int (*proc)(struct scan *scan);
	/* procfs source: why the class is never complete with it, or NULL if it can be */
	const char *proc_gap;
};

/*
 * All classes in output order, NULL-terminated, generated from the list in lib/meson.build. Only
 * context.c and tests use it. All other code gets the list from its scan, so that a class may call
 * scan.c and the sources without a circle of dependencies.
 */
extern const struct holder_class *const holder_classes[CLASS_COUNT + 1];

/* What an enum walk_via means (ref.c). */
struct ref_via {
	const char *word;
	const char *says; /* what the holder does, in a sentence of `because` */
	bool user;	  /* the map releases it when its usercnt becomes 0 */
	bool in_slot;	  /* the field slot says where */
};
const struct ref_via *ref_via_of(unsigned int via);

/* The fields of the classes of objects that hold objects. */
#define HELD_FIELDS(X)       \
	X(HELD_ID, "id")     \
	X(HELD_NAME, "name") \
	X(HELD_VIA, "via")   \
	X(HELD_SLOT, "slot")

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Selections: the answers to the questions about a snapshot, of which each has a function to begin with. */
#ifndef BPFREFS_SELECT_H
#define BPFREFS_SELECT_H

#include "snapshot/index.h"

/* What the items of a selection are. */
enum select_item {
	SELECT_OBJECT,
	SELECT_REF,
	SELECT_PROCESS,
	SELECT_DESCRIPTOR,
	SELECT_CLASS,
	SELECT_BPFFS,
	SELECT_ROOT,
	SELECT_RETAINED,
	SELECT_UNUSED,
	SELECT_ATTACHMENT,
	SELECT_CHANGE,
};

/* The members of a filter. */
enum {
	SELECT_BY_KIND = 1 << 0,
	SELECT_BY_STATE = 1 << 1,
	SELECT_BY_TYPE = 1 << 2,
	SELECT_BY_NAME = 1 << 3,
	SELECT_BY_KEY = 1 << 4,
	SELECT_BY_HOLDER = 1 << 5,
	SELECT_BY_CLASS = 1 << 6,
	SELECT_BY_PID = 1 << 7,
	SELECT_BY_CGROUP = 1 << 8,
	SELECT_BY_SELF = 1 << 9,
};
#define SELECT_BY_PROCESS (SELECT_BY_PID | SELECT_BY_CGROUP)
#define SELECT_BY_REF	  (SELECT_BY_HOLDER | SELECT_BY_CLASS | SELECT_BY_PROCESS)
#define SELECT_BY_OBJECT                                                                      \
	(SELECT_BY_KIND | SELECT_BY_STATE | SELECT_BY_TYPE | SELECT_BY_NAME | SELECT_BY_KEY | \
	 SELECT_BY_SELF)

struct select_question {
	enum select_item item;
	unsigned int members; /* those members of a filter that apply */
	/* Prepares the answer, from what its function got; a negative errno ends the selection. NULL: nothing. */
	int (*begin)(struct bpfrefs_selection *selection, const void *args);
	/* Returns the next item, whether the filter selects it or not, or NULL. */
	const void *(*next)(struct bpfrefs_selection *selection);
	/* Whether the filter selects the item. NULL: all. */
	bool (*matches)(const struct bpfrefs_selection *selection, const void *item);
	/* Frees @state, which may be NULL. */
	void (*clear)(void *state);
};

struct bpfrefs_selection {
	const struct select_question *question;
	struct bpfrefs_snapshot *snap; /* a reference; NULL: there is none */
	struct bpfrefs_filter filter;  /* with copies of its strings, but not of class_ */
	unsigned int members;	       /* those that the filter has */
	const struct bpfrefs_class *class_;
	struct ref_range refs;
	size_t at;   /* how many items were looked at */
	void *state; /* of the question, freed by clear() */
};

/*
 * Begins a selection. @snap may be NULL, and @classes has the struct bpfrefs_class_status of which the
 * filter can name one.
 */
int select_new(const struct select_question *question, const struct bpfrefs_snapshot *snap,
	       const GArray *classes, const struct bpfrefs_filter *filter, const void *args,
	       struct bpfrefs_selection **out);
/* Returns the next item that the filter selects; NULL at the end, or if items are something else. */
const void *select_next(struct bpfrefs_selection *selection, enum select_item item);

/* Whether the filter selects what it is about: for select_question.matches. */
bool select_object(const struct bpfrefs_selection *selection, const struct bpfrefs_object *object);
bool select_ref(const struct bpfrefs_selection *selection, const struct bpfrefs_ref *ref);
bool select_class(const struct bpfrefs_selection *selection, const struct bpfrefs_class *class_);
bool select_pid(const struct bpfrefs_selection *selection, uint32_t pid);
bool select_key(const struct bpfrefs_selection *selection, struct bpfrefs_key key);
/* Whether it selects the object, and a reference to it. */
bool select_held_object(const struct bpfrefs_selection *selection,
			const struct bpfrefs_object *object);

#endif

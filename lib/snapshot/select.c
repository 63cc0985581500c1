/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Selections: what they have in common, and those of what a snapshot consists of. A question is answered
 * by its next() one item after the other, of which the filter selects some.
 */
#include "snapshot/select.h"

#include <fnmatch.h>
#include <string.h>

#include "snapshot/options.h"

/* -------------------------------------------------------------- filters --- */

static unsigned int members_of(const struct bpfrefs_filter *filter)
{
	return (filter->kinds ? SELECT_BY_KIND : 0) | (filter->states ? SELECT_BY_STATE : 0) |
	       (filter->type ? SELECT_BY_TYPE : 0) | (filter->name ? SELECT_BY_NAME : 0) |
	       (filter->object.id ? SELECT_BY_KEY : 0) |
	       (filter->holder.id ? SELECT_BY_HOLDER : 0) | (filter->class_ ? SELECT_BY_CLASS : 0) |
	       (filter->pid ? SELECT_BY_PID : 0) | (filter->cgroup ? SELECT_BY_CGROUP : 0) |
	       (filter->hide_self ? SELECT_BY_SELF : 0);
}

/* Copies the filter, and refuses what has no meaning. */
static int filter_copy(struct bpfrefs_selection *selection, const struct bpfrefs_filter *from,
		       const GArray *classes)
{
	struct bpfrefs_filter *filter = &selection->filter, own = { 0 };
	int err = from ? options_copy(&own, sizeof(own), from, from->size) : 0;

	if (err)
		return err;
	selection->members = members_of(&own);
	if (selection->members & ~selection->question->members || own.kinds >> KIND_COUNT ||
	    own.states >> STATE_COUNT || (own.object.id && own.object.kind >= KIND_COUNT) ||
	    (own.holder.id && own.holder.kind >= KIND_COUNT))
		return -EINVAL;
	for (guint i = 0; own.class_ && classes && i < classes->len; i++) {
		const struct bpfrefs_class *class_ =
			g_array_index(classes, struct bpfrefs_class_status, i).class_;

		if (strcmp(class_->name, own.class_) == 0)
			selection->class_ = class_;
	}
	if (own.class_ && !selection->class_)
		return -EINVAL;
	*filter = own;
	filter->type = g_strdup(own.type);
	filter->name = g_strdup(own.name);
	filter->cgroup = g_strdup(own.cgroup);
	return 0;
}

bool select_key(const struct bpfrefs_selection *selection, struct bpfrefs_key key)
{
	const struct bpfrefs_filter *filter = &selection->filter;

	if (filter->kinds && !(filter->kinds & 1u << key.kind))
		return false;
	return !filter->object.id || bpfrefs_key_compare(filter->object, key) == 0;
}

bool select_object(const struct bpfrefs_selection *selection, const struct bpfrefs_object *object)
{
	const struct bpfrefs_filter *filter = &selection->filter;

	if (!(selection->members & SELECT_BY_OBJECT))
		return true;
	if (!select_key(selection, object->key) ||
	    (filter->states && !(filter->states & 1u << object->state)) ||
	    (filter->type && g_strcmp0(filter->type, object->type) != 0) ||
	    (filter->hide_self && bpfrefs_snapshot_hides(selection->snap, object)))
		return false;
	return !filter->name || (object->name && fnmatch(filter->name, object->name, 0) == 0);
}

bool select_class(const struct bpfrefs_selection *selection, const struct bpfrefs_class *class_)
{
	return !selection->class_ || selection->class_ == class_;
}

bool select_pid(const struct bpfrefs_selection *selection, uint32_t pid)
{
	const struct bpfrefs_filter *filter = &selection->filter;

	if (filter->pid && filter->pid != pid)
		return false;
	return !filter->cgroup ||
	       (snapshot_process_index(selection->snap, pid) != UINT32_MAX &&
		bpfrefs_cgroup_contains(filter->cgroup,
					bpfrefs_process_cgroup(selection->snap, pid)));
}

/* What a filter says about a reference itself, not about its target. */
static bool ref_matches(const struct bpfrefs_selection *selection, const struct bpfrefs_ref *ref)
{
	const struct bpfrefs_filter *filter = &selection->filter;

	if (!(selection->members & SELECT_BY_REF))
		return true;
	return select_class(selection, &ref->class->pub) && select_pid(selection, ref->pid) &&
	       (!filter->holder.id || bpfrefs_key_compare(filter->holder, ref->holder) == 0);
}

bool select_ref(const struct bpfrefs_selection *selection, const struct bpfrefs_ref *ref)
{
	return ref_matches(selection, ref) && select_object(selection, ref->object);
}

bool select_held_object(const struct bpfrefs_selection *selection,
			const struct bpfrefs_object *object)
{
	const struct bpfrefs_ref *ref;
	struct ref_range refs;

	if (!select_object(selection, object))
		return false;
	if (!(selection->members & SELECT_BY_REF))
		return true;
	refs = index_holders(selection->snap, object->key);
	while ((ref = ref_range_next(&refs)))
		if (ref_matches(selection, ref))
			return true;
	return false;
}

/* ----------------------------------------------------------- selections --- */

int select_new(const struct select_question *question, const struct bpfrefs_snapshot *snap,
	       const GArray *classes, const struct bpfrefs_filter *filter, const void *args,
	       struct bpfrefs_selection **out)
{
	struct bpfrefs_selection *selection = g_new0(struct bpfrefs_selection, 1);
	int err;

	selection->question = question;
	selection->snap = snap ? bpfrefs_snapshot_ref((void *)(uintptr_t)snap) : NULL;
	err = filter_copy(selection, filter, classes);
	if (!err && snap && selection->filter.states)
		snapshot_object(snap, 0); /* computes the states */
	if (!err && question->begin)
		err = question->begin(selection, args);
	if (err)
		g_clear_pointer(&selection, bpfrefs_selection_free);
	*out = selection;
	return err;
}

const void *select_next(struct bpfrefs_selection *selection, enum select_item item)
{
	const void *found;

	if (!selection || selection->question->item != item)
		return NULL;
	do {
		found = selection->question->next(selection);
	} while (found && selection->question->matches &&
		 !selection->question->matches(selection, found));
	return found;
}

void bpfrefs_selection_free(struct bpfrefs_selection *selection)
{
	if (!selection)
		return;
	if (selection->question->clear && selection->state)
		selection->question->clear(selection->state);
	g_free((char *)selection->filter.type);
	g_free((char *)selection->filter.name);
	g_free((char *)selection->filter.cgroup);
	bpfrefs_snapshot_unref(selection->snap);
	g_free(selection);
}

/* -------------------------------------------------------------- objects --- */

static const void *next_object(struct bpfrefs_selection *selection)
{
	return snapshot_object(selection->snap, selection->at++);
}

static bool matches_object(const struct bpfrefs_selection *selection, const void *item)
{
	return select_held_object(selection, item);
}

int bpfrefs_select_objects(const struct bpfrefs_snapshot *snap, const struct bpfrefs_filter *filter,
			   struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_OBJECT,
		.members = SELECT_BY_OBJECT | SELECT_BY_REF,
		.next = next_object,
		.matches = matches_object,
	};

	return select_new(&question, snap, snap->classes, filter, NULL, out);
}

const struct bpfrefs_object *bpfrefs_next_object(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_OBJECT);
}

/* ----------------------------------------------------------- references --- */

/* Begins with the shortest list that has all references which the filter selects. */
static int begin_refs(struct bpfrefs_selection *selection, const void *args)
{
	const struct bpfrefs_filter *filter = &selection->filter;
	const struct bpfrefs_snapshot *snap = selection->snap;

	(void)args;
	if (filter->object.id)
		selection->refs = index_holders(snap, filter->object);
	else if (filter->holder.id)
		return index_holding(snap, filter->holder, &selection->refs);
	else if (filter->pid)
		return index_pid_holding(snap, filter->pid, &selection->refs);
	else
		selection->refs = (struct ref_range){ snap->refs, 0, snap->refs->len };
	return 0;
}

static const void *next_ref(struct bpfrefs_selection *selection)
{
	return ref_range_next(&selection->refs);
}

static bool matches_ref(const struct bpfrefs_selection *selection, const void *item)
{
	return select_ref(selection, item);
}

int bpfrefs_select_refs(const struct bpfrefs_snapshot *snap, const struct bpfrefs_filter *filter,
			struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_REF,
		.members = SELECT_BY_OBJECT | SELECT_BY_REF,
		.begin = begin_refs,
		.next = next_ref,
		.matches = matches_ref,
	};

	return select_new(&question, snap, snap->classes, filter, NULL, out);
}

const struct bpfrefs_ref *bpfrefs_next_ref(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_REF);
}

/* ------------------------------------------------------------ processes --- */

static bool asks_what_is_held(const struct bpfrefs_selection *selection)
{
	return selection->members & ~(SELECT_BY_PROCESS | SELECT_BY_SELF);
}

/* Makes sure that the index exists if it is needed. */
static int begin_processes(struct bpfrefs_selection *selection, const void *args)
{
	(void)args;
	return asks_what_is_held(selection)
		       ? index_pid_holding(selection->snap, 0, &selection->refs)
		       : 0;
}

static const void *next_process(struct bpfrefs_selection *selection)
{
	return snapshot_process(selection->snap, selection->at++);
}

static bool matches_process(const struct bpfrefs_selection *selection, const void *item)
{
	const struct bpfrefs_process *process = item;
	const struct bpfrefs_ref *ref;
	struct ref_range refs;

	if (!select_pid(selection, process->pid) ||
	    (selection->filter.hide_self &&
	     bpfrefs_snapshot_hides_process(selection->snap, process->pid)))
		return false;
	if (!asks_what_is_held(selection))
		return true;
	index_pid_holding(selection->snap, process->pid, &refs);
	while ((ref = ref_range_next(&refs)))
		if (select_ref(selection, ref))
			return true;
	return false;
}

int bpfrefs_select_processes(const struct bpfrefs_snapshot *snap,
			     const struct bpfrefs_filter *filter, struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_PROCESS,
		.members = SELECT_BY_OBJECT | SELECT_BY_REF,
		.begin = begin_processes,
		.next = next_process,
		.matches = matches_process,
	};

	return select_new(&question, snap, snap->classes, filter, NULL, out);
}

const struct bpfrefs_process *bpfrefs_next_process(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_PROCESS);
}

/* ---------------------------------------------------------- descriptors --- */

static int begin_descriptors(struct bpfrefs_selection *selection, const void *args)
{
	(void)args;
	return index_descriptors(selection->snap, selection->filter.pid, 0, &selection->at);
}

static const void *next_descriptor(struct bpfrefs_selection *selection)
{
	const GArray *all = selection->snap->descriptors;
	const struct bpfrefs_descriptor *found;

	if (selection->at >= all->len)
		return NULL;
	found = &g_array_index(all, struct bpfrefs_descriptor, selection->at);
	if (selection->filter.pid && found->pid != selection->filter.pid)
		return NULL;
	selection->at++;
	return found;
}

static bool matches_descriptor(const struct bpfrefs_selection *selection, const void *item)
{
	const struct bpfrefs_descriptor *fd = item;

	return select_pid(selection, fd->pid) &&
	       select_object(selection, idmap_get(&selection->snap->by_key, key_number(fd->key)));
}

int bpfrefs_select_descriptors(const struct bpfrefs_snapshot *snap,
			       const struct bpfrefs_filter *filter, struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_DESCRIPTOR,
		.members = SELECT_BY_OBJECT | SELECT_BY_PROCESS,
		.begin = begin_descriptors,
		.next = next_descriptor,
		.matches = matches_descriptor,
	};

	return select_new(&question, snap, NULL, filter, NULL, out);
}

const struct bpfrefs_descriptor *bpfrefs_next_descriptor(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_DESCRIPTOR);
}

/* -------------------------------------------------- classes, filesystems --- */

static const void *next_class(struct bpfrefs_selection *selection)
{
	return snapshot_class(selection->snap, selection->at++);
}

/* A class without kinds can hold all. */
static bool matches_class(const struct bpfrefs_selection *selection, const void *item)
{
	const struct bpfrefs_class *class_ = ((const struct bpfrefs_class_status *)item)->class_;
	unsigned int kinds = selection->filter.kinds;

	return select_class(selection, class_) &&
	       (!kinds || !class_->kinds || kinds & class_->kinds);
}

int bpfrefs_select_classes(const struct bpfrefs_snapshot *snap, const struct bpfrefs_filter *filter,
			   struct bpfrefs_selection **out)
{
	static const struct select_question question = {
		.item = SELECT_CLASS,
		.members = SELECT_BY_KIND | SELECT_BY_CLASS,
		.next = next_class,
		.matches = matches_class,
	};

	return select_new(&question, snap, snap->classes, filter, NULL, out);
}

const struct bpfrefs_class_status *bpfrefs_next_class(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_CLASS);
}

static const void *next_bpffs(struct bpfrefs_selection *selection)
{
	return snapshot_bpffs(selection->snap, selection->at++);
}

int bpfrefs_select_bpffs(const struct bpfrefs_snapshot *snap, const struct bpfrefs_filter *filter,
			 struct bpfrefs_selection **out)
{
	static const struct select_question question = { .item = SELECT_BPFFS, .next = next_bpffs };

	return select_new(&question, snap, NULL, filter, NULL, out);
}

const struct bpfrefs_bpffs *bpfrefs_next_bpffs(struct bpfrefs_selection *selection)
{
	return select_next(selection, SELECT_BPFFS);
}

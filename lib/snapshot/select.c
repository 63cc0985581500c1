/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Goes through the objects or references of a snapshot that match a filter. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/options.h"

struct bpfrefs_selection {
	const struct bpfrefs_snapshot *snap;
	struct bpfrefs_filter filter; /* its strings are the copies below, or constant */
	char *type, *name;
	const struct bpfrefs_class *class; /* NULL: all */
	uint32_t *pids;			   /* ascending; the processes of the cgroup */
	size_t pid_count;
	size_t object, ref; /* how many were looked at */
};

static const struct bpfrefs_class *find_class(const struct bpfrefs_snapshot *snap, const char *name)
{
	const struct bpfrefs_class_status *status;

	for (size_t i = 0; (status = bpfrefs_snapshot_class(snap, i)); i++)
		if (strcmp(status->class_->name, name) == 0)
			return status->class_;
	return NULL;
}

static int prepare(struct bpfrefs_selection *selection)
{
	struct bpfrefs_filter *filter = &selection->filter;

	if (filter->class_) {
		selection->class = find_class(selection->snap, filter->class_);
		if (!selection->class)
			return -EINVAL;
	}
	selection->type = g_strdup(filter->type);
	selection->name = g_strdup(filter->name);
	if (!filter->cgroup)
		return 0;
	return bpfrefs_cgroup_processes(selection->snap, filter->cgroup, &selection->pids,
					&selection->pid_count);
}

int bpfrefs_select(const struct bpfrefs_snapshot *snap, const struct bpfrefs_filter *filter,
		   struct bpfrefs_selection **out)
{
	struct bpfrefs_selection *selection;
	struct bpfrefs_filter own = { 0 };
	int err = filter ? options_copy(&own, sizeof(own), filter, filter->size) : 0;

	if (err)
		return err;
	selection = g_new0(struct bpfrefs_selection, 1);
	selection->snap = snap;
	selection->filter = own;
	err = prepare(selection);
	if (err)
		bpfrefs_selection_free(selection);
	else
		*out = selection;
	return err;
}

void bpfrefs_selection_free(struct bpfrefs_selection *selection)
{
	if (!selection)
		return;
	g_free(selection->type);
	g_free(selection->name);
	free(selection->pids);
	g_free(selection);
}

static int by_pid(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool ref_matches(const struct bpfrefs_selection *selection, const struct bpfrefs_ref *ref)
{
	uint32_t pid = bpfrefs_ref_pid(ref);

	if (selection->class && bpfrefs_ref_class(ref) != selection->class)
		return false;
	if (selection->filter.pid && pid != selection->filter.pid)
		return false;
	return !selection->filter.cgroup ||
	       bsearch(&pid, selection->pids, selection->pid_count, sizeof(pid), by_pid);
}

static bool object_matches(const struct bpfrefs_selection *selection,
			   const struct bpfrefs_object *object)
{
	const struct bpfrefs_filter *filter = &selection->filter;

	if (filter->kinds && !(filter->kinds & 1u << object->key.kind))
		return false;
	if (filter->states && !(filter->states & 1u << object->state))
		return false;
	if (selection->type && g_strcmp0(selection->type, object->type) != 0)
		return false;
	return !selection->name || (object->name && fnmatch(selection->name, object->name, 0) == 0);
}

/* Whether one of the references to the object matches. */
static bool is_held(const struct bpfrefs_selection *selection, const struct bpfrefs_object *object)
{
	size_t first, count = bpfrefs_snapshot_holders(selection->snap, object->key, &first);

	for (size_t i = 0; i < count; i++)
		if (ref_matches(selection, bpfrefs_snapshot_ref_at(selection->snap, first + i)))
			return true;
	return false;
}

const struct bpfrefs_object *bpfrefs_selection_object(struct bpfrefs_selection *selection)
{
	const struct bpfrefs_filter *filter = &selection->filter;
	bool any = !filter->class_ && !filter->pid && !filter->cgroup;
	const struct bpfrefs_object *object;

	while ((object = bpfrefs_snapshot_object(selection->snap, selection->object))) {
		selection->object++;
		if (object_matches(selection, object) && (any || is_held(selection, object)))
			return object;
	}
	return NULL;
}

const struct bpfrefs_ref *bpfrefs_selection_ref(struct bpfrefs_selection *selection)
{
	const struct bpfrefs_ref *ref;

	while ((ref = bpfrefs_snapshot_ref_at(selection->snap, selection->ref))) {
		selection->ref++;
		if (ref_matches(selection, ref) &&
		    object_matches(selection, bpfrefs_snapshot_find(selection->snap, ref->target)))
			return ref;
	}
	return NULL;
}

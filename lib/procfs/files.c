/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identifies open file descriptions. kcmp(2) compares two without an identity of either, but its
 * results are ordered. So the descriptors of each object are searched by bisection in a sorted list
 * of distinct descriptions.
 */
#include <string.h>

#include "procfs/procfs.h"

/*
 * The descriptors of one object are files[start, end). distinct has the index of one descriptor for
 * each distinct description, sorted by kcmp(2).
 */
struct file_group {
	GArray *files;
	proc_compare_fn compare;
	guint start, end;
	GArray *distinct; /* guint */
};

static struct proc_file *file_at(const struct file_group *group, guint index)
{
	return &g_array_index(group->files, struct proc_file, index);
}

static int compare_files(const struct file_group *group, const struct proc_file *a,
			 const struct proc_file *b)
{
	return group->compare(a->tid ? a->tid : a->pid, b->tid ? b->tid : b->pid, PROC_COMPARE_FILE,
			      a->fd, b->fd);
}

static bool is_closed(const struct file_group *group, const struct proc_file *file)
{
	int err = compare_files(group, file, file);

	return proc_is_gone(err) || err == -EBADF;
}

/*
 * The descriptor that represents a description was closed meanwhile. Another descriptor of the same
 * description replaces it, if there is one.
 */
static void replace(struct file_group *group, guint position)
{
	guint *index = &g_array_index(group->distinct, guint, position);
	uint32_t file = file_at(group, *index)->file;

	file_at(group, *index)->gone = true;
	for (guint i = group->start; i < group->end; i++) {
		if (!file_at(group, i)->gone && file_at(group, i)->file == file) {
			*index = i;
			return;
		}
	}
	g_array_remove_index(group->distinct, position);
}

/*
 * Searches a description in the list. Returns 0 and its position, -ENOENT and the position where it
 * belongs, or the error of the comparison at the position.
 */
static int search(const struct file_group *group, const struct proc_file *file, guint *position)
{
	guint low = 0, high = group->distinct->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		guint index = g_array_index(group->distinct, guint, middle);
		int order = compare_files(group, file, file_at(group, index));

		*position = middle;
		if (order <= 0)
			return order;
		if (order == 1)
			high = middle;
		else
			low = middle + 1;
	}
	*position = low;
	return -ENOENT;
}

/* Sets the number of a descriptor's description; a new description gets *next. */
static void number(struct file_group *group, guint index, uint32_t *next,
		   struct proc_missed *missed)
{
	struct proc_file *file = file_at(group, index);
	guint position;

	for (;;) {
		int err = search(group, file, &position);

		if (err == 0) {
			guint same = g_array_index(group->distinct, guint, position);

			file->file = file_at(group, same)->file;
			return;
		}
		if (err == -ENOENT) {
			file->file = (*next)++;
			g_array_insert_val(group->distinct, position, index);
			return;
		}
		if (is_closed(group, file)) {
			file->gone = true;
			return;
		}
		if (err != -ESRCH && err != -EBADF) {
			file->file = (*next)++;
			proc_miss(missed, err);
			return;
		}
		replace(group, position);
	}
}

static int by_key(gconstpointer a, gconstpointer b)
{
	const struct proc_file *x = a, *y = b;

	return bpfrefs_key_compare(x->key, y->key);
}

void proc_files_identify(struct proc_fds *fds, proc_compare_fn compare)
{
	struct file_group group = { .files = fds->files, .compare = compare };
	uint32_t next = 1;

	g_array_sort(fds->files, by_key); /* g_array_sort() is stable */
	group.distinct = g_array_new(FALSE, FALSE, sizeof(guint));
	for (guint i = 0; i < fds->files->len; i = group.end) {
		group.start = i;
		group.end = i + 1;
		while (group.end < fds->files->len &&
		       by_key(file_at(&group, i), file_at(&group, group.end)) == 0)
			group.end++;
		g_array_set_size(group.distinct, 0);
		for (guint j = i; j < group.end; j++)
			number(&group, j, &next, &fds->descriptors);
	}
	g_array_unref(group.distinct);
}

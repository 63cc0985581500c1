/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of leaves, which are pins and symlinks. Hard links are one node, so that the kernel
 * sees one file. An operation on the node uses any of its names that still leads to that inode.
 */
#include <errno.h>
#include <string.h>

#include "mirror/mirror_node.h"

/* A pin usually has one name, or a few. Beyond this number, the oldest name is dropped. */
#define LEAF_NAMES_MAX 16

/*
 * The size of the table of last lookups, indexed by thread id: more than the threads that are
 * between a lookup and its readlink(2) at any time.
 */
#define LAST_LOOKUPS 256

struct leaf_name {
	struct leaf_name *next;
	struct mnode *dir; /* owns one reference to the directory's node */
	uint64_t serial;   /* given when the name was first found; unique */
	/* given when the name was last found; the list is sorted by it, latest first */
	uint64_t found;
	char name[];
};

struct last_lookup {
	pid_t tid;
	uint64_t serial; /* of the name, which may be freed already */
	/* the node whose name is looked up because readlink(2) got ESTALE; not dereferenced */
	const struct mnode *retried;
};

struct last_lookup *mirror_names_last_new(void)
{
	return g_new0(struct last_lookup, LAST_LOOKUPS);
}

/* ----------------------------------------------------- with the lock --- */

void mirror_node_take_unused(struct mirror *mirror, struct mnode *node, GSList **unused)
{
	if (node == mirror->root || node->nlookup || node->child_refs)
		return;
	g_hash_table_remove(mirror->nodes, node);
	*unused = g_slist_prepend(*unused, node);
	mirror_names_free(mirror, node,
			  unused); /* this may also free the nodes of their directories */
}

/* Returns the link that points to the name, or the one at the end of the list. */
static struct leaf_name **find_leaf_name(struct mnode *node, const struct mnode *dir,
					 const char *name)
{
	struct leaf_name **link = &node->leaf_names;

	while (*link && ((*link)->dir != dir || strcmp((*link)->name, name) != 0))
		link = &(*link)->next;
	return link;
}

static void free_leaf_name(struct mirror *mirror, struct leaf_name **link, GSList **unused)
{
	struct leaf_name *leaf_name = *link;

	*link = leaf_name->next;
	leaf_name->dir->child_refs--;
	mirror_node_take_unused(mirror, leaf_name->dir, unused);
	g_free(leaf_name);
}

/* If a file has one name, every other name in the list is out of date. */
static void free_old_leaf_names(struct mirror *mirror, struct mnode *node, nlink_t names,
				GSList **unused)
{
	struct leaf_name **link = &node->leaf_names;

	for (unsigned int left = names == 1 ? 1 : LEAF_NAMES_MAX; left && *link; left--)
		link = &(*link)->next;
	while (*link)
		free_leaf_name(mirror, link, unused);
}

static struct leaf_name *new_leaf_name(struct mirror *mirror, struct mnode *dir, const char *name)
{
	size_t size = strlen(name) + 1;
	struct leaf_name *leaf_name = g_malloc(sizeof(*leaf_name) + size);

	memcpy(leaf_name->name, name, size);
	leaf_name->dir = dir;
	leaf_name->serial = ++mirror->serials;
	dir->child_refs++;
	return leaf_name;
}

static void note_lookup(struct mirror *mirror, pid_t tid, uint64_t serial)
{
	struct last_lookup *last = &mirror->last_lookups[(unsigned int)tid % LAST_LOOKUPS];

	if (last->tid != tid)
		last->retried = NULL;
	last->tid = tid;
	last->serial = serial;
}

void mirror_names_add(struct mirror *mirror, struct mnode *node, const struct found_name *name,
		      nlink_t names, GSList **unused)
{
	struct leaf_name **link = find_leaf_name(node, name->dir, name->name), *leaf_name = *link;

	if (leaf_name)
		*link = leaf_name->next;
	else
		leaf_name = new_leaf_name(mirror, name->dir, name->name);
	leaf_name->found = ++mirror->serials;
	leaf_name->next = node->leaf_names;
	node->leaf_names = leaf_name;
	free_old_leaf_names(mirror, node, names, unused);
	if (name->tid)
		note_lookup(mirror, name->tid, leaf_name->serial);
}

void mirror_names_free(struct mirror *mirror, struct mnode *node, GSList **unused)
{
	while (node->leaf_names)
		free_leaf_name(mirror, &node->leaf_names, unused);
}

void mirror_names_end(struct mnode *node)
{
	struct leaf_name *next;

	for (struct leaf_name *leaf_name = node->leaf_names; leaf_name; leaf_name = next) {
		next = leaf_name->next;
		g_free(leaf_name);
	}
}

/* ------------------------------------------------------ without the lock --- */

/*
 * A copy of the name that is tried now, since another thread may find the name removed and free
 * it.
 */
struct cursor {
	struct mnode *dir;		/* owns one reference, or is NULL */
	uint64_t found, newest, oldest; /* of this name, and the range of those that were tried */
	char name[NAME_MAX + 1];
};

/* Called with the lock. */
static void cursor_set(struct cursor *cursor, const struct leaf_name *leaf_name)
{
	cursor->dir = leaf_name->dir;
	cursor->dir->child_refs++;
	cursor->found = leaf_name->found;
	cursor->newest = MAX(cursor->newest, leaf_name->found);
	cursor->oldest = MIN(cursor->oldest, leaf_name->found);
	g_strlcpy(cursor->name, leaf_name->name, sizeof(cursor->name));
}

/* Called with the lock. */
static void cursor_leave(struct mirror *mirror, struct cursor *cursor, GSList **unused)
{
	if (!cursor->dir)
		return;
	cursor->dir->child_refs--;
	mirror_node_take_unused(mirror, cursor->dir, unused);
	cursor->dir = NULL;
}

/*
 * Moves to the next name that was not tried, including names found meanwhile. @gone: the current
 * name no longer leads to the leaf.
 */
static bool cursor_next(struct mirror *mirror, struct mnode *node, struct cursor *cursor, bool gone)
{
	GSList *unused = NULL;
	struct leaf_name **link;

	g_mutex_lock(&mirror->lock);
	link = gone ? find_leaf_name(node, cursor->dir, cursor->name) : NULL;
	if (link && *link && (*link)->found == cursor->found)
		free_leaf_name(mirror, link, &unused);
	cursor_leave(mirror, cursor, &unused);
	for (const struct leaf_name *at = node->leaf_names; at && !cursor->dir; at = at->next)
		if (at->found > cursor->newest || at->found < cursor->oldest)
			cursor_set(cursor, at);
	g_mutex_unlock(&mirror->lock);
	mirror_nodes_free(unused);
	return cursor->dir != NULL;
}

static void cursor_end(struct mirror *mirror, struct cursor *cursor)
{
	GSList *unused = NULL;

	g_mutex_lock(&mirror->lock);
	cursor_leave(mirror, cursor, &unused);
	g_mutex_unlock(&mirror->lock);
	mirror_nodes_free(unused);
}

int mirror_names_try(struct mirror *mirror, struct mnode *node, leaf_name_fn *try, void *data)
{
	struct cursor cursor = { .oldest = UINT64_MAX };
	int result = -ESTALE, other = -ESTALE;
	bool more = cursor_next(mirror, node, &cursor, false);

	while (more) {
		result = try(mirror, node, cursor.dir, cursor.name, data);
		if (result == -ENOENT)
			result = -ESTALE;
		if (result >= 0)
			break;
		if (result != -ESTALE)
			other = result;
		more = cursor_next(mirror, node, &cursor, result == -ESTALE);
	}
	cursor_end(mirror, &cursor);
	return result >= 0 ? result : other;
}

/*
 * Sets the cursor to the name that the thread looked up last, if that is a name of the node. With
 * max_age the kernel may read a name that it has cached, without a lookup, so the last one counts
 * only if it has followed an ESTALE for this node.
 */
static void cursor_of_thread(struct mirror *mirror, const struct mnode *node, pid_t tid,
			     struct cursor *cursor)
{
	struct last_lookup *last = &mirror->last_lookups[(unsigned int)tid % LAST_LOOKUPS];
	bool counts;

	g_mutex_lock(&mirror->lock);
	counts = last->tid == tid && (!mirror->options->max_age || last->retried == node);
	for (const struct leaf_name *at = node->leaf_names; at && !cursor->dir; at = at->next)
		if (counts && last->serial == at->serial)
			cursor_set(cursor, at);
	*last = (struct last_lookup){ tid, counts ? last->serial : 0, cursor->dir ? NULL : node };
	g_mutex_unlock(&mirror->lock);
}

int mirror_names_try_last(struct mirror *mirror, struct mnode *node, pid_t tid, leaf_name_fn *try,
			  void *data)
{
	struct cursor cursor = { .oldest = UINT64_MAX };
	int result = -ESTALE;

	cursor_of_thread(mirror, node, tid, &cursor);
	if (cursor.dir)
		result = try(mirror, node, cursor.dir, cursor.name, data);
	cursor_end(mirror, &cursor);
	return result == -ENOENT ? -ESTALE : result;
}

bool mirror_names_are_many(struct mirror *mirror, const struct mnode *node)
{
	bool many;

	g_mutex_lock(&mirror->lock);
	many = node->leaf_names && node->leaf_names->next;
	g_mutex_unlock(&mirror->lock);
	return many;
}

/* ------------------------------------------------------------ freeing --- */

static void file_free(gpointer data)
{
	struct mirror_file *file = data;

	close(file->fd);
	g_free(file);
}

void mirror_node_free(struct mnode *node)
{
	if (node->fd >= 0)
		close(node->fd);
	/*
	 * Only mirror_free() frees a node with open files or names. A node with open files is not
	 * forgotten, and a forgotten node has no names left.
	 */
	g_slist_free_full(node->files, file_free);
	mirror_names_end(node);
	g_free(node);
}

void mirror_nodes_free(GSList *unused)
{
	g_slist_free_full(unused, (GDestroyNotify)mirror_node_free);
}

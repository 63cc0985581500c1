/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of pins and symlinks. Hard links are one node, so that the kernel knows them for one
 * file; what is done with it is done by whichever of its names still is that inode.
 */
#include <errno.h>
#include <string.h>

#include "mirror/mirror_node.h"

/* A pin has one name, or a few: of those that are found beyond this the oldest is forgotten. */
#define PLACES_MAX 16

/* Threads that have looked a name up, by number: more than can be between that and a readlink(2). */
#define ASKERS 256

struct place {
	struct place *next;
	struct mnode *dir; /* includes one reference to it */
	uint64_t serial;   /* of the first finding: never again another's */
	uint64_t found;	   /* of the last one; the list is in that order, latest first */
	char name[];
};

struct asked {
	pid_t tid;
	uint64_t serial; /* of the place, which may be gone */
};

struct asked *asked_new(void)
{
	return g_new0(struct asked, ASKERS);
}

/* ----------------------------------------------------- with the lock --- */

/* The link that points to the place, or to the end of the list. */
static struct place **find_place(struct mnode *node, const struct mnode *dir, const char *name)
{
	struct place **link = &node->places;

	while (*link && ((*link)->dir != dir || strcmp((*link)->name, name) != 0))
		link = &(*link)->next;
	return link;
}

static void free_place(struct mirror *mirror, struct place **link, GSList **unused)
{
	struct place *place = *link;

	*link = place->next;
	place->dir->kids--;
	take_unused(mirror, place->dir, unused);
	g_free(place);
}

/* Of a file that has one name every other is an old one. */
static void free_old_places(struct mirror *mirror, struct mnode *node, nlink_t names,
			    GSList **unused)
{
	struct place **link = &node->places;

	for (unsigned int left = names == 1 ? 1 : PLACES_MAX; left && *link; left--)
		link = &(*link)->next;
	while (*link)
		free_place(mirror, link, unused);
}

static struct place *place_new(struct mirror *mirror, struct mnode *dir, const char *name)
{
	size_t size = strlen(name) + 1;
	struct place *place = g_malloc(sizeof(*place) + size);

	memcpy(place->name, name, size);
	place->dir = dir;
	place->serial = ++mirror->serials;
	dir->kids++;
	return place;
}

void places_add(struct mirror *mirror, struct mnode *node, const struct found_name *name,
		nlink_t names, GSList **unused)
{
	struct place **link = find_place(node, name->dir, name->name), *place = *link;

	if (place)
		*link = place->next;
	else
		place = place_new(mirror, name->dir, name->name);
	place->found = ++mirror->serials;
	place->next = node->places;
	node->places = place;
	free_old_places(mirror, node, names, unused);
	if (name->asker)
		mirror->asked[(unsigned int)name->asker % ASKERS] =
			(struct asked){ name->asker, place->serial };
}

void places_free(struct mirror *mirror, struct mnode *node, GSList **unused)
{
	while (node->places)
		free_place(mirror, &node->places, unused);
}

void places_end(struct mnode *node)
{
	struct place *next;

	for (struct place *place = node->places; place; place = next) {
		next = place->next;
		g_free(place);
	}
}

/* ------------------------------------------------------ without it --- */

/* A place that is being tried: a copy, since whoever finds the name gone drops it. */
struct spot {
	struct mnode *dir;		/* includes one reference, or NULL */
	uint64_t found, newest, oldest; /* this one, and the range of those that were tried */
	char name[NAME_MAX + 1];
};

/* With the lock. */
static void spot_set(struct spot *spot, const struct place *place)
{
	spot->dir = place->dir;
	spot->dir->kids++;
	spot->found = place->found;
	spot->newest = MAX(spot->newest, place->found);
	spot->oldest = MIN(spot->oldest, place->found);
	g_strlcpy(spot->name, place->name, sizeof(spot->name));
}

/* With the lock. */
static void spot_leave(struct mirror *mirror, struct spot *spot, GSList **unused)
{
	if (!spot->dir)
		return;
	spot->dir->kids--;
	take_unused(mirror, spot->dir, unused);
	spot->dir = NULL;
}

/* The next place that was not tried, also one found meanwhile. @gone: the one before is none. */
static bool spot_next(struct mirror *mirror, struct mnode *node, struct spot *spot, bool gone)
{
	GSList *unused = NULL;
	struct place **link;

	g_mutex_lock(&mirror->lock);
	link = gone ? find_place(node, spot->dir, spot->name) : NULL;
	if (link && *link && (*link)->found == spot->found)
		free_place(mirror, link, &unused);
	spot_leave(mirror, spot, &unused);
	for (const struct place *at = node->places; at && !spot->dir; at = at->next)
		if (at->found > spot->newest || at->found < spot->oldest)
			spot_set(spot, at);
	g_mutex_unlock(&mirror->lock);
	nodes_free(unused);
	return spot->dir != NULL;
}

static void spot_end(struct mirror *mirror, struct spot *spot)
{
	GSList *unused = NULL;

	g_mutex_lock(&mirror->lock);
	spot_leave(mirror, spot, &unused);
	g_mutex_unlock(&mirror->lock);
	nodes_free(unused);
}

int places_try(struct mirror *mirror, struct mnode *node, place_try *try, void *data)
{
	struct spot spot = { .oldest = UINT64_MAX };
	int result = -ESTALE, other = -ESTALE;
	bool more = spot_next(mirror, node, &spot, false);

	while (more) {
		result = try(mirror, node, spot.dir, spot.name, data);
		if (result == -ENOENT)
			result = -ESTALE;
		if (result >= 0)
			break;
		if (result != -ESTALE)
			other = result;
		more = spot_next(mirror, node, &spot, result == -ESTALE);
	}
	spot_end(mirror, &spot);
	return result >= 0 ? result : other;
}

/* The place that this thread has found last, if that is one of the node's. */
static void spot_of_asker(struct mirror *mirror, const struct mnode *node, pid_t tid,
			  struct spot *spot)
{
	const struct asked *asked = &mirror->asked[(unsigned int)tid % ASKERS];

	g_mutex_lock(&mirror->lock);
	for (const struct place *at = node->places; at && !spot->dir; at = at->next)
		if (asked->tid == tid && asked->serial == at->serial)
			spot_set(spot, at);
	g_mutex_unlock(&mirror->lock);
}

int places_try_asked(struct mirror *mirror, struct mnode *node, pid_t tid, place_try *try,
		     void *data)
{
	struct spot spot = { .oldest = UINT64_MAX };
	int result = -ESTALE;

	spot_of_asker(mirror, node, tid, &spot);
	if (spot.dir)
		result = try(mirror, node, spot.dir, spot.name, data);
	spot_end(mirror, &spot);
	return result == -ENOENT ? -ESTALE : result;
}

bool places_are_many(struct mirror *mirror, const struct mnode *node)
{
	bool many;

	g_mutex_lock(&mirror->lock);
	many = node->places && node->places->next;
	g_mutex_unlock(&mirror->lock);
	return many;
}

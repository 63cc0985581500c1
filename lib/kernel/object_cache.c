/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/object_cache.h"

#include <string.h>

#include "uapi/syscalls.h"

/*
 * The kernel allocates ids in ascending order (idr_alloc_cyclic()), and begins again at the low
 * ones after INT_MAX. Until then a new object has a higher id than all earlier ones. From this id
 * on the cache always counts as outdated.
 */
#define ID_TRUSTED (1u << 30)

/* The records of each kind follow each other in the order in which they were added. */
struct kind {
	GByteArray *records;
	size_t size;	    /* of one record */
	struct idmap by_id; /* id -> index in records + 1 */
	uint32_t highest;   /* the highest id ever added */
	uint64_t types;	    /* a bit for each type below 64 of the added objects */
};

/* A flag in walk_prog.used: the program is associated with a struct_ops map. */
#define ASSOCIATED (1u << 31)

/* The maps that a program uses: a part of cache->maps. */
struct used {
	uint32_t first, count;
	bool begun, valid;
	bool more; /* it holds, or held, something that is not in maps */
};

struct object_cache {
	GArray *used;		       /* struct used, one for each record of a program */
	GArray *maps;		       /* the ids of used maps */
	struct kind kinds[KIND_COUNT]; /* of links only the highest id is set */
	bool complete;		       /* all maps and programs up to highest are cached */
	bool failed;		       /* an object was not added: no memory */
	/*
	 * links_read: all links up to the highest id were read. links_hold_maps: one
	 * of them holds a map.
	 */
	bool links_read, links_hold_maps;
};

static const size_t sizes[KIND_COUNT] = {
	[BPFREFS_KIND_MAP] = sizeof(struct walk_map),
	[BPFREFS_KIND_PROG] = sizeof(struct walk_prog),
	[BPFREFS_KIND_BTF] = sizeof(struct walk_btf),
};

struct object_cache *object_cache_new(void)
{
	struct object_cache *cache = g_new0(struct object_cache, 1);

	cache->used = g_array_new(FALSE, TRUE, sizeof(struct used));
	cache->maps = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		cache->kinds[kind].records = g_byte_array_new();
		cache->kinds[kind].size = sizes[kind];
	}
	return cache;
}

void object_cache_free(struct object_cache *cache)
{
	if (!cache)
		return;
	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		g_byte_array_unref(cache->kinds[kind].records);
		idmap_clear(&cache->kinds[kind].by_id);
	}
	g_array_unref(cache->used);
	g_array_unref(cache->maps);
	g_free(cache);
}

static bool has_newer(const struct object_cache *cache, enum bpfrefs_kind kind)
{
	uint32_t highest = cache->kinds[kind].highest, id;

	return highest >= ID_TRUSTED || syscall_next_id(kind, highest, &id) != -ENOENT;
}

bool object_cache_is_outdated(const struct object_cache *cache)
{
	return !cache->complete || cache->failed || has_newer(cache, BPFREFS_KIND_MAP) ||
	       has_newer(cache, BPFREFS_KIND_PROG);
}

void object_cache_begin(struct object_cache *cache)
{
	cache->complete = cache->failed = false;
	g_array_set_size(cache->used, 0);
	g_array_set_size(cache->maps, 0);
	for (unsigned int kind = BPFREFS_KIND_MAP; kind <= BPFREFS_KIND_PROG; kind++) {
		g_byte_array_set_size(cache->kinds[kind].records, 0);
		idmap_clear(&cache->kinds[kind].by_id);
		cache->kinds[kind].types = 0;
	}
}

void object_cache_end(struct object_cache *cache)
{
	cache->complete = true;
}

static struct kind *kind_of(struct object_cache *cache, const struct walk_rec *rec)
{
	switch (rec->type) {
	case WALK_MAP:
		return &cache->kinds[BPFREFS_KIND_MAP];
	case WALK_PROG:
		return &cache->kinds[BPFREFS_KIND_PROG];
	case WALK_BTF:
		return &cache->kinds[BPFREFS_KIND_BTF];
	default:
		return NULL;
	}
}

static uint64_t type_bit(const struct walk_rec *rec)
{
	uint32_t type = rec->type == WALK_MAP ? ((const struct walk_map *)(const void *)rec)->type
			: rec->type == WALK_PROG
				? ((const struct walk_prog *)(const void *)rec)->type
				: 64;

	return type < 64 ? (uint64_t)1 << type : 0;
}

void object_cache_note(struct object_cache *cache, const struct walk_rec *rec)
{
	struct kind *kind = kind_of(cache, rec);

	if (!kind || rec->id == 0 || rec->size != kind->size || idmap_get(&kind->by_id, rec->id))
		return;
	kind->types |= type_bit(rec);
	/* An object that is not added for lack of memory is read again in the next scan. */
	if (!memory_can_grow(kind->records->len, kind->size) ||
	    !memory_can_grow(cache->used->len * sizeof(struct used), sizeof(struct used)) ||
	    !idmap_set(&kind->by_id, rec->id,
		       GUINT_TO_POINTER(kind->records->len / kind->size + 1))) {
		cache->failed = true;
		return;
	}
	g_byte_array_append(kind->records, (const guint8 *)rec, (guint)kind->size);
	if (rec->type == WALK_PROG)
		g_array_set_size(cache->used, cache->used->len + 1);
	kind->highest = MAX(kind->highest, rec->id);
}

uint64_t object_cache_types(const struct object_cache *cache, enum bpfrefs_kind kind)
{
	return cache->kinds[kind].types;
}

/* ------------------------------------------------------------- links --- */

void object_cache_links_begin(struct object_cache *cache)
{
	cache->links_read = cache->links_hold_maps = false;
}

void object_cache_link(struct object_cache *cache, const struct walk_rec *rec)
{
	const struct walk_link *link = (const void *)rec;
	struct kind *kind = &cache->kinds[BPFREFS_KIND_LINK];

	if (rec->type != WALK_LINK || rec->size != sizeof(*link))
		return;
	kind->highest = MAX(kind->highest, rec->id);
	cache->links_hold_maps |= link->map_id != 0;
}

void object_cache_links_end(struct object_cache *cache)
{
	cache->links_read = true;
}

bool object_cache_links_hold_no_map(const struct object_cache *cache)
{
	return cache->links_read && !cache->links_hold_maps && !has_newer(cache, BPFREFS_KIND_LINK);
}

/* ----------------------------------------------------------- reading --- */

static struct walk_listed listed_of(const struct walk_rec *rec)
{
	struct walk_listed listed = { .id = rec->id };

	if (rec->type == WALK_MAP) {
		listed.kind = WALK_KIND_MAP;
		listed.address = ((const struct walk_map *)(const void *)rec)->address;
	} else if (rec->type == WALK_PROG) {
		listed.kind = WALK_KIND_PROG;
		listed.address = ((const struct walk_prog *)(const void *)rec)->address;
	} else {
		listed.kind = WALK_KIND_BTF;
		listed.address = ((const struct walk_btf *)(const void *)rec)->address;
	}
	return listed;
}

static void set_counters(struct walk_rec *rec, const struct walk_listed *listed)
{
	if (rec->type == WALK_MAP) {
		((struct walk_map *)(void *)rec)->refcnt = listed->refcnt;
		((struct walk_map *)(void *)rec)->usercnt = listed->usercnt;
	} else if (rec->type == WALK_PROG) {
		((struct walk_prog *)(void *)rec)->refcnt = listed->refcnt;
		((struct walk_prog *)(void *)rec)->used =
			(uint32_t)listed->usercnt | (listed->usercnt & WALK_ASSOC ? ASSOCIATED : 0);
	} else {
		((struct walk_btf *)(void *)rec)->refcnt = listed->refcnt;
	}
}

/*
 * Reads the counters of records [first, first + count), at most WALK_LIST_MAX. They become 0 if the
 * object has been freed.
 */
static int read_part(struct kind *kind, guint first, guint count, struct bpf_loader *walkers)
{
	struct walk_listed *list = bpf_loader_list(walkers);
	int err;

	for (guint i = 0; i < count; i++)
		list[i] = listed_of((void *)(kind->records->data + (first + i) * kind->size));
	bpf_loader_control(walkers)->listed = count;
	err = bpf_loader_call(walkers, "walk_counts", NULL, NULL);
	for (guint i = 0; !err && i < count; i++)
		set_counters((void *)(kind->records->data + (first + i) * kind->size), &list[i]);
	return err;
}

static bool is_there(const struct walk_rec *rec)
{
	if (rec->type == WALK_MAP)
		return ((const struct walk_map *)(const void *)rec)->refcnt > 0;
	if (rec->type == WALK_PROG)
		return ((const struct walk_prog *)(const void *)rec)->refcnt > 0;
	return ((const struct walk_btf *)(const void *)rec)->refcnt > 0;
}

/* Removes the objects that have been freed. */
static bool compact(struct object_cache *cache, struct kind *kind)
{
	guint kept = 0, count = (guint)(kind->records->len / kind->size);
	struct used *used = (struct used *)(void *)cache->used->data;
	bool noted = true;

	for (guint i = 0; i < count; i++) {
		guint8 *from = kind->records->data + i * kind->size;

		if (!is_there((void *)from))
			continue;
		memmove(kind->records->data + kept * kind->size, from, kind->size);
		if (kind == &cache->kinds[BPFREFS_KIND_PROG])
			used[kept] = used[i];
		kept++;
	}
	if (kept == count)
		return true;
	if (kind == &cache->kinds[BPFREFS_KIND_PROG])
		g_array_set_size(cache->used, kept);
	g_byte_array_set_size(kind->records, (guint)(kept * kind->size));
	idmap_clear(&kind->by_id);
	for (guint i = 0; i < kept; i++) {
		const struct walk_rec *rec = (void *)(kind->records->data + i * kind->size);

		noted = noted && idmap_set(&kind->by_id, rec->id, GUINT_TO_POINTER(i + 1));
	}
	return noted;
}

static int read_kind(struct object_cache *cache, struct kind *kind, struct bpf_loader *walkers)
{
	guint count = (guint)(kind->records->len / kind->size);

	for (guint first = 0; first < count; first += WALK_LIST_MAX) {
		int err = read_part(kind, first, MIN(count - first, (guint)WALK_LIST_MAX), walkers);

		if (err)
			return err;
	}
	if (!compact(cache, kind))
		cache->failed = true;
	return 0;
}

int object_cache_read(struct object_cache *cache, struct bpf_loader *walkers)
{
	static const enum bpfrefs_kind kinds[] = { BPFREFS_KIND_MAP, BPFREFS_KIND_PROG,
						   BPFREFS_KIND_BTF };
	int err = 0;

	for (guint i = 0; !err && i < G_N_ELEMENTS(kinds); i++)
		err = read_kind(cache, &cache->kinds[kinds[i]], walkers);
	return err;
}

void object_cache_each(const struct object_cache *cache, enum bpfrefs_kind kind, walk_fn fn,
		       void *data)
{
	const struct kind *of = &cache->kinds[kind];

	for (guint at = 0; at < of->records->len; at += (guint)of->size)
		fn((void *)(of->records->data + at), data);
}

int object_cache_read_map(struct object_cache *cache, struct bpf_loader *walkers, uint32_t id,
			  walk_fn fn, void *data)
{
	struct kind *maps = &cache->kinds[BPFREFS_KIND_MAP];
	guint place = GPOINTER_TO_UINT(idmap_get(&maps->by_id, id));
	struct walk_rec *rec;
	int err;

	if (!place)
		return -ENOENT;
	err = read_part(maps, place - 1, 1, walkers);
	if (err)
		return err;
	rec = (void *)(maps->records->data + (place - 1) * maps->size);
	if (!is_there(rec))
		return -ENOENT;
	fn(rec, data);
	return 0;
}

const struct walk_rec *object_cache_find(const struct object_cache *cache, struct bpfrefs_key key)
{
	const struct kind *kind = &cache->kinds[key.kind];
	guint place = GPOINTER_TO_UINT(idmap_get(&kind->by_id, key.id));

	return place ? (void *)(kind->records->data + (place - 1) * kind->size) : NULL;
}

/* --------------------------------------------------------- used maps --- */

/* @rec is a record from object_cache_each(). */
static struct used *used_of(const struct object_cache *cache, const struct walk_rec *rec)
{
	const struct kind *kind = &cache->kinds[BPFREFS_KIND_PROG];
	size_t at = (size_t)((const guint8 *)(const void *)rec - kind->records->data);

	return &g_array_index(cache->used, struct used, at / kind->size);
}

bool object_cache_used(const struct object_cache *cache, const struct walk_rec *rec,
		       const uint32_t **maps, uint32_t *count)
{
	const struct walk_prog *prog = (const void *)rec;
	const struct used *used = used_of(cache, rec);

	*maps = used->count ? &g_array_index(cache->maps, uint32_t, used->first) : NULL;
	*count = used->count;
	return used->valid && !used->more && prog->used == used->count;
}

void object_cache_program_begin(struct object_cache *cache, const struct walk_rec *rec)
{
	*used_of(cache, rec) = (struct used){ .begun = true };
}

void object_cache_program_end(struct object_cache *cache)
{
	const struct kind *kind = &cache->kinds[BPFREFS_KIND_PROG];

	for (guint i = 0; i < cache->used->len; i++) {
		struct used *used = &g_array_index(cache->used, struct used, i);
		const struct walk_prog *prog = (void *)(kind->records->data + i * kind->size);

		if (used->begun)
			used->valid = used->count == prog->used;
		used->begun = false;
	}
}

void object_cache_use(struct object_cache *cache, uint32_t prog, uint32_t map)
{
	const struct walk_rec *rec =
		object_cache_find(cache, (struct bpfrefs_key){ BPFREFS_KIND_PROG, prog });
	struct used *used = rec ? used_of(cache, rec) : NULL;

	if (!used)
		return;
	if (used->count == 0)
		used->first = cache->maps->len;
	/*
	 * The maps of a program must follow each other in cache->maps. If they do not, or there is
	 * no memory, the kernel is read again each time.
	 */
	if (!map || used->first + used->count != cache->maps->len ||
	    !memory_can_grow(cache->maps->len * sizeof(map), sizeof(map))) {
		used->more = true;
		return;
	}
	g_array_append_val(cache->maps, map);
	used->count++;
}

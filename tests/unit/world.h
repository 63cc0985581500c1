/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A made-up kernel for tests of the graph: a function of the test adds objects and references. Each
 * reference is counted as the kernel would, so that all are explained unless the test changes a
 * counter.
 */
#ifndef WORLD_H
#define WORLD_H

#include <linux/bpf.h>
#include <string.h>

#include "snapshot/private.h"

/* The device number of the bpffs that all pins here are in. */
enum { MAJOR = 0, MINOR = 40 };

/* ------------------------------------------------------ a made-up kernel --- */

static inline int no_ids(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start,
			 uint32_t *id)
{
	(void)ctx;
	(void)kind;
	(void)start;
	(void)id;
	return -ENOENT;
}

/* The function of a test that adds objects and references. */
typedef void (*build_fn)(struct scan *scan);

struct world {
	build_fn build;
};

static inline int collect(struct scan *scan)
{
	const struct world *world = scan->ctx->source_data;

	world->build(scan);
	return 0;
}

static const struct source fake = {
	.id = BPFREFS_SOURCE_BPF,
	.next_id = no_ids,
	.collect = collect,
};

static inline struct bpfrefs_snapshot *take(build_fn build)
{
	struct world world = { build };
	struct bpfrefs_snapshot *snap = NULL;
	struct bpfrefs_ctx *ctx = NULL;

	g_assert_cmpint(ctx_open_with(&fake, &world, &ctx), ==, 0);
	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &snap), ==, 0);
	bpfrefs_ctx_close(ctx);
	return snap;
}

static inline void set_class(struct scan *scan, const char *class)
{
	for (unsigned int i = 0; holder_classes[i]; i++) {
		if (strcmp(holder_classes[i]->pub.name, class) == 0) {
			scan_set_class(scan, holder_classes[i]);
			return;
		}
	}
	g_error("no class %s", class);
}

static inline void set(struct scan *scan, struct bpfrefs_ref *ref, const char *key, const char *str,
		       uint64_t num)
{
	for (unsigned int i = 0; scan->class->pub.keys[i]; i++) {
		if (strcmp(scan->class->pub.keys[i], key) != 0)
			continue;
		if (str)
			ref_set_str(scan, ref, i, str);
		else
			ref_set_num(ref, i, num);
		return;
	}
	g_error("class %s has no %s", scan->class->pub.name, key);
}

static inline struct bpfrefs_key map(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_MAP, id };
}

static inline struct bpfrefs_key prog(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_PROG, id };
}

static inline struct bpfrefs_key link_(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_LINK, id };
}

static inline struct bpfrefs_object *object(struct scan *scan, struct bpfrefs_key key,
					    const char *type, bool user_state)
{
	struct bpfrefs_object *result = scan_object_add(scan, key);

	result->name = "";
	result->type = type;
	result->type_number = strcmp(type, "prog_array") == 0 ? BPF_MAP_TYPE_PROG_ARRAY
			      : strcmp(type, "sockmap") == 0  ? BPF_MAP_TYPE_SOCKMAP
							      : BPF_MAP_TYPE_UNSPEC;
	result->user_state = user_state;
	result->refcnt = 0;
	result->usercnt = 0;
	return result;
}

static inline struct bpfrefs_object *array(struct scan *scan, uint32_t id)
{
	return object(scan, map(id), "prog_array", true);
}

static inline struct bpfrefs_object *program(struct scan *scan, uint32_t id)
{
	return object(scan, prog(id), "xdp", false);
}

/* Adds a reference, and counts it as the kernel would. */
static inline struct bpfrefs_ref *hold(struct scan *scan, const char *class,
				       struct bpfrefs_key target, struct bpfrefs_key holder,
				       const char *via, uint32_t user)
{
	struct bpfrefs_object *held = scan_object(scan, target);
	unsigned int number = 0;

	set_class(scan, class);
	held->refcnt++;
	held->usercnt += user;
	if (holder.kind == BPFREFS_KIND_COUNT)
		return scan_add(scan, target, 1, user);
	while (g_strcmp0(ref_via_of(number)->word, via) != 0)
		number++;
	return scan_add_held(scan, target, 1, user, holder, number);
}

static const struct bpfrefs_key nobody = { BPFREFS_KIND_COUNT, 0 };

static inline void fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid)
{
	ref_set_pid(hold(scan, "fd", key, nobody, NULL, key.kind == BPFREFS_MAP), pid);
	scan_process(scan, pid, "loader");
}

/* Adds a descriptor of the same open file in another process, which the kernel does not count. */
static inline void shared_fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid)
{
	set_class(scan, "fd");
	ref_set_pid(scan_add(scan, key, 0, 0), pid);
	scan_process(scan, pid, "child");
}

static inline struct bpfrefs_ref *pin(struct scan *scan, struct bpfrefs_key key, uint64_t ino)
{
	struct bpfrefs_ref *ref = hold(scan, "pin", key, nobody, NULL, key.kind == BPFREFS_MAP);

	set(scan, ref, "path", "/sys/fs/bpf/x", 0);
	set(scan, ref, "ino", NULL, ino);
	ref_set_location(scan, ref, (struct pin_location){ MAJOR, MINOR, ino, "/x" });
	return ref;
}

static inline void hard_link(struct scan *scan, struct bpfrefs_key key, uint64_t ino)
{
	struct bpfrefs_ref *ref;

	set_class(scan, "pin");
	ref = scan_add(scan, key, 0, 0);
	set(scan, ref, "path", "/sys/fs/bpf/y", 0);
	set(scan, ref, "ino", NULL, ino);
	ref_set_location(scan, ref, (struct pin_location){ MAJOR, MINOR, ino, "/y" });
}

static inline struct bpfrefs_ref *keep(struct scan *scan, uint32_t id, const char *mode)
{
	struct bpfrefs_ref *ref = hold(scan, "keep", map(id), nobody, NULL, 1);

	set(scan, ref, "mode", mode, 0);
	ref->automatic = strcmp(mode, bpfrefs_keep_name(BPFREFS_KEEP_AUTO)) == 0;
	return ref;
}

/* The same with an inode number. */
static inline void keep_at(struct scan *scan, uint32_t id, const char *mode, uint64_t ino)
{
	ref_set_location(scan, keep(scan, id, mode),
			 (struct pin_location){ MAJOR, MINOR, ino, "/k" });
}

static inline void uses(struct scan *scan, uint32_t prog_id, uint32_t map_id)
{
	hold(scan, "prog", map(map_id), prog(prog_id), "used_maps", 0);
}

static inline void slot(struct scan *scan, uint32_t map_id, uint32_t index, uint32_t prog_id)
{
	set(scan, hold(scan, "map", prog(prog_id), map(map_id), "slot", 0), "slot", NULL, index);
}

static inline void state_is(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key,
			    enum bpfrefs_state state, const char *because)
{
	const struct bpfrefs_object *found = bpfrefs_snapshot_find(snap, key);
	char buf[BPFREFS_KEY_MAX];

	g_assert_nonnull(found);
	g_test_message("%s: %s: %s", bpfrefs_key_format(key, buf), bpfrefs_state_name(found->state),
		       found->because);
	g_assert_cmpstr(bpfrefs_state_name(found->state), ==, bpfrefs_state_name(state));
	g_assert_cmpstr(found->because, ==, because);
}

#endif

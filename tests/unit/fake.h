/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small made-up world behind a real context: every renderer and directory can be driven by it. */
#ifndef FAKE_H
#define FAKE_H

#include <fcntl.h>
#include <glib.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#include "bpf/records.h"
#include "mirror/source.h"
#include "snapshot/private.h"
#include "tree/node.h"

/* What the tests change, and what they count. */
struct fake {
	int collect_error;
	bool gaps;		  /* classes pin, map and fd have one each */
	bool changing;		  /* map/12's counters do not stand still */
	bool more_fds;		  /* process 100 has opened another */
	uint64_t vmlinux, module; /* counts of btf/2 and btf/3, the kernel's; 0: it is not there */
	gint scans;		  /* scans that have begun */
	GMutex gate;		  /* held by a test: scans stop here once they have begun */
};

static const struct bpfrefs_key fake_map = { BPFREFS_MAP, 12 };
static const struct bpfrefs_key fake_plain = { BPFREFS_MAP, 13 };
static const struct bpfrefs_key fake_entry = { BPFREFS_PROG, 5 };
static const struct bpfrefs_key fake_tail = { BPFREFS_PROG, 6 };
static const struct bpfrefs_key fake_link = { BPFREFS_LINK, 7 };
static const struct bpfrefs_key fake_btf = { BPFREFS_BTF, 1 };

/* Processes that no kernel has: PID_MAX_LIMIT and close to it. */
#define FAKE_PID  4194303
#define FAKE_PID2 4194302

static inline int fake_next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start,
			       uint32_t *id)
{
	const struct bpfrefs_key all[] = { fake_map,  fake_plain, fake_entry,
					   fake_tail, fake_link,  fake_btf };

	(void)ctx;
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		if (all[i].kind != kind || all[i].id <= start)
			continue;
		*id = all[i].id;
		return 0;
	}
	return -ENOENT;
}

static inline int fake_info(struct bpfrefs_ctx *ctx, struct bpfrefs_key key,
			    struct bpfrefs_info **info)
{
	if (bpfrefs_exists(ctx, key) != 0)
		return -ENOENT;
	*info = info_new();
	info_str(*info, "kind", bpfrefs_kind_name(key.kind));
	info_num(*info, "id", key.id);
	if (key.kind == BPFREFS_MAP)
		info_enum(*info, "type", BPFREFS_ENUM_MAP_TYPE,
			  key.id == fake_map.id ? BPF_MAP_TYPE_PROG_ARRAY : BPF_MAP_TYPE_HASH);
	info_str(*info, "name", key.id == fake_plain.id ? "a b\\c\n\377" : "plain");
	return 0;
}

static inline void fake_turn(struct scan *scan, const char *name)
{
	for (unsigned int i = 0; holder_classes[i]; i++)
		if (strcmp(holder_classes[i]->pub.name, name) == 0)
			scan_set_class(scan, holder_classes[i]);
	g_assert_cmpstr(scan->class->pub.name, ==, name);
}

/* The index of a field of the class whose turn it is. */
static inline unsigned int fake_field(struct scan *scan, const char *key)
{
	unsigned int i = 0;

	while (scan->class->pub.keys[i] && strcmp(scan->class->pub.keys[i], key) != 0)
		i++;
	g_assert_nonnull(scan->class->pub.keys[i]);
	return i;
}

static inline const char *fake_type(enum bpfrefs_kind kind, uint32_t number)
{
	static const enum bpfrefs_enum types[] = { BPFREFS_ENUM_MAP_TYPE, BPFREFS_ENUM_PROG_TYPE,
						   BPFREFS_ENUM_LINK_TYPE };
	const char *type = bpfrefs_enum_name(types[kind], number);

	g_assert_nonnull(type);
	return type;
}

static inline void fake_object(struct scan *scan, struct bpfrefs_key key, const char *name,
			       const char *type, uint64_t refcnt)
{
	struct bpfrefs_object *object = scan_object_add(scan, key);

	object->name = scan_str(scan, name);
	object->type = scan_str(scan, type);
	while (key.kind != BPFREFS_BTF &&
	       strcmp(fake_type(key.kind, object->type_number), type) != 0)
		object->type_number++;
	object->refcnt = refcnt;
}

static inline void fake_fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid, uint32_t fd,
			   uint64_t file, bool again)
{
	bool user = key.kind == BPFREFS_MAP && !again;
	struct bpfrefs_ref *ref = scan_add(scan, key, !again, user);

	ref_set_pid(ref, pid);
	ref_set_num(ref, fake_field(scan, "file"), file);
	ref_set_num(ref, fake_field(scan, "pid"), pid);
	ref_set_str(scan, ref, fake_field(scan, "comm"), "the loader");
	ref_set_num(ref, fake_field(scan, "fd"), fd);
	scan_process(scan, pid, "the loader");
}

static inline void fake_pin(struct scan *scan, struct bpfrefs_key key, const char *inner,
			    uint64_t ino)
{
	struct bpfrefs_ref *ref = scan_add(scan, key, 1, key.kind == BPFREFS_MAP);
	g_autofree char *path = g_strconcat("/sys/fs/bpf", inner, NULL);

	ref_set_str(scan, ref, fake_field(scan, "path"), path);
	ref_set_num(ref, fake_field(scan, "ino"), ino);
	ref_set_location(scan, ref, (struct pin_location){ 0, 30, ino, inner });
}

static inline void fake_slot(struct scan *scan, struct bpfrefs_key key, uint64_t slot)
{
	struct bpfrefs_ref *ref = scan_add_held(scan, key, 1, 0, fake_map, WALK_VIA_SLOT);

	ref_set_num(ref, fake_field(scan, "slot"), slot);
}

static inline void fake_refs(struct scan *scan, const struct fake *fake)
{
	fake_turn(scan, "fd");
	fake_fd(scan, fake_map, FAKE_PID, 9, 1, false);
	fake_fd(scan, fake_map, FAKE_PID, 10, 1, true);
	fake_fd(scan, fake_link, FAKE_PID2, 3, 2, false);
	if (fake->more_fds)
		fake_fd(scan, fake_btf, FAKE_PID, 11, 3, false);
	fake_turn(scan, "pin");
	fake_pin(scan, fake_map, "/app/conns", 77);
	fake_pin(scan, fake_map, "/other/x", 78);
	fake_pin(scan, fake_plain, "/app/#odd name", 79);
	fake_turn(scan, "prog");
	scan_add_held(scan, fake_map, 1, 0, fake_entry, WALK_VIA_USED_MAPS);
	fake_turn(scan, "map");
	fake_slot(scan, fake_tail, 10);
	fake_slot(scan, fake_entry, 2);
	fake_turn(scan, "link");
	scan_add_held(scan, fake_entry, 1, 0, fake_link, WALK_VIA_PROG);
}

static inline void fake_gaps(struct scan *scan)
{
	fake_turn(scan, "fd");
	scan_gap(scan, 3, "processes", EACCES);
	fake_turn(scan, "pin");
	scan_unavailable(scan, "no bpffs here", 0);
	fake_turn(scan, "map");
	scan_gap(scan, 0, "one never knows", 0);
}

static inline void fake_kernel_btf(struct scan *scan, uint32_t id, uint64_t refcnt)
{
	const struct bpfrefs_key key = { BPFREFS_BTF, id };

	if (!refcnt)
		return;
	fake_object(scan, key, id == 2 ? "vmlinux" : "module", "kernel", refcnt);
	scan_object(scan, key)->type_number = BTF_OF_KERNEL;
}

static inline int fake_collect(struct scan *scan)
{
	struct fake *fake = scan->ctx->source_data;
	struct bpfrefs_mount mount = { 4026531841, 1, "/sys/fs/bpf", true };

	g_atomic_int_inc(&fake->scans);
	g_mutex_lock(&fake->gate);
	g_mutex_unlock(&fake->gate);
	if (fake->collect_error)
		return fake->collect_error;
	fake_object(scan, fake_map, "conns", "prog_array", 4);
	if (scan_failed(scan)) /* the test allows it no memory: nothing that is added is there */
		return 0;
	scan_object(scan, fake_map)->usercnt = 3;
	scan_object(scan, fake_map)->changing = fake->changing;
	fake_object(scan, fake_plain, "a b\\c\n\377", "hash", BPFREFS_UNKNOWN);
	fake_object(scan, fake_entry, "entry", "xdp", 2);
	fake_object(scan, fake_tail, "", "xdp", 3);
	fake_object(scan, fake_link, NULL, "xdp", 1);
	fake_object(scan, fake_btf, "", "btf", 1);
	fake_kernel_btf(scan, 2, fake->vmlinux);
	fake_kernel_btf(scan, 3, fake->module);
	for (unsigned int i = 0; holder_classes[i]; i++) {
		scan_set_class(scan, holder_classes[i]);
		scan_source(scan, "a fake");
	}
	fake_refs(scan, fake);
	if (fake->gaps)
		fake_gaps(scan);
	scan_bpffs(scan, 0, 30, 3, true);
	scan_bpffs_mount(scan, 0, 30, &mount);
	mount = (struct bpfrefs_mount){ 4026532000, 0, NULL, false };
	scan_bpffs_mount(scan, 0, 30, &mount);
	scan_bpffs(scan, 0, 31, 0, false);
	scan_bpffs_dir(scan, 0, 30, 1, "/");
	scan_bpffs_dir(scan, 0, 30, 2, "/app");
	return 0;
}

static const struct source fake_source = {
	.id = BPFREFS_SOURCE_PROC,
	.next_id = fake_next_id,
	.info = fake_info,
	.collect = fake_collect,
};

/* The daemon's state over the fake, /app of its bpffs as SOURCE. Free with fake_clear(). */
static inline void fake_init(struct fs *fs, struct fake *fake)
{
	memset(fs, 0, sizeof(*fs));
	memset(fake, 0, sizeof(*fake));
	g_mutex_init(&fake->gate);
	g_assert_cmpint(ctx_open_with(&fake_source, fake, &fs->ctx), ==, 0);
	fs->view = view_new(fs->ctx, 0);
	fs->errors = errlog_new();
	fs->handles = handles_new(UINT64_MAX);
	fs->source_fd = -1;
	fs->source = source_new(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	fs->source_minor = 30;
	fs->source_ino = 2;
	fs->started.tv_sec = 1000;
	fs->opt.source = (char *)"/sys/fs/bpf/app";
	fs->opt.mountpoint = (char *)"/mnt";
}

static inline void fake_clear(struct fs *fs, struct fake *fake)
{
	close(source_fd(fs->source));
	source_free(fs->source);
	handles_free(fs->handles);
	errlog_free(fs->errors);
	view_free(fs->view);
	bpfrefs_ctx_close(fs->ctx);
	g_mutex_clear(&fake->gate);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of all virtual files, one row each. To add a file, write its show_ or ctl_ function
 * and add its row. lookup, getattr, readdir, open, read and write all use the table.
 */
#include "tree/node.h"

#include "control/ctl.h"
#include "render/show.h"

#define OF(kind) (1u << (kind))
#define PINNABLE (OF(BPFREFS_KIND_MAP) | OF(BPFREFS_KIND_PROG) | OF(BPFREFS_KIND_LINK))

#define DIRECTORY (S_IFDIR | 0500)
#define TEXT	  (S_IFREG | 0400)
#define CONTROL	  (S_IFREG | 0600)
#define SYMLINK	  (S_IFLNK | 0777)

/* clang-format off */
const struct node tree[] = {
	{ .in = DIR_NONE, .opens = DIR_ROOT, .name = ".bpf", .mode = DIRECTORY },

	{ .in = DIR_ROOT, .opens = DIR_MAPS, .name = "map", .mode = DIRECTORY },
	{ .in = DIR_MAPS, .opens = DIR_OBJECT, .mode = DIRECTORY, .kind = BPFREFS_KIND_MAP },
	{ .in = DIR_ROOT, .opens = DIR_PROGS, .name = "prog", .mode = DIRECTORY },
	{ .in = DIR_PROGS, .opens = DIR_OBJECT, .mode = DIRECTORY, .kind = BPFREFS_KIND_PROG },
	{ .in = DIR_ROOT, .opens = DIR_LINKS, .name = "link", .mode = DIRECTORY },
	{ .in = DIR_LINKS, .opens = DIR_OBJECT, .mode = DIRECTORY, .kind = BPFREFS_KIND_LINK },
	{ .in = DIR_ROOT, .opens = DIR_BTFS, .name = "btf", .mode = DIRECTORY },
	{ .in = DIR_BTFS, .opens = DIR_OBJECT, .mode = DIRECTORY, .kind = BPFREFS_KIND_BTF },

	{ .in = DIR_OBJECT, .name = "info", .mode = TEXT, .show = show_info },
	{ .in = DIR_OBJECT, .name = "holders", .mode = TEXT, .need = NEED_HOLDERS,
	  .show = show_holders },
	{ .in = DIR_OBJECT, .name = "holding", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_holding },
	{ .in = DIR_OBJECT, .name = "refs", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_refs },
	{ .in = DIR_OBJECT, .name = "roots", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_roots },
	{ .in = DIR_OBJECT, .name = "json", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_json },
	{ .in = DIR_OBJECT, .name = "graph.dot", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_object_dot },
	{ .in = DIR_OBJECT, .name = "free.sh", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_script },
	{ .in = DIR_OBJECT, .name = "slots", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .kinds = OF(BPFREFS_KIND_MAP), .exists = show_has_slots, .show = show_slots },
	{ .in = DIR_OBJECT, .name = "pin", .mode = CONTROL, .need = NEED_SNAPSHOT,
	  .kinds = PINNABLE, .show = show_pins, .store = ctl_pin },
	{ .in = DIR_OBJECT, .name = "unpin", .mode = CONTROL, .need = NEED_SNAPSHOT,
	  .kinds = PINNABLE, .show = show_pins, .store = ctl_unpin },
	{ .in = DIR_OBJECT, .name = "keep", .mode = CONTROL,
	  .show = show_keep, .store = ctl_keep },

	{ .in = DIR_ROOT, .opens = DIR_PIDS, .name = "pid", .mode = DIRECTORY },
	{ .in = DIR_PIDS, .opens = DIR_PID, .mode = DIRECTORY },
	{ .in = DIR_PID, .name = "comm", .mode = TEXT, .show = show_comm },
	{ .in = DIR_PID, .name = "cgroup", .mode = TEXT, .show = show_pid_cgroup },
	{ .in = DIR_PID, .name = "holding", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_pid_holding },
	{ .in = DIR_PID, .name = "retains", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_retains },
	{ .in = DIR_PID, .name = "graph.dot", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_pid_dot },
	{ .in = DIR_PID, .opens = DIR_FDS, .name = "fd", .mode = DIRECTORY },
	{ .in = DIR_FDS, .mode = SYMLINK, .need = NEED_SNAPSHOT, .show = show_fd_link },

	{ .in = DIR_ROOT, .opens = DIR_CGROUP, .name = "cgroup", .mode = DIRECTORY },
	{ .in = DIR_CGROUP, .name = "processes", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_cgroup_processes },
	{ .in = DIR_CGROUP, .name = "holding", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_cgroup_holding },
	{ .in = DIR_CGROUP, .name = "retains", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_cgroup_retains },
	{ .in = DIR_CGROUP, .name = "graph.dot", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_cgroup_dot },
	/* after all files, whose names no cgroup gets */
	{ .in = DIR_CGROUP, .opens = DIR_CGROUP, .mode = DIRECTORY },

	{ .in = DIR_ROOT, .name = "objects", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_objects },
	{ .in = DIR_ROOT, .name = "processes", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_processes },
	{ .in = DIR_ROOT, .name = "holders", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_all_holders },
	{ .in = DIR_ROOT, .name = "attachments", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_attachments },
	{ .in = DIR_ROOT, .name = "at-risk", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_at_risk },
	{ .in = DIR_ROOT, .name = "unused", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_unused },
	{ .in = DIR_ROOT, .name = "json", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_all_json },
	{ .in = DIR_ROOT, .name = "graph.dot", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_dot },
	{ .in = DIR_ROOT, .opens = DIR_METRICS, .name = "metrics", .mode = DIRECTORY },
	{ .in = DIR_METRICS, .name = "bpfrefs.prom", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_metrics },
	{ .in = DIR_ROOT, .name = "bpffs", .mode = TEXT, .need = NEED_SNAPSHOT,
	  .show = show_bpffs },
	{ .in = DIR_ROOT, .name = "source", .mode = SYMLINK, .show = show_source_link },
	{ .in = DIR_ROOT, .name = "status", .mode = TEXT, .show = show_status },
	{ .in = DIR_ROOT, .name = "events", .mode = TEXT, .need = NEED_READER, .unlisted = true },
	{ .in = DIR_ROOT, .name = "control", .mode = CONTROL,
	  .show = show_control, .store = ctl_control },
	{ .in = DIR_ROOT, .name = "errors", .mode = TEXT, .show = show_errors },
	{ .mode = 0 },
};
/* clang-format on */

uint64_t tree_root_ino(void)
{
	struct where root = { .row = tree };

	return node_ino(tree, &root);
}

int tree_lookup(struct fs *fs, uint64_t parent, const char *name, struct entry *entry)
{
	return node_lookup(tree, fs, parent, name, entry);
}

int tree_getattr(struct fs *fs, uint64_t ino, struct entry *entry)
{
	return node_getattr(tree, fs, ino, entry);
}

int tree_readlink(struct fs *fs, uint64_t ino, char *buf, size_t size)
{
	return node_readlink(tree, fs, ino, buf, size);
}

int tree_readdir(struct fs *fs, uint64_t ino, off_t cookie, dir_fill fill, void *data)
{
	return node_readdir(tree, fs, ino, cookie, fill, data);
}

int tree_twin(struct fs *fs, unsigned int depth, struct bpfrefs_key key, struct entry *entry)
{
	return node_twin(fs, depth, key, entry);
}

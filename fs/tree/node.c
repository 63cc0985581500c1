/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows and inode numbers (listings are in readdir.c). The number of a virtual inode contains its
 * row and its object, process or descriptor. So inodes are not allocated, counted or forgotten,
 * and lookup, getattr and readdir agree.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tree/node.h"

#define ROW_SHIFT  48
#define ROW_MASK   0xfffu
#define KIND_SHIFT 32
#define KIND_MASK  0xffffu
#define PID_SHIFT  26

/*
 * The timeout of names that never change while the filesystem is mounted. Names that are numbers
 * may appear and disappear.
 */
#define TIMEOUT_STATIC 3600.0

/* -------------------------------------------------------------- codec --- */

bool node_dir_has_key(enum dir in)
{
	return in == DIR_OBJECT || (in >= DIR_MAPS && in <= DIR_BTFS);
}

bool node_dir_has_pid(enum dir in)
{
	return in == DIR_PIDS || in == DIR_PID || in == DIR_FDS;
}

static uint64_t key_payload(struct bpfrefs_key key)
{
	return (uint64_t)key.kind << KIND_SHIFT | key.id;
}

static bool key_decode(uint64_t ino, struct bpfrefs_key *key)
{
	key->kind = (enum bpfrefs_kind)(ino >> KIND_SHIFT & KIND_MASK);
	key->id = (uint32_t)ino;
	return key->kind <= BPFREFS_KIND_BTF && key->id != 0;
}

uint64_t node_ino(const struct node *table, const struct where *w)
{
	uint64_t ino = (uint64_t)SPACE_TREE << 60 | (uint64_t)(w->row - table) << ROW_SHIFT;

	if (node_dir_has_key(w->row->in))
		return ino | key_payload(w->key);
	if (node_dir_has_pid(w->row->in))
		return ino | (uint64_t)w->pid << PID_SHIFT | w->fd;
	return ino | w->cgroup;
}

int node_where(const struct node *table, struct fs *fs, uint64_t ino, struct where *w)
{
	unsigned int row = ino >> ROW_SHIFT & ROW_MASK, rows = 0;

	while (table[rows].mode)
		rows++;
	if (INO_SPACE(ino) != SPACE_TREE || row >= rows)
		return -ENOENT;
	*w = (struct where){ .fs = fs, .row = &table[row], .key.kind = BPFREFS_KIND_NONE };
	if (node_dir_has_key(w->row->in))
		return key_decode(ino, &w->key) ? 0 : -ENOENT;
	if (node_dir_has_pid(w->row->in)) {
		w->pid = ino >> PID_SHIFT & NODE_PID_MAX;
		w->fd = ino & NODE_FD_MAX;
	}
	if (w->row->in == DIR_CGROUP)
		w->cgroup = ino & NODE_CGROUP_MAX;
	return 0;
}

/* --------------------------------------------------------- attributes --- */

mode_t node_mode(const struct node *row, const struct fs_options *opt)
{
	mode_t readable = row->mode & (S_IRUSR | S_IXUSR);

	if (!opt->has_gid || S_ISLNK(row->mode) || row->mode & S_IWUSR)
		return row->mode;
	return row->mode | readable >> 3;
}

/*
 * A link count of 1 means "not counted", as in btrfs. Counting would require a list of all
 * objects.
 */
static nlink_t count_links(const struct node *table, enum dir dir)
{
	nlink_t links = 2;

	for (const struct node *row = table; row->mode; row++) {
		if (row->in != dir || !S_ISDIR(row->mode))
			continue;
		if (!row->name)
			return 1;
		links++;
	}
	return links;
}

static void set_times(struct stat *attr, struct timespec when)
{
	attr->st_atim = attr->st_mtim = attr->st_ctim = when;
}

void node_entry(const struct node *table, const struct where *w, struct entry *entry)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct fs *fs = w->fs;
	struct stat *attr = &entry->attr;
	struct timespec when = fs->started;
	size_t length = 0;
	bool open = false;

	memset(entry, 0, sizeof(*entry));
	entry->ino = attr->st_ino = node_ino(table, w);
	attr->st_mode = node_mode(w->row, &fs->opt);
	attr->st_nlink = S_ISDIR(w->row->mode) ? count_links(table, w->row->opens) : 1;
	attr->st_gid = fs->opt.has_gid ? fs->opt.gid : 0;
	attr->st_blksize = 4096;
	if (S_ISREG(w->row->mode))
		open = handles_peek(fs->handles, entry->ino, &length, &when);
	if (S_ISLNK(w->row->mode) && w->row->need == NEED_NOTHING && w->row->show(w, text) == 0)
		length = text->len;
	attr->st_size = (off_t)length;
	set_times(attr, when);
	/*
	 * An object, process or descriptor may disappear, but the attributes of its directory or
	 * symlink do not change until then. What is opened or read through a cached name is looked
	 * for again.
	 */
	if (!w->row->name) {
		entry->attr_timeout = TIMEOUT_STATIC;
		entry->entry_timeout = names_age(&fs->opt);
		return;
	}
	entry->entry_timeout = TIMEOUT_STATIC;
	/*
	 * An open stores a byte in the page cache, which invalidates the cached attributes. So
	 * length and times may be cached for long while nobody has the file open.
	 */
	entry->attr_timeout = open ? 0 : TIMEOUT_STATIC;
	/* The path of SOURCE may change at any time. */
	if (S_ISLNK(w->row->mode))
		entry->attr_timeout = 0;
}

int node_exists(const struct where *w)
{
	if (node_dir_has_key(w->row->in))
		/*
		 * Ids of the kernel end at INT_MAX. Larger ones fail with EINVAL
		 * (bpf_prog_get_fd_by_id()).
		 */
		return w->key.id <= INT32_MAX ? bpfrefs_exists(w->fs->ctx, w->key) : -ENOENT;
	if (w->row->in == DIR_FDS)
		return pid_holds(w->fs, w->pid, w->fd, NULL);
	if (w->row->in == DIR_CGROUP)
		return cgroup_exists(w->fs, w->cgroup);
	return node_dir_has_pid(w->row->in) ? pid_holds(w->fs, w->pid, -1, NULL) : 0;
}

/* -------------------------------------------------------------- twins --- */

/*
 * The number of a twin, which is the symlink ".NAME" next to a pin, has the depth instead of the
 * row, and the object as its payload.
 */

static void twin_target(unsigned int depth, struct bpfrefs_key key, GString *out)
{
	char text[BPFREFS_KEY_MAX];

	for (unsigned int i = 0; i < depth; i++)
		g_string_append(out, "../");
	g_string_append_printf(out, ".bpf/%s", bpfrefs_key_format(key, text));
}

int node_twin(struct fs *fs, unsigned int depth, struct bpfrefs_key key, struct entry *entry)
{
	g_autoptr(GString) target = g_string_new(NULL);

	if (depth > ROW_MASK)
		return -ENAMETOOLONG;
	twin_target(depth, key, target);
	memset(entry, 0, sizeof(*entry));
	entry->ino = (uint64_t)SPACE_TWIN << 60 | (uint64_t)depth << ROW_SHIFT | key_payload(key);
	entry->attr.st_ino = entry->ino;
	entry->attr.st_mode = S_IFLNK | 0777;
	entry->attr.st_nlink = 1;
	entry->attr.st_size = (off_t)target->len;
	entry->attr.st_blksize = 4096;
	set_times(&entry->attr, fs->started);
	return 0;
}

static int twin_getattr(struct fs *fs, uint64_t ino, struct entry *entry)
{
	struct bpfrefs_key key;

	if (!key_decode(ino, &key))
		return -ENOENT;
	return node_twin(fs, ino >> ROW_SHIFT & ROW_MASK, key, entry);
}

static int twin_readlink(uint64_t ino, GString *out)
{
	struct bpfrefs_key key;

	if (!key_decode(ino, &key))
		return -ENOENT;
	twin_target(ino >> ROW_SHIFT & ROW_MASK, key, out);
	return 0;
}

/* ---------------------------------------------------------- one inode --- */

int node_getattr(const struct node *table, struct fs *fs, uint64_t ino, struct entry *entry)
{
	struct where w;
	int err;

	if (INO_SPACE(ino) == SPACE_TWIN)
		return twin_getattr(fs, ino, entry);
	err = node_where(table, fs, ino, &w);
	if (err)
		return err;
	/* An open file outlives its object or process. */
	if (!handles_peek(fs->handles, ino, NULL, NULL))
		err = node_exists(&w);
	if (err)
		return err;
	node_entry(table, &w, entry);
	return 0;
}

int node_readlink(const struct node *table, struct fs *fs, uint64_t ino, char *buf, size_t size)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct where w;
	int err;

	if (INO_SPACE(ino) == SPACE_TWIN) {
		err = twin_readlink(ino, text);
	} else {
		err = node_where(table, fs, ino, &w);
		if (!err)
			err = S_ISLNK(w.row->mode) ? w.row->show(&w, text) : -EINVAL;
	}
	if (err)
		return err;
	if (text->len >= size)
		return -ENAMETOOLONG;
	memcpy(buf, text->str, text->len + 1);
	return 0;
}

/* -------------------------------------------------------------- lookup --- */

bool node_row_in(const struct node *row, const struct where *dir)
{
	if (row->in != dir->row->opens)
		return false;
	return !row->kinds || !node_dir_has_key(dir->row->in) || row->kinds & 1u << dir->key.kind;
}

/*
 * Parses a decimal number in the form that listings have: no sign, no leading zero, at most @max.
 */
static int number_parse(const char *name, uint32_t max, uint32_t *number)
{
	uint32_t value;

	if (strcmp(name, "0") == 0)
		value = 0;
	else if (bpfrefs_id_parse(name, &value) != 0)
		return -ENOENT;
	if (value > max)
		return -ENOENT;
	*number = value;
	return 0;
}

/* Changes *w from a directory to its entry @name, whose row is @row. */
static int descend(const struct node *table, const struct node *row, const char *name,
		   struct where *w)
{
	int err = 0;

	w->row = row;
	if (row->name)
		return 0;
	switch (row->in) {
	case DIR_PIDS:
		err = number_parse(name, NODE_PID_MAX, &w->pid);
		return !err && w->pid == 0 ? -ENOENT : err;
	case DIR_FDS:
		return number_parse(name, NODE_FD_MAX, &w->fd);
	case DIR_CGROUP:
		w->cgroup = cgroup_child(table, w->fs, w->cgroup, name);
		return 0;
	default:
		w->key.kind = row->kind;
		return bpfrefs_id_parse(name, &w->key.id) == 0 ? 0 : -ENOENT;
	}
}

int node_lookup(const struct node *table, struct fs *fs, uint64_t parent, const char *name,
		struct entry *entry)
{
	const struct node *row;
	struct where w;
	int err = node_where(table, fs, parent, &w);

	if (err)
		return err;
	if (!S_ISDIR(w.row->mode))
		return -ENOTDIR;
	for (row = table; row->mode; row++)
		if (node_row_in(row, &w) && (!row->name || strcmp(row->name, name) == 0))
			break;
	if (!row->mode)
		return -ENOENT;
	err = descend(table, row, name, &w);
	if (!err && !row->name)
		err = node_exists(&w);
	if (err)
		return err;
	if (row->exists && !row->exists(&w))
		return -ENOENT;
	node_entry(table, &w, entry);
	return 0;
}

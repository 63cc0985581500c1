/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads from mountinfo where bpffs is mounted. Nothing here accesses a mount, since that might be a
 * FUSE mount of this process, which would wait for itself.
 */
#include <fcntl.h>
#include <libmount.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "procfs/procfs.h"

/*
 * The depth of mounts that is followed. The kernel allows 100,000 mounts in a namespace
 * (fs.mount-max), but no real stack is as deep as this.
 */
#define CHAIN_MAX 1000

/* The mounts of one namespace, by id and by the id of their parent. */
struct table {
	GHashTable *by_id;    /* id -> struct libmnt_fs * */
	GHashTable *children; /* id of the parent -> GPtrArray of struct libmnt_fs * */
};

static void bpffs_mount_free(gpointer data)
{
	struct bpffs_mount *mount = data;

	g_free(mount->root);
	g_free(mount->target);
	g_free(mount->options);
	g_strfreev(mount->over);
	g_free(mount);
}

/* Returns true if @path is @dir or below it. */
static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return path[0] == '/';
	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static struct libmnt_fs *parent_of(const struct table *table, struct libmnt_fs *fs)
{
	int parent = mnt_fs_get_parent_id(fs);

	if (parent == mnt_fs_get_id(fs))
		return NULL; /* the root of a namespace */
	return g_hash_table_lookup(table->by_id, GINT_TO_POINTER(parent));
}

static const GPtrArray *children_of(const struct table *table, struct libmnt_fs *fs)
{
	return g_hash_table_lookup(table->children, GINT_TO_POINTER(mnt_fs_get_id(fs)));
}

/*
 * Returns true if another mount on @parent makes @child unreachable. A mount on a directory
 * above does so. A mount on the root of the parent is above everything. A sibling on "/" does
 * not count: a path lookup begins at the root directory of the process, and does not go up the
 * stack of mounts there.
 */
static bool is_child_unreachable(const struct table *table, struct libmnt_fs *parent,
				 struct libmnt_fs *child)
{
	const GPtrArray *siblings = children_of(table, parent);
	const char *target = mnt_fs_get_target(child);

	if (strcmp(target, "/") == 0)
		return true;
	for (guint i = 0; siblings && i < siblings->len; i++) {
		const char *other = mnt_fs_get_target(g_ptr_array_index(siblings, i));

		if (siblings->pdata[i] == child || strcmp(other, "/") == 0)
			continue;
		if (is_within(target, other) && strcmp(target, other) != 0)
			return true;
	}
	return false;
}

static bool is_covered(const struct table *table, struct libmnt_fs *fs)
{
	const GPtrArray *children = children_of(table, fs);
	const char *target = mnt_fs_get_target(fs);

	if (strcmp(target, "/") == 0)
		return false;
	for (guint i = 0; children && i < children->len; i++)
		if (children->pdata[i] != fs &&
		    strcmp(mnt_fs_get_target(g_ptr_array_index(children, i)), target) == 0)
			return true;
	return false;
}

static bool is_unreachable(const struct table *table, struct libmnt_fs *fs)
{
	struct libmnt_fs *parent;

	if (is_covered(table, fs))
		return true;
	for (unsigned int depth = 0; depth < CHAIN_MAX; depth++) {
		parent = parent_of(table, fs);
		if (!parent)
			return false;
		if (is_child_unreachable(table, parent, fs))
			return true;
		fs = parent;
	}
	return true;
}

/* Filesystems that need a server or a daemon to look up a name, which may not answer. */
static bool needs_server(const char *type)
{
	static const char *const types[] = { "fuse",   "fuseblk", "nfs",      "nfs4",
					     "cifs",   "smb3",	  "9p",	      "ceph",
					     "afs",    "autofs",  "gfs2",     "ocfs2",
					     "lustre", "coda",	  "virtiofs", "orangefs" };

	if (!type || g_str_has_prefix(type, "fuse."))
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

static bool is_remote(const struct table *table, struct libmnt_fs *fs)
{
	for (unsigned int depth = 0; depth < CHAIN_MAX; depth++) {
		fs = parent_of(table, fs);
		if (!fs)
			return false;
		if (needs_server(mnt_fs_get_fstype(fs)))
			return true;
	}
	return true;
}

static char **mounts_over(const struct table *table, struct libmnt_fs *fs)
{
	const GPtrArray *children = children_of(table, fs);
	GPtrArray *over;

	if (!children)
		return NULL;
	over = g_ptr_array_new();
	for (guint i = 0; i < children->len; i++)
		g_ptr_array_add(over, g_strdup(mnt_fs_get_target(g_ptr_array_index(children, i))));
	g_ptr_array_add(over, NULL);
	return (char **)g_ptr_array_free(over, FALSE);
}

static struct bpffs_mount *mount_new(const struct table *table, struct libmnt_fs *fs)
{
	struct bpffs_mount *mount = g_new0(struct bpffs_mount, 1);
	dev_t dev = mnt_fs_get_devno(fs);

	mount->major = major(dev);
	mount->minor = minor(dev);
	mount->root = g_strdup(mnt_fs_get_root(fs));
	mount->target = g_strdup(mnt_fs_get_target(fs));
	mount->options = g_strdup(mnt_fs_get_fs_options(fs));
	mount->hidden = is_unreachable(table, fs);
	mount->remote = is_remote(table, fs);
	mount->over = mounts_over(table, fs);
	return mount;
}

static void table_index(struct table *table, struct libmnt_table *mnt, struct libmnt_iter *iter)
{
	struct libmnt_fs *fs;

	table->by_id = g_hash_table_new(NULL, NULL);
	table->children =
		g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_ptr_array_unref);
	while (mnt_table_next_fs(mnt, iter, &fs) == 0) {
		gpointer parent = GINT_TO_POINTER(mnt_fs_get_parent_id(fs));
		GPtrArray *children = g_hash_table_lookup(table->children, parent);

		if (!mnt_fs_get_target(fs) || !mnt_fs_get_root(fs))
			continue;
		g_hash_table_insert(table->by_id, GINT_TO_POINTER(mnt_fs_get_id(fs)), fs);
		if (!children) {
			children = g_ptr_array_new();
			g_hash_table_insert(table->children, parent, children);
		}
		g_ptr_array_add(children, fs);
	}
}

static void table_collect(struct libmnt_table *mnt, const char *wanted, GPtrArray *mounts)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	struct table table;

	if (!iter)
		return;
	table_index(&table, mnt, iter);
	mnt_reset_iter(iter, MNT_ITER_FORWARD);
	while (mnt_table_next_fs(mnt, iter, &fs) == 0) {
		const char *type = mnt_fs_get_fstype(fs);

		if (type && strcmp(type, wanted) == 0 && mnt_fs_get_target(fs) &&
		    mnt_fs_get_root(fs))
			g_ptr_array_add(mounts, mount_new(&table, fs));
	}
	g_hash_table_unref(table.by_id);
	g_hash_table_unref(table.children);
	mnt_free_iter(iter);
}

/* Skips a line that this version of libmount cannot parse, instead of ending there. */
static int skip_line(struct libmnt_table *mnt, const char *file, int line)
{
	(void)mnt;
	(void)file;
	(void)line;
	return 1;
}

static int open_mountinfo(int proc_fd, uint32_t pid, FILE **file)
{
	char path[32];
	int fd;

	if (pid)
		snprintf(path, sizeof(path), "%u/mountinfo", pid);
	else
		snprintf(path, sizeof(path), "self/mountinfo");
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*file = fdopen(fd, "r");
	if (!*file) {
		int err = -errno;

		close(fd);
		return err;
	}
	return 0;
}

int mounts_read_type(int proc_fd, uint32_t pid, const char *type, GPtrArray **mounts)
{
	struct libmnt_table *mnt;
	FILE *file;
	int err = open_mountinfo(proc_fd, pid, &file);

	if (err)
		return err;
	mnt = mnt_new_table();
	if (!mnt) {
		fclose(file);
		return -ENOMEM;
	}
	mnt_table_set_parser_errcb(mnt, skip_line);
	/* libmount resolves the name too, for its messages, so it must not be a relative one. */
	err = mnt_table_parse_stream(mnt, file, "/proc/self/mountinfo");
	/*
	 * libmount treats a failed read like the end of the file, but half a table must
	 * not count as whole.
	 */
	if (!err && ferror(file))
		err = -EIO;
	if (!err) {
		*mounts = g_ptr_array_new_with_free_func(bpffs_mount_free);
		table_collect(mnt, type, *mounts);
	}
	mnt_unref_table(mnt);
	fclose(file);
	return err;
}

int mounts_read(int proc_fd, uint32_t pid, GPtrArray **mounts)
{
	return mounts_read_type(proc_fd, pid, "bpf", mounts);
}

/* Joins a directory and a path below it, which is "" or "/...". */
static char *join(const char *dir, const char *below)
{
	if (strcmp(dir, "/") == 0)
		return g_strdup(*below ? below : "/");
	return g_strconcat(dir, below, NULL);
}

static bool is_over(const struct bpffs_mount *mount, const char *path)
{
	for (char **over = mount->over; over && *over; over++)
		if (is_within(path, *over) && strcmp(*over, "/") != 0)
			return true;
	return false;
}

static bool mount_has(const struct bpffs_mount *mount, uint32_t major, uint32_t minor,
		      const char *inner)
{
	return mount->major == major && mount->minor == minor && is_within(inner, mount->root);
}

bool mounts_have(const GPtrArray *mounts, uint32_t major, uint32_t minor, const char *inner)
{
	for (guint i = 0; i < mounts->len; i++)
		if (mount_has(g_ptr_array_index(mounts, i), major, minor, inner))
			return true;
	return false;
}

char *mounts_path(const GPtrArray *mounts, uint32_t major, uint32_t minor, const char *inner)
{
	for (guint i = 0; i < mounts->len; i++) {
		const struct bpffs_mount *mount = g_ptr_array_index(mounts, i);
		const char *below = inner;
		g_autofree char *path = NULL;

		if (mount->hidden || !mount_has(mount, major, minor, inner))
			continue;
		if (strcmp(mount->root, "/") != 0)
			below = inner + strlen(mount->root);
		else if (strcmp(inner, "/") == 0)
			below = "";
		path = join(mount->target, below);
		if (!is_over(mount, path))
			return g_steal_pointer(&path);
	}
	return NULL;
}

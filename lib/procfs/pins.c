/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds pins by a walk through each bpffs that is mounted in some mount namespace. Pins that are
 * unlinked but still in use, and instances that are not mounted, cannot be seen.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "procfs/procfs.h"
#include "uapi/syscalls.h"

/* The key of an inode in a hash table. */
struct inode_key {
	uint32_t major, minor;
	uint64_t ino;
};

static guint inode_hash(gconstpointer data)
{
	const struct inode_key *key = data;

	return (guint)key->ino ^ key->minor << 20 ^ key->major << 8;
}

static gboolean inode_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(struct inode_key)) == 0;
}

/* The walk through one instance. */
struct walk {
	struct proc_pins *pins;
	const struct proc_mount *place;
	int root_fd;
	GHashTable *dirs; /* the directories that were read: struct inode_key */
	/* Names below another mount, by the inode number in their directory: struct inode_key. */
	GHashTable *blocked;
	GQueue pending; /* struct pending */
};

/* A directory that is still to be read. */
struct pending {
	char *inner;  /* its path within the instance */
	char *path;   /* its path below root_fd */
	uint64_t ino; /* from its directory entry; 0 for the root of the mount */
	bool private; /* the directory above belongs to root and has mode 0700 */
};

/* A directory that is being read. */
struct open_dir {
	int fd;
	const struct pending *pending;
	bool private;
	/*
	 * It was read through another mount before: only the names that were below other
	 * mounts are missing.
	 */
	bool again;
};

static void pending_free(gpointer data)
{
	struct pending *pending = data;

	g_free(pending->inner);
	g_free(pending->path);
	g_free(pending);
}

static struct inode_key *inode_new(const struct walk *walk, uint64_t ino)
{
	struct inode_key *key = g_new0(struct inode_key, 1);

	key->major = walk->place->mount->major;
	key->minor = walk->place->mount->minor;
	key->ino = ino;
	return key;
}

static char *child_path(const char *dir, const char *name)
{
	if (strcmp(dir, ".") == 0)
		return g_strdup(name);
	return g_strconcat(dir, strcmp(dir, "/") == 0 ? "" : "/", name, NULL);
}

/*
 * Reads which object a name is, and its inode. Returns -ENOENT if it is no pin, or no longer one.
 */
static int identify(int dir_fd, const char *name, struct bpfrefs_key *key, struct stat *st)
{
	bpfrefs_autofd path_fd = syscall_open_pin(dir_fd, name);
	bpfrefs_autofd fd = -1;

	if (path_fd < 0)
		return path_fd == -ELOOP ? -ENOENT : path_fd;
	if (fstat(path_fd, st) != 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -ENOENT;
	fd = syscall_get_path_fd(path_fd);
	return fd < 0 ? fd : syscall_identify(fd, key);
}

/* The memory for a pin or directory, including its names and its entries in hash tables. */
#define NAMED_BYTES 512

/* Returns true if there is memory for one more, and to sort them. */
static bool can_add(const GArray *named)
{
	return memory_can_grow((size_t)NAMED_BYTES * named->len, NAMED_BYTES);
}

static void walk_pin(struct walk *walk, const struct open_dir *dir, const struct dirent *entry)
{
	struct proc_pin pin = { .pid = walk->place->pid };
	struct stat st;
	int err = !can_add(walk->pins->pins) ? -ENOMEM
					     : identify(dir->fd, entry->d_name, &pin.key, &st);

	if (err == -EXDEV)
		g_hash_table_add(walk->blocked, inode_new(walk, entry->d_ino));
	else if (err && !proc_is_gone(err))
		proc_miss(&walk->pins->pinned, err);
	if (err)
		return;
	pin.major = walk->place->mount->major;
	pin.minor = walk->place->mount->minor;
	pin.ino = st.st_ino;
	pin.uid = st.st_uid;
	pin.gid = st.st_gid;
	pin.mode = st.st_mode;
	pin.mtime = st.st_mtime;
	pin.inner = child_path(dir->pending->inner, entry->d_name);
	g_hash_table_add(walk->pins->inodes, inode_new(walk, st.st_ino));
	/*
	 * With a second name it is more than a keep: to release the keep would not
	 * release the object.
	 */
	if (dir->private && dir->pending->private && st.st_nlink == 1)
		pin.keep = keep_of_path(pin.inner, pin.key);
	g_array_append_val(walk->pins->pins, pin);
}

static void walk_later(struct walk *walk, const struct open_dir *dir, const struct dirent *entry)
{
	struct pending *pending = g_new0(struct pending, 1);

	pending->inner = child_path(dir->pending->inner, entry->d_name);
	pending->path = child_path(dir->pending->path, entry->d_name);
	pending->ino = entry->d_ino;
	pending->private = dir->private;
	g_queue_push_tail(&walk->pending, pending);
}

/* Opens a directory below the root of the mount, and on the same mount. */
static int open_dir(const struct walk *walk, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, walk->root_fd, path, &how, sizeof(how));

	return fd >= 0 ? (int)fd : -errno;
}

static bool is_blocked(const struct walk *walk, uint64_t ino)
{
	g_autofree struct inode_key *key = inode_new(walk, ino);

	return g_hash_table_contains(walk->blocked, key);
}

static int walk_entries(struct walk *walk, struct open_dir *dir)
{
	struct dirent *entry;
	int copy = fcntl(dir->fd, F_DUPFD_CLOEXEC, 3);
	int err;
	DIR *stream;

	if (copy < 0)
		return -errno;
	stream = fdopendir(copy);
	if (!stream) {
		err = -errno;
		close(copy);
		return err;
	}
	for (errno = 0; (entry = readdir(stream)); errno = 0) {
		if (entry->d_type == DT_REG && (!dir->again || is_blocked(walk, entry->d_ino)))
			walk_pin(walk, dir, entry);
		else if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
			 strcmp(entry->d_name, "..") != 0)
			walk_later(walk, dir, entry);
	}
	err = -errno;
	closedir(stream);
	return err;
}

static void add_dir(struct walk *walk, const struct pending *pending, uint64_t ino)
{
	struct proc_dir dir = {
		.major = walk->place->mount->major,
		.minor = walk->place->mount->minor,
		.ino = ino,
		.inner = g_strdup(pending->inner),
	};

	g_array_append_val(walk->pins->dirs, dir);
}

static int walk_dir(struct walk *walk, const struct pending *pending)
{
	bpfrefs_autofd fd = open_dir(walk, pending->path);
	struct open_dir dir = { .fd = fd, .pending = pending };
	struct stat st;

	if (fd == -EXDEV && pending->ino) {
		g_hash_table_add(walk->blocked, inode_new(walk, pending->ino));
		return 0;
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (!can_add(walk->pins->dirs))
		return -ENOMEM;
	dir.again = !g_hash_table_add(walk->dirs, inode_new(walk, st.st_ino));
	dir.private = st.st_uid == 0 && (st.st_mode & 07777) == 0700;
	if (!dir.again)
		add_dir(walk, pending, st.st_ino);
	return walk_entries(walk, &dir);
}

/* Reads everything below the root of one mount. */
static int walk_place(struct walk *walk, int proc_fd)
{
	bpfrefs_autofd root_fd = proc_mount_open(proc_fd, walk->place);
	struct pending *pending;

	if (root_fd < 0)
		return root_fd;
	walk->root_fd = root_fd;
	pending = g_new0(struct pending, 1);
	pending->inner = g_strdup(walk->place->mount->root);
	pending->path = g_strdup(".");
	g_queue_push_tail(&walk->pending, pending);
	while ((pending = g_queue_pop_head(&walk->pending))) {
		int err = walk_dir(walk, pending);

		if (err && !proc_is_gone(err))
			proc_miss(&walk->pins->parts, err);
		pending_free(pending);
	}
	return 0;
}

/*
 * Returns true if a name that was below a mount has been found through another
 * mount of the instance.
 */
static gboolean is_seen(gpointer key, gpointer value, gpointer data)
{
	const struct walk *walk = data;

	(void)value;
	return g_hash_table_contains(walk->pins->inodes, key) ||
	       g_hash_table_contains(walk->dirs, key);
}

/* Walks through the mounts of one instance until everything in it has been read. */
static void walk_instance(struct proc_pins *pins, int proc_fd, guint first, guint end)
{
	struct walk walk = { .pins = pins };
	int err = 0, walked = 0;

	walk.dirs = g_hash_table_new_full(inode_hash, inode_equal, g_free, NULL);
	walk.blocked = g_hash_table_new_full(inode_hash, inode_equal, g_free, NULL);
	g_queue_init(&walk.pending);
	for (guint i = first; i < end; i++) {
		guint parts = pins->parts.count;

		walk.place = &g_array_index(pins->places, struct proc_mount, i);
		err = walk_place(&walk, proc_fd);
		if (err)
			continue;
		walked++;
		g_hash_table_foreach_remove(walk.blocked, is_seen, &walk);
		if (strcmp(walk.place->mount->root, "/") == 0 && pins->parts.count == parts &&
		    g_hash_table_size(walk.blocked) == 0)
			break;
	}
	if (!walked)
		proc_miss(&pins->instances, err == -EXDEV || proc_is_gone(err) ? 0 : err);
	else if (strcmp(g_array_index(pins->places, struct proc_mount, first).mount->root, "/") !=
		 0)
		proc_miss(&pins->parts, 0);
	for (guint i = g_hash_table_size(walk.blocked); i > 0; i--)
		proc_miss(&pins->covered, 0);
	g_hash_table_unref(walk.dirs);
	g_hash_table_unref(walk.blocked);
}

static int by_inode(gconstpointer a, gconstpointer b)
{
	const struct proc_pin *x = a, *y = b;

	if (x->major != y->major)
		return x->major < y->major ? -1 : 1;
	if (x->minor != y->minor)
		return x->minor < y->minor ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return strcmp(x->inner, y->inner);
}

/*
 * The reference of an inode is counted with the first of its names in order,
 * whichever was found first.
 */
static void find_first_names(GArray *pins)
{
	g_array_sort(pins, by_inode);
	for (guint i = 0; i < pins->len; i++) {
		struct proc_pin *pin = &g_array_index(pins, struct proc_pin, i);
		const struct proc_pin *before = i ? pin - 1 : NULL;

		pin->first = !before || before->ino != pin->ino || before->major != pin->major ||
			     before->minor != pin->minor;
	}
}

static void pin_clear(gpointer data)
{
	g_free(((struct proc_pin *)data)->inner);
}

static void dir_clear(gpointer data)
{
	g_free(((struct proc_dir *)data)->inner);
}

int proc_pins_read(int proc_fd, struct proc_pins *pins)
{
	int err;

	memset(pins, 0, sizeof(*pins));
	pins->pins = g_array_new(FALSE, TRUE, sizeof(struct proc_pin));
	g_array_set_clear_func(pins->pins, pin_clear);
	pins->dirs = g_array_new(FALSE, TRUE, sizeof(struct proc_dir));
	g_array_set_clear_func(pins->dirs, dir_clear);
	pins->places = g_array_new(FALSE, TRUE, sizeof(struct proc_mount));
	pins->others = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
	pins->inodes = g_hash_table_new_full(inode_hash, inode_equal, g_free, NULL);
	err = proc_mounts_read(proc_fd, pins);
	if (err)
		return err;
	for (guint first = 0, end; first < pins->places->len; first = end) {
		const struct bpffs_mount *mount =
			g_array_index(pins->places, struct proc_mount, first).mount;

		for (end = first + 1; end < pins->places->len; end++) {
			const struct bpffs_mount *other =
				g_array_index(pins->places, struct proc_mount, end).mount;

			if (other->major != mount->major || other->minor != mount->minor)
				break;
		}
		walk_instance(pins, proc_fd, first, end);
	}
	find_first_names(pins->pins);
	return 0;
}

void proc_pins_clear(struct proc_pins *pins)
{
	g_clear_pointer(&pins->pins, g_array_unref);
	g_clear_pointer(&pins->dirs, g_array_unref);
	g_clear_pointer(&pins->places, g_array_unref);
	g_clear_pointer(&pins->own, g_ptr_array_unref);
	g_clear_pointer(&pins->others, g_ptr_array_unref);
	g_clear_pointer(&pins->inodes, g_hash_table_unref);
}

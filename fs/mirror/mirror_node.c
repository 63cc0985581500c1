/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of the mirror's nodes, and their current state in bpffs. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "mirror/mirror_node.h"
#include "mirror/source.h"

/* ---------------------------------------------------------- the table --- */

static guint node_hash(gconstpointer data)
{
	const struct mnode *node = data;

	return g_int64_hash(&node->ino) ^ g_int64_hash(&node->moved) ^ node->type;
}

static gboolean node_equal(gconstpointer a, gconstpointer b)
{
	const struct mnode *x = a, *y = b;

	return x->ino == y->ino && x->moved == y->moved && x->type == y->type;
}

static int read_fd_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int)MIN(limit.rlim_cur, INT_MAX) : INT_MAX;
}

struct mirror *mirror_new(struct mirror_source *source, const struct fs_options *options)
{
	struct mirror *mirror = g_new0(struct mirror, 1);
	struct stat st;

	mirror->options = options;
	mirror->source = source;
	mirror->fd_limit = read_fd_limit();
	mirror->root = g_new0(struct mnode, 1);
	mirror->root->fd = source_fd(source);
	mirror->root->type = S_IFDIR;
	if (fstat(mirror->root->fd, &st) == 0)
		mirror->root->ino = st.st_ino;
	mirror->nodes = g_hash_table_new(node_hash, node_equal);
	mirror->dirs = g_hash_table_new(NULL, NULL);
	mirror->last_lookups = mirror_names_last_new();
	g_mutex_init(&mirror->lock);
	return mirror;
}

void mirror_free(struct mirror *mirror)
{
	GHashTableIter iter;
	gpointer node, dir;

	if (!mirror)
		return;
	g_hash_table_iter_init(&iter, mirror->dirs);
	while (g_hash_table_iter_next(&iter, &dir, NULL))
		mirror_dir_free(dir);
	g_hash_table_unref(mirror->dirs);
	g_hash_table_iter_init(&iter, mirror->nodes);
	while (g_hash_table_iter_next(&iter, &node, NULL))
		mirror_node_free(node);
	g_hash_table_unref(mirror->nodes);
	mirror->root->fd = -1; /* borrowed */
	mirror_node_free(mirror->root);
	g_free(mirror->last_lookups);
	g_mutex_clear(&mirror->lock);
	g_free(mirror);
}

/* Descriptors that are reserved for scans, commands and replies. */
#define OWN_FDS 64

int mirror_node_share_fd(const struct mirror *mirror, enum mirror_share share, int fd)
{
	const int most[] = {
		[MIRROR_OTHERS_OPEN] = mirror->fd_limit / 2,
		[MIRROR_NODES] = mirror->fd_limit / 4 * 3,
		[MIRROR_ROOT_OPENS] = mirror->fd_limit - OWN_FDS,
	};

	if (fd < most[share])
		return fd;
	close(fd);
	return -EMFILE;
}

struct mnode *mirror_node_of(struct mirror *mirror, uint64_t ino)
{
	return ino == MIRROR_ROOT_INO ? mirror->root : (struct mnode *)(uintptr_t)ino;
}

uint64_t mirror_node_number(const struct mirror *mirror, const struct mnode *node)
{
	return node == mirror->root ? MIRROR_ROOT_INO : (uint64_t)(uintptr_t)node;
}

/* Called with the lock held. Returns NULL if there is no such node. */
static struct mnode *find_node(const struct mirror *mirror, uint64_t ino, mode_t type)
{
	const struct mnode key = { .ino = ino, .type = type & S_IFMT };

	return g_hash_table_lookup(mirror->nodes, &key);
}

struct mnode *mirror_node_get_dir(struct mirror *mirror, const struct mnode *parent, uint64_t ino,
				  int fd)
{
	struct mnode *node;

	g_mutex_lock(&mirror->lock);
	node = find_node(mirror, ino, S_IFDIR);
	if (node && node->within != parent->serial && fd >= 0) {
		g_hash_table_remove(mirror->nodes, node);
		node->moved = node->serial;
		g_hash_table_add(mirror->nodes, node);
	}
	if (node && node->within != parent->serial)
		node = NULL;
	if (!node && fd >= 0) {
		node = g_new0(struct mnode, 1);
		node->ino = ino;
		node->type = S_IFDIR;
		node->fd = fd;
		node->serial = ++mirror->serials;
		node->within = parent->serial;
		fd = -1;
		g_hash_table_add(mirror->nodes, node);
	}
	if (node)
		node->nlookup++;
	g_mutex_unlock(&mirror->lock);
	if (fd >= 0)
		close(fd);
	return node;
}

void mirror_node_moved(struct mirror *mirror, struct mnode *parent, const char *name)
{
	const struct found_name found = { .dir = parent, .name = name };
	GSList *unused = NULL;
	struct mnode *node;
	struct stat st;

	if (mirror_node_stat_at(parent->fd, name, &st) != 0)
		return;
	g_mutex_lock(&mirror->lock);
	node = find_node(mirror, st.st_ino, st.st_mode);
	if (node && S_ISDIR(st.st_mode))
		node->within = parent->serial;
	else if (node)
		mirror_names_add(mirror, node, &found, st.st_nlink, &unused);
	g_mutex_unlock(&mirror->lock);
	mirror_nodes_free(unused);
}

struct mnode *mirror_node_get_leaf(struct mirror *mirror, const struct found_name *name,
				   const struct stat *st)
{
	GSList *unused = NULL;
	struct mnode *node;

	g_mutex_lock(&mirror->lock);
	node = find_node(mirror, st->st_ino, st->st_mode);
	if (!node) {
		node = g_new0(struct mnode, 1);
		node->ino = st->st_ino;
		node->type = st->st_mode & S_IFMT;
		node->fd = -1;
		g_hash_table_add(mirror->nodes, node);
	}
	node->nlookup++;
	mirror_names_add(mirror, node, name, st->st_nlink, &unused);
	g_mutex_unlock(&mirror->lock);
	mirror_nodes_free(unused);
	return node;
}

void mirror_forget(struct mirror *mirror, uint64_t ino, uint64_t count)
{
	struct mnode *node = mirror_node_of(mirror, ino);
	GSList *unused = NULL;

	if (node == mirror->root)
		return;
	g_mutex_lock(&mirror->lock);
	node->nlookup -= MIN(count, node->nlookup);
	mirror_node_take_unused(mirror, node, &unused);
	g_mutex_unlock(&mirror->lock);
	mirror_nodes_free(unused);
}

/* ------------------------------------------- state in bpffs --- */

static void stat_of_statx(const struct statx *stx, struct stat *st)
{
	st->st_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	st->st_ino = stx->stx_ino;
	st->st_mode = stx->stx_mode;
	st->st_nlink = stx->stx_nlink;
	st->st_uid = stx->stx_uid;
	st->st_gid = stx->stx_gid;
	st->st_size = (off_t)stx->stx_size;
	st->st_blocks = (blkcnt_t)stx->stx_blocks;
	st->st_blksize = (blksize_t)stx->stx_blksize;
	st->st_atim.tv_sec = stx->stx_atime.tv_sec;
	st->st_atim.tv_nsec = stx->stx_atime.tv_nsec;
	st->st_mtim.tv_sec = stx->stx_mtime.tv_sec;
	st->st_mtim.tv_nsec = stx->stx_mtime.tv_nsec;
	st->st_ctim.tv_sec = stx->stx_ctime.tv_sec;
	st->st_ctim.tv_nsec = stx->stx_ctime.tv_nsec;
}

int mirror_node_stat_at(int dir_fd, const char *name, struct stat *st)
{
	int flags = *name ? AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT : AT_EMPTY_PATH;
	struct statx stx;

	memset(st, 0, sizeof(*st));
	if (statx(dir_fd, name, flags, STATX_BASIC_STATS, &stx) != 0)
		return -errno;
	/*
	 * A directory's descriptor refers to its own mount. SOURCE itself may be the root of a
	 * mount.
	 */
	if (*name && (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return -EXDEV;
	stat_of_statx(&stx, st);
	return 0;
}

int mirror_node_dup_file(struct mirror *mirror, const struct mnode *node)
{
	int fd = -ESTALE;

	g_mutex_lock(&mirror->lock);
	if (node->files) {
		const struct mirror_file *file = node->files->data;

		fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			fd = -errno;
	}
	g_mutex_unlock(&mirror->lock);
	return fd;
}

int mirror_node_open_any(struct mirror *mirror, struct mnode *node)
{
	int fd = mirror_node_open(mirror, node);

	/* the pin may be open after its name was removed */
	return fd < 0 ? mirror_node_dup_file(mirror, node) : fd;
}

static int stat_open_file(struct mirror *mirror, const struct mnode *node, struct stat *st)
{
	mirror_autofd fd = mirror_node_dup_file(mirror, node);

	if (fd < 0)
		return fd;
	return fstat(fd, st) == 0 ? 0 : -errno;
}

static int try_stat(struct mirror *mirror, const struct mnode *node, const struct mnode *dir,
		    const char *name, void *data)
{
	struct stat *st = data;
	int err = mirror_node_stat_at(dir->fd, name, st);

	(void)mirror;
	return err || st->st_ino == node->ino ? err : -ESTALE;
}

int mirror_node_stat(struct mirror *mirror, struct mnode *node, struct stat *st)
{
	int err;

	if (node->fd >= 0)
		return mirror_node_stat_at(node->fd, "", st);
	err = mirror_names_try(mirror, node, try_stat, st);
	return err == -ESTALE ? stat_open_file(mirror, node, st) : err;
}

static int try_open(struct mirror *mirror, const struct mnode *node, const struct mnode *dir,
		    const char *name, void *data)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_NO_XDEV };
	int fd = (int)syscall(SYS_openat2, dir->fd, name, &how, sizeof(how));
	struct stat st;

	(void)mirror;
	(void)data;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && st.st_ino == node->ino)
		return fd;
	close(fd);
	return -ESTALE;
}

int mirror_node_open(struct mirror *mirror, struct mnode *node)
{
	int fd;

	if (node->fd < 0)
		return mirror_names_try(mirror, node, try_open, NULL);
	fd = fcntl(node->fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

/* Returns an owned descriptor of the parent directory; -EXDEV if that is in another mount. */
static int open_above(int dir_fd)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_NO_XDEV };
	int fd = (int)syscall(SYS_openat2, dir_fd, "..", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

int mirror_node_path(const struct mirror *mirror, int dir_fd, char path[PATH_MAX])
{
	char root[PATH_MAX];
	size_t len;
	int err = source_path_of_fd(mirror->root->fd, root);

	if (!err)
		err = source_path_of_fd(dir_fd, path);
	if (err)
		return err;
	len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, root, len) != 0 || path[len] != '/')
		return -ESTALE;
	memmove(path, path + len, strlen(path + len) + 1);
	return 0;
}

static int check_dir_inside(const struct mirror *mirror, const struct mnode *dir)
{
	mirror_autofd at = -1;
	char path[PATH_MAX];
	uint64_t ino = dir->ino;
	struct stat st;

	for (int from = dir->fd; ino != mirror->root->ino; ino = st.st_ino) {
		int above = open_above(from);

		/*
		 * Either the directory is the root of its mount, or something is mounted on the
		 * parent, and ".." leads to that mount (follow_dotdot()). d_path() gives the
		 * answer in both cases, since mounts on top of the directories do not affect it.
		 */
		if (above == -EXDEV)
			return mirror_node_path(mirror, from, path);
		if (above < 0)
			return -ESTALE;
		if (at >= 0)
			close(at);
		from = at = above;
		/* ".." of the process's root directory is that directory. */
		if (fstat(above, &st) != 0 || st.st_ino == ino)
			return -ESTALE;
	}
	return 0;
}

static int try_inside(struct mirror *mirror, const struct mnode *node, const struct mnode *dir,
		      const char *name, void *data)
{
	struct stat st;
	int err = try_stat(mirror, node, dir, name, &st);

	(void)data;
	if (!err && check_dir_inside(mirror, dir) != 0)
		err = -EREMOTE; /* the name exists, so it is not to be dropped */
	return err;
}

int mirror_node_check_inside(struct mirror *mirror, struct mnode *node)
{
	if (node->fd >= 0)
		return check_dir_inside(mirror, node);
	return mirror_names_try(mirror, node, try_inside, NULL) == -EREMOTE ? -ESTALE : 0;
}

void mirror_show_stat(const struct mirror *mirror, struct stat *st)
{
	if (mirror->options->pins_file || !S_ISREG(st->st_mode))
		return;
	st->st_mode = S_IFLNK | 0777;
	st->st_size = 0; /* as for every symlink of bpffs */
}

void mirror_dir_free(struct mirror_dir *dir)
{
	close(dir->fd);
	g_mutex_clear(&dir->lock);
	g_free(dir);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The paths of the mirror's directories, and the targets of its symlinks. */
#include <stdio.h>
#include <string.h>

#include "mirror/mirror_node.h"
#include "mirror/source.h"

/*
 * Returns a directory's path below SOURCE: "" for the root, "/app". -ESTALE if it is no longer
 * there.
 */
static int dir_path(const struct mirror *mirror, const struct mnode *dir, char path[PATH_MAX])
{
	struct stat st;
	int err;

	path[0] = '\0';
	if (dir == mirror->root)
		return 0;
	err = mirror_node_path(mirror, dir->fd, path);
	/* d_path() appends " (deleted)" to a removed directory, which could also be a real name. */
	if (!err && (fstat(dir->fd, &st) != 0 || st.st_nlink == 0))
		err = -ESTALE;
	return err;
}

int mirror_path(struct mirror *mirror, uint64_t ino, char path[PATH_MAX])
{
	int err = dir_path(mirror, mirror_node_of(mirror, ino), path);

	if (!err && *path)
		memmove(path, path + 1, strlen(path));
	return err;
}

int mirror_depth(struct mirror *mirror, uint64_t ino)
{
	char path[PATH_MAX];
	int err = dir_path(mirror, mirror_node_of(mirror, ino), path), depth = 0;

	if (err)
		return err;
	for (const char *at = path; *at; at++)
		depth += *at == '/';
	return depth;
}

struct text {
	char *buf;
	size_t size;
};

/*
 * Returns dir_path() for a symlink's target. With max_age the path that a directory had is believed
 * that long, as its name is. Whether SOURCE's own path leads there is not believed at all.
 */
static int believed_dir_path(struct mirror *mirror, const struct mnode *dir, char path[PATH_MAX])
{
	gint64 now = mirror->options->max_age ? g_get_monotonic_time() : 0;
	unsigned int renames;
	bool known;
	int err;

	g_mutex_lock(&mirror->lock);
	known = mirror->last_dir.serial == dir->serial && now < mirror->last_dir.until;
	if (known)
		g_strlcpy(path, mirror->last_dir.path, PATH_MAX);
	renames = mirror->last_dir.renames;
	g_mutex_unlock(&mirror->lock);
	if (known)
		return 0;
	err = dir_path(mirror, dir, path);
	if (err || !now)
		return err;
	g_mutex_lock(&mirror->lock);
	if (renames == mirror->last_dir.renames) {
		mirror->last_dir.serial = dir->serial;
		mirror->last_dir.until = now + (gint64)(names_age(mirror->options) * 1000000);
		g_strlcpy(mirror->last_dir.path, path, PATH_MAX);
	}
	g_mutex_unlock(&mirror->lock);
	return 0;
}

void mirror_forget_path(struct mirror *mirror)
{
	g_mutex_lock(&mirror->lock);
	mirror->last_dir.until = 0;
	mirror->last_dir.renames++;
	g_mutex_unlock(&mirror->lock);
}

/* Returns the path of a pin's name, if the name still is the pin. */
static int try_path(struct mirror *mirror, const struct mnode *node, const struct mnode *dir,
		    const char *name, void *data)
{
	struct text *text = data;
	char below[PATH_MAX], path[PATH_MAX];
	struct stat st;
	size_t len;
	int err = mirror_node_stat_at(dir->fd, name, &st);

	if (!err)
		err = st.st_ino == node->ino ? believed_dir_path(mirror, dir, below) : -ESTALE;
	if (!err)
		err = source_path(mirror->source, below, path);
	if (err)
		return err;
	len = (size_t)snprintf(text->buf, text->size, "%s/%s", strcmp(path, "/") == 0 ? "" : path,
			       name);
	return len < text->size ? 0 : -ENAMETOOLONG;
}

static int read_symlink(struct mirror *mirror, struct mnode *node, const struct text *text)
{
	mirror_autofd fd = mirror_node_open(mirror, node);
	ssize_t len;

	if (fd < 0)
		return fd;
	len = readlinkat(fd, "", text->buf, text->size);
	if (len < 0)
		return -errno;
	if ((size_t)len == text->size)
		return -ENAMETOOLONG;
	text->buf[len] = '\0';
	return 0;
}

int mirror_readlink(struct mirror *mirror, pid_t tid, uint64_t ino, char *buf, size_t size)
{
	struct mnode *node = mirror_node_of(mirror, ino);
	struct text text = { buf, size };
	int err;

	if (node->fd >= 0)
		return -EINVAL;
	if (!S_ISREG(node->type))
		return read_symlink(mirror, node, &text);
	/*
	 * The request does not say which name of the pin is read, so this uses the name that the
	 * caller's thread looked up last. Another name of the same pin could lie in a directory
	 * that other users may write to. ESTALE makes the kernel repeat the lookup.
	 */
	err = mirror_names_try_last(mirror, node, tid, try_path, &text);
	if (err == -ESTALE && !mirror_names_are_many(mirror, node))
		err = mirror_names_try(mirror, node, try_path, &text);
	return err;
}

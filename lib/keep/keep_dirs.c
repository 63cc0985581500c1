/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directories bpfrefs/keep and bpfrefs/auto of a bpffs. Each must be a directory that is owned
 * by root with mode 0700. The pins in them are named KIND_ID.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "keep/keep.h"
#include "keep/pin.h"

char *keep_name(struct bpfrefs_key key, char buf[KEEP_NAME_MAX])
{
	snprintf(buf, KEEP_NAME_MAX, "%s_%u", bpfrefs_kind_name(key.kind), key.id);
	return buf;
}

int keep_name_parse(const char *name, struct bpfrefs_key *key)
{
	char text[KEEP_NAME_MAX];
	char *underscore;

	if (strlen(name) >= sizeof(text) || strchr(name, '/'))
		return -EINVAL;
	g_strlcpy(text, name, sizeof(text));
	underscore = strchr(text, '_');
	if (!underscore)
		return -EINVAL;
	*underscore = '/';
	return bpfrefs_key_parse(text, key);
}

/*
 * -EPERM means that the path is something else, and that there are no keeps. So if the kernel
 * refuses the access with EPERM, another error is returned.
 */
static int refusal(int err)
{
	return err == EPERM ? -EACCES : -err;
}

/*
 * Opens one component of a path. It follows neither a symlink nor a mount: a mount there may be
 * that of this daemon, which would wait for itself.
 */
static int open_dir(int parent_fd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, parent_fd, name, &how, sizeof(how));

	if (fd >= 0)
		return (int)fd;
	return errno == ENOTDIR || errno == ELOOP || errno == EXDEV ? -EPERM : refusal(errno);
}

static int open_own(int parent_fd, const char *name, bool create)
{
	bpfrefs_autofd fd = -1;
	struct stat st;

	if (create && mkdirat(parent_fd, name, 0700) != 0 && errno != EEXIST)
		return -errno;
	fd = open_dir(parent_fd, name);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) != 0)
		return refusal(errno);
	/* Another user who could write to the directory could remove a keep, or create one. */
	if (st.st_uid != 0 || (st.st_mode & 0777) != 0700)
		return -EPERM;
	return fd_steal(&fd);
}

int keep_dirs_open(int source_fd, enum bpfrefs_keep_mode mode, bool create)
{
	bpfrefs_autofd top = open_own(source_fd, "bpfrefs", create);

	if (top < 0)
		return top;
	return open_own(top, mode == BPFREFS_KEEP_AUTO ? "auto" : "keep", create);
}

int keep_dirs_has(int dir_fd, struct bpfrefs_key key)
{
	struct bpfrefs_key found;
	char name[KEEP_NAME_MAX];
	int err = pin_identify_locked(dir_fd, keep_name(key, name), &found);

	if (err == -ENOENT || err == -EINVAL)
		return 0;
	if (err)
		return err;
	return bpfrefs_key_compare(found, key) == 0;
}

int keep_dirs_count(int dir_fd)
{
	int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	struct bpfrefs_key key;
	int count = 0;

	if (!dir) {
		int err = -errno;

		if (copy >= 0)
			close(copy);
		return err;
	}
	while ((entry = readdir(dir)))
		if (entry->d_type == DT_REG && keep_name_parse(entry->d_name, &key) == 0)
			count++;
	closedir(dir);
	return count;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only file that calls bpf(2) itself. libbpf, which loads the BPF programs
 * (lib/kernel/bpf_loader.c, lib/kernel/min_core_btf.c), is not needed for a dozen calls with a few
 * arguments each.
 */
#include "uapi/syscalls.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "procfs/fdinfo.h"
#include "uapi/newer.h"

/* The part of union bpf_attr for BPF_OBJ_PIN and BPF_OBJ_GET. */
struct obj_attr {
	uint64_t pathname;
	uint32_t bpf_fd;
	uint32_t file_flags;
	int32_t path_fd;
	uint32_t pad;
};

/* Returns 0 or a descriptor, or -errno. */
static int bpf_call(int command, void *attr, size_t size)
{
	long result = syscall(SYS_bpf, command, attr, size);

	return result < 0 ? -errno : (int)result;
}

static int obj_pin(int fd, int dir_fd, const char *path)
{
	struct obj_attr attr = {
		.pathname = (uintptr_t)path,
		.bpf_fd = (uint32_t)fd,
		.file_flags = dir_fd >= 0 ? NEWER_BPF_F_PATH_FD : 0,
		.path_fd = dir_fd >= 0 ? dir_fd : 0,
	};

	/* Before Linux 6.5, the kernel returns E2BIG if path_fd is not 0 (CHECK_ATTR()). */
	return bpf_call(BPF_OBJ_PIN, &attr,
			dir_fd >= 0 ? sizeof(attr) : offsetof(struct obj_attr, path_fd));
}

int syscall_next_id(enum bpfrefs_kind kind, uint32_t start, uint32_t *id)
{
	static const int commands[KIND_COUNT] = {
		[BPFREFS_KIND_MAP] = BPF_MAP_GET_NEXT_ID,
		[BPFREFS_KIND_PROG] = BPF_PROG_GET_NEXT_ID,
		[BPFREFS_KIND_LINK] = BPF_LINK_GET_NEXT_ID,
		[BPFREFS_KIND_BTF] = BPF_BTF_GET_NEXT_ID,
	};
	struct {
		uint32_t start, next, flags;
	} attr = { .start = start };
	int err;

	if (kind >= KIND_COUNT)
		return -EINVAL;
	/* The kernel's ids are positive ints, and it returns EINVAL for a greater start. */
	if (start >= INT32_MAX)
		return -ENOENT;
	err = bpf_call(commands[kind], &attr, sizeof(attr));
	if (!err)
		*id = attr.next;
	return err;
}

int syscall_open_id(enum bpfrefs_kind kind, uint32_t id)
{
	static const int commands[KIND_COUNT] = {
		[BPFREFS_KIND_MAP] = BPF_MAP_GET_FD_BY_ID,
		[BPFREFS_KIND_PROG] = BPF_PROG_GET_FD_BY_ID,
		[BPFREFS_KIND_LINK] = BPF_LINK_GET_FD_BY_ID,
		[BPFREFS_KIND_BTF] = BPF_BTF_GET_FD_BY_ID,
	};
	struct {
		uint32_t id, next, flags;
	} attr = { .id = id };

	if (kind >= KIND_COUNT)
		return -EINVAL;
	return bpf_call(commands[kind], &attr, sizeof(attr));
}

int syscall_pin_at(int fd, int dir_fd, const char *name)
{
	g_autofree char *path = NULL;
	int err;

	if (!*name || strchr(name, '/'))
		return -EINVAL;
	err = obj_pin(fd, dir_fd, name);
	/* Before Linux 6.5, the kernel returns EINVAL or E2BIG for BPF_F_PATH_FD and path_fd. */
	if (err != -EINVAL && err != -E2BIG)
		return err;
	path = g_strdup_printf("/proc/self/fd/%d/%s", dir_fd, name);
	return obj_pin(fd, -1, path);
}

/*
 * The part of union bpf_attr for each command is a structure of its own here. The members that all
 * kernels since 5.10 have are compared with the system's header.
 */
_Static_assert(offsetof(struct obj_attr, pathname) == offsetof(union bpf_attr, pathname) &&
		       offsetof(struct obj_attr, bpf_fd) == offsetof(union bpf_attr, bpf_fd) &&
		       offsetof(struct obj_attr, file_flags) ==
			       offsetof(union bpf_attr, file_flags),
	       "BPF_OBJ_PIN and BPF_OBJ_GET");

/*
 * The pin is opened by a descriptor of its inode rather than by its path. BPF_OBJ_GET follows
 * symlinks: between the check of a name and BPF_OBJ_GET of it, a user who can write to the
 * directory could replace the name by a symlink into a FUSE mount. If that were a mount of this
 * daemon, it would wait for itself.
 *
 * The object is only read. BPF_F_RDONLY asks for no more, so that it also works if the bpffs is
 * mounted read-only. bpf_obj_get_user() accepts the flag for maps and programs and returns EINVAL
 * for links, which must be opened without it; on a read-only bpffs that returns EROFS.
 */
int syscall_get_path_fd(int path_fd)
{
	char path[sizeof("/proc/self/fd/") + 11];
	struct obj_attr attr = { .pathname = (uintptr_t)path, .file_flags = BPF_F_RDONLY };
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	fd = bpf_call(BPF_OBJ_GET, &attr, offsetof(struct obj_attr, path_fd));
	if (fd != -EINVAL)
		return fd;
	attr.file_flags = 0;
	return bpf_call(BPF_OBJ_GET, &attr, offsetof(struct obj_attr, path_fd));
}

int syscall_open_pin(int dir_fd, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

	return fd >= 0 ? (int)fd : -errno;
}

int syscall_get_at(int dir_fd, const char *name)
{
	bpfrefs_autofd path_fd = -1;
	struct stat st;

	if (!*name || strchr(name, '/'))
		return -EINVAL;
	path_fd = syscall_open_pin(dir_fd, name);
	if (path_fd == -ELOOP)
		return -EINVAL;
	if (path_fd < 0)
		return path_fd;
	if (fstat(path_fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return syscall_get_path_fd(path_fd);
}

int syscall_identify(int fd, struct bpfrefs_key *key)
{
	char path[sizeof("/proc/self/fdinfo/") + 11], text[4096];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	len = proc_text_read_at(AT_FDCWD, path, text, sizeof(text));
	return len < 0 ? (int)len : fdinfo_key(text, key);
}

int syscall_info(int fd, void *info, uint32_t *len)
{
	struct {
		uint32_t fd, len;
		uint64_t info;
	} attr = { .fd = (uint32_t)fd, .len = *len, .info = (uintptr_t)info };
	int err = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));

	if (!err)
		*len = attr.len;
	return err;
}

/* The part of union bpf_attr for commands on one element of a map. */
struct elem_attr {
	uint32_t map_fd, pad;
	uint64_t key, value; /* value: the value, or the next key */
	uint64_t flags;
};

_Static_assert(offsetof(struct elem_attr, map_fd) == offsetof(union bpf_attr, map_fd) &&
		       offsetof(struct elem_attr, key) == offsetof(union bpf_attr, key) &&
		       offsetof(struct elem_attr, value) == offsetof(union bpf_attr, value) &&
		       offsetof(struct elem_attr, flags) == offsetof(union bpf_attr, flags),
	       "BPF_MAP_LOOKUP_ELEM and BPF_MAP_GET_NEXT_KEY");

int syscall_map_next_key(int fd, const void *key, void *next)
{
	struct elem_attr attr = {
		.map_fd = (uint32_t)fd,
		.key = (uintptr_t)key,
		.value = (uintptr_t)next,
	};

	return bpf_call(BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr));
}

int syscall_map_lookup(int fd, const void *key, void *value)
{
	struct elem_attr attr = {
		.map_fd = (uint32_t)fd,
		.key = (uintptr_t)key,
		.value = (uintptr_t)value,
	};

	return bpf_call(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr));
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "procfs/locations.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "procfs/procfs.h"

/* enum fid_type of include/linux/exportfs.h: the id of a node of kernfs, such as a cgroup's */
#define FILEID_KERNFS 0xfe
/* What d_path() adds to the path of what was removed. */
#define DELETED " (deleted)"

struct locations {
	int proc_fd;	      /* borrowed */
	GHashTable *netns;    /* number -> owned name; NULL: not read yet */
	int cgroup_fd;	      /* the root of the v2 hierarchy, owned; -1: not opened yet */
	struct idmap symbols; /* address -> name, in @text */
	GStringChunk *text;   /* NULL: kallsyms was not read yet */
};

struct locations *locations_new(int proc_fd)
{
	struct locations *names = g_new0(struct locations, 1);

	names->proc_fd = proc_fd;
	names->cgroup_fd = -1;
	return names;
}

void locations_free(struct locations *names)
{
	if (!names)
		return;
	if (names->netns)
		g_hash_table_unref(names->netns);
	if (names->cgroup_fd >= 0)
		close(names->cgroup_fd);
	idmap_clear(&names->symbols);
	if (names->text)
		g_string_chunk_free(names->text);
	g_free(names);
}

/* ------------------------------------------------- network namespaces --- */

uint32_t locations_netns_number(const char *text)
{
	static const char prefix[] = "net:[";

	if (!g_str_has_prefix(text, prefix))
		return 0;
	return (uint32_t)strtoul(text + strlen(prefix), NULL, 10);
}

/*
 * ip-netns(8) mounts the namespace's file at /run/netns/NAME. Mountinfo shows such a mount with its
 * root, "net:[NUMBER]": the file itself is not touched, since anything may be mounted there.
 */
static void add_netns(GHashTable *netns, const struct bpffs_mount *mount)
{
	static const char dir[] = "/run/netns/";
	const char *name = mount->target;
	uint32_t number = locations_netns_number(mount->root);

	if (g_str_has_prefix(name, "/var/run/"))
		name += strlen("/var");
	if (mount->hidden || !number || !g_str_has_prefix(name, dir) ||
	    strchr(name + strlen(dir), '/'))
		return;
	g_hash_table_insert(netns, GUINT_TO_POINTER(number), g_strdup(name + strlen(dir)));
}

const char *locations_netns(struct locations *names, uint32_t netns)
{
	GPtrArray *mounts;

	if (!names->netns) {
		names->netns = g_hash_table_new_full(NULL, NULL, NULL, g_free);
		if (mounts_read_type(names->proc_fd, 0, "nsfs", &mounts) == 0) {
			for (guint i = 0; i < mounts->len; i++)
				add_netns(names->netns, g_ptr_array_index(mounts, i));
			g_ptr_array_unref(mounts);
		}
	}
	return g_hash_table_lookup(names->netns, GUINT_TO_POINTER(netns));
}

/* ------------------------------------------------------------- cgroups --- */

/* Opens the root of the v2 hierarchy, wherever it is mounted as a whole. */
static int open_cgroups(struct locations *names)
{
	GPtrArray *mounts;
	int err;

	if (names->cgroup_fd >= 0)
		return 0;
	err = mounts_read_type(names->proc_fd, 0, "cgroup2", &mounts);
	if (err)
		return err;
	err = -ENOENT;
	for (guint i = 0; err && i < mounts->len; i++) {
		const struct bpffs_mount *mount = g_ptr_array_index(mounts, i);

		/* Nothing is opened that a FUSE mount, which may be our own, leads to. */
		if (mount->hidden || mount->remote || strcmp(mount->root, "/") != 0)
			continue;
		names->cgroup_fd = open(mount->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = names->cgroup_fd < 0 ? -errno : 0;
	}
	g_ptr_array_unref(mounts);
	return err;
}

static int open_cgroup(const struct locations *names, uint64_t id)
{
	struct {
		struct file_handle handle;
		unsigned char id[sizeof(id)];
	} kernfs = { .handle = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS } };
	int fd;

	memcpy(kernfs.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(names->cgroup_fd, &kernfs.handle, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int path_of_fd(const struct locations *names, int fd, char text[PATH_MAX])
{
	char link[32];
	ssize_t len;

	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "self/fd/%d", fd);
	len = readlinkat(names->proc_fd, link, text, PATH_MAX - 1);
	if (len < 0)
		return -errno;
	text[len] = '\0';
	return 0;
}

int locations_cgroup(struct locations *names, uint64_t id, char **path)
{
	char text[PATH_MAX], top[PATH_MAX];
	bpfrefs_autofd fd = -1;
	bpfrefs_autofd again = -1;
	size_t root;
	int err = open_cgroups(names);

	if (err)
		return err;
	fd = open_cgroup(names, id);
	err = path_of_fd(names, fd, text);
	if (!err) /* read again each time: a mount can be moved */
		err = path_of_fd(names, names->cgroup_fd, top);
	if (err)
		return err;
	/* It was removed just now, unless this is how its name ends: then it still opens. */
	again = g_str_has_suffix(text, DELETED) ? open_cgroup(names, id) : -1;
	if (g_str_has_suffix(text, DELETED) && again < 0)
		return again;
	root = strlen(top);
	if (strncmp(text, top, root) != 0 || (text[root] && text[root] != '/'))
		return -EXDEV;
	*path = g_strdup(text[root] ? text + root : "/");
	return 0;
}

/* ----------------------------------------------------------- functions --- */

/* With CONFIG_X86_KERNEL_IBT a probe is at the instruction after endbr64, which has 4 bytes. */
#define ENDBR_SIZE 4

/* "ADDRESS TYPE NAME", and "[MODULE]" behind that of a module. */
static void add_symbol(struct locations *names, char *line)
{
	char *end, *name;
	uint64_t address = g_ascii_strtoull(line, &end, 16);

	if (!address || end[0] != ' ' || !strchr("tTwW", end[1]) || end[2] != ' ')
		return;
	name = end + 3;
	name[strcspn(name, " \t\n")] = '\0';
	if (!idmap_get(&names->symbols, address))
		idmap_set(&names->symbols, address, g_string_chunk_insert(names->text, name));
}

static void read_symbols(struct locations *names)
{
	int fd = openat(names->proc_fd, "kallsyms", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	g_autofree char *line = NULL;
	size_t size = 0;

	names->text = g_string_chunk_new(64 * 1024);
	if (!file) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (getline(&line, &size, file) > 0)
		add_symbol(names, line);
	fclose(file);
}

const char *locations_symbol(struct locations *names, uint64_t address)
{
	const char *name;

	if (!names->text)
		read_symbols(names);
	name = idmap_get(&names->symbols, address);
	return name ? name : idmap_get(&names->symbols, address - ENDBR_SIZE);
}

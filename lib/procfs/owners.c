/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds what keeps the instances of bpffs that procfs shows, and the mount namespaces that
 * they are mounted in: /proc/PID/ns/mnt of processes and threads, descriptors and bind mounts
 * of such a file, working directories, root directories, and open directories. Clones of a
 * mount (open_tree(2)) and descriptors in messages are not shown, so class pin is never
 * complete with this source.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "procfs/procfs.h"
#include "snapshot/owner.h"

/* The namespaces of kthreadd are the initial ones. */
#define KTHREADD "2/ns/mnt"

struct proc_owners {
	struct scan *scan;
	const struct proc_pins *pins;
	int proc_fd;
	uint32_t own_ns, kernel_ns; /* mount namespaces that stay, 0 if unknown */
	GHashTable *namespaces;	    /* the others that matter: number -> owner + 1 */
	GHashTable *mounted;	    /* the namespaces whose mounts have been read */
	uint32_t pid, tid;	    /* the current task; tid is 0 for the thread group leader */
	bool has_fds;		    /* the descriptors of its process have been read */
};

/* The number in "mnt:[4026531841]", or 0 if the link is not one of a mount namespace. */
static uint32_t namespace_number(const char *text)
{
	static const char prefix[] = "mnt:[";

	if (!g_str_has_prefix(text, prefix))
		return 0;
	return (uint32_t)strtoul(text + sizeof(prefix) - 1, NULL, 10);
}

static uint32_t namespace_at(int dir_fd, const char *path)
{
	char target[64];
	ssize_t len = readlinkat(dir_fd, path, target, sizeof(target) - 1);

	if (len < 0)
		return 0;
	target[len] = '\0';
	return namespace_number(target);
}

static uint32_t namespace_owner(const struct proc_owners *po, uint32_t number)
{
	gpointer owner =
		number ? g_hash_table_lookup(po->namespaces, GUINT_TO_POINTER(number)) : NULL;

	return owner ? GPOINTER_TO_UINT(owner) - 1 : OWNER_NONE;
}

static void hold(struct proc_owners *po, uint32_t owner, enum owner_how how, uint64_t detail)
{
	if (owner == OWNER_NONE)
		return;
	owner_add_hold(po->scan, (struct owner_hold){ .owner = owner,
						      .by = OWNER_NONE,
						      .pid = po->pid,
						      .how = how,
						      .detail = detail });
}

/* The owner of a mount namespace. One that stays gets a hold that is a root. */
static uint32_t add_namespace(struct proc_owners *po, uint32_t number)
{
	uint32_t owner = owner_add(po->scan, OWNER_MNT_NS, number);

	if (owner == OWNER_NONE || namespace_owner(po, number) != OWNER_NONE)
		return owner;
	po->pid = 0;
	if (number == po->kernel_ns)
		hold(po, owner, OWNER_BY_KERNEL, 0);
	else if (number == po->own_ns)
		hold(po, owner, OWNER_BY_HERE, 0);
	else
		g_hash_table_insert(po->namespaces, GUINT_TO_POINTER(number),
				    GUINT_TO_POINTER(owner + 1));
	return owner;
}

static void hold_by_namespace(struct proc_owners *po, uint32_t owner, uint32_t number)
{
	uint32_t by = add_namespace(po, number);

	if (by == OWNER_NONE)
		return; /* an owner without a hold stays */
	owner_add_hold(po->scan,
		       (struct owner_hold){ .owner = owner, .by = by, .how = OWNER_BY_MOUNT });
}

static void add_places(struct proc_owners *po)
{
	for (guint i = 0; i < po->pins->places->len; i++) {
		const struct proc_mount *place =
			&g_array_index(po->pins->places, struct proc_mount, i);
		const struct bpffs_mount *mount = place->mount;
		uint32_t owner = owner_add(po->scan, OWNER_BPFFS,
					   owner_bpffs_id(mount->major, mount->minor));

		if (owner != OWNER_NONE)
			hold_by_namespace(po, owner, place->mnt_ns);
	}
}

/* ------------------------------------------------------ bind mounts --- */

/* For a bind mount of a namespace's file, the fourth field of mountinfo is "mnt:[4026531841]". */
static void take_mount(struct proc_owners *po, const char *line, uint32_t in)
{
	char root[64];
	uint32_t owner;

	if (sscanf(line, "%*s %*s %*s %63s", root) != 1)
		return;
	owner = namespace_owner(po, namespace_number(root));
	if (owner != OWNER_NONE)
		hold_by_namespace(po, owner, in);
}

/* Reads the mounts of a namespace through a process that is in it. */
static void read_mounts(struct proc_owners *po, int task_fd, uint32_t in)
{
	int fd = openat(task_fd, "mountinfo", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;

	if (!file) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (getline(&line, &size, file) >= 0)
		take_mount(po, line, in);
	free(line);
	fclose(file);
}

/* -------------------------------------------------------- processes --- */

/*
 * The instance of bpffs that a file or directory belongs to. AT_STATX_DONT_SYNC does not wait
 * for the filesystem.
 */
static uint32_t instance_at(const struct proc_owners *po, int dir_fd, const char *path)
{
	struct statx st;

	if (statx(dir_fd, path, AT_STATX_DONT_SYNC, STATX_TYPE, &st) != 0)
		return OWNER_NONE;
	return owner_find(po->scan, OWNER_BPFFS,
			  owner_bpffs_id(st.stx_dev_major, st.stx_dev_minor));
}

static void read_descriptors(struct proc_owners *po, int task_fd)
{
	g_autoptr(GArray) fds = NULL;

	if (proc_numbers(task_fd, "fd", &fds) != 0)
		return;
	po->has_fds = fds->len > 0;
	for (guint i = 0; i < fds->len; i++) {
		uint32_t fd = g_array_index(fds, uint32_t, i);
		char path[32];

		snprintf(path, sizeof(path), "fd/%u", fd);
		hold(po, namespace_owner(po, namespace_at(task_fd, path)), OWNER_BY_FD, fd);
		hold(po, instance_at(po, task_fd, path), OWNER_BY_FD, fd);
	}
}

static void read_task(struct proc_owners *po, int task_fd)
{
	uint32_t number = namespace_at(task_fd, "ns/mnt");

	hold(po, namespace_owner(po, number), OWNER_BY_TASK, po->tid);
	hold(po, instance_at(po, task_fd, "cwd"), OWNER_BY_CWD, po->tid);
	hold(po, instance_at(po, task_fd, "root"), OWNER_BY_ROOT_DIR, po->tid);
	/* Threads share the descriptors of the leader, unless that has exited. */
	if (!po->tid)
		po->has_fds = false;
	if (!po->has_fds)
		read_descriptors(po, task_fd);
}

/* Called for each thread of each process. */
typedef void (*task_fn)(struct proc_owners *po, int task_fd);

static void each_thread(struct proc_owners *po, uint32_t pid, task_fn fn)
{
	g_autoptr(GArray) tids = NULL;
	char path[48];

	snprintf(path, sizeof(path), "%u/task", pid);
	if (proc_numbers(po->proc_fd, path, &tids) != 0)
		return;
	for (guint i = 0; i < tids->len; i++) {
		uint32_t tid = g_array_index(tids, uint32_t, i);
		bpfrefs_autofd task_fd = -1;

		snprintf(path, sizeof(path), "%u/task/%u", pid, tid);
		task_fd = openat(po->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		po->pid = pid;
		po->tid = tid == pid ? 0 : tid;
		if (task_fd >= 0)
			fn(po, task_fd);
	}
}

static void each_task(struct proc_owners *po, task_fn fn)
{
	g_autoptr(GArray) pids = NULL;

	if (proc_numbers(po->proc_fd, ".", &pids) != 0)
		return;
	for (guint i = 0; i < pids->len && !scan_failed(po->scan); i++)
		each_thread(po, g_array_index(pids, uint32_t, i), fn);
}

static void read_mounts_once(struct proc_owners *po, int task_fd)
{
	uint32_t number = namespace_at(task_fd, "ns/mnt");

	if (number && g_hash_table_add(po->mounted, GUINT_TO_POINTER(number)))
		read_mounts(po, task_fd, number);
}

/* Repeats until no further namespace has a bind mount of one that matters. */
static void add_bind_mounts(struct proc_owners *po)
{
	guint known;

	do {
		known = g_hash_table_size(po->namespaces);
		g_hash_table_remove_all(po->mounted);
		each_task(po, read_mounts_once);
	} while (g_hash_table_size(po->namespaces) > known && !scan_failed(po->scan));
}

void proc_owners(struct scan *scan)
{
	const struct proc_scan *proc = scan->source_data;
	struct proc_owners po = {
		.scan = scan,
		.pins = &proc->pins,
		.proc_fd = scan->ctx->proc_fd,
		.own_ns = namespace_at(scan->ctx->proc_fd, "self/ns/mnt"),
		.kernel_ns = namespace_at(scan->ctx->proc_fd, KTHREADD),
		.namespaces = g_hash_table_new(NULL, NULL),
		.mounted = g_hash_table_new(NULL, NULL),
	};

	add_places(&po);
	/* If every instance is mounted in a namespace that stays, nothing else matters. */
	if (g_hash_table_size(po.namespaces)) {
		add_bind_mounts(&po);
		each_task(&po, read_task);
	}
	g_hash_table_unref(po.namespaces);
	g_hash_table_unref(po.mounted);
}

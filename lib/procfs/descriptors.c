/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the descriptors of BPF objects of all processes: classes fd and iter of the procfs source.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "procfs/fdinfo.h"
#include "procfs/procfs.h"

/* The fdinfo of a link to a perf event or to many probes contains their names. */
#define FDINFO_MAX 16384

/* One descriptor table: that of a process, or one that a thread has for itself. */
struct fd_table {
	int proc_fd;
	uint32_t pid, tid;
	char path[48]; /* "PID" or "PID/task/TID" */
};

static bool is_number(const char *name)
{
	for (const char *c = name; *c; c++)
		if (!g_ascii_isdigit(*c))
			return false;
	return *name != '\0' && strlen(name) <= 10;
}

static int by_number(gconstpointer a, gconstpointer b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int proc_numbers(int proc_fd, const char *path, GArray **numbers)
{
	int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	*numbers = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		uint32_t number;

		if (!is_number(entry->d_name))
			continue;
		number = (uint32_t)strtoul(entry->d_name, NULL, 10);
		/* to sort them takes as much memory again */
		if (!memory_can_grow(2 * sizeof(number) * (*numbers)->len, 2 * sizeof(number))) {
			errno = ENOMEM;
			break;
		}
		g_array_append_val(*numbers, number);
	}
	err = -errno;
	closedir(dir);
	if (err) {
		g_clear_pointer(numbers, g_array_unref);
		return err;
	}
	g_array_sort(*numbers, by_number);
	return 0;
}

/*
 * Classifies the target of a descriptor's link: 0 is not a BPF file, 1 an object, 2 an iterator.
 * The kernel has two names for the files of links (bpf_link_prime(), bpf_link_new_fd()), so fdinfo
 * decides which kind of object it is.
 */
static int classify(const char *target)
{
	static const char prefix[] = "anon_inode:";

	if (!g_str_has_prefix(target, prefix))
		return 0;
	target += sizeof(prefix) - 1;
	if (strcmp(target, "bpf_iter") == 0)
		return 2;
	return g_str_has_prefix(target, "bpf") || strcmp(target, "btf") == 0 ? 1 : 0;
}

/* Returns true if there is memory for one more, and to sort them. */
static bool can_add(const GArray *files)
{
	const size_t size = 2 * sizeof(struct proc_file);

	return memory_can_grow(size * files->len, size);
}

/* Reads one descriptor. Returns 0 also if it is not a BPF file or has been closed meanwhile. */
static int read_fd(const struct fd_table *table, int links_fd, uint32_t fd, struct proc_fds *fds)
{
	struct proc_file file = {
		.key = { BPFREFS_KIND_NONE, 0 }, .pid = table->pid, .tid = table->tid, .fd = fd
	};
	char path[80], target[64], text[FDINFO_MAX];
	ssize_t len;
	int what;

	snprintf(path, sizeof(path), "%u", fd);
	len = readlinkat(links_fd, path, target, sizeof(target) - 1);
	if (len < 0)
		return proc_is_gone(-errno) ? 0 : -errno;
	target[len] = '\0';
	what = classify(target);
	if (what && !can_add(what == 2 ? fds->iters : fds->files))
		return -ENOMEM;
	if (what == 2)
		g_array_append_val(fds->iters, file);
	if (what != 1)
		return 0;
	snprintf(path, sizeof(path), "%s/fdinfo/%u", table->path, fd);
	len = proc_text_read_at(table->proc_fd, path, text, sizeof(text));
	if (len < 0)
		return proc_is_gone((int)len) ? 0 : (int)len;
	if (fdinfo_key(text, &file.key) == 0)
		g_array_append_val(fds->files, file);
	return 0;
}

static int read_table(const struct fd_table *table, struct proc_fds *fds)
{
	g_autoptr(GArray) numbers = NULL;
	bpfrefs_autofd links_fd = -1;
	char path[64];
	int err;

	snprintf(path, sizeof(path), "%s/fd", table->path);
	err = proc_numbers(table->proc_fd, path, &numbers);
	if (err || numbers->len == 0)
		return err;
	links_fd = openat(table->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (links_fd < 0)
		return -errno;
	for (guint i = 0; i < numbers->len && !err; i++)
		err = read_fd(table, links_fd, g_array_index(numbers, uint32_t, i), fds);
	return err;
}

/* Returns 1 if the table of a thread is one of those that have been read, 0 if not, or -errno. */
static int is_shared(const GArray *tables, uint32_t tid, proc_compare_fn compare)
{
	for (guint i = 0; i < tables->len; i++) {
		int order =
			compare(g_array_index(tables, uint32_t, i), tid, PROC_COMPARE_FILES, 0, 0);

		if (order == 0)
			return 1;
		if (order < 0)
			return order;
	}
	return 0;
}

/* Reads the threads with a table of their own (unshare(CLONE_FILES), or the leader has exited). */
static int read_threads(int proc_fd, uint32_t pid, proc_compare_fn compare, struct proc_fds *fds)
{
	g_autoptr(GArray) tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_autoptr(GArray) threads = NULL;
	char path[32];
	int err;

	snprintf(path, sizeof(path), "%u/task", pid);
	err = proc_numbers(proc_fd, path, &threads);
	if (err || threads->len < 2)
		return err;
	g_array_append_val(tables, pid);
	for (guint i = 0; i < threads->len; i++) {
		uint32_t tid = g_array_index(threads, uint32_t, i);
		struct fd_table table = { .proc_fd = proc_fd, .pid = pid, .tid = tid };
		int shared = tid == pid ? 1 : is_shared(tables, tid, compare);

		if (shared < 0 && !proc_is_gone(shared))
			return shared;
		if (shared)
			continue;
		g_array_append_val(tables, tid);
		snprintf(table.path, sizeof(table.path), "%u/task/%u", pid, tid);
		err = read_table(&table, fds);
		if (err && !proc_is_gone(err))
			return err;
	}
	return 0;
}

static void read_process(int proc_fd, uint32_t pid, proc_compare_fn compare, struct proc_fds *fds)
{
	struct fd_table table = { .proc_fd = proc_fd, .pid = pid };
	guint files = fds->files->len, iters = fds->iters->len;
	char comm[32];
	int err;

	snprintf(table.path, sizeof(table.path), "%u", pid);
	err = read_table(&table, fds);
	if (!err)
		err = read_threads(proc_fd, pid, compare, fds);
	if (err && !proc_is_gone(err))
		proc_miss(&fds->processes, err);
	if ((fds->files->len > files || fds->iters->len > iters) && proc_comm(proc_fd, pid, comm))
		g_hash_table_insert(fds->comms, GUINT_TO_POINTER(pid), g_strdup(comm));
}

int proc_fds_read(int proc_fd, proc_compare_fn compare, struct proc_fds *fds)
{
	g_autoptr(GArray) pids = NULL;
	int err;

	memset(fds, 0, sizeof(*fds));
	fds->files = g_array_new(FALSE, FALSE, sizeof(struct proc_file));
	fds->iters = g_array_new(FALSE, FALSE, sizeof(struct proc_file));
	fds->comms = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	err = proc_numbers(proc_fd, ".", &pids);
	if (err)
		return err;
	for (guint i = 0; i < pids->len; i++)
		read_process(proc_fd, g_array_index(pids, uint32_t, i), compare, fds);
	proc_files_identify(fds, compare);
	return 0;
}

void proc_fds_clear(struct proc_fds *fds)
{
	g_clear_pointer(&fds->files, g_array_unref);
	g_clear_pointer(&fds->iters, g_array_unref);
	g_clear_pointer(&fds->comms, g_hash_table_unref);
}

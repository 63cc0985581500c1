/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds mounts on or below the mirror (bpftool mounts a bpffs there when it pins in a directory
 * that is not on one). They hide a part of the mirror, which the daemon cannot see from inside.
 * Also finds copies of the mirror's mount in other mount namespaces. Reads only the mountinfo of
 * each mount namespace that has a process: a path lookup could lead into the mirror, and wait for
 * the daemon itself.
 */
#include <dirent.h>
#include <errno.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "render/show.h"

/*
 * Deeper than any stack of mounts that the kernel allows (sysctl fs.mount-max is 100,000 in all).
 */
#define CHAIN_MAX 1000

struct mount_search {
	GString *out;
	dev_t mirror;
	bool copies; /* find mounts of the mirror itself, else mounts over it */
	/* "NAMESPACE ROOT" pairs that were read: a process sees the mounts below its root */
	GHashTable *views;
	GHashTable *firsts;  /* the ids of the first mounts of the tables that were read */
	GHashTable *ids;     /* the ids of the mounts that were shown */
	GHashTable *shown;   /* "DEV TARGET": a mount that was propagated is shown once */
	unsigned int unread; /* processes whose mountinfo could not be read */
	int err;	     /* the first error */
};

static GHashTable *index_mounts(struct libmnt_table *mounts, struct libmnt_iter *iter)
{
	GHashTable *by_id = g_hash_table_new(NULL, NULL);
	struct libmnt_fs *fs;

	while (mnt_table_next_fs(mounts, iter, &fs) == 0)
		g_hash_table_insert(by_id, GINT_TO_POINTER(mnt_fs_get_id(fs)), fs);
	return by_id;
}

/* Returns whether @fs is mounted on the mirror, directly or on a mount that is. */
static bool is_over_mirror(const struct mount_search *search, GHashTable *by_id,
			   struct libmnt_fs *fs)
{
	for (unsigned int depth = 0; depth < CHAIN_MAX; depth++) {
		int parent = mnt_fs_get_parent_id(fs);

		fs = parent == mnt_fs_get_id(fs)
			     ? NULL
			     : g_hash_table_lookup(by_id, GINT_TO_POINTER(parent));
		if (!fs)
			return false;
		if (mnt_fs_get_devno(fs) == search->mirror)
			return true;
	}
	return false;
}

/*
 * @pid is a process in the namespace, or 0 in the daemon's own. @ns is the namespace's inode
 * number, or 0 if unknown.
 */
static void show_mount(struct mount_search *search, struct libmnt_fs *fs, pid_t pid, ino_t ns)
{
	const char *target = mnt_fs_get_target(fs);
	char *key;

	if (!g_hash_table_add(search->ids, GINT_TO_POINTER(mnt_fs_get_id(fs))))
		return;
	key = g_strdup_printf("%lu %s", (unsigned long)mnt_fs_get_devno(fs), target);
	/* Every copy of the mirror's mount is shown, since each has to be unmounted. */
	if (!g_hash_table_add(search->shown, key) && !search->copies)
		return;
	g_string_append(search->out, search->copies ? "mounted_elsewhere: " : "mounted_over: ");
	fmt_add_value(search->out, target);
	if (!search->copies) {
		g_string_append(search->out, " type=");
		fmt_add_value(search->out, mnt_fs_get_fstype(fs));
	}
	if (pid) {
		g_string_append(search->out, " mnt_ns=");
		fmt_add_number(search->out, ns ? ns : BPFREFS_UNKNOWN);
		g_string_append_printf(search->out, " pid=%d", (int)pid);
	}
	g_string_append_c(search->out, '\n');
}

/* A line that libmount cannot parse is skipped, and the rest is read. */
static int skip_line(struct libmnt_table *mounts, const char *file, int line)
{
	(void)mounts;
	(void)file;
	(void)line;
	return 1;
}

static void show_mounts(struct mount_search *search, struct libmnt_table *mounts, pid_t pid,
			ino_t ns)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	GHashTable *by_id;

	if (!iter)
		return;
	by_id = index_mounts(mounts, iter);
	mnt_reset_iter(iter, MNT_ITER_FORWARD);
	while (mnt_table_next_fs(mounts, iter, &fs) == 0) {
		bool wanted = search->copies ? mnt_fs_get_devno(fs) == search->mirror
					     : is_over_mirror(search, by_id, fs);

		if (mnt_fs_get_target(fs) && wanted)
			show_mount(search, fs, pid, ns);
	}
	g_hash_table_unref(by_id);
	mnt_free_iter(iter);
}

static int search_text(struct mount_search *search, char *text, size_t length, pid_t pid, ino_t ns)
{
	struct libmnt_table *mounts = mnt_new_table();
	FILE *file = mounts ? fmemopen(text, length, "r") : NULL;
	int err = -ENOMEM;

	if (file) {
		mnt_table_set_parser_errcb(mounts, skip_line);
		/*
		 * libmount also resolves this name, for its messages, so it must not be a
		 * relative path.
		 */
		err = mnt_table_parse_stream(mounts, file, "/proc/self/mountinfo");
		fclose(file);
	}
	if (!err)
		show_mounts(search, mounts, pid, ns);
	mnt_unref_table(mounts);
	return err;
}

static int search_namespace(struct mount_search *search, const char *process, pid_t pid, ino_t ns)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/mountinfo", process), *text = NULL;
	char dev[32];
	size_t length;
	int err;

	err = text_read(path, &text, &length);
	if (err)
		return err;
	/* A mount is in one namespace only. */
	if (!g_hash_table_add(search->firsts, GINT_TO_POINTER(atoi(text))) && !ns)
		return 0;
	/* Most namespaces have no mount of the mirror. */
	snprintf(dev, sizeof(dev), " %u:%u ", major(search->mirror), minor(search->mirror));
	return strstr(text, dev) ? search_text(search, text, length, pid, ns) : 0;
}

static bool has_exited(int err)
{
	return err == -ENOENT || err == -ESRCH;
}

/*
 * The namespace's number of a process with more capabilities than the daemon cannot be read; its
 * mountinfo can.
 */
static int search_task(struct mount_search *search, const char *process, pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/ns/mnt", process), *view = NULL;
	char root[PATH_MAX] = "";
	struct stat st = { 0 };
	int err = 0;

	if (stat(path, &st) != 0)
		err = errno == EACCES || errno == EPERM ? 0 : -errno;
	g_free(path);
	path = g_strdup_printf("/proc/%s/root", process);
	if (readlink(path, root, sizeof(root) - 1) < 0)
		root[0] = '\0';
	view = g_strdup_printf("%lu %s", (unsigned long)st.st_ino, root);
	if (st.st_ino && g_hash_table_contains(search->views, view))
		return 0;
	if (!err)
		err = search_namespace(search, process, pid, st.st_ino);
	if (!err)
		g_hash_table_add(search->views, g_steal_pointer(&view));
	return err;
}

/* If the main thread has exited and others live, one of those shows the namespace. */
static int search_threads(struct mount_search *search, pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", (int)pid);
	DIR *threads = opendir(path);
	const struct dirent *entry;
	int err = -ENOENT;

	while (threads && err && (entry = readdir(threads))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0 && tid != pid)
			err = search_task(search, entry->d_name, tid);
	}
	if (threads)
		closedir(threads);
	return err;
}

static void search_process(struct mount_search *search, const char *process, pid_t pid)
{
	int err = search_task(search, process, pid);

	if (pid && has_exited(err))
		err = search_threads(search, pid);
	if (err && !has_exited(err) && !search->unread++)
		search->err = err;
}

static void search_all(struct mount_search *search)
{
	DIR *proc = opendir("/proc");
	int err = proc ? 0 : -errno;
	const struct dirent *entry;

	search->views = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	search->firsts = g_hash_table_new(NULL, NULL);
	search->ids = g_hash_table_new(NULL, NULL);
	search->shown = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	search_process(search, "self", 0);
	for (errno = 0; proc && (entry = readdir(proc)); errno = 0)
		if (g_ascii_isdigit(*entry->d_name))
			search_process(search, entry->d_name,
				       (pid_t)strtol(entry->d_name, NULL, 10));
	err = err ? err : -errno;
	if (err && !search->unread++)
		search->err = err;
	if (search->unread)
		g_string_append_printf(search->out, "# %s: partial: %u processes: %s\n",
				       search->copies ? "mounted_elsewhere" : "mounted_over",
				       search->unread, g_strerror(-search->err));
	g_hash_table_unref(search->views);
	g_hash_table_unref(search->firsts);
	g_hash_table_unref(search->ids);
	g_hash_table_unref(search->shown);
	if (proc)
		closedir(proc);
}

/* Reads no mountinfo if the kernel's list of the mirror's mounts shows that nothing is on them. */
void overmount_show_over(GString *out, const struct fs *fs)
{
	struct mount_search search = { .out = out, .mirror = fs->mount_dev };
	uint32_t mounts, covered;

	if (bpfrefs_mounted(fs->ctx, major(search.mirror), minor(search.mirror), &mounts,
			    &covered) ||
	    covered)
		search_all(&search);
}

void overmount_show_elsewhere(GString *out, const struct fs *fs)
{
	struct mount_search search = { .out = out, .mirror = fs->mount_dev, .copies = true };

	search_all(&search);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What somebody mounted on the mirror or in it (bpftool's pin does so, of its own accord, where a
 * directory is not a bpffs): it hides part of the mirror, which cannot be seen from within. And where
 * other mount namespaces have the mirror's own mount. By mountinfo alone, in each mount namespace that a process is in: a look at a mount itself could be
 * one at ours, and wait for us.
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

/* Deeper than any stack of mounts that the kernel lets be (its limit is 100,000 in all). */
#define CHAIN_MAX 1000

struct search {
	GString *out;
	dev_t mirror;
	bool copies; /* look for mounts of the mirror itself, else for what is mounted over it */
	GHashTable *
		views; /* "NAMESPACE ROOT" that were read: each process sees what is below its root */
	GHashTable *firsts;  /* the numbers of the mounts that their tables begin with */
	GHashTable *ids;     /* of mounts that were told */
	GHashTable *told;    /* "DEV TARGET": one that was propagated is told once */
	unsigned int unread; /* processes whose namespace is not known */
	int err;	     /* the first reason */
};

static GHashTable *index_mounts(struct libmnt_table *mounts, struct libmnt_iter *iter)
{
	GHashTable *by_id = g_hash_table_new(NULL, NULL);
	struct libmnt_fs *fs;

	while (mnt_table_next_fs(mounts, iter, &fs) == 0)
		g_hash_table_insert(by_id, GINT_TO_POINTER(mnt_fs_get_id(fs)), fs);
	return by_id;
}

/* Is there a mount of the mirror below it, directly or not? */
static bool is_over_mirror(const struct search *search, GHashTable *by_id, struct libmnt_fs *fs)
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

/* @pid: a process there, or 0 in our own namespace, whose number is @ns, or 0 if unknown. */
static void tell_mount(struct search *search, struct libmnt_fs *fs, pid_t pid, ino_t ns)
{
	const char *target = mnt_fs_get_target(fs);
	char *key;

	if (!g_hash_table_add(search->ids, GINT_TO_POINTER(mnt_fs_get_id(fs))))
		return;
	key = g_strdup_printf("%lu %s", (unsigned long)mnt_fs_get_devno(fs), target);
	/* Each copy has to go. */
	if (!g_hash_table_add(search->told, key) && !search->copies)
		return;
	g_string_append(search->out, search->copies ? "mounted_elsewhere: " : "mounted_over: ");
	show_value(search->out, target);
	if (!search->copies) {
		g_string_append(search->out, " type=");
		show_value(search->out, mnt_fs_get_fstype(fs));
	}
	if (pid) {
		g_string_append(search->out, " mnt_ns=");
		show_number(search->out, ns ? ns : BPFREFS_UNKNOWN);
		g_string_append_printf(search->out, " pid=%d", (int)pid);
	}
	g_string_append_c(search->out, '\n');
}

/* A line that libmount cannot read (a format newer than it) is left out, not the end. */
static int skip_line(struct libmnt_table *mounts, const char *file, int line)
{
	(void)mounts;
	(void)file;
	(void)line;
	return 1;
}

static void tell_mounts(struct search *search, struct libmnt_table *mounts, pid_t pid, ino_t ns)
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
			tell_mount(search, fs, pid, ns);
	}
	g_hash_table_unref(by_id);
	mnt_free_iter(iter);
}

static int search_text(struct search *search, char *text, size_t length, pid_t pid, ino_t ns)
{
	struct libmnt_table *mounts = mnt_new_table();
	FILE *file = mounts ? fmemopen(text, length, "r") : NULL;
	int err = -ENOMEM;

	if (file) {
		mnt_table_set_parser_errcb(mounts, skip_line);
		/* The name is looked up too, for messages: not relative to wherever we may be. */
		err = mnt_table_parse_stream(mounts, file, "/proc/self/mountinfo");
		fclose(file);
	}
	if (!err)
		tell_mounts(search, mounts, pid, ns);
	mnt_unref_table(mounts);
	return err;
}

static int search_namespace(struct search *search, const char *process, pid_t pid, ino_t ns)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/mountinfo", process), *text = NULL;
	char dev[32];
	size_t length;
	int err;

	err = text_read(path, &text, &length);
	if (err)
		return err;
	/* No mount is in two namespaces. */
	if (!g_hash_table_add(search->firsts, GINT_TO_POINTER(atoi(text))) && !ns)
		return 0;
	/* Most namespaces know nothing of us. */
	snprintf(dev, sizeof(dev), " %u:%u ", major(search->mirror), minor(search->mirror));
	return strstr(text, dev) ? search_text(search, text, length, pid, ns) : 0;
}

static bool is_gone(int err)
{
	return err == -ENOENT || err == -ESRCH;
}

/* Of one with more capabilities than ours the namespace's number is closed to us, but no more. */
static int search_task(struct search *search, const char *process, pid_t pid)
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

/* Where the main thread has exited and others live, one of those has the namespace. */
static int search_threads(struct search *search, pid_t pid)
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

static void search_process(struct search *search, const char *process, pid_t pid)
{
	int err = search_task(search, process, pid);

	if (pid && is_gone(err))
		err = search_threads(search, pid);
	if (err && !is_gone(err) && !search->unread++)
		search->err = err;
}

static void search_all(struct search *search)
{
	DIR *proc = opendir("/proc");
	int err = proc ? 0 : -errno;
	const struct dirent *entry;

	search->views = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	search->firsts = g_hash_table_new(NULL, NULL);
	search->ids = g_hash_table_new(NULL, NULL);
	search->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
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
	g_hash_table_unref(search->told);
	if (proc)
		closedir(proc);
}

void show_mounted_over(GString *out, const struct fs *fs)
{
	struct search search = { .out = out, .mirror = fs->mount_dev };

	search_all(&search);
}

void show_mounted_elsewhere(GString *out, const struct fs *fs)
{
	struct search search = { .out = out, .mirror = fs->mount_dev, .copies = true };

	search_all(&search);
}

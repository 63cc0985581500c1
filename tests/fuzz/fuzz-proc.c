/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake procfs: processes with descriptors, threads, namespaces and mounts of any content. The
 * bytes are files, one after another: the location, the length and the content.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "procfs/procfs.h"

/*
 * The locations of files; the first %u is a process, the second one a descriptor or a thread.
 * Links begin with "@".
 */
static const char *const places[] = {
	"%u/comm",	    "@%u/fd/%u",	   "%u/fdinfo/%u", "@%u/ns/mnt",     "%u/mountinfo",
	"@%u/task/%u/fd/4", "%u/task/%u/fdinfo/4", "@self/ns/mnt", "self/mountinfo",
};

static char *dir;
static int proc_fd;

void fuzz_begin(void)
{
	dir = fuzz_dir();
	proc_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(proc_fd >= 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return ftw->level ? remove(path) : 0;
}

/* This also creates what no procfs has: a directory in place of a file. */
static void make_file(const char *place, uint8_t pid, uint8_t number, const char *text, size_t len)
{
	bool link = *place == '@';
	g_autofree char *path = NULL, *parent = NULL, *full = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	path = g_strdup_printf(place + link, pid % 4 + 1, number % 8);
#pragma GCC diagnostic pop
	full = g_build_filename(dir, path, NULL);
	parent = g_path_get_dirname(full);
	if (g_mkdir_with_parents(parent, 0700) != 0)
		return;
	if (!link)
		g_file_set_contents(full, text, (gssize)len, NULL);
	else if (*text && symlink(text, full) != 0)
		must(errno == EEXIST || errno == ENAMETOOLONG);
}

static void make_tree(const uint8_t *data, size_t size)
{
	while (size >= 5) {
		size_t len = MIN((size_t)(data[3] | data[4] << 8), size - 5);
		char *text = exact_string(data + 5, len);

		make_file(places[data[0] % G_N_ELEMENTS(places)], data[1], data[2], text, len);
		free(text);
		data += 5 + len;
		size -= 5 + len;
	}
}

/* As kcmp(2) may return: equal, ordered, or an error. */
static int compare(uint32_t tid_a, uint32_t tid_b, int what, uint32_t a, uint32_t b)
{
	if (what == PROC_COMPARE_FILES)
		return tid_a == tid_b ? 0 : 1;
	if (a == 7 || b == 7)
		return a == b ? -ESRCH : -EPERM;
	return a % 4 == b % 4 ? 0 : a % 4 < b % 4 ? 1 : 2;
}

static void read_fds(void)
{
	struct proc_fds fds;
	int err = proc_fds_read(proc_fd, compare, &fds);

	for (guint i = 0; !err && i < fds.files->len; i++) {
		const struct proc_file *file = &g_array_index(fds.files, struct proc_file, i);

		must(file->key.kind < KIND_COUNT && file->key.id != 0);
		must(file->pid != 0);
	}
	proc_fds_clear(&fds);
}

static void read_places(void)
{
	struct proc_pins pins = {
		.places = g_array_new(FALSE, FALSE, sizeof(struct proc_mount)),
		.others = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref),
	};

	must(proc_mounts_read(proc_fd, &pins) <= 0);
	for (guint i = 0; i < pins.places->len; i++) {
		const struct proc_mount *place = &g_array_index(pins.places, struct proc_mount, i);

		must(place->mount->target && place->mount->root);
	}
	g_array_unref(pins.places);
	g_ptr_array_unref(pins.others);
	if (pins.own)
		g_ptr_array_unref(pins.own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char comm[32];

	make_tree(data, size);
	read_fds();
	read_places();
	for (uint32_t pid = 1; pid <= 4; pid++)
		if (proc_comm(proc_fd, pid, comm))
			must(memchr(comm, '\0', sizeof(comm)));
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

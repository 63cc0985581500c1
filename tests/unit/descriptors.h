/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before everything in each unit test (tests/meson.build): every case leaves the descriptors
 * of the process as it found them, or fails. There are no exceptions.
 */
#ifndef TEST_DESCRIPTORS_H
#define TEST_DESCRIPTORS_H

#include <dirent.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* "3 /dev/null\n" and so on for each, owned. */
static inline char *descriptors_text(void)
{
	GString *text = g_string_new(NULL);
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	g_assert_nonnull(dir);
	while ((entry = readdir(dir))) {
		g_autofree char *path = g_build_filename("/proc/self/fd", entry->d_name, NULL);
		g_autofree char *target = g_file_read_link(path, NULL);

		if (target && atoi(entry->d_name) != dirfd(dir))
			g_string_append_printf(text, "%s %s\n", entry->d_name, target);
	}
	closedir(dir);
	return g_string_free(text, FALSE);
}

/* A case, with its setup and teardown if it has some, between two looks. */
struct descriptors_case {
	gsize size;
	gconstpointer data;
	void (*setup)(gpointer fixture, gconstpointer data);
	void (*run)(gpointer fixture, gconstpointer data);
	void (*teardown)(gpointer fixture, gconstpointer data);
};

/* Is this a place, as valgrind's may be, where openat2(2) is not known, which the program needs? */
static inline gboolean descriptors_lack_openat2(void)
{
	const char *need = g_getenv("NEED_OPENAT2");

	return need && *need && syscall(SYS_openat2, -1, NULL, NULL, 0) < 0 && errno == ENOSYS;
}

/* As GLib itself calls them: by a type that says void * where theirs says struct something *. */
__attribute__((no_sanitize("undefined"))) static inline void descriptors_run(gconstpointer data)
{
	const struct descriptors_case *it = data;
	g_autofree char *before = descriptors_text(), *after = NULL;
	gpointer fixture;

	if (descriptors_lack_openat2()) {
		g_test_skip("openat2(2) is not known here");
		return;
	}
	fixture = g_malloc0(it->size + 1);
	if (it->setup)
		it->setup(fixture, it->data);
	it->run(fixture, it->data);
	if (it->teardown)
		it->teardown(fixture, it->data);
	g_free(fixture);
	after = descriptors_text();
	g_assert_cmpstr(after, ==, before);
}

static inline void descriptors_add(const char *path, struct descriptors_case added)
{
	g_test_add_data_func_full(path, g_memdup2(&added, sizeof(added)), descriptors_run, g_free);
}

static inline void descriptors_plain(gpointer fixture, gconstpointer data)
{
	(void)fixture;
	((void (*)(void))(guintptr)data)();
}

#undef g_test_add
#define g_test_add(path, type, data_, setup_, run_, teardown_)                                \
	descriptors_add(                                                                      \
		path, (struct descriptors_case){ sizeof(type), data_,                         \
						 (void (*)(gpointer, gconstpointer))(setup_), \
						 (void (*)(gpointer, gconstpointer))(run_),   \
						 (void (*)(gpointer, gconstpointer))(teardown_) })
#define g_test_add_func(path, run_)                                                                \
	descriptors_add(path, (struct descriptors_case){ 0, (gconstpointer)(guintptr)(run_), NULL, \
							 descriptors_plain, NULL })

#endif

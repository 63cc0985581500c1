/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share. Each fuzz-NAME.c is one libFuzzer program (clang's
 * -fsanitize=fuzzer,address,undefined); fuzz.py runs them.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold of every input: abort() is what libFuzzer takes for a finding. */
#define must(condition)                                                                    \
	do {                                                                               \
		if (!(condition)) {                                                        \
			g_printerr("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                           \
		}                                                                          \
	} while (0)

/* A copy in a block of its own, just as long, so that a read past its end is seen; never NULL. */
static inline void *exact_copy(const void *data, size_t size)
{
	void *copy = malloc(size ? size : 1);

	must(copy);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

static inline char *exact_string(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	must(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* GLib's complaints are findings too. (Made fatal they end in SIGTRAP: libFuzzer keeps no input then.) */
static inline void fuzz_complaint(const char *domain, GLogLevelFlags level, const char *message,
				  gpointer data)
{
	(void)data;
	g_printerr("%s: %s\n", domain ? domain : "?", message);
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING))
		abort();
}

static inline void fuzz_init(void)
{
	g_log_set_default_handler(fuzz_complaint, NULL);
}

/* A directory that is made for one process, and removed when that ends well (fuzz.py's otherwise). */
char *fuzz_dir(void);
/* Replaces a file in it. */
void fuzz_write(int dir_fd, const char *name, const void *data, size_t size);

#endif

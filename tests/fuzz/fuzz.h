/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share. Each fuzz-NAME.c is one libFuzzer program (clang's
 * -fsanitize=fuzzer,address,undefined). fuzz.py runs them.
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

/* What must hold for every input. libFuzzer reports a call of abort(3) as a finding. */
#define must(condition)                                                                    \
	do {                                                                               \
		if (!(condition)) {                                                        \
			g_printerr("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                           \
		}                                                                          \
	} while (0)

/*
 * Returns a copy in a block of the same size, so that AddressSanitizer reports a read past its
 * end; never NULL.
 */
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

/* What a target does once, before the first input, if it defines this. */
void fuzz_begin(void);

/* Creates a directory that is removed when the process exits. fuzz.py removes it otherwise. */
char *fuzz_dir(void);
/* Replaces a file in the directory. */
void fuzz_write(int dir_fd, const char *name, const void *data, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the preloaded parts share: which call of the daemon fails. */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stdint.h>

#define SITES 16384

/* How it is said which one. */
enum how {
	COUNT, /* none */
	LIST,  /* none; they are listed by where they are called from */
	NTH,   /* number @at */
	PLACE, /* number @at of those that are called from @site */
};

struct site {
	uint64_t hash, count;
	char name[24];
};

/* Mapped by who tests as well: FAULT_CONTROL names the file. */
struct control {
	uint32_t armed, error, how;
	uint64_t at, count, site, failed;
	char name[48]; /* of the call that failed last */
	struct site sites[SITES];
};

/* Shall this call fail? Then errno is set. */
bool fails(const char *name);
/* Is the call libfuse's own? */
bool is_of_libfuse(const void *return_address);

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

#endif

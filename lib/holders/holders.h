/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Declarations that several holder classes share. */
#ifndef BPFREFS_HOLDERS_H
#define BPFREFS_HOLDERS_H

#include <string.h>

#include "snapshot/private.h"
#include "text/removal.h"

/* The fields of class pin, for both sources. PIN_INNER is set if the path is unknown. */
#define PIN_FIELDS(X)         \
	X(PIN_PATH, "path")   \
	X(PIN_INNER, "inner") \
	X(PIN_DEV, "dev")     \
	X(PIN_INO, "ino")     \
	X(PIN_UID, "uid")     \
	X(PIN_GID, "gid")     \
	X(PIN_MODE, "mode")   \
	X(PIN_MTIME, "mtime") \
	X(PIN_STATE, "state") \
	X(PIN_PID, "pid")

/* The fields of one name of a pin, for both sources. */
struct pin_facts {
	uint32_t major, minor, uid, gid, mode;
	uint64_t ino;
	int64_t mtime;
	const char *path, *inner; /* NULL if unknown */
	const char *state;	  /* a static string */
	uint32_t pid;		  /* 0: the path needs no process */
};
void pin_fill(struct scan *scan, struct bpfrefs_ref *ref, const struct pin_facts *facts);
int pin_proc(struct scan *scan);
/* Reports what could not be read of pins as a gap of the current class. */
struct proc_pins;
void pin_proc_gaps(struct scan *scan, const struct proc_pins *pins);

/*
 * Adds a reference of class keep while another class runs. Mode fd is a descriptor of this context,
 * the others are pins.
 */
struct bpfrefs_ref *keep_add(struct scan *scan, struct bpfrefs_key key, enum bpfrefs_keep_mode mode,
			     const char *path, uint32_t count);

/* Adds the reference of another object to a BTF, unless @id is 0. */
static inline void hold_btf(struct scan *scan, uint32_t id, struct bpfrefs_key holder,
			    unsigned int via)
{
	if (id)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_KIND_BTF, id }, 1, 0, holder,
			      via);
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keeps the owners of the BPF source: namespaces and instances of bpffs (owner.h). */
#ifndef BPFREFS_WALK_OWNER_H
#define BPFREFS_WALK_OWNER_H

#include "walk-scan.h"

/* A root directory that processes of a mount namespace have, and one of them. */
struct walk_root {
	uint64_t mount, dentry;
	uint32_t pid;
};

GHashTable *owners_roots_new(void);
/* Those of a namespace, in the order of the tasks; NULL: no process is in it. Borrowed. */
const GArray *owners_roots(const struct walk_state *state, uint32_t mnt_ns);
/* Keeps a record of what a process holds, until it is known which namespaces matter. */
void owners_note(struct scan *scan, const struct walk_rec *rec);
/* After all classes: adds every instance of bpffs as an owner, and the holds of all owners. */
void owners_derive(struct scan *scan);

#endif

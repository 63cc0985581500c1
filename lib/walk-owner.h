/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keeps the owners of the BPF source: namespaces and instances of bpffs (owner.h). */
#ifndef BPFREFS_WALK_OWNER_H
#define BPFREFS_WALK_OWNER_H

#include "walk-scan.h"

/* Keeps a record of what a process holds, until it is known which namespaces matter. */
void owners_note(struct scan *scan, const struct walk_rec *rec);
/* After all classes: adds every instance of bpffs as an owner, and the holds of all owners. */
void owners_derive(struct scan *scan);

#endif

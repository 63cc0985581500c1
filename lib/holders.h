/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What holder classes say to each other. */
#ifndef BPFREFS_HOLDERS_H
#define BPFREFS_HOLDERS_H

#include <string.h>

#include "private.h"

extern const struct holder_class holder_keep, holder_kernel;

/* Adds a reference of class keep, whoever's turn it is: mode fd by this context, else a pin. */
struct bpfrefs_ref *keep_add(struct scan *scan, struct bpfrefs_key key, enum bpfrefs_keep_mode mode,
			     const char *path, uint32_t count);

/* Adds a reference to a BTF that another object holds; id 0: there is none. */
static inline void hold_btf(struct scan *scan, uint32_t id, struct bpfrefs_key holder,
			    const char *via)
{
	if (id)
		scan_add_held(scan, (struct bpfrefs_key){ BPFREFS_BTF, id }, 1, 0, holder, via);
}

#endif

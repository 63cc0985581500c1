/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What holder classes say to each other. */
#ifndef BPFREFS_HOLDERS_H
#define BPFREFS_HOLDERS_H

#include <string.h>

#include "private.h"

extern const struct holder_class holder_keep;

/* Adds a reference of class keep, whoever's turn it is: mode fd by this context, else a pin. */
struct bpfrefs_ref *keep_add(struct scan *scan, struct bpfrefs_key key, enum bpfrefs_keep_mode mode,
			     const char *path, uint32_t count);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the removal of a pin would do, asked before it is done. */
#ifndef GUARD_H
#define GUARD_H

#include "mirror/mirror.h"

/*
 * Would removing the pin @st of @key free the object or clear its user state, by *snap and, where a
 * count that nothing explains is all that saves it, by younger ones, which then are in *snap (owned;
 * NULL after a failure)? 0, -EBUSY, or why it could not be learnt. The lock on commands is held.
 */
int guard_judge(struct fs *fs, struct bpfrefs_snapshot **snap, struct bpfrefs_key key,
		const struct stat *st);

/*
 * -o guard: as mirror_unlink() of what is no directory, and mirror_rename(), but -EBUSY where a pin
 * would go whose object would be freed or cleared. .bpf/errors tells of what is refused here.
 */
int guard_unlink(struct fs *fs, const struct caller *caller, uint64_t parent, const char *name);
int guard_rename(struct fs *fs, const struct caller *caller, struct mirror_name from,
		 struct mirror_name to, unsigned int flags);

#endif

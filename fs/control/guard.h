/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks what the removal of a pin would do, before it is removed. */
#ifndef GUARD_H
#define GUARD_H

#include "mirror/mirror.h"

/*
 * Checks whether the removal of the pin @st of @key would free the object or clear its user
 * state. Uses *snap, and further snapshots as long as only unexplained references keep the object
 * alive. The last one is then in *snap, owned, NULL after a failure. Returns 0, -EBUSY, or
 * another error if it could not be determined. Called in the thread of commands.
 */
int guard_judge(struct fs *fs, struct bpfrefs_snapshot **snap, struct bpfrefs_key key,
		const struct stat *st);

/*
 * With -o guard these replace mirror_unlink(), except for directories, and mirror_rename(). They
 * return -EBUSY if a pin would be removed whose object would then be freed or cleared, and log
 * what they refuse in .bpf/errors.
 */
int guard_unlink(struct fs *fs, const struct caller *caller, uint64_t parent, const char *name);
int guard_rename(struct fs *fs, const struct caller *caller, struct mirror_name from,
		 struct mirror_name to, unsigned int flags);

#endif

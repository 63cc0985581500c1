/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mounts of bpffs in each mount namespace, as its mountinfo shows them. The kernel takes some
 * 2 us for each mount there, so mountinfo is read again only when the versions of the namespace's
 * bpffs mounts (walk_mount.version) have changed.
 */
#ifndef BPFREFS_MOUNT_CACHE_H
#define BPFREFS_MOUNT_CACHE_H

#include "kernel/owner_records.h"
#include "procfs/procfs.h"

struct mount_cache;
void mount_cache_free(struct mount_cache *cache); /* NULL is allowed */

/*
 * Call it once in each scan, when pin_tree_prepare() has read the mounts. A scan for everything then
 * drops what the last such scan did not use.
 */
void mount_cache_begin(struct scan *scan);
/*
 * Returns a new reference to the mounts (struct bpffs_mount) of a namespace as a process with this
 * root directory sees them, NULL if they cannot be read. @root is NULL for this process.
 */
GPtrArray *mount_cache_get(struct scan *scan, uint32_t ns, const struct walk_root *root);

#endif

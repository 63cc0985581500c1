/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The paths of cgroups by their ids. */
#ifndef BPFREFS_CGROUP_PATHS_H
#define BPFREFS_CGROUP_PATHS_H

#include "snapshot/private.h"

/* Shares the paths that the context knows with a snapshot that is about to be taken. */
void cgroup_paths_share(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot *snap);
/* Adds in which cgroup of the v2 hierarchy a process is, by the id of that; 0: unknown. */
void cgroup_paths_add(struct scan *scan, uint32_t pid, uint64_t cgroup);
void cgroup_paths_unref(struct cgroup_paths *paths);

#endif

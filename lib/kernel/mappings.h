/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory mappings. The kernel has all mappings of an inode's files in one tree. Maps and perf events
 * share one inode (anon_inode_getfile()); each ring (io_uring_get_file()) and each socket has its
 * own. So one tree is read for all maps and perf events, and one for each ring and socket that
 * something else led to.
 *
 * A ring or socket that only a mapping leads to is in none of these trees. The programs then go
 * through all mappings of all processes: if an object has a new unexplained reference, and in each
 * scan after that as long as there is such a file.
 */
#ifndef BPFREFS_MAPPINGS_H
#define BPFREFS_MAPPINGS_H

#include "kernel/bpf_source.h"

/*
 * Emits the mappings of this file and of all others with the same inode: a WALK_TASK for each, and then
 * what walk_emit_held() emits of its file, in the order of processes and addresses. Returns 0 or
 * -errno; -EAGAIN if the tree changed whenever it was read.
 */
int mappings_walk_tree(struct bpf_loader *walkers, uint64_t file, walk_fn fn, void *data);
/* The mappings of all maps and perf events. */
int mappings_walk(struct scan *scan, walk_fn fn, void *data);
/* Those of one ring or socket, and only once for each. The data of @fn is @scan. */
int mappings_walk_file(struct scan *scan, uint64_t file, walk_fn fn);
/* Records that a mapping led to a ring or socket. */
void mappings_found(struct scan *scan, uint64_t file);
/* At the end of a scan. */
void mappings_clear(struct scan *scan);

#endif

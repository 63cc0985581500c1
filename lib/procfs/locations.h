/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names that people have for network namespaces, cgroups and functions of the kernel: those of
 * ip-netns(8), paths, and symbols.
 */
#ifndef BPFREFS_LOCATIONS_H
#define BPFREFS_LOCATIONS_H

#include "snapshot/private.h"

/*
 * Reads what is needed at the first question, and remembers it: a struct locations serves one
 * reading of a file. Not thread-safe.
 */
struct locations;
struct locations *locations_new(int proc_fd); /* borrows @proc_fd */
void locations_free(struct locations *names); /* NULL is allowed */

/* The number in "net:[4026531840]", as links and mounts of namespaces show it; 0 if it is no such text. */
uint32_t locations_netns_number(const char *text);
/* The name in /run/netns of a network namespace, borrowed; NULL if it has none there. */
const char *locations_netns(struct locations *names, uint32_t netns);
/*
 * Sets @path to the owned path of a cgroup of the v2 hierarchy, "/" for its root, as /proc/PID/cgroup
 * shows it. -ESTALE if the cgroup was removed, -ENOENT if that hierarchy is not mounted here, another
 * error if the path could not be read.
 */
int locations_cgroup(struct locations *names, uint64_t id, char **path);
/*
 * The function of the kernel that begins at this address, borrowed; NULL if kallsyms does not show it.
 * Reads all of kallsyms the first time, which takes some 100 ms.
 */
const char *locations_symbol(struct locations *names, uint64_t address);

#endif

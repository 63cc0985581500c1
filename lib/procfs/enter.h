/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths by which a command reaches what lies in another namespace, or in a cgroup. */
#ifndef BPFREFS_ENTER_H
#define BPFREFS_ENTER_H

#include "snapshot/private.h"

/* What was found so far, so that many references in one place are looked up once. */
struct enter;

/* @proc_fd is borrowed. */
struct enter *enter_new(int proc_fd);
void enter_free(struct enter *enter);

/* Whether the caller of bpfrefs is in this network namespace itself. */
bool enter_is_own_netns(struct enter *enter, uint32_t netns);
/*
 * The path of a file of a network namespace, for nsenter(1): where it is mounted (ip-netns(8) has
 * /run/netns/NAME), else that of a process in it. Borrowed; NULL if there is none.
 */
const char *enter_netns(struct enter *enter, uint32_t netns);
/* The path of a cgroup, whose path in the v2 hierarchy is @path; owned; NULL if that is not mounted. */
char *enter_cgroup(struct enter *enter, const char *path);
/*
 * The path of @inner in an instance of bpffs, through the mounts and the root directory of a process
 * (/proc/PID/root/...); owned; NULL if no mount that it sees leads there.
 */
char *enter_bpffs(const struct enter *enter, uint32_t pid, const struct pin_location *place);
/*
 * The same through one of the process's links in procfs, such as "fd/5" or "cwd", if that is a
 * directory in a bpffs that no namespace has mounted, above or at @inner.
 */
char *enter_directory(const struct enter *enter, uint32_t pid, const char *link, const char *inner);

#endif

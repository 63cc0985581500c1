/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks whether the mirror is still mounted in the daemon's mount namespace. After umount(8) the
 * FUSE connection lives on, and SOURCE stays busy, while another mount namespace has a copy of
 * the mount or a process has a file or directory of it open.
 */
#ifndef MOUNTED_H
#define MOUNTED_H

#include "fs.h"

struct mounted;

/*
 * Starts a thread that sleeps until mounts change, and logs when the mirror was unmounted here.
 * Returns 0 or -EAGAIN.
 */
int mounted_start(const struct fs *fs, struct mounted **out);
void mounted_stop(struct mounted *mounted); /* @mounted may be NULL */
/*
 * Returns whether the mirror is mounted anywhere in the daemon's mount namespace, and true if
 * mountinfo cannot be read.
 */
bool mounted_is_here(const struct fs *fs);

#endif
